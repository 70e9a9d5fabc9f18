"""Intervals that keep their word: quantiles of standardised residuals of rows that were held out."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from sampler.architecture import FloatArray

MOST_RESIDUALS = 500  # residuals kept in a record
CAP = 4.0  # residuals above it count as it in the scale of the deviations
SPARE = 0.5  # rows by which a quantile is set further out, for choices (of the warp) that were made with all rows
PRIOR_ROWS = 5.0  # rows whose residuals are believed to be right before any is seen


def thinned(residuals: FloatArray) -> FloatArray:
    """Sorted absolute standardised residuals, as evenly spaced quantiles where there are many."""
    residuals = np.sort(np.abs(residuals))
    if len(residuals) <= MOST_RESIDUALS:
        return residuals
    # Levels i / (MOST_RESIDUALS + 1), so that `factor` reads the same quantiles from few residuals as from many.
    positions = np.arange(1, MOST_RESIDUALS + 1) / (MOST_RESIDUALS + 1) * (len(residuals) + 1) - 1
    return np.interp(positions, np.arange(len(residuals)), residuals)


def factor(residuals: FloatArray, level: float) -> float:
    """How many standard deviations an interval of this level reaches to each side.

    Split-conformal quantile: the (n + 1) level-th of n sorted residuals (Vovk et al. 2005), interpolated; above the
    last one it grows as a Gaussian's does.

    Args:
        residuals: `(n,)` sorted, none negative.
        level: Probability in (0, 1).
    """
    n = len(residuals)
    place = (n + 1) * level + SPARE
    if place <= n:
        return float(np.interp(place, np.arange(n + 1), np.concatenate([[0.0], residuals])))
    last = _two_sided(n / (n + 1))
    return float(max(residuals[-1], last) * max(_two_sided(level) / last, 1.0))


def deviation_scale(residuals: FloatArray) -> float:
    """What the deviations are multiplied by, so that residuals have mean square 1; outliers are capped."""
    capped = np.minimum(residuals, CAP)
    return float(np.sqrt((np.sum(capped**2) + PRIOR_ROWS) / (len(capped) + PRIOR_ROWS)))


def _two_sided(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
