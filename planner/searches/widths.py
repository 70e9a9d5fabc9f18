"""The widths of a network that a search may change: one per layer where the family can build it, else one per stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from sampler import Architecture, LayeredArchitecture, base, rule_named, stack
from sampler.architecture import MAX_CHANNELS, IntArray
from sampler.complexity import count, count_layers
from sampler.families.residual import has_layers
from sampler.moves import Grid, from_rows

# A stage may grow to so many times its width.
_MOST_TIMES = 16

Widths = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class WidthVector:
    """`L` widths of a network, the rest of which stays.

    Attributes:
        names: Parts that have each width, as `trainer.channel_units` names it.
        initial: The widths to begin with, and to measure steps by.
        levels: Widths that can be built of each, ascending.
        macs_of: Exact MACs, `(n,)`, of `(n, L)` widths.
        architecture_of: The network of some widths.
    """

    names: tuple[str, ...]
    initial: Widths
    levels: tuple[IntArray, ...]
    macs_of: Callable[[IntArray], IntArray]
    architecture_of: Callable[[Widths], Architecture]

    def macs(self, widths: Widths) -> int:
        """Exact MACs of one network."""
        return int(self.macs_of(np.array([widths], dtype=np.int64))[0])

    def nearest(self, numbers: ArrayLike) -> Widths:
        """The nearest widths that can be built; of two equally near the even one, as Python rounds."""
        return tuple(
            _nearest(levels, number) for levels, number in zip(self.levels, np.asarray(numbers).tolist(), strict=True)
        )

    def stepped(self, place: int, width: int, step: float) -> int:
        """One width after a step: the nearest that can be built, and at least the next one, where there is one."""
        levels, wanted = self.levels[place], _nearest(self.levels[place], width + step)
        if step > 0:
            above = int(np.searchsorted(levels, width, side="right"))
            return max(wanted, int(levels[min(above, len(levels) - 1)]))
        if step < 0:
            below = int(np.searchsorted(levels, width)) - 1
            return min(wanted, int(levels[max(below, 0)]))
        return width


def _nearest(levels: IntArray, number: float) -> int:
    above = min(int(np.searchsorted(levels, number)), len(levels) - 1)
    low, high = int(levels[max(above - 1, 0)]), int(levels[above])
    if number - low == high - number:
        return low if low % (2 * (high - low) or 1) == 0 else high
    return low if number - low < high - number else high


def width_vector(
    architecture: Architecture, classes: int, padding: str = "max", smallest: int = 4, divisor: int = 1
) -> WidthVector:
    """The widths of a network: per layer for ResNets of basic blocks at their own depth, per stage for all others.

    Args:
        architecture: Where to begin.
        classes: Outputs of the classifier.
        padding: Place of zeros, where widths are per layer: `"max"` or `"local"`.
        smallest: The fewest channels.
        divisor: Widths are multiples of it.

    Raises:
        InputError: If nothing of the kind can be built.
    """
    network = base(architecture.base)
    if isinstance(architecture, LayeredArchitecture):
        return layer_vector(architecture, classes, smallest, divisor)
    if has_layers(network) and architecture.depths == network.depths:
        layers = [
            width for width, depth in zip(architecture.widths, network.depths, strict=True) for _ in range(2 * depth)
        ]
        layered = LayeredArchitecture.of(network, layers, padding, architecture.stem, architecture.resolution)
        return layer_vector(layered, classes, smallest, divisor)
    return stage_vector(architecture, classes, smallest, divisor)


def layer_vector(one: LayeredArchitecture, classes: int, smallest: int = 4, divisor: int = 1) -> WidthVector:
    """One width per convolution of the blocks; the stem stays.

    Raises:
        InputError: If the base network cannot be built so.
    """
    network = base(one.base)
    levels = np.arange(-(-smallest // divisor) * divisor, min(_MOST_TIMES * max(one.layers), MAX_CHANNELS) + 1, divisor)
    names = tuple(
        f"layer{stage}.{block}.conv{convolution}"
        for stage, depth in enumerate(one.depths, start=1)
        for block in range(depth)
        for convolution in (1, 2)
    )

    def macs_of(rows: IntArray) -> IntArray:
        macs: IntArray = count_layers(one, rows, classes).macs
        return macs

    def architecture_of(widths: Widths) -> Architecture:
        return LayeredArchitecture.of(network, widths, one.padding, one.stem, one.resolution)

    macs_of(np.array([one.layers]))  # refuses what cannot be built, before anything is trained
    return WidthVector(names, one.layers, (levels,) * len(names), macs_of, architecture_of)


def stage_vector(one: Architecture, classes: int, smallest: int = 4, divisor: int = 1) -> WidthVector:
    """One width per stage; stem and head stay.

    Raises:
        InputError: If the base network cannot be built so.
    """
    network, stages = base(one.base), slice(2, 2 + len(one.widths))
    row = stack([one]).integers()[0]
    low, high = row.copy(), row.copy()
    low[stages], high[stages] = 1, np.minimum(_MOST_TIMES * np.array(one.widths), MAX_CHANNELS)
    rule = replace(rule_named("free"), divisor=divisor, smallest=smallest)
    grid = Grid.between(network, rule, low, high, follow=False)

    def macs_of(widths: IntArray) -> IntArray:
        rows = np.tile(row, (len(widths), 1))
        rows[:, stages] = widths
        macs: IntArray = count(from_rows(network, rows), classes).macs
        return macs

    names = tuple(f"stage{number}" for number in range(1, 1 + len(one.widths)))
    return WidthVector(names, one.widths, grid.levels[stages], macs_of, partial(_with_widths, one))


def _with_widths(one: Architecture, widths: Widths) -> Architecture:
    return replace(one, widths=widths)


def changes(vector: WidthVector, before: Widths, after: Widths) -> str:
    """What changed, in words: `stage3 +6, stage5 -17`."""
    pairs = zip(vector.names, before, after, strict=True)
    return ", ".join(f"{name} {new - old:+d}" for name, old, new in pairs if new != old) or "nothing"
