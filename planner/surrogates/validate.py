"""How good the surrogate is on rows it has not seen: k-fold cross-validation, with calibration inside the folds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.gaussian.mixture import Mixture
from planner.surrogates.calibration import factor
from planner.surrogates.choose import Problem
from planner.surrogates.mixture import refitted
from sampler.architecture import FloatArray, IntArray

_BoolArray = NDArray[np.bool_]
LEVELS = (0.5, 0.8, 0.9)
EACH = 12  # rows up to which every fold is one row
_FOLDS = {60: 10, 1_000_000_000: 5}  # folds by the most rows


@dataclass(frozen=True, eq=False)
class HeldOutPredictions:
    """Predictions of rows by mixtures that have not seen them.

    Attributes:
        mean: `(n,)` in the target's unit.
        residuals: `(n,)` of the warped target, in predicted standard deviations (noise included).
        folds: `(n,)` number of the fold that each row was held out in.
    """

    mean: FloatArray
    residuals: FloatArray
    folds: IntArray

    def first(self, n: int) -> HeldOutPredictions:
        """Those of the first n rows."""
        return HeldOutPredictions(self.mean[:n], self.residuals[:n], self.folds[:n])


def folds_of(inputs: FloatArray, seed: int, folds: int | None = None) -> IntArray:
    """`(n,)` fold of each row; rows with equal inputs share one, so that a repeat is no help.

    There are as many as asked for, or by default as many as so few rows want.
    """
    distinct, codes = np.unique(inputs, axis=0, return_inverse=True)
    m = len(distinct)
    if folds is None:
        folds = m if m <= EACH else next(count for rows, count in _FOLDS.items() if m <= rows)
    order = np.random.default_rng(seed).permutation(m)
    dealt: IntArray = (np.argsort(order) % folds)[codes.reshape(-1)]
    return dealt


def cross_validated(whole: Mixture, folds: IntArray, seed: int) -> HeldOutPredictions:
    """Predictions of each fold by the mixture fitted to the others.

    Hyper-parameters and weights are fitted anew in every fold. The warp, the logarithms and the rows believed less are
    those of all rows.
    """
    seen = whole.seen
    mean, residuals = np.empty(len(seen.w)), np.empty(len(seen.w))
    for fold in range(int(folds.max()) + 1):
        out = folds == fold
        part = refitted(whole, np.flatnonzero(~out), seed) if not out.all() else whole
        w, variance = part.at(seen.x[out])
        total = variance + part.noise
        residuals[out] = (seen.w[out] - w) / np.sqrt(total)
        mean[out] = whole.warp.moments(w, total)[0]
    return HeldOutPredictions(mean, residuals, folds)


def errors_of(held_out: HeldOutPredictions, problem: Problem, prefix: str = "") -> dict[str, float | None]:
    """Cross-validated errors by name; None where too few rows differ."""
    target = problem.target
    top = target >= np.sort(target)[-max(1, round(0.2 * len(target)))]
    errors: dict[str, float | None] = {
        "rmse": float(np.sqrt(np.mean((held_out.mean - target) ** 2))),
        "kendall": kendall(held_out.mean, target),
        "kendall_top20": kendall(held_out.mean[top], target[top]),
    }
    errors |= {f"coverage_{round(100 * level)}": coverage(held_out, level) for level in LEVELS}
    return {prefix + name: value for name, value in errors.items()}


def kendall(a: FloatArray, b: FloatArray) -> float | None:
    """Kendall's tau-b of `(n,)` values; None with fewer than three rows or where a column is constant.

    Concordant less discordant pairs, over the geometric mean of the pairs that differ in a and of those that differ in
    b. Counted pair by pair: for the rows of a surrogate that takes less time than importing `scipy.stats` does.
    """
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    balance, differing_a, differing_b = 0, 0, 0
    for row in range(len(a) - 1):
        signs_a, signs_b = np.sign(a[row + 1 :] - a[row]), np.sign(b[row + 1 :] - b[row])
        balance += int(signs_a @ signs_b)
        differing_a += int(np.count_nonzero(signs_a))
        differing_b += int(np.count_nonzero(signs_b))
    tau = balance / math.sqrt(differing_a) / math.sqrt(differing_b)
    return min(1.0, max(-1.0, tau))  # rounding


def coverage(held_out: HeldOutPredictions, level: float) -> float | None:
    """Share of rows inside their interval, whose reach is calibrated on the other folds alone."""
    inside = covered(held_out, level)
    return None if inside is None else float(inside.mean())


def covered(held_out: HeldOutPredictions, level: float) -> _BoolArray | None:
    """`(n,)` whether each row is inside its interval, calibrated on the other folds; None with a single fold."""
    inside = np.zeros(len(held_out.folds), dtype=bool)
    for fold in range(int(held_out.folds.max()) + 1):
        out = held_out.folds == fold
        if out.all():
            return None
        inside[out] = np.abs(held_out.residuals[out]) <= factor(np.sort(np.abs(held_out.residuals[~out])), level)
    return inside
