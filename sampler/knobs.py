"""Further whole numbers of architectures, such as heads: the values they may have, and what they are unless said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sampler.architecture import (
    Architecture,
    Architectures,
    BaseNetwork,
    FloatArray,
    IntArray,
    concatenate,
    stack,
)
from sampler.checks import shown
from sampler.errors import InputError
from sampler.families import family_of
from sampler.families.protocol import Sizes


def knob_grids(network: BaseNetwork) -> Mapping[str, tuple[int, ...]]:
    """Values of the knobs that a search may move, ascending, by name; none where the family has no such knob."""
    family = family_of(network)
    return family.knob_grids(network) if hasattr(family, "knob_grids") else {}


def knob_sizes(network: BaseNetwork, names: Iterable[str]) -> dict[str, int]:
    """How many numbers each knob of these names has: one for each stage, or one."""
    own = family_of(network).knobs(network)
    return {name: len(own[name]) for name in sorted(names)}


def knobs_among(network: BaseNetwork, columns: Iterable[object]) -> dict[str, int]:
    """How many columns each knob has that may vary and whose columns are all among some, by its name."""
    given, own = set(columns), family_of(network).knobs(network)
    sizes = {name: len(own[name]) for name in sorted(knob_grids(network))}
    return {name: size for name, size in sizes.items() if given.issuperset(f"{name}_{i + 1}" for i in range(size))}


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

    What an architecture does not say follows the knob's rule.
    """
    missing = [name for name in names if name not in architectures.knobs]
    knobs = {name: architectures.knobs[name] for name in names if name in architectures.knobs}
    if missing:
        given = architectures
        sizes = Sizes(given.resolution, given.stem, given.widths, given.depths, given.head)
        follows = family_of(network).followed(network, sizes)
        knobs |= {name: follows[name] for name in missing}
    return replace(architectures, knobs=knobs)


def every_knob(network: BaseNetwork, architecture: Architecture) -> Mapping[str, tuple[int, ...]]:
    """All knobs of one architecture by name, those that it leaves to their rules too; none where there are none."""
    names = sorted(family_of(network).knobs(network))
    return with_own_knobs(network, stack([architecture]), names)[0].knobs if names else {}


def stack_alike(network: BaseNetwork, ones: Sequence[Architecture], names: Iterable[str] = ()) -> Architectures:
    """Architectures as arrays, all with the knobs that one of them has and those of these names.

    Raises:
        InputError: If the network lacks one of them.
    """
    wanted = sorted({*names, *(name for one in ones for name in one.knobs)})
    if not wanted:
        return stack(ones)
    known = family_of(network).knobs(network)
    if unknown := [name for name in wanted if name not in known]:
        raise InputError(f"{network.name} has no knob {unknown[0]!r}; its knobs: {', '.join(known) or 'none'}")
    return concatenate([with_own_knobs(network, stack([one]), wanted) for one in ones])


def drawn_values(unit: FloatArray, grid: Sequence[int]) -> IntArray:
    """Values of a grid at places in [0, 1], all of them equally often."""
    levels = np.asarray(grid, dtype=np.int64)
    found: IntArray = levels[np.minimum((unit * len(levels)).astype(np.int64), len(levels) - 1)]
    return found
