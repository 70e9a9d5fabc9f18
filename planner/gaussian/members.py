"""Which members there are, and their hyper-parameters by maximum a posteriori, with exact gradients.

Notation, beside that of `planner.gaussian.equations`, for n rows of d features:

    x (n, d), w (n,)    features and warped targets of the rows seen
    theta               logs of: the linear part's variance a, the noise variance, the kernel's variance b, and one
                        length-scale l for each group of features (`planner.gaussian.kernels` has the covariance)
    slopes (n, n)       K^-1 - alpha alpha^T; half its product with dK/dtheta is the gradient      Eq. 5.9

The priors of length-scales are of the kind of BoTorch's dimension-scaled ones (Hvarfner et al. 2024, arXiv 2402.02229):
the centre of the log grows by log(d) / 2, so that many inputs mean a smoother function, not a harder problem.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from planner.gaussian.equations import inverse_by_cholesky, negative_log_evidence
from planner.gaussian.features import Features
from planner.gaussian.fit import LogPrior, most_probable
from planner.gaussian.kernels import CONSTANT, NUGGET_VARIANCE, Kernel, length_gradient, matern52_with_slope
from planner.gaussian.posterior import Member, Observations
from sampler.architecture import FloatArray

# Normal priors of logs: the linear part's variance, the noise variance, the kernel's variance; and their bounds.
CENTRES = np.log([0.5, 0.05, 0.5])
_DEVIATIONS = np.array([1.5, 1.5, 1.5])
_BOUNDS = ((-14.0, 5.0), (-14.0, 2.0), (-14.0, 4.0))
LENGTH_CENTRE = math.sqrt(2) - 0.5  # plus log(d) / 2, d the features that one distance sums over
LENGTH_DEVIATION = 1.0
LENGTH_BOUNDS = (-4.0, 8.0)
_FEWEST = 6  # rows for anything but a line
MOST_ADDITIVE = 12  # features, beyond which an additive member costs more than it is worth
TUNING_ROWS = 300  # hyper-parameters are fitted to so many rows, the posterior to all
_STEPS = 60
_TOLERANCE = 1e-6
_RESTARTS = (-1.5, 1.0)  # log length-scales from the prior's centre, where the first fit has collapsed


def member_kernels(features: Features, rows: int) -> list[Kernel]:
    """The members for these features, the linear one always first."""
    d = len(features.kept)
    linear = Kernel("linear", "linear")
    if rows < _FEWEST or d == 0:
        return [linear]
    one, each, groups = (0,) * d, tuple(range(d)), features.groups
    kernels = {one: Kernel("one length-scale", "joint", one)}
    kernels.setdefault(groups, Kernel("length-scale per group", "joint", groups))
    kernels.setdefault(each, Kernel("length-scale per input", "joint", each))
    additive = [Kernel("additive", "additive", one)] if 1 < d <= MOST_ADDITIVE else []
    return [linear, *kernels.values(), *additive]


def member_prior(kernel: Kernel, d: int) -> LogPrior:
    """Priors and bounds of the logs of a kernel's hyper-parameters, given d features."""
    length = LENGTH_CENTRE + 0.5 * math.log(1 if kernel.form == "additive" else max(d, 1))
    centres = np.concatenate([CENTRES, np.full(kernel.scales, length)])
    deviations = np.concatenate([_DEVIATIONS, np.full(kernel.scales, LENGTH_DEVIATION)])
    bounds = np.array([*_BOUNDS, *([LENGTH_BOUNDS] * kernel.scales)])
    return LogPrior(centres[: kernel.size], deviations[: kernel.size], bounds[: kernel.size])


def negative_log_density(theta: FloatArray, kernel: Kernel, seen: Observations) -> tuple[float, FloatArray]:
    """Negative log marginal likelihood less log priors (without their constants), and its gradient."""
    x, n = seen.x, len(seen.w)
    linear = kernel.linear(theta, x, x)
    parts = [matern52_with_slope(squared) for squared in kernel.distances(theta, x, x)]
    share = math.exp(theta[2]) / len(parts) if parts else 0.0
    curved = share * sum(part[0] for part in parts)
    covariance = CONSTANT + linear + curved
    noise = math.exp(theta[1])
    covariance[np.diag_indices(n)] += noise + seen.noise + NUGGET_VARIANCE
    try:
        value, slopes = negative_log_evidence(covariance, seen.w, inverse_by_cholesky)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    gradient = np.empty(kernel.size)
    gradient[0] = 0.5 * np.vdot(slopes, linear)
    gradient[1] = 0.5 * noise * np.trace(slopes)
    if parts:
        gradient[2] = 0.5 * np.vdot(slopes, curved)
        gradient[3:] = _length_slopes(kernel, x / kernel.lengths(theta), slopes * share, [part[1] for part in parts])
    penalty, pull = member_prior(kernel, x.shape[1]).penalty(theta)
    return value + 0.5 * n * math.log(2 * math.pi) + penalty, gradient + pull


def _length_slopes(kernel: Kernel, x: FloatArray, slopes: FloatArray, by_squared: Sequence[FloatArray]) -> FloatArray:
    if kernel.form == "joint":
        each = length_gradient(slopes * by_squared[0], x)
    else:
        each = np.array([length_gradient(slopes * by, x[:, [j]])[0] for j, by in enumerate(by_squared)])
    return np.asarray(np.bincount(np.array(kernel.groups), each, kernel.scales), dtype=np.float64)


def tuned(
    kernel: Kernel, seen: Observations, start: FloatArray | None = None, steps: int = _STEPS
) -> tuple[FloatArray, float]:
    """Log hyper-parameters of the highest posterior density found from a start, and -log of it."""
    prior = member_prior(kernel, seen.x.shape[1])
    if start is None:
        start = prior.centres - np.concatenate([np.zeros(min(3, kernel.size)), np.ones(kernel.scales)])
    return most_probable(negative_log_density, start, (kernel, seen), prior, steps, _TOLERANCE)


def fitted_member(kernel: Kernel, seen: Observations, tuning: Observations) -> Member:
    """A member with hyper-parameters of the tuning rows, conditioned on all; from other starts too if it has collapsed.

    A collapsed member has put (nearly) everything into noise: it predicts a constant.
    """
    best, value = tuned(kernel, tuning)
    if kernel.form != "linear" and _collapsed(best):
        for shift in _RESTARTS:
            start = member_prior(kernel, seen.x.shape[1]).centres
            start[1], start[3:] = math.log(0.01), start[3:] + shift
            other, reached = tuned(kernel, tuning, start)
            if reached < value:
                best, value = other, reached
    return Member(kernel, best, seen)


def _collapsed(theta: FloatArray) -> bool:
    return bool(np.exp(theta[0]) + np.exp(theta[2]) < 0.05 * np.exp(theta[1]))
