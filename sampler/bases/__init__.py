"""The base networks by name, each a table of stages in the file of its family."""

from __future__ import annotations

import difflib

from sampler.architecture import BaseNetwork
from sampler.bases import convnext, ghost, mbconv, regnet, residual
from sampler.checks import shown
from sampler.errors import InputError

BASES: dict[str, BaseNetwork] = {
    network.name: network
    for network in (
        *mbconv.NETWORKS,
        *regnet.NETWORKS,
        *residual.NETWORKS,
        *ghost.NETWORKS,
        *convnext.NETWORKS,
    )
}


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
    if name not in BASES:
        near = sorted(BASES, key=lambda known: -difflib.SequenceMatcher(None, name, known).ratio())[:3]
        raise InputError(f"base network {name!r} is unknown; nearest: {', '.join(near)} (`planner bases` lists all)")
    return BASES[name]


def base_names() -> list[str]:
    """Names of all base networks, in the order of their families."""
    return list(BASES)
