"""A Gaussian process that a few odd rows do not bend: rows lose weight by their residuals, repeatedly.

Notation, for n rows:

    distances (n, n)    between the inputs; their unit is free
    theta (3,)          logs of: deviation of the smooth part, its length scale, deviation of the noise
    weights (n,)        in (0, 1]; a row's noise variance is divided by its weight

    K = deviation^2 matern32(distances / length scale) + diag(noise deviation^2 / weights + nugget)

A row that lies more than `TURN` robust deviations off what the others say of it (Eq. 5.12 of Rasmussen & Williams 2006)
weighs less in the next round, by the square of how far: Student's t would do the same, without a closed form.
"""

from __future__ import annotations

import math

import numpy as np

from planner.gaussian.equations import inverse_by_lu, left_out, negative_log_evidence
from planner.gaussian.fit import LogPrior, most_probable
from planner.gaussian.kernels import matern32, matern32_length_slope
from sampler.architecture import FloatArray

TURN = 1.5  # robust standard deviations, from which residuals lose weight
_OF_A_NORMAL = 0.6745  # its median absolute value, in standard deviations
_ROUNDS = 3
_STEPS = 20
_NUGGET = 1e-6


def robust_deviation(residuals: FloatArray, least: float) -> float:
    """A standard deviation that half of the rows may not move: the median absolute residual over that of a normal.

    Args:
        residuals: `(n,)`.
        least: Number added, so that equal residuals divide nothing by zero.
    """
    return float(np.median(np.abs(residuals))) / _OF_A_NORMAL + least


def robust_weights(residuals: FloatArray, least: float, power: int = 1) -> FloatArray:
    """`(n,)` weights in (0, 1] of rows: 1 up to the turn, and beyond it its share of the residual to a power.

    Power 1 is Huber's, for what is fitted to absolute residuals; 2 leaves an outlier next to nothing to say.
    """
    return 1 / np.maximum(1, np.abs(residuals) / (TURN * robust_deviation(residuals, least))) ** power


def robust_process(inputs: FloatArray, y: FloatArray, prior: LogPrior, least: float) -> tuple[FloatArray, float, float]:
    """The process of `(n,)` values at `(n, p)` inputs: alpha `(n,)`, variance and length scale of the smooth part.

    Args:
        inputs: `(n, p)` numbers; one length scale holds for all.
        y: `(n,)` values about 0.
        prior: Prior of theta.
        least: Smallest robust deviation of y.
    """
    distances = np.sqrt(((inputs[:, None] - inputs[None]) ** 2).sum(axis=2))
    theta, off = prior.centres, y
    for _ in range(_ROUNDS):
        weights = robust_weights(off, least, power=2)
        theta, _ = most_probable(robust_log_density, theta, (distances, y, weights, prior), prior, _STEPS)
        precision = np.linalg.inv(_covariance(theta, distances, weights)[0])
        alpha = precision @ y
        off, _ = left_out(alpha, np.diag(precision))
    deviation, length_scale, _ = np.exp(theta)
    return alpha, float(deviation**2), float(length_scale)


def robust_log_density(
    theta: FloatArray, distances: FloatArray, y: FloatArray, weights: FloatArray, prior: LogPrior
) -> tuple[float, FloatArray]:
    """Negative log posterior of theta up to a constant, and its gradient."""
    covariance, signal, scaled, noise = _covariance(theta, distances, weights)
    value, slopes = negative_log_evidence(covariance, y, inverse_by_lu)
    by_theta = [
        2 * (slopes * signal).sum(),
        matern32_length_slope(scaled, slopes * signal).sum(),
        2 * (np.diag(slopes) * noise).sum(),
    ]
    penalty, pull = prior.penalty(theta)
    return value + penalty, 0.5 * np.array(by_theta) + pull


def _covariance(
    theta: FloatArray, distances: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Covariance `(n, n)`, its smooth part, sqrt(3) distances over the length scale, and noise variances `(n,)`."""
    deviation, length_scale, noise_deviation = np.exp(theta)
    signal = deviation**2 * matern32(distances / length_scale)
    noise = noise_deviation**2 / weights
    return signal + np.diag(noise + _NUGGET), signal, math.sqrt(3) * distances / length_scale, noise
