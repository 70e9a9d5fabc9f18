"""What is known of a task's networks after some trainings, and the score by which an answer is chosen.

An answer is the row of the highest expected score among those within the budget, less a weak pull to the smooth curves
(see `planner.surrogates.smooth`). A row that was trained counts with what it reached, shrunk by the noise of measuring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.surrogates.answer_record import answer_document, answer_fields
from planner.surrogates.fit import fit_surrogate, used_rows
from planner.surrogates.optimism import Optimism, optimism_of
from planner.surrogates.rows import as_frame, numbers_in
from planner.surrogates.smooth import SmoothCurves, features_but_cost, smooth_curves
from planner.surrogates.surrogate import Surrogate
from planner.text.deferred import pd
from sampler.architecture import FloatArray, IntArray

_LEVEL = 0.9
_REACH = 1.645  # standard deviations of that level
# Of the cross-validated error, for a row one standard deviation of every input away from the curves.
_PULL = 0.1
# How much of the variation that the inputs do not explain is taken for noise of measuring, where that was not measured:
# with half of it lucky rows among proposals won too often, with all of it a row's own result says nothing.
_NOISE_SHARE = 0.75
_CAUTION = 1.0  # standard deviations below the mean, of a cautious score
# Different rows, below which the surrogate is not asked. With 8 or more its answers have never lost more than the best
# training on open tables (200 of 200 draws of 8 to 60 rows), even where a linear model's error was smaller.
FEWEST_DIFFERENT = 8
WORSE = 2.0  # times a linear model's error, from which a surrogate has gone astray


@dataclass(frozen=True, eq=False)
class AnswerModel:
    """What is known of a task's networks after some trainings, and how an answer is chosen by it.

    Attributes:
        surrogate: Surrogate over the inputs and the cost; its columns are `surrogate.inputs`, then `surrogate.cost`.
        tried: `(t, k + 1)` different rows that were trained.
        reached: `(t,)` worth of each by its own results, shrunk by the noise of measuring.
        deviations: `(t,)` standard deviations of that.
        curves: Smooth curves of every input over the cost; empty ones pull nothing.
        pull: Price of a squared standard deviation of distance from them, in the target's unit.
        optimism: Distance by which the expectation at an answer is too high.
        doubt: Reason for which the surrogate knows too little to choose by it; "" where it may.
    """

    surrogate: Surrogate
    tried: FloatArray
    reached: FloatArray
    deviations: FloatArray
    curves: SmoothCurves = field(default_factory=SmoothCurves)
    pull: float = 0.0
    optimism: Optimism = field(default_factory=Optimism)
    doubt: str = ""

    def scores(self, matrix: FloatArray, cautious: bool = False) -> FloatArray:
        """`(n,)` what an answer maximises, of `(n, k + 1)` rows, in the target's unit.

        Args:
            matrix: The rows.
            cautious: Whether one standard deviation less than expected counts.
        """
        mean, std = self.surrogate.outcomes(matrix)
        own, mean[own], std[own] = self.own(matrix)
        return mean - _CAUTION * cautious * std - self.pull * self.distances(matrix)

    def expected(self, matrix: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What a training of `(n, k + 1)` rows will give that were chosen because much is expected of them.

        Returns:
            `(n,)` means, and lower and upper ends of 90 % intervals (noise is inside), optimism subtracted.
        """
        surrogate, optimism = self.surrogate, self.optimism
        mean, lower, upper = surrogate.intervals_of(matrix[:, :-1], matrix[:, -1], _LEVEL)
        _, std = surrogate.outcomes(matrix)
        more = _REACH * optimism.deviation * std  # how far is not known exactly
        below, above = np.hypot(mean - lower, more), np.hypot(upper - mean, more)
        centre = mean - optimism.bias * std
        own, reached, _ = self.own(matrix)
        centre[own] = reached
        limit, kind = surrogate.mixture.warp.limit, surrogate.mixture.warp.kind
        least, most = (limit if kind == side else None for side in ("below", "above"))
        return centre, np.clip(centre - below, least, most), np.clip(centre + above, least, most)

    def in_range(self, matrix: FloatArray) -> NDArray[np.bool_]:
        """`(n,)` whether `(n, k + 1)` rows lie within the range of those that were trained."""
        return self.surrogate.in_range_of(matrix[:, :-1], matrix[:, -1])

    def own(self, matrix: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
        """Numbers of the rows that were trained, what those reached, and deviations of that."""
        own, places = places_of(matrix, self.tried)
        return own, self.reached[places], self.deviations[places]

    def distances(self, matrix: FloatArray) -> FloatArray:
        """`(n,)` mean squared distances of rows from the smooth curves, in deviations of the inputs."""
        return self.curves.distances(features_but_cost(self.surrogate.mixture, matrix), matrix[:, -1])

    def as_dict(self) -> dict[str, Any]:
        """All but the surrogate, as plain JSON types."""
        return answer_document(vars(self))

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], surrogate: Surrogate) -> AnswerModel:
        """The model of a document, and of the surrogate that is stored apart.

        Raises:
            PlannerError: If the document holds impossible values.
        """
        return cls(surrogate, **answer_fields(document, surrogate))


def answer_model(
    table: pd.DataFrame | str | Path,
    inputs: Sequence[str],
    target: str = "accuracy",
    cost: str = "macs",
    noise_variance: float | ArrayLike | str | None = None,
    seed: int = 0,
    surrogate: Surrogate | None = None,
) -> AnswerModel:
    """The model of a table of trainings.

    Args:
        table: Trainings, as `planner.fit_surrogate` takes it.
        inputs: Names of the columns that describe a network.
        target: Name of the column that is to be large.
        cost: Name of the positive cost column.
        noise_variance: Variance of the target between trainings that differ in their seed alone, where it was measured.
            The rest of what the inputs do not explain then is what sets one row apart; otherwise, and where it is zero
            for some rows alone, a quarter of it.
        seed: Random seed of the fit and the folds.
        surrogate: Surrogate that was fitted to this table before, with these columns and this noise.

    Raises:
        PlannerError: If a column is missing, a value is no number, or there are fewer than 2 rows.
    """
    frame = as_frame(table)
    if surrogate is None:
        surrogate = fit_surrogate(frame, inputs, target, cost, noise_variance, seed)
    rows = frame.iloc[used_rows(frame, int(surrogate.provenance["seed"]))]
    matrix = np.column_stack([numbers_in(rows, name) for name in (*surrogate.inputs, cost)])
    values = numbers_in(rows, target)
    believed = surrogate.reached()
    curves = smooth_curves(surrogate.mixture, matrix, believed, seed)
    error = error_of(surrogate, values)

    def score(some: FloatArray, mean: FloatArray) -> FloatArray:
        return mean - _PULL * error * curves.distances(features_but_cost(surrogate.mixture, some), some[:, -1])

    known = surrogate.mixture.seen.noise
    partly = bool(known.any() and not known.all())  # of rows that were stopped, say
    own = _own_results(surrogate, _NOISE_SHARE if noise_variance is None or partly else 0.0)
    tried, reached, deviations = _by_row(matrix, *own)
    optimism, doubt = optimism_of(surrogate, matrix, values, score, seed), doubt_of(surrogate, matrix, values)
    return AnswerModel(surrogate, tried, reached, deviations, curves, _PULL * error, optimism, doubt)


def error_of(surrogate: Surrogate, values: FloatArray) -> float:
    """RMSE of rows held out: by cross-validation, or leaving one out at all rows' hyper-parameters."""
    validated = surrogate.errors.get("rmse")
    if validated is not None:
        return validated
    mean, variance = surrogate.mixture.leave_one_out()
    left_out = surrogate.mixture.warp.moments(mean, variance)[0]
    return float(np.sqrt(np.mean((left_out - values) ** 2)))


def doubt_of(surrogate: Surrogate, matrix: FloatArray, values: FloatArray) -> str:
    """Why a surrogate knows too little to choose by it, in words; "" where it may.

    Any of: fewer than 8 different rows; a cross-validated error no smaller than the spread of the targets; one above
    twice a linear model's.
    """
    different = len(np.unique(matrix, axis=0))
    if different < FEWEST_DIFFERENT:
        return f"{different} different networks were trained; at least {FEWEST_DIFFERENT} are wanted"
    spread, error, linear = float(values.std()), error_of(surrogate, values), surrogate.errors.get("linear_rmse")
    if error >= spread:
        return f"its error on held-out trainings, {error:.3g}, is no smaller than their spread, {spread:.3g}"
    if linear is not None and error > WORSE * linear:
        return f"its error on held-out trainings, {error:.3g}, is above twice a linear model's, {linear:.3g}"
    return ""


def _own_results(surrogate: Surrogate, noise_share: float) -> tuple[FloatArray, FloatArray]:
    """`(n,)` what the rows seen are worth by their own results, and standard deviations of that."""
    mean, variance = surrogate.mixture.reached(noise_share)
    return surrogate.mixture.warp.moments(mean, surrogate.scale**2 * variance)


def _by_row(
    matrix: FloatArray, reached: FloatArray, deviations: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Different rows, with the means of what their repeats reached, and of the deviations."""
    different, codes = np.unique(matrix, axis=0, return_inverse=True)
    codes = codes.reshape(-1)
    count = np.bincount(codes)
    return different, np.bincount(codes, reached) / count, np.bincount(codes, deviations) / count


def places_of(matrix: FloatArray, tried: FloatArray) -> tuple[IntArray, IntArray]:
    """Numbers of the rows of a matrix that equal a row tried, and the number of that one."""
    keys = _keys(matrix)
    known = {key.tobytes(): place for place, key in enumerate(_keys(tried))}
    own = np.array([row for row, key in enumerate(keys.tolist()) if key in known], dtype=np.int64)
    return own, np.array([known[keys[row].tobytes()] for row in own], dtype=np.int64)


def _keys(matrix: FloatArray) -> NDArray[np.void]:
    """`(n,)` one value per row, equal where rows are."""
    rows = np.ascontiguousarray(matrix + 0.0)  # -0.0 is 0.0
    return rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
