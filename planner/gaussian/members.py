"""Which members there are, and their hyper-parameters by maximum a posteriori, with exact gradients.

The priors of length-scales are of the kind of BoTorch's dimension-scaled ones (Hvarfner et al. 2024, arXiv 2402.02229):
the centre of the log grows by log(d) / 2, so that many inputs mean a smoother function, not a harder problem.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from planner.gaussian.features import Features
from planner.gaussian.kernels import CONSTANT, JITTER, Kernel, length_gradient, matern
from planner.gaussian.posterior import Member, Seen
from sampler.architecture import FloatArray

# Normal priors of logs: the linear part's variance, the noise variance, the kernel's variance.
CENTRES = np.log([0.5, 0.05, 0.5])
_DEVIATIONS = np.array([1.5, 1.5, 1.5])
LENGTH_CENTRE = math.sqrt(2) - 0.5  # plus log(d) / 2, d the features that one distance sums over
LENGTH_DEVIATION = 1.0
_BOUNDS = ((-14.0, 5.0), (-14.0, 2.0), (-14.0, 4.0))
LENGTH_BOUNDS = (-4.0, 8.0)
_FEWEST = 6  # rows for anything but a line
MOST_ADDITIVE = 12  # features, beyond which an additive member costs more than it is worth
TUNING_ROWS = 300  # hyper-parameters are fitted to so many rows, the posterior to all
_STEPS = 60
_RESTARTS = (-1.5, 1.0)  # log length-scales from the prior's centre, where the first fit has collapsed


def candidates(features: Features, rows: int) -> list[Kernel]:
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


def prior(kernel: Kernel, d: int) -> tuple[FloatArray, FloatArray]:
    """Centres and deviations of the Gaussian priors of a kernel's log hyper-parameters, given d features."""
    if kernel.form == "linear":
        return CENTRES[:2], _DEVIATIONS[:2]
    length = LENGTH_CENTRE + 0.5 * math.log(1 if kernel.form == "additive" else d)
    centres = np.concatenate([CENTRES, np.full(kernel.scales, length)])
    return centres, np.concatenate([_DEVIATIONS, np.full(kernel.scales, LENGTH_DEVIATION)])


def bounds(kernel: Kernel) -> list[tuple[float, float]]:
    """Bounds of a kernel's log hyper-parameters."""
    return [*_BOUNDS, *([LENGTH_BOUNDS] * kernel.scales)][: kernel.size]


def objective(theta: FloatArray, kernel: Kernel, seen: Seen) -> tuple[float, FloatArray]:
    """Negative log marginal likelihood less log priors (without their constants), and its gradient.

    Rasmussen & Williams 2006, equations 5.8 and 5.9.
    """
    x, n, d = seen.x, len(seen.w), seen.x.shape[1]
    linear = kernel.linear(theta, x, x)
    parts = [matern(squared) for squared in kernel.distances(theta, x, x)]
    share = math.exp(theta[2]) / len(parts) if parts else 0.0
    curved = share * sum(part[0] for part in parts)
    covariance = CONSTANT + linear + curved
    noise = math.exp(theta[1])
    covariance[np.diag_indices(n)] += noise + seen.noise + JITTER
    try:
        inverse, half_log_determinant = _inverse(covariance)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    alpha = inverse @ seen.w
    value = 0.5 * seen.w @ alpha + half_log_determinant + 0.5 * n * math.log(2 * math.pi)
    slopes = inverse - np.outer(alpha, alpha)
    gradient = np.empty(kernel.size)
    gradient[0] = 0.5 * np.vdot(slopes, linear)
    gradient[1] = 0.5 * noise * np.trace(slopes)
    if parts:
        gradient[2] = 0.5 * np.vdot(slopes, curved)
        gradient[3:] = _length_slopes(kernel, x / kernel.lengths(theta), slopes * share, [part[1] for part in parts])
    centres, deviations = prior(kernel, d)
    off = (theta - centres) / deviations
    return float(value + 0.5 * off @ off), gradient + off / deviations


def _inverse(covariance: FloatArray) -> tuple[FloatArray, float]:
    """Inverse and half the log determinant of a covariance, which is overwritten."""
    from scipy.linalg import lapack

    factor, failed = lapack.dpotrf(covariance, lower=1, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("not positive definite")
    inverse = np.tril(lapack.dpotri(factor, lower=1)[0])
    inverse += np.tril(inverse, -1).T
    return inverse, float(np.log(np.diag(factor)).sum())


def _length_slopes(kernel: Kernel, x: FloatArray, slopes: FloatArray, by_squared: Sequence[FloatArray]) -> FloatArray:
    if kernel.form == "joint":
        each = length_gradient(slopes * by_squared[0], x)
    else:
        each = np.array([length_gradient(slopes * by, x[:, [j]])[0] for j, by in enumerate(by_squared)])
    return np.asarray(np.bincount(np.array(kernel.groups), each, kernel.scales), dtype=np.float64)


def tuned(kernel: Kernel, seen: Seen, start: FloatArray | None = None, steps: int = _STEPS) -> tuple[FloatArray, float]:
    """Log hyper-parameters of the highest posterior density found from a start, and -log of it."""
    from scipy.optimize import minimize

    if start is None:
        start = prior(kernel, seen.x.shape[1])[0] - np.concatenate(
            [np.zeros(min(3, kernel.size)), np.ones(kernel.scales)]
        )
    low, high = np.array(bounds(kernel)).T
    found = minimize(
        objective,
        np.clip(start, low, high),
        (kernel, seen),
        "L-BFGS-B",
        jac=True,
        bounds=bounds(kernel),
        options={"maxiter": steps, "ftol": 1e-6},
    )
    return found.x, float(found.fun)


def fitted(kernel: Kernel, seen: Seen, tuning: Seen) -> Member:
    """A member with hyper-parameters of the tuning rows, conditioned on all; from other starts too if it has collapsed.

    A collapsed member has put (nearly) everything into noise: it predicts a constant.
    """
    best, value = tuned(kernel, tuning)
    if kernel.form != "linear" and _collapsed(best):
        for shift in _RESTARTS:
            start = prior(kernel, seen.x.shape[1])[0]
            start[1], start[3:] = math.log(0.01), start[3:] + shift
            other, reached = tuned(kernel, tuning, start)
            if reached < value:
                best, value = other, reached
    return Member(kernel, best, seen)


def _collapsed(theta: FloatArray) -> bool:
    return bool(np.exp(theta[0]) + np.exp(theta[2]) < 0.05 * np.exp(theta[1]))
