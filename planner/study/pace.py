"""How long trainings take: seconds over MACs, from those that were measured.

Notation, over n measured trainings: x = log MACs, y = log seconds, y ~ level + slope x, both by medians (Theil 1950,
Sen 1968), because a machine that did something else for a while makes outliers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from sampler.architecture import FloatArray

# What is reserved for a training is enough for this share of them.
RESERVED = 0.9
_FEWEST = 3
NARROW = math.log(1.2)  # of MACs: no slope can be told over a smaller range
STEEPEST = 1.5
# Over the largest residual, where there are too few for a quantile; and the least that is ever put on top.
_CAUTION, _LEAST = math.log(1.25), math.log(1.1)
_MOST = 500  # trainings whose pairs are compared
# Columns of a training's time: by the wall clock, of the processor, and how many threads shared the work.
TIME_COLUMNS = ("seconds", "cpu_seconds", "threads")
# Several threads wait for each other on a quiet machine too: crowded is what kept them busy less than half as usual.
CROWDED = 0.5


def own_seconds(seconds: ArrayLike, cpu_seconds: ArrayLike, threads: ArrayLike) -> FloatArray:
    """The seconds that trainings would have taken on cores of their own, by how busy these were kept.

    A thread that computes all the time is busy for cpu_seconds / seconds = 1; beside other programs it waits for its
    turn, and the wall clock goes on. So one thread's own time is its processor time; that of several is the wall
    clock's, unless they were much less busy than trainings of as many threads can be.

    Args:
        seconds: `(n,)` by the wall clock.
        cpu_seconds: `(n,)` of the processor, all threads together; NaN where nobody knows (a GPU, an older record).
        threads: `(n,)` torch threads; NaN likewise.

    Example:
        >>> own_seconds([2.0, 60.0, 9.0], [2.0, 2.2, float("nan")], [1, 1, float("nan")]).tolist()
        [2.0, 2.2, 9.0]
    """
    wall, cpu, at_once = (np.array(one, dtype=np.float64) for one in (seconds, cpu_seconds, threads))
    busy = np.minimum(cpu / np.maximum(wall, 1e-9) / at_once, 1.0)
    usual = np.ones(len(wall))
    for many in np.unique(at_once[at_once > 1]):
        same = (at_once == many) & np.isfinite(busy)
        usual[same] = max(float(busy[same].max(initial=0.0)), 1e-9)
    crowded = busy < np.where(at_once > 1, CROWDED, 1.0) * usual  # False where it is not known
    crowded &= busy > 0
    own: FloatArray = np.where(crowded, wall * busy / usual, wall)
    return own


@dataclass(frozen=True)
class Pace:
    """Predicts the seconds of a training from its MACs.

    Attributes:
        level: Log seconds at one MAC.
        slope: Slope of log seconds over log MACs; 1 where time is all arithmetic, less where there are fixed costs.
        margin: Log of what is reserved over what is expected.
        lowest: Log MACs below which no time is saved: minus infinity where the slope was measured.
        rows: Trainings measured.
    """

    level: float
    slope: float
    margin: float
    lowest: float
    rows: int

    @classmethod
    def of(cls, macs: ArrayLike, seconds: ArrayLike) -> Pace | None:
        """The pace of measured trainings; None where there are none.

        With fewer than three, or all of about one cost, dearer trainings are expected to take proportionally longer,
        and cheaper ones no less.
        """
        x, y = np.log(np.asarray(macs, dtype=np.float64)), np.asarray(seconds, dtype=np.float64)
        kept = np.isfinite(x) & np.isfinite(y) & (y > 0)
        x, y = x[kept][-_MOST:], np.log(y[kept][-_MOST:])
        if not len(x):
            return None
        if len(x) < _FEWEST or np.ptp(x) < NARROW:
            return cls(float(y.max() - x.min()), 1.0, _CAUTION, float(x.min()), len(x))
        first, second = np.triu_indices(len(x), 1)
        apart = np.abs(x[first] - x[second]) >= NARROW / 2
        slopes = (y[first] - y[second])[apart] / (x[first] - x[second])[apart]
        slope = float(np.clip(np.median(slopes), 0.0, STEEPEST))
        level = float(np.median(y - slope * x))
        return cls(level, slope, _margin(np.sort(y - level - slope * x)), -math.inf, len(x))

    def beside(self, macs: ArrayLike, seconds: ArrayLike) -> Pace:
        """This pace where trainings measured lately took other seconds than it says: by the median of their ratios.

        A few that were faster are not enough to expect so of all.
        """
        found = np.asarray(seconds, dtype=np.float64)
        if not len(found):
            return self
        change = float(np.median(np.log(found / self.expected(macs))))
        return replace(self, level=self.level + (change if len(found) >= _FEWEST else max(change, 0.0)))

    def expected(self, macs: ArrayLike) -> FloatArray:
        """`(n,)` seconds that trainings usually take."""
        x = np.maximum(np.log(np.atleast_1d(np.asarray(macs, dtype=np.float64))), self.lowest)
        seconds: FloatArray = np.exp(self.level + self.slope * x)
        return seconds

    def reserved(self, macs: ArrayLike) -> FloatArray:
        """`(n,)` seconds within which nine of ten end."""
        return self.expected(macs) * math.exp(self.margin)


def _margin(residuals: FloatArray) -> float:
    """The upper quantile of sorted residuals; of one more training, so that n + 1 is counted."""
    place = math.ceil(RESERVED * (len(residuals) + 1))
    found = residuals[place - 1] if place <= len(residuals) else residuals[-1] + _CAUTION
    return max(float(found), _LEAST)


def hours(seconds: Sequence[float] | FloatArray) -> float:
    """Hours of all of them together."""
    return float(np.sum(np.asarray(seconds, dtype=np.float64))) / 3600
