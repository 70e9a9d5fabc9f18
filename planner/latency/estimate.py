"""How a sum of times and its Gaussian process are estimated, robustly: a few odd rows must not bend the rest.

Published tables hold rows that no count explains (a network in another memory layout, a normalisation without a fast
kernel), some three times slower than their neighbours. Both steps weight rows by their residuals, repeatedly.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from planner.latency.model import COUNTS, Departure, coordinates, matern, summed
from sampler.architecture import FloatArray, IntArray

# Residuals beyond this many robust standard deviations lose weight.
TURN = 1.5
SMALLEST_SPREAD = 0.005  # timings repeat no better; equal residuals would otherwise divide by zero
SUM_ROUNDS, PROCESS_ROUNDS = 8, 3
# Log-normal priors: departures of 20 % over factors of e^1.5 in the counts, 5 % of noise; each within bounds.
PRIOR_MEAN = np.log([0.2, 1.5, 0.05])
PRIOR_DEVIATION = np.array([1.0, 0.7, 1.0])
BOUND = 2.5  # prior deviations
_JITTER = 1e-6


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
    return coefficients, departure(inputs, residuals)


def sum_of_times(features: Mapping[str, FloatArray], latency_ms: FloatArray) -> dict[str, float]:
    """Non-negative times per count by iteratively reweighted least squares of the relative error."""
    from scipy.optimize import nnls

    names = [name for name in COUNTS if name in features]
    columns = np.column_stack([np.ones_like(latency_ms), *(features[name] for name in names)])
    relative = columns / latency_ms[:, None]
    scales = relative.max(axis=0)  # counts differ by 1e9; the solver's tolerance is one for all
    weights = np.ones_like(latency_ms)
    for _ in range(SUM_ROUNDS):
        root = np.sqrt(weights)
        times = nnls(relative / scales * root[:, None], root)[0]
        # A ratio of 0 can come where only one count is left and tiny: it is then an outlier, not an infinity.
        ratio = np.log(np.maximum(relative / scales @ times, 1e-9))
        weights = 1 / np.maximum(1, np.abs(ratio) / (TURN * spread(ratio)))
    # Least squares of relative errors leans to what is too small; the mean log error is set to zero.
    times *= np.exp(-np.average(ratio, weights=weights))
    return dict(zip(["fixed", *names], (times / scales).tolist(), strict=True))


def departure(inputs: FloatArray, residuals: FloatArray) -> Departure:
    """The Gaussian process of log residuals `(n,)` at `(n, p)` coordinates, with most probable hyper-parameters."""
    distances = np.sqrt(((inputs[:, None] - inputs[None]) ** 2).sum(axis=2))
    theta = PRIOR_MEAN
    off = residuals
    for _ in range(PROCESS_ROUNDS):
        weights = 1 / np.maximum(1, np.abs(off) / (TURN * spread(off))) ** 2
        theta = most_probable(theta, distances, residuals, weights)
        covariance = _covariance(theta, distances, weights)[0]
        precision = np.linalg.inv(covariance)
        alpha = precision @ residuals
        off = alpha / np.diag(precision)  # left one out: Rasmussen & Williams 2006, Eq. 5.12
    deviation, length_scale, _ = np.exp(theta)
    return Departure(inputs, alpha, float(deviation**2), float(length_scale))


def most_probable(theta: FloatArray, distances: FloatArray, residuals: FloatArray, weights: FloatArray) -> FloatArray:
    """Log hyper-parameters `(3,)` (departure's deviation, length scale, noise deviation) of largest posterior."""
    from scipy.optimize import minimize

    bounds = list(zip(PRIOR_MEAN - BOUND * PRIOR_DEVIATION, PRIOR_MEAN + BOUND * PRIOR_DEVIATION, strict=True))
    found = minimize(
        negative_log_posterior,
        theta,
        args=(distances, residuals, weights),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 20},
    )
    result: FloatArray = found.x
    return result


def negative_log_posterior(
    theta: FloatArray, distances: FloatArray, residuals: FloatArray, weights: FloatArray
) -> tuple[float, FloatArray]:
    """Of the hyper-parameters, up to a constant, and its gradient (Rasmussen & Williams 2006, Eqs. 5.8 and 5.9)."""
    covariance, signal, scaled, noise = _covariance(theta, distances, weights)
    precision = np.linalg.inv(covariance)
    alpha = precision @ residuals
    z = (theta - PRIOR_MEAN) / PRIOR_DEVIATION
    value = 0.5 * float(residuals @ alpha + np.linalg.slogdet(covariance)[1] + z @ z)
    inner = precision - np.outer(alpha, alpha)
    slopes = np.array(
        [
            2 * (inner * signal).sum(),
            # d/dlog l of (1 + s) exp(-s) is s^2 exp(-s), which is k s^2 / (1 + s)
            (inner * signal * scaled**2 / (1 + scaled)).sum(),
            2 * (np.diag(inner) * noise).sum(),
        ]
    )
    return value, 0.5 * slopes + z / PRIOR_DEVIATION


def _covariance(
    theta: FloatArray, distances: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Covariance `(n, n)`, its smooth part, sqrt(3) distances over the length scale, and noise variances `(n,)`."""
    deviation, length_scale, noise_deviation = np.exp(theta)
    signal = deviation**2 * matern(distances / length_scale)
    noise = noise_deviation**2 / weights
    return signal + np.diag(noise + _JITTER), signal, np.sqrt(3) * distances / length_scale, noise


def spread(residuals: FloatArray) -> float:
    """A standard deviation that half of the rows may not move: the median absolute residual over that of a normal."""
    return float(np.median(np.abs(residuals))) / 0.6745 + SMALLEST_SPREAD


def line_over_macs(macs: FloatArray, latency_ms: FloatArray) -> tuple[float, float]:
    """Intercept and slope of log latency over log MACs, by least squares: what a model has to beat."""
    x, y = np.log(macs), np.log(latency_ms)
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred)) if np.ptp(x) else 0.0
    return float(y.mean() - slope * x.mean()), slope
