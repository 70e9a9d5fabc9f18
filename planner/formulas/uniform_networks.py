"""The networks among which an answer is searched, by rising MACs, listed only as far as budgets ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

import numpy as np

from planner.errors import PlannerError
from sampler import base
from sampler.architecture import Architectures, BaseNetwork, FloatArray, IntArray
from sampler.complexity import chunks, count
from sampler.knobs import knobs_among, with_own_knobs
from sampler.moves import Grid, column_names
from sampler.scaling import rule_named
from sampler.uniform import UniformGrid

NETWORK_CHUNK = 65_536  # networks made at a time
MOST = 20_000_000  # networks listed
AHEAD = 2.0  # times a dearer budget than the last is listed to, so that a ladder of budgets lists in few steps


class Networks(Protocol):
    """Distinct networks by rising MACs.

    Attributes:
        macs: `(n,)` exact MACs of those listed so far, ascending.
    """

    macs: IntArray

    def upto(self, macs: float) -> int:
        """How many cost at most so many MACs; they are listed now."""
        ...

    def take(self, numbers: IntArray) -> Architectures:
        """Those of these numbers, of the listed ones."""
        ...

    def smallest(self) -> Architectures:
        """The one with the fewest MACs, listed or not; none where there is none."""
        ...


class UniformNetworks:
    """The products of a grid's roundings, listed up to the dearest budget that was asked for.

    MACs never fall as the resolution rises, so that for each pair of blocks and channels a bisection says which
    resolutions a budget allows: what is too dear is neither made nor counted.
    """

    def __init__(self, grid: UniformGrid, classes: int) -> None:
        self.grid, self.classes = grid, classes
        self.macs: IntArray = np.empty(0, dtype=np.int64)
        self._numbers: IntArray = np.empty(0, dtype=np.int64)
        self._pairs = np.arange(len(grid.depths) * len(grid.channels) * grid.choices)
        self._sides = np.zeros(len(self._pairs), dtype=np.int64)  # of each pair: resolutions listed
        self._listed = 0.0

    def upto(self, macs: float) -> int:
        """How many cost at most so many MACs; they are listed now.

        Raises:
            PlannerError: If they are too many.
        """
        if macs > self._listed:
            self._list(macs if self._listed == 0 else AHEAD * macs)
        return int(np.searchsorted(self.macs, macs, side="right"))

    def take(self, numbers: IntArray) -> Architectures:
        """Those of these numbers."""
        return self.grid.take(self._numbers[numbers])

    def smallest(self) -> Architectures:
        """The one with the fewest MACs; none where there is none."""
        if not self.grid.size:
            return self.grid.take(self._pairs[:0])
        return self.grid.take(self._pairs[[int(np.argmin(self._counted(self._pairs)))]])

    def _list(self, macs: float) -> None:
        sides = self._allowed(macs)
        more = sides - self._sides
        if more.sum() > MOST:
            raise PlannerError(
                f"{more.sum():,} networks of {self.grid.network.name} keep the ranges and the budget, and at most "
                f"{MOST:,} are compared; give a smaller budget of MACs, or a rule with a larger divisor"
            )
        # Of each pair the resolutions from the first that is not listed yet.
        first = np.repeat(self._sides - np.r_[0, np.cumsum(more)[:-1]], more) if len(more) else more
        numbers = (first + np.arange(len(first))) * len(self._pairs) + np.repeat(self._pairs, more)
        counted = self._counted(numbers)
        order = np.argsort(counted, kind="stable")
        self._numbers = np.concatenate([self._numbers, numbers[order]])
        self.macs = np.concatenate([self.macs, counted[order]])
        self._sides, self._listed = sides, macs

    def _allowed(self, macs: float) -> IntArray:
        """For each pair of blocks and channels, how many resolutions cost at most so much."""
        low, high = self._sides.copy(), np.full(len(self._pairs), len(self.grid.pixels))
        while len(open_ := np.flatnonzero(low < high)):
            middle = (low[open_] + high[open_]) // 2
            kept = self._counted(middle * len(self._pairs) + self._pairs[open_]) <= macs
            low[open_[kept]], high[open_[~kept]] = middle[kept] + 1, middle[~kept]
        return low

    def _counted(self, numbers: IntArray) -> IntArray:
        parts = [
            count(self.grid.take(numbers[rows]), self.classes).macs for rows in chunks(len(numbers), NETWORK_CHUNK)
        ]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])


class GridNetworks:
    """All architectures of a small grid of integers, following stems and heads between their ends too."""

    def __init__(self, grid: Grid, classes: int) -> None:
        self.grid = grid
        rows = grid.enumerated()
        rows = rows[grid.spanned(rows)]
        parts = chunks(len(rows), NETWORK_CHUNK)
        counted = [count(grid.networks(rows[part]), classes).macs for part in parts]
        macs = np.concatenate([np.empty(0, dtype=np.int64), *counted])
        order = np.argsort(macs, kind="stable")
        self._rows, self.macs = rows[order], macs[order]

    def upto(self, macs: float) -> int:
        """How many cost at most so many MACs."""
        return int(np.searchsorted(self.macs, macs, side="right"))

    def take(self, numbers: IntArray) -> Architectures:
        """Those of these numbers."""
        return self.grid.networks(self._rows[numbers])

    def smallest(self) -> Architectures:
        """The one with the fewest MACs; none where there is none."""
        return self.take(np.arange(min(len(self.macs), 1)))


def rows_read(inputs: Sequence[str], networks: Architectures, classes: int) -> FloatArray:
    """`(n, k + 1)` what a model of answers reads of networks: the integers of these names, exact MACs last.

    A knob that a network does not say is what it follows to.
    """
    network = base(networks.base)
    known = knobs_among(network, inputs)
    told = with_own_knobs(network, networks, list(known)) if known else replace(networks, knobs={})
    names = column_names(networks.widths.shape[1], known)
    columns = told.integers()[:, [names.index(name) for name in inputs]]
    return np.column_stack([columns, count(networks, classes).macs]).astype(np.float64)


@lru_cache(maxsize=4)
def uniform_networks(
    network: BaseNetwork, rule: str, classes: int, ranges: tuple[tuple[str, tuple[float, float]], ...]
) -> UniformNetworks:
    """The networks of one r, d and w whose integers lie in ranges, `(name, (low, high))` each; kept between calls."""
    return UniformNetworks(UniformGrid.between(network, rule_named(rule), dict(ranges)), classes)
