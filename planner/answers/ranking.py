"""The best of many networks by a score: exactly, although few are scored and fewer priced.

Let u(x) >= score(x) be a ceiling that costs less than the score. Networks are looked at by falling u; those that keep
the limits are scored. Once the n-th best score exceeds every u that is left, nothing better is left (branch and bound
with one level). Without a ceiling all are scored, and u is the score itself. Limits are asked of what is looked at
alone, and every score, ceiling and cost once, whatever the number of budgets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from planner.formulas.uniform_networks import NETWORK_CHUNK, Networks
from sampler import Limit
from sampler.architecture import Architectures, FloatArray, IntArray
from sampler.complexity import chunks

ScoreFunction = Callable[[Architectures], FloatArray]

FIRST = 512  # networks looked at at first, twice as many in every further round
MOST_COSTS = 8  # kinds of costs that are remembered
ROUNDING = 1e-9  # by which a ceiling may be too low, of 1 and of itself


@dataclass(frozen=True)
class BoundedScore:
    """A score with a ceiling.

    Attributes:
        score: Gives the `(n,)` scores of architectures, each for itself.
        ceiling: Gives `(n,)` numbers that the scores do not exceed, in less time.
    """

    score: ScoreFunction
    ceiling: ScoreFunction

    def __call__(self, architectures: Architectures) -> FloatArray:
        """`(n,)` scores."""
        return self.score(architectures)


class Ranking:
    """Networks with the scores, ceilings and costs that are known of them, NaN where they are not."""

    def __init__(self, networks: Networks, score: ScoreFunction, classes: int) -> None:
        self.networks, self.score, self.classes = networks, score, classes
        nothing = np.empty(0)
        self._upper, self._scores = nothing, nothing
        self._costs: dict[Callable[[Architectures, int], FloatArray], FloatArray] = {}

    def best(self, macs: float, limits: Sequence[Limit], n: int) -> tuple[IntArray, FloatArray]:
        """Numbers and scores of the best that cost at most so many MACs and keep all limits.

        All that tie with the n-th are among them, in no order; fewer than n where there are no more.
        """
        size = self.networks.upto(macs)
        left = self._bounded(size).copy()
        found, scores, look = [np.empty(0, dtype=np.int64)], np.empty(0), FIRST
        while size and left.max() > -np.inf and not (len(scores) >= n and np.sort(scores)[-n] > left.max()):
            top = np.argpartition(left, -min(look, size))[-min(look, size) :]
            top = top[left[top] > -np.inf]
            left[top], look = -np.inf, 2 * look
            kept = top[self._within(top, limits)]
            kept = kept[self._scored(kept) > -np.inf]
            found, scores = [*found, kept], np.concatenate([scores, self._scores[kept]])
        numbers = np.concatenate(found)
        worst = np.sort(scores)[-min(n, len(scores))] if len(scores) else 0.0
        return numbers[scores >= worst], scores[scores >= worst]

    def _priced(self, numbers: IntArray, limit: Limit) -> FloatArray:
        """`(n,)` of a limit's costs."""
        if limit.cost not in self._costs and len(self._costs) == MOST_COSTS:
            self._costs.clear()
        known = self._costs[limit.cost] = _grown(self._costs.get(limit.cost, np.empty(0)), len(self.networks.macs))
        for rows in _parts(numbers[np.isnan(known[numbers])]):
            known[rows] = limit.cost(self.networks.take(rows), self.classes)
        return known[numbers]

    def _bounded(self, size: int) -> FloatArray:
        """`(size,)` numbers that the scores of the first do not exceed."""
        bound = self.score.ceiling if isinstance(self.score, BoundedScore) else self.score
        old, self._upper = len(self._upper), _grown(self._upper, size)
        self._scores = _grown(self._scores, size)
        for rows in _parts(np.arange(old, size)):
            values = np.asarray(bound(self.networks.take(rows)), dtype=np.float64)
            if bound is self.score:
                self._upper[rows] = self._scores[rows] = np.where(np.isfinite(values), values, -np.inf)
            else:  # of what has no number, the score decides
                self._upper[rows] = np.where(np.isnan(values), np.inf, values + ROUNDING * (1 + np.abs(values)))
        return self._upper[:size]

    def _scored(self, numbers: IntArray) -> FloatArray:
        """`(n,)` scores; what is not finite is worst."""
        for rows in _parts(numbers[np.isnan(self._scores[numbers])]):
            values = np.asarray(self.score(self.networks.take(rows)), dtype=np.float64)
            self._upper[rows] = self._scores[rows] = np.where(np.isfinite(values), values, -np.inf)
        return self._scores[numbers]

    def _within(self, numbers: IntArray, limits: Sequence[Limit]) -> np.ndarray:
        kept = np.ones(len(numbers), dtype=bool)
        for limit in limits:
            kept[kept] = self._priced(numbers[kept], limit) <= limit.largest
        return kept


def _grown(values: FloatArray, size: int) -> FloatArray:
    """The values and as many NaN as make them so many."""
    return values if len(values) >= size else np.concatenate([values, np.full(size - len(values), np.nan)])


def _parts(numbers: IntArray) -> Iterable[IntArray]:
    return (numbers[rows] for rows in chunks(len(numbers), NETWORK_CHUNK))
