"""Networks near one, where no width reaches a budget: every number of an architecture is a finer way than another.

A network with coarse steps (a transformer of one stage, whose widths are multiples of 64) leaves gaps between budgets
that no width closes. Here the resolution, single stages' widths and depths, and knobs with several values are moved;
of each such network the number on which the MACs depend least, a width or a knob such as the channels inside an MLP, is
then as large as the budget allows.

What is wanted is the network itself with the real width that would spend the budget. How far another one is from it:

    moved^2 = log^2 of r's ratio + means over the stages of log^2 of the depths' and of the widths' ratios
              + for each knob that is fixed, log^2 of its ratio to what it follows to

The nearest of those that spend the budget to 1 % is taken, in rounds: no number moves by more than a factor of 1.25,
then of 1.5, 2, 4 and 8, or by one step of its grid where that is more. Where there is none, leaving some per cent of a
budget is better than going on: the one within these factors is taken of which `left + moved^2 / 2` is least, with
`left` the share of the budget that it leaves. (So a number that moves by a factor of 1.5 weighs like 8 % of the budget;
accuracy falls with the square of the first, in proportion to the second.) Only where all of these cost more than the
budget, the whole grid is looked through.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from sampler.architecture import (
    MAX_BLOCKS,
    MAX_CHANNELS,
    MAX_PIXELS,
    Architectures,
    BaseNetwork,
    FloatArray,
    IntArray,
)
from sampler.complexity import count
from sampler.errors import InputError
from sampler.families import family_of
from sampler.families.protocol import sizes_of
from sampler.knobs import knob_grids
from sampler.moves import Grid
from sampler.scaling import ScalingRule

_FACTORS = (1.25, 1.5, 2.0, 4.0, 8.0)  # by which numbers move at most: the rounds, in their order
_TOGETHER = 3  # columns that move at once, beside the one that is solved
_MOST_ROWS = 30_000  # of a round, and of the random ones after all
_WHOLE = 400_000  # of the whole grid, where so many rows are all there are
# Of the larger of the network and the base network: the largest numbers that there are, and widths that are solved.
_TIMES, _WIDEST = 4, 64
_ILLEGAL = np.iinfo(np.int64).max  # MACs of what cannot be built


class Nearby(NamedTuple):
    """Networks that cost at most a budget.

    Attributes:
        architectures: The `n` networks.
        macs: `(n,)` exact MACs of them.
        moved: `(n,)` distances from what is wanted, as the module says.
    """

    architectures: Architectures
    macs: IntArray
    moved: FloatArray


def finer_networks(
    network: BaseNetwork, rule: ScalingRule, near: Architectures, budget: float, classes: int
) -> Iterator[list[Nearby]]:
    """Networks that cost at most a budget, round by round farther from one; the last round is the whole grid.

    Each round has those whose knobs are as the network's own, and beside them, for each knob on which the MACs depend,
    those that fix it at one of its values. What cannot be built is left out. Of a network that is counted by tracing
    each architecture there is one round of single steps.

    Args:
        network: The base network.
        rule: The steps of its widths and resolutions.
        near: The one network. Knobs that it fixes stay fixed, at the nearest of their values.
        budget: MACs.
        classes: Outputs of the classifier.
    """
    near = _on_grids(network, near)
    starts = [near, *_with_one_knob(network, near, classes)]
    searches = [_Search(_grid(network, rule, one), one, budget, classes) for one in starts]
    if family_of(network).counts(network, classes) is None:  # traced: too slow to count by the thousand
        yield [one.around(1.0, together=1) for one in searches]
        return
    found = False
    for factor in _FACTORS:
        yield (nearby := [one.around(factor) for one in searches])
        found |= any(len(one.macs) for one in nearby)
    if not found:
        yield [one.everywhere() for one in searches]


class _Search:
    """One grid, and the row near which its rows are."""

    def __init__(self, grid: Grid, near: Architectures, budget: float, classes: int) -> None:
        self.grid, self.row, self.budget, self.classes = grid, near.integers()[0], budget, classes
        self.larger, self.stages = _larger(grid.network, self.row), len(grid.network.stages)
        self.wanted = self.row.astype(np.float64)
        self.wanted[2 : 2 + self.stages] = self._spending_widths()
        self.solved = self._finest()
        self.columns = [one for one in grid.free if one != self.solved and len(grid.levels[one]) > 1]

    def around(self, factor: float, together: int = 0) -> Nearby:
        """Networks whose columns move by a factor at most, or one step.

        Args:
            factor: The factor.
            together: Most columns that move at once, beside the solved one; all by default, or three if that is too
                many networks.
        """
        levels = {column: self._within(column, factor) for column in self.columns}
        if not together and math.prod(len(some) + 1 for some in levels.values()) <= _MOST_ROWS:
            values = [np.append(self.row[column], some) for column, some in levels.items()]
            return self._at(self._product(self.columns, values), factor)
        parts = [self.row[None]]
        for moved in range(1, min(together or _TOGETHER, len(self.columns)) + 1):
            chosen, most = list(combinations(self.columns, moved)), _MOST_ROWS
            if sum(math.prod(len(levels[one]) for one in columns) for columns in chosen) > _MOST_ROWS:
                most = max(int((_MOST_ROWS / len(chosen)) ** (1 / moved)), 1)
            parts += [self._product(columns, [levels[one][:most] for one in columns]) for columns in chosen]
        return self._at(np.concatenate(parts), factor)

    def everywhere(self) -> Nearby:
        """All networks of the grid where they are few enough, else random ones."""
        values = [self._unlike(column, self.grid.levels[column]) for column in self.columns]
        for i, column in enumerate(self.columns):
            if 2 <= column < 2 + self.stages:  # the grid holds more for a width that is solved
                values[i] = values[i][values[i] <= _TIMES * self.larger[column]]
        if np.prod([len(one) for one in values], dtype=np.float64) <= _WHOLE:
            return self._at(self._product(self.columns, values), np.inf)
        rows, rng = np.tile(self.row, (_MOST_ROWS, 1)), np.random.default_rng(0)
        for column, levels in zip(self.columns, values, strict=True):
            rows[:, column] = levels[rng.integers(len(levels), size=_MOST_ROWS)]
        return self._at(rows, np.inf)

    def _at(self, rows: IntArray, factor: float) -> Nearby:
        """The networks of rows, one number as large as the budget allows; those that it allows none are left out."""
        levels, wanted = self.grid.levels[self.solved], self._wanted_of_solved(rows)
        low, high = (np.searchsorted(levels, wanted / factor), np.searchsorted(levels, wanted * factor, "right"))
        low = np.minimum(low, np.searchsorted(levels, wanted) - 1).clip(0) - 1  # or one step
        high = np.maximum(high, np.searchsorted(levels, wanted, "right") + 1).clip(None, len(levels))
        macs = np.full(len(rows), _ILLEGAL)
        while len(open_ := np.flatnonzero(high - low > 1)):
            middle = (low[open_] + high[open_]) // 2
            rows[open_, self.solved] = levels[middle]
            counted = self._macs(rows[open_])
            kept = counted <= self.budget
            low[open_[kept]], high[open_[~kept]] = middle[kept], middle[~kept]
            macs[open_[kept]] = counted[kept]
        kept = macs <= self.budget
        rows, macs = rows[kept], macs[kept]
        rows[:, self.solved] = levels[low[kept]]
        networks = self.grid.networks(rows)
        return Nearby(networks, macs, self._moved(networks))

    def _moved(self, networks: Architectures) -> FloatArray:
        """`(n,)` distances from what is wanted."""
        first, last = 2 + self.stages, 2 + 2 * self.stages
        far = np.log(networks.resolution / self.wanted[0]) ** 2
        far += np.mean(np.log(networks.widths / self.wanted[2:first]) ** 2, axis=1)
        far += np.mean(np.log(networks.depths / self.wanted[first:last]) ** 2, axis=1)
        if networks.knobs:
            follows = family_of(self.grid.network).followed(self.grid.network, sizes_of(networks))
            far += sum(np.mean(np.log(one / follows[name]) ** 2, axis=1) for name, one in networks.knobs.items())
        found: FloatArray = np.sqrt(far)
        return found

    def _wanted_of_solved(self, rows: IntArray) -> FloatArray:
        """`(n,)` numbers that the solved column would have: the real width, or what the knob follows to."""
        if self.solved < 2 + self.stages:
            return np.full(len(rows), self.wanted[self.solved])
        network, sizes = self.grid.network, sizes_of(self.grid.networks(rows))
        follows = family_of(network).followed(network, sizes)
        columns = np.column_stack([follows[name] for name in sorted(self.grid.knobs)])
        found: FloatArray = columns[:, self.solved - self.grid.head - 1].astype(np.float64)
        return found

    def _spending_widths(self) -> FloatArray:
        """`(s,)` real widths that would spend the budget: on the line between two rows' logarithms."""
        stages = range(2, 2 + self.stages)
        rows = np.tile(self.row, (2, 1))
        for column in stages:
            levels = self.grid.levels[column]
            rows[1, column] = levels[min(np.searchsorted(levels, rows[0, column], "right"), len(levels) - 1)]
        macs, ends = self._macs(rows).astype(np.float64), rows[:, 2 : 2 + self.stages]
        if not macs[0] < macs[1] < _ILLEGAL:
            macs = np.array([self.budget, 2 * self.budget])  # no wider: as it is
        share, most = np.log(self.budget / macs[0]) / np.log(macs[1] / macs[0]), np.log(_WIDEST)
        found: FloatArray = ends[0] * np.exp(np.clip(share * np.log(ends[1] / ends[0]), -most, most))
        return found

    def _within(self, column: int, factor: float) -> IntArray:
        """Levels within a factor of what is wanted, and one step beside it, the nearest first; not the row's own."""
        levels, wanted = self.grid.levels[column], self.wanted[column]
        far = np.abs(np.log(levels / wanted))
        near = far <= np.log(factor)
        below, above = np.searchsorted(levels, wanted) - 1, np.searchsorted(levels, wanted, "right")
        near[[max(below, 0), min(above, len(levels) - 1)]] = True
        kept = np.flatnonzero(near)
        found = self._unlike(column, levels[kept[np.argsort(far[kept], kind="stable")]])
        others: IntArray = found[found != self.row[column]]
        return others

    def _unlike(self, column: int, levels: IntArray) -> IntArray:
        """Levels without those that cost what an earlier one costs: pixels that a patch leaves over spend nothing."""
        rows = np.tile(self.row, (len(levels) + 1, 1))
        rows[1:, column] = levels
        first = np.unique(self._macs(rows), return_index=True)[1]
        found: IntArray = levels[np.sort(first[first > 0]) - 1]
        return found

    def _product(self, columns: Sequence[int], values: Sequence[IntArray]) -> IntArray:
        many = np.meshgrid(*values, indexing="ij")
        rows = np.tile(self.row, (math.prod(map(len, values)), 1))
        for column, some in zip(columns, many, strict=True):
            rows[:, column] = some.ravel()
        return rows

    def _finest(self) -> int:
        """The column of a width or a knob of which one step more or less changes the MACs least, if they grow with it.

        Knobs are of the same kind in all stages; a number of which the MACs do not depend spends nothing.
        """
        steps = {}
        for column in (*range(2, 2 + self.stages), *range(self.grid.head + 1, len(self.grid.levels))):
            levels = self.grid.levels[column]
            place = int(np.argmin(np.abs(levels - self.row[column])))
            rows = np.tile(self.row, (len(ends := levels[max(place - 1, 0) : place + 2]), 1))
            rows[:, column] = ends
            rises = np.diff(self._macs(rows).astype(np.float64))
            if len(rises) and (rises > 0).all():
                steps[column] = float(rises.max())
        return min(steps, key=lambda column: steps[column], default=2)

    def _macs(self, rows: IntArray) -> IntArray:
        """`(n,)` MACs; more than any budget where a network cannot be built, as where heads do not divide a width."""
        try:
            counted: IntArray = count(self.grid.networks(rows), self.classes).macs
        except InputError:
            if len(rows) == 1:
                return np.array([_ILLEGAL])
            middle = len(rows) // 2
            return np.concatenate([self._macs(rows[:middle]), self._macs(rows[middle:])])
        return counted


def _grid(network: BaseNetwork, rule: ScalingRule, near: Architectures) -> Grid:
    """The integers up to so many times those of a network, or of the base network where these are larger."""
    row, stages = near.integers()[0], len(network.stages)
    head = 2 + 2 * stages
    times = np.array([_TIMES, 1, *[_WIDEST] * stages, *[_TIMES] * stages, 1])
    most = [MAX_PIXELS, MAX_CHANNELS, *[MAX_CHANNELS] * stages, *[MAX_BLOCKS] * stages, MAX_CHANNELS]
    least = [1, row[1], *[1] * (2 * stages), row[head]]
    highest = np.minimum(times * _larger(network, row), most)
    highest[[1, -1]] = row[[1, head]]
    knobs, grids = sorted(near.knobs), knob_grids(network)
    columns = [name for name in knobs for _ in family_of(network).knobs(network)[name]]
    ends = ([grids[name][end] for name in columns] for end in (0, -1))
    low, high = (
        np.array([*shape.tolist(), *further], dtype=np.int64)
        for shape, further in zip((np.array(least), highest), ends, strict=True)
    )
    return Grid.between(network, rule, low, high, knobs=knobs)


def _larger(network: BaseNetwork, row: IntArray) -> IntArray:
    """`(3 + 2 s,)` integers of a row, or of the base network where those are larger."""
    own = network.architecture()
    shape = np.array([own.resolution, own.stem, *own.widths, *own.depths, own.head], dtype=np.int64)
    larger: IntArray = np.maximum(row[: len(shape)], shape)
    return larger


def _on_grids(network: BaseNetwork, near: Architectures) -> Architectures:
    """The network, its knobs that may vary at the nearest of their values; what they follow to may be none of these."""
    grids = {name: np.array(values) for name, values in knob_grids(network).items() if name in near.knobs}
    knobs = {name: _nearest(values, near.knobs[name]) for name, values in grids.items()}
    return replace(near, knobs=knobs)


def _nearest(grid: IntArray, values: IntArray) -> IntArray:
    """`(n, k)` values, each moved to the nearest of a grid."""
    found: IntArray = grid[np.abs(grid - values[..., None]).argmin(axis=-1)]
    return found


def _with_one_knob(network: BaseNetwork, near: Architectures, classes: int) -> list[Architectures]:
    """The network, one at a time of the knobs that it does not fix fixed at the value nearest to what it follows to.

    Only knobs on which the MACs depend: a knob that nobody varies goes on following.
    """
    family, found = family_of(network), []
    follows = family.followed(network, sizes_of(near))
    for name, values in sorted(knob_grids(network).items()):
        if name in near.knobs:
            continue
        own = _nearest(np.array(values), follows[name])
        ends = [
            replace(near, knobs={**near.knobs, name: np.full_like(own, value)}) for value in values[:: len(values) - 1]
        ]
        try:
            costly = len({int(count(one, classes).macs[0]) for one in ends}) > 1
        except InputError:  # one of its values goes with other sizes only
            costly = True
        if costly:
            found.append(replace(near, knobs={**near.knobs, name: own}))
    return found
