"""A mixture fitted to rows; and refitted where some of them are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from planner.gaussian.features import Features, standardised_features
from planner.gaussian.members import TUNING_ROWS, fitted_member, member_kernels, tuned
from planner.gaussian.mixture import Mixture
from planner.gaussian.posterior import Member, Observations
from planner.gaussian.warps import Warp
from planner.gaussian.weights import log_densities, stacked
from planner.surrogates.choose import Problem, seen_through, warp_at
from sampler.architecture import FloatArray, IntArray

REFIT_STEPS = 6  # of the optimiser, when some rows are taken away
OUTLIER = 4.0  # leave-one-out residual, in standard deviations, from which a row is believed less
_PASSES = 3
MOST_OUTLIERS = 0.1  # share of the rows


def fit_mixture(problem: Problem, rung: int, scales: tuple[str, ...], seed: int) -> Mixture:
    """Fits all members and weighs them; rows that they find impossible are believed less, and it starts again."""
    features = standardised_features(problem.names, scales, problem.inputs)
    usual = np.ones(len(problem.target), dtype=bool)
    noise = problem.noise
    for _ in range(_PASSES):
        warp = warp_at(rung, problem.target).fitted(problem.target[usual])
        seen = seen_through(replace(problem, noise=noise), features, warp)
        whole = _fitted(features, warp, seen, seed)
        off, residual = _outliers(whole)
        if not (off & usual).any() or (~usual | off).mean() > MOST_OUTLIERS:
            break
        usual &= ~off
        noise = np.where(off, np.maximum(noise, (residual / warp.slope(problem.target)) ** 2), noise)
    return whole


def refitted(whole: Mixture, rows: IntArray, seed: int) -> Mixture:
    """The members fitted to these rows alone, from the hyper-parameters that they have, and weighed anew."""
    seen = whole.seen.rows(rows)
    tuning = seen.rows(tuning_rows(len(rows), seed))
    members = [
        Member(member.kernel, tuned(member.kernel, tuning, member.theta, REFIT_STEPS)[0], seen)
        for member in whole.members
    ]
    return weighed(whole.features, whole.warp, members)


def weighed(features: Features, warp: Warp, members: Sequence[Member]) -> Mixture:
    """A mixture with stacked weights."""
    densities = np.array([log_densities(*member.leave_one_out(), member.seen.w) for member in members])
    return Mixture(features, warp, tuple(members), stacked(densities))


def tuning_rows(n: int, seed: int) -> IntArray:
    """Numbers of the rows that hyper-parameters are fitted to."""
    if n <= TUNING_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, TUNING_ROWS, replace=False))


def _fitted(features: Features, warp: Warp, seen: Observations, seed: int) -> Mixture:
    tuning = seen.rows(tuning_rows(len(seen.w), seed))
    kernels = member_kernels(features, len(seen.w))
    return weighed(features, warp, [fitted_member(kernel, seen, tuning) for kernel in kernels])


def _outliers(whole: Mixture) -> tuple[NDArray[np.bool_], FloatArray]:
    """Which rows the others make nearly impossible, and all leave-one-out residuals."""
    mean, variance = whole.leave_one_out()
    residual = whole.seen.w - mean
    return residual**2 > OUTLIER**2 * variance, residual
