"""The decorator by which a function declares a network."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from sampler import InputError
from sampler.checks import shown
from sampler.declared.description import Source
from sampler.declared.spec import NetworkSpec, network_spec
from trainer.declared.own_files import digest_of_files, own_files, root_of

_F = TypeVar("_F", bound=Callable[..., Any])
_MARK = "__planner_network__"


@dataclass(frozen=True)
class Declaration:
    """What a decorated function declares.

    Attributes:
        spec: The network.
        files: Texts of its own file and of those that it imports from beside it, by their paths; empty where it is of
            a program or notebook itself, so that no other process can import it.
    """

    spec: NetworkSpec
    files: Mapping[str, str] = field(default_factory=dict)


def network(
    resolution: int,
    widths: Sequence[int],
    depths: Sequence[int],
    *,
    divisor: int | None = None,
    step: int | None = None,
    channels: int = 3,
    input: Callable[[int], Any] | None = None,
    knobs: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Callable[[_F], _F]:
    """A decorator: the function builds a network of any size, which then is a base network as any other.

    The function is called with `resolution`, `widths`, `depths`, `classes` and each knob, by name, in whole numbers and
    tuples of them, and gives a `torch.nn.Module`. What it gives must depend on these alone. It stays what it was, and
    nothing is built before somebody asks what the network costs.

    Args:
        resolution: Size of the input at base: pixels, tokens, samples, frames.
        widths: Channels of each stage at base; one stage is fine.
        depths: Blocks of each stage at base.
        divisor: Divisor of all widths; the largest of 8, 4, 2 and 1 that divides those at base by default.
        step: Step of resolutions; by default it is learned, as the least resolution is.
        channels: Channels of the images that it takes.
        input: Function of the resolution that gives the example input, where that is not one image of `channels`: a
            tensor, a tuple of them (positional arguments) or a dict (named ones).
        knobs: Further whole numbers by name: one number, fixed; a tuple of values, the first at base; or a dict of
            `base`, `values` and `follows`, such as `{"follows": "width / 64"}`. A knob that has one number at base
            comes as an int, one that has a number for each stage as a tuple.
        name: Name of the base network; the function's by default.

    Raises:
        PlannerError: If one of them is impossible, or the function does not take what it will be given; one line.
    """

    def decorate(function: _F) -> _F:
        spec = network_spec(function, resolution, widths, depths, divisor, step, channels, input, knobs, name)
        files = _files_of(function)
        source = Source(next(iter(files)).rpartition("/")[2], "", digest_of_files(files)) if files else Source()
        return _marked(function, Declaration(replace(spec, source=source), files))

    return decorate


def declares(thing: object) -> bool:
    """Whether something is a function that declares a network."""
    return isinstance(getattr(thing, _MARK, None), Declaration)


def declaration_of(function: object) -> Declaration:
    """What a decorated function declares, with the name by which its file has it.

    Raises:
        InputError: If it declares nothing.
    """
    found = getattr(function, _MARK, None)
    if not isinstance(found, Declaration):
        raise InputError(
            f"{shown(function)} is no network of the planner's: write @planner.network(resolution=, widths=, depths=) "
            "above the function that builds it"
        )
    module = sys.modules.get(getattr(function, "__module__", ""))
    names = [name for name, one in vars(module).items() if one is function] if module else []
    if found.files and names:
        return replace(found, spec=replace(found.spec, source=replace(found.spec.source, function=names[0])))
    where = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', found.spec.name)}"
    return Declaration(replace(found.spec, source=Source(function=where)))


def _marked(function: _F, declaration: Declaration) -> _F:
    """The function itself; another like it where it declares a network already, or cannot be written on."""
    try:
        if _MARK not in vars(function):
            setattr(function, _MARK, declaration)
            return function
    except (TypeError, AttributeError):
        pass

    @functools.wraps(function)
    def another(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    setattr(another, _MARK, declaration)
    return another  # type: ignore[return-value]


def _files_of(function: object) -> dict[str, str]:
    """The files of a function that another process can import."""
    title = getattr(function, "__module__", "")
    file = getattr(sys.modules.get(title), "__file__", None) or ""
    if title == "__main__" or not file.endswith(".py") or "<" in getattr(function, "__qualname__", "<"):
        return {}
    path = Path(file).resolve()
    try:
        return own_files(path, root_of(path, title))
    except (InputError, ValueError, IndexError):  # imported from elsewhere than its name says
        return {}
