"""Beyond the rows seen: which rows those are, and how much wider their intervals have to be.

A Gaussian process goes on there as its line does, with the certainty of a line that is true. Here the line's slope is
off by an unknown amount instead, in each of two directions: d ranges beyond the largest (or smallest) value of a
column, the warped target is off by tau d, and

    tau^2 ~ scaled inverse chi^2(freedom, deviation^2)

so that the prediction is Student's t about the same mean. `extremes` learns the deviation from the rows themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.gaussian.features import Features
from planner.gaussian.warps import Warp
from sampler.architecture import FloatArray

# Before anything is seen: standard deviations of the warped target, for each range of a column. A saturating law
# bends more on its way down.
PRIOR_ABOVE, PRIOR_BELOW = 0.7, 2.0
FREEDOM = 3  # degrees of freedom of that
_SLACK = 0.01  # ranges of a column by which a row may lie outside and count as inside
CONSTANT_RANGE = 0.2  # in logarithms, what counts as the range of a column in which all rows were equal
STEEPER = 10.0  # times, at most, that the target changes faster by the warped one than at the rows' end


@dataclass(frozen=True, eq=False)
class Outside:
    """What is not known beyond the rows seen.

    Attributes:
        above: Deviation of the warped target, in its standard deviations, one range of a column above its largest.
        below: Deviation one range below its smallest.
        freedom: Degrees of freedom of both.
        constants: `(k,)` values of columns in which all rows were equal, NaN elsewhere; None where they are not known.
    """

    above: float = PRIOR_ABOVE
    below: float = PRIOR_BELOW
    freedom: tuple[int, int] = (FREEDOM, FREEDOM)
    constants: FloatArray | None = field(default=None)

    def distances(self, matrix: FloatArray, features: Features, seen: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How far rows lie above and below those seen: `(n,)` ranges of the column where that is most, 0 inside.

        Args:
            matrix: `(n, k)` columns.
            features: Features of those columns.
            seen: `(m, d)` features of the rows seen.
        """
        beyond = [beyond_of(features.of(matrix), seen)] if seen.shape[1] else []
        if self.constants is not None and not np.isnan(self.constants).all():
            beyond.append(_from_constants(matrix, self.constants))
        nothing = np.zeros((len(matrix), 1))
        signed = np.column_stack([nothing, *beyond])
        above, below = signed.max(axis=1), -signed.min(axis=1)
        return np.where(above > _SLACK, above, 0.0), np.where(below > _SLACK, below, 0.0)

    def reach(self, above: FloatArray, below: FloatArray, level: float) -> FloatArray:
        """`(n,)` deviations of the warped target that an interval of this level adds to each side."""
        by_side = ((self.above, self.freedom[0], above), (self.below, self.freedom[1], below))
        reaches = [deviation * students_t(level, freedom) * distance for deviation, freedom, distance in by_side]
        return np.hypot(*reaches)


def beyond_of(x: FloatArray, seen: FloatArray) -> FloatArray:
    """`(n, d)` ranges of each feature by which rows lie above (positive) or below (negative) those seen."""
    low, high = seen.min(axis=0), seen.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    beyond: FloatArray = (np.maximum(x - high, 0.0) + np.minimum(x - low, 0.0)) / span
    return beyond


def sensitivity(warp: Warp, end: FloatArray, there: FloatArray) -> FloatArray:
    """`(n,)` what the target changes by its warped value: at the rows' end, or where it is predicted if more there.

    Args:
        warp: Warp of the target.
        end: `(n,)` warped values at the nearest points inside.
        there: `(n,)` warped values that are predicted.
    """
    at_end, at_row = (1 / warp.slope(warp.back(w)) for w in (end, there))
    return np.clip(at_row, at_end, STEEPER * at_end)


def students_t(level: float, freedom: int) -> float:
    """How far from 0 the share `level` of Student's t lies within, by bisection of its closed form.

    With t = sqrt(freedom) tan a that share is an angle and a sum of powers of cos a (Abramowitz & Stegun 26.7.3-4).
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _share(middle, freedom) < level else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _share(angle: float, freedom: int) -> float:
    odd = freedom % 2
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for power in range(1 + odd, freedom, 2):
        total += term
        term *= math.cos(angle) ** 2 * power / (power + 1)
    if not odd:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + math.sin(angle) * total)


def constant_values(matrix: FloatArray, features: Features) -> FloatArray:
    """`(k,)` values of the columns that are no features because all rows are equal there; NaN elsewhere."""
    constant: NDArray[np.bool_] = np.array([scale == "constant" for scale in features.scales])
    return np.where(constant, matrix[0], np.nan)


def _from_constants(matrix: FloatArray, constants: FloatArray) -> FloatArray:
    """`(n, c)` ranges above or below the columns' only value: by ratio, or one where there is no ratio."""
    columns = np.flatnonzero(~np.isnan(constants))
    values, only = matrix[:, columns], constants[columns]
    ratio = np.divide(values, only, out=np.ones_like(values), where=(values > 0) & (only > 0))
    away = np.where(np.isclose(values, only, rtol=1e-9, atol=1e-12), 0.0, np.sign(values - only))
    return np.where((values > 0) & (only > 0), np.log(ratio) / CONSTANT_RANGE, away)
