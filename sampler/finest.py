"""Networks near one, where no width reaches a budget: every number of an architecture is a finer way than another.

A network with coarse steps (a transformer of one stage, whose widths are multiples of 64) leaves gaps between budgets
that no width closes. Here the resolution, single stages' widths and depths, and knobs with several values are moved,
the nearest first; of each such network the width of one stage, on which the MACs depend least, is then as large as the
budget allows. Where the grid near the network is small, all of it is looked through in the end: then what was not found
is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import NamedTuple

import numpy as np

from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS, Architectures, BaseNetwork, FloatArray, IntArray
from sampler.complexity import count
from sampler.errors import InputError
from sampler.families import family_of
from sampler.knobs import knob_grids, with_own_knobs
from sampler.moves import Grid
from sampler.scaling import ScalingRule

# How many steps of the grid a column goes, up or down, and how many columns go at once: the rounds, in their order.
ROUNDS = ((1, 1), (4, 1), (2, 2), (16, 1), (4, 2), (2, 3))
MOST_ROWS = 30_000  # of a round, and of the random ones after all
WHOLE = 400_000  # of the last round, where so many rows are all there are
# Of the larger of the network and the base network: the largest numbers that there are, and widths that are solved.
_TIMES, _WIDEST = 4, 64


class Nearby(NamedTuple):
    """Networks that cost at most a budget.

    Attributes:
        architectures: The `n` networks.
        macs: `(n,)` exact MACs of them.
        moved: `(n,)` sums of the logarithms by which their numbers differ from those of the network they are near.
        last: Whether only the whole grid is left, which is for where nothing was found.
    """

    architectures: Architectures
    macs: IntArray
    moved: FloatArray
    last: bool = False


def finer_networks(
    network: BaseNetwork, rule: ScalingRule, near: Architectures, budget: float, classes: int
) -> Iterator[Nearby]:
    """Networks that cost at most a budget, round by round farther from one; in each round those with knobs come last.

    Of a network that is counted by tracing each architecture there is the first round alone.

    Args:
        network: The base network.
        rule: The steps of its widths and resolutions.
        near: The one network, without knobs.
        budget: MACs.
        classes: Outputs of the classifier.
    """
    knobs = _costly_knobs(network, near, classes)
    starts = [near, *([_on_grids(network, near, knobs)] if knobs else [])]
    searches = [_Search(_grid(network, rule, one), one.integers()[0], budget, classes) for one in starts]
    traced = family_of(network).counts(network, classes) is None  # too slow to count by the thousand
    for reach, together in ROUNDS[:1] if traced else ROUNDS:
        for search in searches:
            last = (reach, together) == ROUNDS[-1] and search is searches[-1]
            yield search.at(search.around(reach, together))._replace(last=last)
    for search in () if traced else searches:
        yield search.at(search.everything())


class _Search:
    """One grid, and the row near which its rows are."""

    def __init__(self, grid: Grid, row: IntArray, budget: float, classes: int) -> None:
        self.grid, self.row, self.budget, self.classes = grid, row, budget, classes
        self.larger = _larger(grid.network, row)
        self.solved = self._finest()
        self.columns = [one for one in grid.free if one != self.solved and len(grid.levels[one]) > 1]
        self.places = {one: _place(grid.levels[one], row[one]) for one in self.columns}

    def at(self, rows: IntArray) -> Nearby:
        """The networks of rows, the solved width as large as the budget allows; those that it allows none are left."""
        levels = self.grid.levels[self.solved]
        low, high = np.full(len(rows), -1), np.full(len(rows), len(levels))
        while len(open_ := np.flatnonzero(high - low > 1)):
            middle = (low[open_] + high[open_]) // 2
            rows[open_, self.solved] = levels[middle]
            kept = self._macs(rows[open_]) <= self.budget
            low[open_[kept]], high[open_[~kept]] = middle[kept], middle[~kept]
        rows, low = rows[low >= 0], low[low >= 0]
        rows[:, self.solved] = levels[low]
        free = self.grid.free
        moved = np.abs(np.log(rows[:, free] / self.row[free])).sum(axis=1)
        return Nearby(self.grid.networks(rows), self._macs(rows), moved)

    def around(self, reach: int, together: int) -> IntArray:
        """Rows in which so many columns are up to `reach` steps away; the row itself in the first round."""
        parts = [self.row[None]] if (reach, together) == ROUNDS[0] else []
        left = MOST_ROWS
        for columns in combinations(self.columns, min(together, len(self.columns))):
            part = self._product(columns, [self._within(column, reach) for column in columns])
            parts.append(part[:left])
            left -= len(parts[-1])
        return np.concatenate([np.empty((0, len(self.row)), dtype=np.int64), *parts])

    def everything(self) -> IntArray:
        """All rows of the grid where they are few enough, else random ones."""
        values = [self.grid.levels[column] for column in self.columns]
        for i, column in enumerate(self.columns):
            if 2 <= column < 2 + len(self.grid.network.stages):  # the grid holds more for the width that is solved
                values[i] = values[i][values[i] <= _TIMES * self.larger[column]]
        sizes = [len(one) for one in values]
        if float(np.prod(sizes, dtype=np.float64)) <= WHOLE:
            return self._product(self.columns, values)
        rows, rng = np.tile(self.row, (MOST_ROWS, 1)), np.random.default_rng(0)
        for column, levels in zip(self.columns, values, strict=True):
            rows[:, column] = levels[rng.integers(len(levels), size=MOST_ROWS)]
        return rows

    def _within(self, column: int, reach: int) -> IntArray:
        levels, place = self.grid.levels[column], self.places[column]
        near = levels[max(place - reach, 0) : place + reach + 1]
        kept: IntArray = near[near != self.row[column]]
        return kept

    def _product(self, columns: Sequence[int], values: Sequence[IntArray]) -> IntArray:
        many = np.array(list(product(*values)), dtype=np.int64).reshape(-1, len(columns))
        rows = np.tile(self.row, (len(many), 1))
        rows[:, list(columns)] = many
        return rows

    def _finest(self) -> int:
        """The stage's column of which one step more or less changes the MACs least."""
        stages = range(2, 2 + len(self.grid.network.stages))
        steps = []
        for column in stages:
            place = _place(levels := self.grid.levels[column], self.row[column])
            ends = np.tile(self.row, (2, 1))
            ends[:, column] = levels[[max(place - 1, 0), min(place + 1, len(levels) - 1)]]
            steps.append(float(np.ptp(self._macs(ends))) or np.inf)
        return stages[int(np.argmin(steps))]

    def _macs(self, rows: IntArray) -> IntArray:
        counted: IntArray = count(self.grid.networks(rows), self.classes).macs
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


def _costly_knobs(network: BaseNetwork, near: Architectures, classes: int) -> list[str]:
    """Names of the knobs of which the MACs of a network depend."""
    found = []
    for name, values in sorted(knob_grids(network).items()):
        size = family_of(network).knobs(network)[name]
        ends = [replace(near, knobs={name: np.full((1, len(size)), value)}) for value in (values[0], values[-1])]
        try:
            changed = len({int(count(one, classes).macs[0]) for one in ends}) > 1
        except InputError:  # traced, and one of its values goes with other sizes only
            changed = False
        found += [name] * changed
    return found


def _on_grids(network: BaseNetwork, near: Architectures, knobs: Sequence[str]) -> Architectures:
    """The network with these knobs of its own, each at the nearest of its values: what it follows to may be none."""
    told, grids = with_own_knobs(network, near, knobs), knob_grids(network)
    places = {name: [[_place(np.array(grids[name]), value) for value in told.knobs[name][0]]] for name in knobs}
    return replace(told, knobs={name: np.array(grids[name], dtype=np.int64)[places[name]] for name in knobs})


def _place(levels: IntArray, value: int) -> int:
    return int(np.argmin(np.abs(levels - value)))
