"""The best buildable networks for a budget by any score, among all that keep the budget and further limits.

    uniform    all networks that one r, one d and one w give: looked through whole, so that nothing better exists
    stage      any integers per stage: a small grid is looked through whole, a large one by iterated local search from
               the best of the uniform networks and of those given, and from random ones (`planner.allocation.climbing`)

There is no lower bound: a network that spends less than the budget is the answer where its score is the highest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from planner.allocation.believe import stage_grid
from planner.allocation.climbing import climbed
from planner.allocation.search import ENUMERATED
from planner.answers.ranking import Ranking, ScoreFunction
from planner.errors import InputError, PlannerError
from planner.formulas.uniform_networks import GridNetworks, uniform_networks
from sampler import Architecture, Limit
from sampler.architecture import Architectures, BaseNetwork, FloatArray, concatenate
from sampler.checks import checked_name, checked_whole, is_number, shown
from sampler.complexity import count
from sampler.limits import within
from sampler.moves import Grid, effective, unique_rows

_Kind = Literal["uniform", "stage"]
_KINDS: tuple[_Kind, ...] = ("uniform", "stage")
_MOST = 10_000  # networks wanted
CLIMBED_FROM = 5  # of the best uniform networks and starts


@dataclass(frozen=True)
class FoundNetwork:
    """A network that a search found.

    Attributes:
        architecture: Integers of the network.
        score: Score of the network.
        macs: Exact MACs of the network.
        costs: Costs of each limit's kind, by the limit's name.
        multipliers: r, d, w over the base network: of the uniform rounding where it is one, else what it amounts to.
        exhaustive: Whether all networks were looked through, so that none of them is better.
    """

    architecture: Architecture
    score: float
    macs: int
    costs: dict[str, float]
    multipliers: tuple[float, float, float]
    exhaustive: bool


@dataclass(frozen=True, eq=False)
class NetworkSearch:
    """All networks of a base network among which answers are searched: many budgets share their counts and scores.

    Attributes:
        network: The base network, at the resolution that r multiplies.
        rule: Name of the scaling rule.
        classes: Outputs of the classifier.
        score: Gives the `(n,)` scores of architectures, each for itself; higher is better, and what is not finite is
            no answer. Of a `BoundedScore` (`planner.answers.ranking`) few are asked for.
        ranges: Lowest and highest integer of each column (`resolution`, `stem`, `width_1` .., `depth_1` .., `head`),
            both included: what the trainings spanned. A column that is missing has the bounds of a usual space.
        starts: Further networks that may be the answer, wherever their integers lie: what was trained, what rules give.
        kind: `uniform` or `stage`.
        seed: Random seed of the local search: same seed, same answer.

    Raises:
        PlannerError: If a range, the kind, the classes or the starts are impossible.
    """

    network: BaseNetwork
    rule: str
    classes: int
    score: ScoreFunction
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    starts: Architectures | None = None
    kind: _Kind = "uniform"
    seed: int = 0

    def __post_init__(self) -> None:
        checked_name("kind", self.kind, _KINDS)
        for name, ends in self.ranges.items():
            if len(ends) != 2 or not all(map(is_number, ends)) or not ends[0] <= ends[1]:
                raise InputError(f"the range of {name} is {shown(ends)}; the lowest and the highest value are wanted")
        if self.starts is not None and self.starts.base != self.network.name:
            raise InputError(
                f"networks of {self.starts.base} are no start of a search for {self.network.name}; leave them out"
            )

    def best(self, macs: float | None = None, limits: Sequence[Limit] = (), n: int = 1) -> list[FoundNetwork]:
        """The networks with the highest scores, distinct, the best first: equal scores by MACs, then by the integers.

        Args:
            macs: Most multiply-accumulates of one image; as many as there are without it.
            limits: Further limits that must not be passed, all at once.
            n: How many; fewer come back where there are no more.

        Raises:
            PlannerError: If the budget is no positive number, or nothing within the ranges keeps budget and limits.
        """
        if macs is not None and not (is_number(macs) and 0 < macs < np.inf):
            raise PlannerError(f"the budget must be a positive number of MACs, got {shown(macs)}")
        n, most = checked_whole("n", n, 1, _MOST), np.inf if macs is None else float(macs)
        parts = [self._uniform_best(most, limits, n), self._given_best(most, limits)]
        if self.kind == "stage":
            parts.append(self._stage_best(most, limits, n, _in_order(parts, self.classes, CLIMBED_FROM)[0]))
        found, scores = _in_order(parts, self.classes, n)
        if not len(found):
            raise PlannerError(self._nothing(most, limits))
        costs = {limit.name: limit.cost(found, self.classes) for limit in limits}
        macs_of = count(found, self.classes).macs
        return [
            FoundNetwork(
                found[row],
                float(scores[row]),
                int(macs_of[row]),
                {name: float(values[row]) for name, values in costs.items()},
                (float(r), float(d), float(w)),
                self.exhaustive,
            )
            for row, (r, d, w) in enumerate(found.multipliers)
        ]

    @cached_property
    def exhaustive(self) -> bool:
        """Whether all networks are looked through."""
        return self.kind == "uniform" or self._grid.size <= ENUMERATED

    @cached_property
    def _uniform(self) -> Ranking:
        ranges = tuple(sorted((name, (float(low), float(high))) for name, (low, high) in self.ranges.items()))
        return Ranking(uniform_networks(self.network, self.rule, self.classes, ranges), self.score, self.classes)

    @cached_property
    def _grid(self) -> Grid:
        return stage_grid(self.network, self.rule, self.ranges)

    @cached_property
    def _whole_grid(self) -> Ranking:
        return Ranking(GridNetworks(self._grid, self.classes), self.score, self.classes)

    @cached_property
    def _given(self) -> tuple[Architectures, FloatArray]:
        """The starts with their scores."""
        starts = self.starts
        if starts is None or not len(starts):
            return self._uniform.networks.take(np.empty(0, dtype=np.int64)), np.empty(0)
        if np.isnan(starts.multipliers).any():
            starts = effective(self.network, starts)
        scores = np.asarray(self.score(starts), dtype=np.float64)
        return starts, np.where(np.isfinite(scores), scores, -np.inf)

    def _uniform_best(self, macs: float, limits: Sequence[Limit], n: int) -> tuple[Architectures, FloatArray]:
        numbers, scores = self._uniform.best(macs, limits, n)
        return self._uniform.networks.take(numbers), scores

    def _given_best(self, macs: float, limits: Sequence[Limit]) -> tuple[Architectures, FloatArray]:
        starts, scores = self._given
        kept = (scores > -np.inf) & (count(starts, self.classes).macs <= macs)
        kept[kept] = within(starts.take(kept), self.classes, limits)
        return starts.take(kept), scores[kept]

    def _stage_best(
        self, macs: float, limits: Sequence[Limit], n: int, near: Architectures
    ) -> tuple[Architectures, FloatArray]:
        if self.exhaustive:
            numbers, scores = self._whole_grid.best(macs, limits, n)
            return self._whole_grid.networks.take(numbers), scores
        top = np.array([[levels[-1] for levels in self._grid.levels]])
        dearest = float(count(self._grid.networks(self._grid.followed(top)), self.classes).macs[0])
        return climbed(min(macs, dearest), self.score, self._grid, near, limits, self.classes, self.seed, n)

    def _nothing(self, macs: float, limits: Sequence[Limit]) -> str:
        """Why there is no answer: what the network with the fewest MACs costs of what it does not keep."""
        smallest = [self._uniform.networks.smallest(), self._given[0]]
        if self.kind == "stage":
            lowest = self._grid.followed(np.array([[levels[0] for levels in self._grid.levels]]))
            smallest.append(self._grid.networks(lowest[self._grid.spanned(lowest)]))
        every = concatenate(smallest)
        if not len(every):
            return f"no network of {self.network.name} has all its integers within the ranges; widen them"
        counted = count(every, self.classes).macs
        one = every.take([int(np.argmin(counted))])
        costs = [("MACs", macs, float(counted.min()))]
        costs += [(limit.name, limit.largest, float(limit.cost(one, self.classes)[0])) for limit in limits]
        passed = [(name, most, cost) for name, most, cost in costs if cost > most]
        if not passed:
            return f"no network of {self.network.name} within the ranges has a finite score; give another score"
        allowed = " and ".join(f"{_number(most)} {name}" for name, most, _ in passed)
        needed = " and ".join(f"{_number(cost)} {name}" for name, _, cost in passed)
        return (
            f"at most {allowed} cannot be kept: the smallest network of {self.network.name} within the ranges has "
            f"{needed}; give as much, or train smaller ones"
        )


def best_networks(
    network: BaseNetwork,
    rule: str,
    classes: int,
    score: ScoreFunction,
    *,
    macs: float | None,
    limits: Sequence[Limit] = (),
    ranges: Mapping[str, tuple[float, float]],
    starts: Architectures | None = None,
    kind: _Kind = "uniform",
    n: int = 1,
    seed: int = 0,
) -> list[FoundNetwork]:
    """The networks with the highest scores for one budget; for several, `NetworkSearch` scores once.

    Args:
        network: Base network, as of `NetworkSearch`, like all that is not said here.
        rule: Name of the scaling rule.
        classes: Outputs of the classifier.
        score: Gives the `(n,)` scores of architectures.
        macs: Budget, as of `NetworkSearch.best`.
        limits: Limits, as of `NetworkSearch.best`.
        ranges: Lowest and highest integer of each column.
        starts: Further networks that may be the answer.
        kind: `uniform` or `stage`.
        n: Number of networks, as of `NetworkSearch.best`.
        seed: Random seed of the local search.

    Returns:
        The networks, distinct, the best first.

    Raises:
        PlannerError: As `NetworkSearch` and its `best`.
    """
    return NetworkSearch(network, rule, classes, score, ranges, starts, kind, seed).best(macs, limits, n)


def _in_order(
    parts: Sequence[tuple[Architectures, FloatArray]], classes: int, n: int
) -> tuple[Architectures, FloatArray]:
    """The best `n` of several lists, each once: by score, then fewer MACs, then the integers."""
    every = concatenate([found for found, _ in parts])
    scores = np.concatenate([values for _, values in parts])
    rows = every.integers()
    order = np.lexsort((*rows.T[::-1], count(every, classes).macs, -scores))
    best = order[unique_rows(rows[order])][:n]
    return every.take(best), scores[best]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
