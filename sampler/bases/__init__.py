"""The base networks by name, each a table of stages in the file of its family."""

from __future__ import annotations

import difflib

from sampler.architecture import BaseNetwork
from sampler.bases import mbconv
from sampler.errors import InputError

BASES: dict[str, BaseNetwork] = {network.name: network for network in (*mbconv.NETWORKS,)}


def base(name: str) -> BaseNetwork:
    """The base network of that name.

    Raises:
        InputError: If there is none; names the nearest.

    Example:
        >>> base("efficientnet_b0").depths
        (1, 2, 2, 3, 3, 4, 1)
    """
    if name not in BASES:
        near = difflib.get_close_matches(name, BASES, n=3, cutoff=0.4) or list(BASES)[:3]
        raise InputError(f"base network {name!r} is unknown; nearest: {', '.join(near)} (`planner bases` lists all)")
    return BASES[name]


def base_names() -> list[str]:
    """Names of all base networks, in the order of their families."""
    return list(BASES)
