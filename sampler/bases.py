"""The base networks by name, each a table of stages in the file of its family."""

from __future__ import annotations

import difflib

from sampler.architecture import BaseNetwork
from sampler.checks import shown
from sampler.errors import InputError
from sampler.families.registry import known_bases, load_installed


def base(name: str) -> BaseNetwork:
    """The base network of that name.

    Raises:
        InputError: If there is none; names the nearest.

    Example:
        >>> base("efficientnet_b0").depths
        (1, 2, 2, 3, 3, 4, 1)
    """
    if not isinstance(name, str):
        raise InputError(f"{type(name).__name__} {shown(name)} is no name of a base network (`planner bases` has them)")
    bases = known_bases()
    if name not in bases:
        load_installed()
    if name not in bases:
        near = sorted(bases, key=lambda known: -difflib.SequenceMatcher(None, name, known).ratio())[:3]
        raise InputError(f"base network {name!r} is unknown; nearest: {', '.join(near)} (`planner bases` lists all)")
    return bases[name]


def base_names(installed: bool = False) -> list[str]:
    """Names of all base networks, in the order of their families.

    Args:
        installed: Whether to ask installed packages, too, which takes a moment; those of a package that was needed
            before are always among them.
    """
    if installed:
        load_installed()
    return list(known_bases())
