"""How a sum of times, and the departure from it, are estimated, robustly: a few odd rows must not bend the rest.

Published tables hold rows that no count explains (a network in another memory layout, a normalisation without a fast
kernel), some three times slower than their neighbours. Both steps weight rows by their residuals, repeatedly
(`planner.gaussian.robust`); the notation is that of `planner.latency.model`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from planner.gaussian.fit import LogPrior
from planner.gaussian.robust import robust_process, robust_weights
from planner.latency.departure import Departure
from planner.latency.features import TIMED_COUNTS, coordinates, summed
from sampler.architecture import FloatArray, IntArray

SMALLEST_SPREAD = 0.005  # timings repeat no better; equal residuals would otherwise divide by zero
_SUM_ROUNDS = 8
# Log-normal priors: departures of 20 % over factors of e^1.5 in the counts, 5 % of noise; each within bounds.
_CENTRES = np.log([0.2, 1.5, 0.05])
_DEVIATIONS = np.array([1.0, 0.7, 1.0])
_BOUND = 2.5  # prior deviations
DEPARTURE_PRIOR = LogPrior(
    _CENTRES, _DEVIATIONS, np.column_stack([_CENTRES - _BOUND * _DEVIATIONS, _CENTRES + _BOUND * _DEVIATIONS])
)


def estimate(
    features: Mapping[str, FloatArray], latency_ms: FloatArray, rows: IntArray | None = None
) -> tuple[dict[str, float], Departure]:
    """The coefficients of the sum, and the departure from it.

    Args:
        features: `(n,)` positive values by name.
        latency_ms: `(n,)` positive.
        rows: Indices of the rows that the Gaussian process sees; all by default. Its cost is cubic in them.
    """
    coefficients = sum_of_times(features, latency_ms)
    residuals = np.log(latency_ms / summed(coefficients, features))
    inputs = coordinates(features)
    if rows is not None:
        inputs, residuals = inputs[rows], residuals[rows]
    return coefficients, Departure(inputs, *robust_process(inputs, residuals, DEPARTURE_PRIOR, SMALLEST_SPREAD))


def sum_of_times(features: Mapping[str, FloatArray], latency_ms: FloatArray) -> dict[str, float]:
    """Non-negative times per count by iteratively reweighted least squares of the relative error."""
    from scipy.optimize import nnls

    names = [name for name in TIMED_COUNTS if name in features]
    columns = np.column_stack([np.ones_like(latency_ms), *(features[name] for name in names)])
    relative = columns / latency_ms[:, None]
    scales = relative.max(axis=0)  # counts differ by 1e9; the solver's tolerance is one for all
    weights = np.ones_like(latency_ms)
    for _ in range(_SUM_ROUNDS):
        root = np.sqrt(weights)
        times = nnls(relative / scales * root[:, None], root)[0]
        # A ratio of 0 can come where only one count is left and tiny: it is then an outlier, not an infinity.
        ratio = np.log(np.maximum(relative / scales @ times, 1e-9))
        weights = robust_weights(ratio, SMALLEST_SPREAD)
    # Least squares of relative errors leans to what is too small; the mean log error is set to zero.
    times *= np.exp(-np.average(ratio, weights=weights))
    return dict(zip(["fixed", *names], (times / scales).tolist(), strict=True))


def line_over_macs(macs: FloatArray, latency_ms: FloatArray) -> tuple[float, float]:
    """Intercept and slope of log latency over log MACs, by least squares: what a model has to beat."""
    x, y = np.log(macs), np.log(latency_ms)
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred)) if np.ptp(x) else 0.0
    return float(y.mean() - slope * x.mean()), slope
