"""What extrapolating costs on these very rows: the largest, or the smallest, are left out and predicted by the rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.gaussian.mixture import Mixture
from planner.gaussian.outside import FREEDOM, PRIOR_ABOVE, PRIOR_BELOW, Outside, beyond_of, constant_values, sensitivity
from planner.gaussian.posterior import Member, Observations
from planner.surrogates.calibration import deviation_scale
from planner.surrogates.choose import Problem, warp_at
from planner.surrogates.mixture import tuning_rows, weighed
from sampler.architecture import FloatArray, IntArray

_KEPT = (0.5, 0.65, 0.8)  # shares of the rows that predict the others
_FEWEST = (5, 2)  # rows to predict from, and to be predicted
_LARGEST = 30.0  # tau that is believed: there, a log-normal mean has run away
LEAST_RANGE = 1 / 3  # of the whole, that the rows to predict from must span: a shorter lever teaches nothing


def outside_of(whole: Mixture, problem: Problem, rung: int, cost: bool, residuals: FloatArray, seed: int) -> Outside:
    """How far off predictions beyond rows were, by leave-the-extreme-out at the hyper-parameters of all rows.

    The warp is found anew from each fold's rows, by the same rung: where a target saturates is what the extreme rows
    tell. A fold is one observation of tau^2 (`outside`), however many rows it predicts, as their errors are alike.

    Args:
        whole: Mixture that was fitted to all rows.
        problem: The rows.
        rung: Rung of the warp.
        cost: Whether the last column is a cost, by which rows are left out; else it is the sum of all features.
        residuals: Calibrating residuals of `whole`.
        seed: Random seed of the choice of rows where there are very many.
    """
    x = whole.seen.x
    if not x.shape[1]:
        return Outside(constants=constant_values(problem.inputs, whole.features))
    axis = x[:, -1] if cost and whole.features.scales[-1] != "constant" else x.sum(axis=1)
    sides = []
    for sign, prior in ((1, PRIOR_ABOVE), (-1, PRIOR_BELOW)):
        order = np.argsort(sign * axis, kind="stable")
        each = [_excess(whole, problem, rung, *fold, deviation_scale(residuals), seed) for fold in _folds(order, axis)]
        seen = [excess for excess in each if excess is not None]
        freedom = FREEDOM + len(seen)
        sides.append((float(np.sqrt((FREEDOM * prior**2 + sum(seen)) / freedom)), freedom))
    (above, up), (below, down) = sides
    return Outside(above, below, (up, down), constant_values(problem.inputs, whole.features))


def _folds(order: IntArray, axis: FloatArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows to predict from and rows to predict, of rows in the order in which they are left out last."""
    for share in _KEPT:
        kept, rest = np.split(order, [round(share * len(order))])
        enough = len(kept) >= _FEWEST[0] and len(rest) >= _FEWEST[1]
        if enough and np.ptp(axis[kept]) >= LEAST_RANGE * np.ptp(axis) > 0:
            yield kept, rest


def _excess(
    whole: Mixture, problem: Problem, rung: int, kept: IntArray, rest: IntArray, factor: float, seed: int
) -> float | None:
    """tau^2 of one fold: mean squares beyond what was promised, over those of distances; None if it teaches nothing."""
    kept = kept[tuning_rows(len(kept), seed)]
    target, x = problem.target, whole.seen.x
    distance = np.abs(beyond_of(x[rest], x[kept])).max(axis=1)
    if np.ptp(target[kept]) == 0 or not (distance > 0).any():
        return None
    warp = warp_at(rung, target[kept])
    noise = whole.seen.noise[kept] * (warp.slope(target[kept]) / whole.warp.slope(target[kept])) ** 2
    seen = Observations(x[kept], warp.forward(target[kept]), noise)
    part = weighed(whole.features, warp, [Member(member.kernel, member.theta, seen) for member in whole.members])
    w, variance = part.at(x[rest])
    total = factor**2 * (variance + part.noise)
    end, _ = part.at(np.clip(x[rest], x[kept].min(axis=0), x[kept].max(axis=0)))
    off = (target[rest] - warp.moments(w, total)[0]) / sensitivity(warp, end, w)
    return float(np.clip(np.mean(off**2 - total) / np.mean(distance**2), 0.0, _LARGEST**2))
