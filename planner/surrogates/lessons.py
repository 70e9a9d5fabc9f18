"""What measuring one row says of others, and what rows say of others that differ in ways never tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sampler.architecture import FloatArray

if TYPE_CHECKING:
    from planner.surrogates.surrogate import Surrogate


def lessons(
    surrogate: Surrogate, matrix: FloatArray, others: FloatArray, noise_variance: float = 0.0, paired: bool = False
) -> FloatArray:
    """How far the expectations of other rows would move if one was measured: `(n, q)` signed deviations.

    The expectation of the true value at z moves by cov(x, z) / sqrt(var(x) + noise), a standard deviation, when x is
    measured once: the more noise a measurement has, the less it teaches, and the variance at z shrinks by the square.
    What sets a single row apart from what the inputs say is learned of itself alone (`Surrogate.outcomes`).

    Args:
        surrogate: Surrogate of what was measured.
        matrix: `(n, k)` rows that may be measured, in the columns that `Surrogate.believing` takes.
        others: `(q, k)` rows of whose expectation is asked.
        noise_variance: Known variance of a measurement, on top of the noise that was learned.
        paired: Whether each is asked of the same row of the others only, which gives `(n,)`: such as of the long
            training of the network that is trained shortly.
    """
    mixture, warp = surrogate.mixture, surrogate.mixture.warp
    x, z = mixture.features.of(matrix), mixture.features.of(others)
    w, variance = mixture.at(x)
    here = np.sqrt(variance + mixture.noise + noise_variance * warp.slope(warp.back(w)) ** 2)
    moved: FloatArray = mixture.covariance(x, z, paired) / (here if paired else here[:, None])
    return moved * _unit(surrogate, others)


def departures(surrogate: Surrogate, matrix: FloatArray, others: FloatArray) -> FloatArray:
    """`(n,)` prior deviations of the difference between each of `(n, k)` rows and the same row of others.

    How far a row may lie from another that is like it but for something in which no row seen has ever differed: the
    rows seen say nothing of that, whatever a line through them seems to say.
    """
    mixture = surrogate.mixture
    x, z = mixture.features.of(matrix), mixture.features.of(others)
    each = [member.kernel.departure(member.theta, x, z) for member in mixture.members]
    apart: FloatArray = np.sqrt(mixture.weights @ np.array(each)) * _unit(surrogate, others)
    return apart


def _unit(surrogate: Surrogate, rows: FloatArray) -> FloatArray:
    """`(n,)` of the target, calibrated, for one of the warped target, at each row."""
    variance = surrogate.mixture.at(surrogate.mixture.features.of(rows))[1]
    unit: FloatArray = surrogate.outcomes(rows)[1] / np.sqrt(variance)
    return unit
