"""Base networks named by what declares them: the one place where Python's callers may give a function or its file."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

from sampler.families.registry import known_bases
from trainer.declared.declaring import declares
from trainer.declared.loading import load_network, offered_network
from trainer.declared.tables import TABLE_SUFFIX

_F = TypeVar("_F", bound=Callable[..., Any])
_PLACE = re.compile(r".+:[A-Za-z_]\w*")  # FILE.py:NAME, package.module:NAME


@functools.cache
def naming(function: _F, argument: str) -> _F:
    """A function that takes a declared network where it takes the name of a base network.

    Args:
        function: Function.
        argument: Name of the argument that names a network: there, or in a list there, may be a function that
            `planner.network` decorates, `FILE.py:NAME`, `package.module:NAME`, or what an installed package offers.
    """
    position = list(inspect.signature(function).parameters).index(argument)

    @functools.wraps(function)
    def named(*args: Any, **kwargs: Any) -> Any:
        if argument in kwargs:
            kwargs[argument] = known_name(kwargs[argument])
        elif len(args) > position:
            args = (*args[:position], known_name(args[position]), *args[position + 1 :])
        return function(*args, **kwargs)

    return named  # type: ignore[return-value]


def known_name(given: Any) -> Any:
    """The name of a declared network, which is known from now on; all else as it is given."""
    if isinstance(given, list | tuple):
        return type(given)(map(known_name, given)) if any(map(_is_declared, given)) else given
    return load_network(given).name if _is_declared(given) else given


def _is_declared(given: Any) -> bool:
    if not isinstance(given, str):
        return declares(given)
    if given in known_bases():
        return False
    if given.endswith(TABLE_SUFFIX) or _PLACE.fullmatch(given):
        return True
    return given.isidentifier() and bool(offered_network(given))
