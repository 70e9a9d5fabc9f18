"""The fitted surrogate: means, intervals and deviations of networks that were not trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import PlannerError
from planner.gaussian.mixture import Mixture
from planner.gaussian.outside import Outside, sensitivity
from planner.surrogates.calibration import deviation_scale, factor
from planner.surrogates.pools import columns_in
from planner.surrogates.record import surrogate_document, surrogate_fields
from planner.surrogates.rows import as_frame, check_words, numbers_in
from planner.text.deferred import pd
from planner.text.documents import shown
from planner.text.markup import Card, CardTable, drawn
from sampler.architecture import FloatArray
from sampler.checks import is_number

LINEAR_ERRORS = "linear_"  # before the errors of the model that it is compared with
UNMEASURED = 0.3  # how much of what inputs do not explain is noise of measuring, where nobody measured that


@dataclass(frozen=True, eq=False)
class Surrogate:
    """What a target is expected to be at rows that were not measured.

    Attributes:
        inputs: Names of the columns that it reads.
        target: Name of the column that it predicts.
        cost: Name of the cost column that it reads as well, or None.
        mixture: The members and their weights.
        residuals: Sorted absolute residuals of held-out rows, in predicted standard deviations.
        errors: `rmse` (in the target's unit), `kendall`, `kendall_top20` (among the best fifth), `coverage_50`, `_80`
            and `_90` (share of rows inside intervals of that level), each of rows held out in cross-validation, whose
            intervals were calibrated on other folds; and the same of a ridge linear model, with `linear_` in front.
            None where too few rows differ.
        provenance: Numbers of rows and folds, the seed, versions.
        outside: Widening of the intervals beyond the rows seen.
    """

    inputs: tuple[str, ...]
    target: str
    cost: str | None
    mixture: Mixture
    residuals: FloatArray
    errors: dict[str, float | None]
    provenance: dict[str, Any]
    outside: Outside = field(default_factory=Outside)
    # Where the cost was found, not asked for: fits the same without it, for tables that lack it.
    refit_without_cost: Callable[[], Surrogate] | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        read = ", ".join((*self.inputs, *([self.cost] if self.cost else [])))
        rmse = self.errors.get("rmse")
        error = "" if rmse is None else f", RMSE {rmse:.3g} on rows held out"
        return f"Surrogate({self.target} from {read}: {self.provenance.get('rows', '?')} rows{error})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return drawn(self.card())

    def card(self) -> Card:
        """What it reads, and its errors on rows held out beside a linear model's."""
        facts = {
            "predicts": self.target,
            "from": ", ".join((*self.inputs, *([self.cost] if self.cost else []))),
            "fitted on": f"{self.provenance['rows']} rows" if "rows" in self.provenance else None,
        }
        errors = {name: value for name, value in self.errors.items() if not name.startswith(LINEAR_ERRORS)}
        rows = [[name, _three(value), _three(self.errors.get(LINEAR_ERRORS + name))] for name, value in errors.items()]
        return Card("Surrogate", facts, [CardTable("On rows held out", ("", "surrogate", "linear model"), rows)])

    def predict(self, table: pd.DataFrame | str | Path, level: float = 0.9) -> pd.DataFrame:
        """Expected values and intervals.

        Args:
            table: A frame (or the path of a CSV file) with the columns of `inputs`, and of `cost` where there is one.
            level: Share of networks, in (0, 1), whose measured value lies inside its interval.

        Returns:
            A frame with the table's index and the columns `mean`, `lower` and `upper` (noise is inside the interval),
            and `in_range`: whether every input, and the cost, lies within the range of the rows seen. Where it does
            not, the interval is wider, by what leaving out the largest or the smallest of those rows has cost.

        Raises:
            PlannerError: If a column is missing, a value is no number, or the level is impossible.
        """
        import pandas as pd

        frame = as_frame(table)
        model = self._for(frame)
        matrix = model._matrix(frame)
        columns: dict[str, Any] = dict(zip(("mean", "lower", "upper"), model._intervals(matrix, level), strict=True))
        return pd.DataFrame(columns | {"in_range": model._inside(matrix)}, index=frame.index)

    def in_range_of(self, inputs: ArrayLike, cost: ArrayLike | None = None) -> NDArray[np.bool_]:
        """`(n,)` whether rows lie within the range of the rows seen, column by column; of arrays as `posterior_of`.

        Raises:
            PlannerError: If shapes are wrong or a value is not finite.
        """
        return self._inside(self._columns(inputs, cost))

    def intervals_of(
        self, inputs: ArrayLike, cost: ArrayLike | None = None, level: float = 0.9
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """As `predict`, of arrays as `posterior_of` takes them: `(n,)` means, lower and upper ends.

        Raises:
            PlannerError: If shapes are wrong, a value is not finite, or the level is impossible.
        """
        return self._intervals(self._columns(inputs, cost), level)

    def _intervals(self, matrix: FloatArray, level: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        if not is_number(level) or not 0 < level < 1:
            raise PlannerError(f"level is {shown(level)}; a share between 0 and 1 is wanted, as 0.9")
        w, variance = self._warped(matrix)
        warp, noise = self.mixture.warp, self.mixture.noise
        reach = factor(self.residuals, level) * np.sqrt(variance + noise)
        mean = warp.moments(w, self.scale**2 * (variance + noise))[0]
        # A skew mean may lie outside a short interval.
        lower, upper = np.minimum(warp.back(w - reach), mean), np.maximum(warp.back(w + reach), mean)
        out = np.flatnonzero(~self._inside(matrix))
        if len(out):
            more = self._doubt(matrix[out], w[out], level)
            lower[out] = mean[out] - np.hypot(mean[out] - lower[out], more)
            upper[out] = mean[out] + np.hypot(upper[out] - mean[out], more)
        return mean, lower, upper

    def _inside(self, matrix: FloatArray) -> NDArray[np.bool_]:
        above, below = self._distances(matrix)
        inside: NDArray[np.bool_] = np.maximum(above, below) == 0
        return inside

    def _distances(self, matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.outside.distances(matrix, self.mixture.features, self.mixture.seen.x)

    def _doubt(self, matrix: FloatArray, w: FloatArray, level: float) -> FloatArray:
        """`(n,)` what is added to each side of the intervals of rows outside, in the target's unit, in quadrature."""
        seen = self.mixture.seen.x
        nearest = np.clip(self.mixture.features.of(matrix), seen.min(axis=0), seen.max(axis=0))
        change = sensitivity(self.mixture.warp, self.mixture.at(nearest)[0], w)
        return self.outside.reach(*self._distances(matrix), level) * change

    def posterior(self, table: pd.DataFrame | str | Path) -> tuple[FloatArray, FloatArray]:
        """`(n,)` expected values and `(n,)` calibrated standard deviations without the observations' noise.

        They are what searches rank by; outside the rows seen the intervals of `predict` are wider than they say.

        Raises:
            PlannerError: If a column is missing or a value is no number.
        """
        frame = as_frame(table)
        model = self._for(frame)
        return model._moments(model._matrix(frame))

    def posterior_of(self, inputs: ArrayLike, cost: ArrayLike | None = None) -> tuple[FloatArray, FloatArray]:
        """As `posterior`, of arrays; needs numpy alone.

        Args:
            inputs: `(n, k)` numbers, the columns in the order of `inputs`.
            cost: `(n,)` costs, where the surrogate has a cost column.

        Raises:
            PlannerError: If shapes are wrong or a value is not finite.
        """
        return self._moments(self._columns(inputs, cost))

    def ceiling_of(self, inputs: ArrayLike, cost: ArrayLike | None = None) -> FloatArray:
        """`(n,)` numbers that the expected values of `posterior_of` do not exceed, in half its time or less.

        They need no variances. They are the expected values themselves where the target was not warped; towards a
        limit above, a variance only lowers those; from a limit below it raises them, and nothing is saved.

        Raises:
            PlannerError: For the reasons of `posterior_of`.
        """
        matrix, warp = self._columns(inputs, cost), self.mixture.warp
        if warp.kind == "below":
            return self._moments(matrix)[0]
        w, least = self.mixture.means(self.mixture.features.of(matrix))
        return warp.moments(w, self.scale**2 * (least + self.mixture.noise))[0]

    def noise_std(self, table: pd.DataFrame | str | Path) -> FloatArray:
        """`(n,)` standard deviation between trainings of one network, at each row, in the target's unit.

        Raises:
            PlannerError: If a column is missing or a value is no number.
        """
        frame = as_frame(table)
        model = self._for(frame)
        w, _ = model._warped(model._matrix(frame))
        warp = model.mixture.warp
        deviation: FloatArray = model.scale * np.sqrt(model.mixture.noise) / warp.slope(warp.back(w))
        return deviation

    def conditioned(self, table: pd.DataFrame | str | Path, noise_variance: float = 0.0) -> Surrogate:
        """The same hyper-parameters, weights and calibration, given more rows.

        Args:
            table: The columns of `inputs`, of `cost` where there is one, and of `target`.
            noise_variance: Known variance of these targets, on top of the noise that was learned.

        Raises:
            PlannerError: If a column is missing, a value is no number, or a target is beyond the limit that the fit
                has found for all targets.
        """
        frame = as_frame(table)
        model = self._for(frame)
        return model.believing(model._matrix(frame), numbers_in(frame, model.target), noise_variance)

    def believing(self, matrix: FloatArray, target: FloatArray, noise_variance: float = 0.0) -> Surrogate:
        """As `conditioned`, of `(n, k)` columns in the order of `inputs`, then the cost, and `(n,)` targets."""
        mixture, warp = self.mixture, self.mixture.warp
        beyond = (target >= warp.limit) if warp.kind == "above" else (target <= warp.limit) & (warp.kind == "below")
        if beyond.any():
            raise PlannerError(
                f"{self.target} of row {np.flatnonzero(beyond)[0] + 1} is {target[beyond][0]:g}, beyond the limit "
                f"{warp.limit:g} of this fit; fit the surrogate again with that row"
            )
        noise = noise_variance * warp.slope(target) ** 2
        more = mixture.conditioned(mixture.features.of(matrix), warp.forward(target), noise)
        return replace(self, mixture=more, refit_without_cost=None)

    def outcomes(
        self, matrix: FloatArray, noise_share: float = 1.0, rough: bool = False
    ) -> tuple[FloatArray, FloatArray]:
        """`(n,)` means and deviations of what `(n, k)` columns, taken as `believing` does, would turn out to be truly.

        Args:
            matrix: Rows that were not measured.
            noise_share: Share as in `reached`: 1 gives `posterior`.
            rough: Whether in single precision: for ranking a million rows, of which the best are looked at again.
        """
        return self._moments(matrix, np.float32 if rough else np.float64, 1 - noise_share)

    def reached(self, noise_share: float = 1.0) -> FloatArray:
        """`(n,)` expected true values of the rows that it has seen.

        Args:
            noise_share: Share of the variation that the inputs do not explain which is noise of measuring. The rest
                sets a row truly apart: with 0, and no noise known, what was measured is what is true.
        """
        mean, variance = self.mixture.reached(noise_share)
        return self.mixture.warp.moments(mean, self.scale**2 * variance)[0]

    def worth(self) -> FloatArray:
        """`(n,)` what each row that it has seen is worth: between what was measured and what is expected of it.

        Where the noise of measuring is known of every row, it is what is taken off. Else `UNMEASURED` of the variation
        that the inputs do not explain counts as noise: on tables whose truth is known the best row within a budget is
        found so as well as by measurements or by means, whichever are better there (tests/benchmarks/test_worth.py).
        """
        return self.reached(0.0 if self.mixture.seen.noise.all() else UNMEASURED)

    @cached_property
    def scale(self) -> float:
        """What calibration multiplies standard deviations by."""
        return deviation_scale(self.residuals)

    @cached_property
    def without_cost(self) -> Surrogate:
        """The same without its cost column, fitted when first asked for.

        Raises:
            PlannerError: If the cost was asked for, or this surrogate was read from a record.
        """
        if self.refit_without_cost is None:
            raise PlannerError(f"no column {self.cost}; the surrogate was fitted with that cost, so add the column")
        return self.refit_without_cost()

    def as_dict(self) -> dict[str, Any]:
        """The surrogate as plain JSON types: all that predicting needs."""
        return surrogate_document(vars(self))

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Surrogate:
        """The surrogate of a record.

        Raises:
            PlannerError: If the record is not of the schema, or holds impossible values.
        """
        return cls(**surrogate_fields(document))

    def _for(self, frame: pd.DataFrame) -> Surrogate:
        names = {str(column) for column in frame.columns}
        return self if self.cost is None or self.cost in names else self.without_cost

    def _matrix(self, frame: pd.DataFrame) -> FloatArray:
        names = self.mixture.features.names
        check_words(frame, names)
        return np.column_stack([numbers_in(frame, name) for name in names])

    def _columns(self, inputs: ArrayLike, cost: ArrayLike | None) -> FloatArray:
        return columns_in(inputs, cost, self.inputs, self.cost)

    def _warped(self, matrix: FloatArray, precision: type = np.float64) -> tuple[FloatArray, FloatArray]:
        return self.mixture.at(self.mixture.features.of(matrix).astype(precision, copy=False))

    def _moments(
        self, matrix: FloatArray, precision: type = np.float64, distinct: float = 0.0
    ) -> tuple[FloatArray, FloatArray]:
        w, variance = self._warped(matrix, precision)
        warp, squared = self.mixture.warp, self.scale**2
        mean, _ = warp.moments(w, squared * (variance + self.mixture.noise))
        return mean, warp.moments(w, squared * (variance + distinct * self.mixture.noise))[1]


def _three(value: float | None) -> str | None:
    """A number to three digits; None where there is none."""
    return None if value is None else f"{value:.3g}"
