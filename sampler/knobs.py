"""Further whole numbers of architectures, such as heads: the values they may have, and what they are unless one says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sampler.architecture import Architectures, BaseNetwork, FloatArray, IntArray
from sampler.checks import shown
from sampler.errors import InputError
from sampler.families import family_of
from sampler.families.protocol import Sizes


def knob_grids(network: BaseNetwork) -> Mapping[str, tuple[int, ...]]:
    """Values of the knobs that a search may move, ascending, by name; none where the family has no such knob."""
    family = family_of(network)
    return family.knob_grids(network) if hasattr(family, "knob_grids") else {}


def check_varied(network: BaseNetwork, names: object) -> None:
    """Refuses what are no names of knobs that a search may move, each once.

    Raises:
        InputError: Naming those that there are.
    """
    known = knob_grids(network)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise InputError(f"knobs are {shown(names)}; a list of names is wanted")
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"{network.name} has no knob {unknown[0]!r} that may vary; those with several values: "
            f"{', '.join(known) or 'none'}"
        )
    if len(set(names)) < len(names):
        raise InputError(f"knobs {', '.join(names)}: each is named once")


def with_own_knobs(network: BaseNetwork, architectures: Architectures, names: Sequence[str]) -> Architectures:
    """The same architectures, the knobs of these names given as numbers, and no others.

    What an architecture does not say follows the knob's rule, and lies on the knob's grid where it has one.
    """
    missing = [name for name in names if name not in architectures.knobs]
    knobs = {name: architectures.knobs[name] for name in names if name in architectures.knobs}
    if missing:
        given = architectures
        sizes = Sizes(given.resolution, given.stem, given.widths, given.depths, given.head)
        follows, grids = family_of(network).followed(network, sizes), knob_grids(network)
        knobs |= {name: nearest_values(follows[name], grids[name]) for name in missing}
    return replace(architectures, knobs=knobs)


def nearest_values(values: IntArray | FloatArray, grid: Sequence[int]) -> IntArray:
    """Numbers, each moved to the nearest of ascending values; halves go up."""
    levels = np.asarray(grid, dtype=np.int64)
    above = np.clip(np.searchsorted(levels, values), 0, len(levels) - 1)
    below = np.maximum(above - 1, 0)
    found: IntArray = levels[np.where(levels[above] - values <= values - levels[below], above, below)]
    return found


def drawn_values(unit: FloatArray, grid: Sequence[int]) -> IntArray:
    """Values of a grid at places in [0, 1], all of them equally often."""
    levels = np.asarray(grid, dtype=np.int64)
    found: IntArray = levels[np.minimum((unit * len(levels)).astype(np.int64), len(levels) - 1)]
    return found
