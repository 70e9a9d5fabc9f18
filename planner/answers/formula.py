"""The formula that users hold: the curves, and beside them its file, and the best answer to a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self, overload

from numpy.typing import NDArray

from planner.allocation.allocate import allocate
from planner.answers.answer import Answer
from planner.answers.predict import answer_for
from planner.answers.question import AnswerSpace, check_answer_space
from planner.formulas.codec import dumps, read_formula_file
from planner.formulas.exponents import sentences
from planner.formulas.formula import FormulaCurves, several
from planner.formulas.prediction import Prediction
from planner.text.documents import path_of, write_out
from planner.text.markup import Card, drawn, points_table
from planner.text.quantities import budget_of, format_count
from sampler import Limit


class Formula(FormulaCurves):
    """What a study learned for one base network: budget -> architecture.

    `predict` gives what its curves say, `answer` the best network by all that it knows; its attributes are those of
    `planner.formulas.record.FormulaRecord`.

    Example:
        >>> from planner.formulas.codec import read_formula
        >>> from planner.text.shipped import shipped_formula
        >>> formula = read_formula(shipped_formula("efficientnet_b0"), Formula)
        >>> formula
        Formula(efficientnet_b0 at 224 px, 1000 classes: loglinear, 24.36M to 37.75G MACs, 13 points)
        >>> formula.predict(macs=200e6)
        Prediction(200M MACs: efficientnet_b0 at 180 px, depths 1 2 2 3 3 4 1, widths 16 24 32 64 88 152 256)
    """

    @classmethod
    def of(cls, curves: FormulaCurves) -> Self:
        """Curves that something else made (a published rule, say) as a formula with all that users do with one."""
        return cls(**{field.name: getattr(curves, field.name) for field in fields(curves)})

    @overload
    def predict(self, macs: float | str, extrapolate: bool = False, space: AnswerSpace = "uniform") -> Prediction: ...

    @overload
    def predict(
        self,
        macs: list[Any] | tuple[Any, ...] | NDArray[Any],
        extrapolate: bool = False,
        space: AnswerSpace = "uniform",
    ) -> list[Prediction]: ...

    def predict(
        self,
        macs: float | str | list[Any] | tuple[Any, ...] | NDArray[Any],
        extrapolate: bool = False,
        space: AnswerSpace = "uniform",
    ) -> Prediction | list[Prediction]:
        """The architecture for a budget, by the curves.

        r and d come from the curves; the width is solved on the exact count, so that the result is within 1 %
        of the budget.

        Args:
            macs: The budget, in multiply-accumulates of one image: a number, or a text such as `"200M"`; or several,
                which give a list.
            extrapolate: Whether to answer outside the range that the fit saw.
            space: `"uniform"` for one d and one w; `"stage"` for the preferred answer of `planner.allocate`, which
                also says why.

        Raises:
            PlannerError: If the budget is outside the range and `extrapolate` is not set, or is no positive number.
            InputError: If nothing buildable comes within 1 % of it.
        """
        check_answer_space(space)
        if space == "uniform":
            return super().predict(macs, extrapolate)
        values = several(macs)
        if isinstance(values, list):
            return [self._allocated(budget, extrapolate) for budget in values]
        return self._allocated(values, extrapolate)

    def _allocated(self, macs: float | str, extrapolate: bool) -> Prediction:
        return allocate(self, budget_of(macs), extrapolate=extrapolate).best.prediction

    @overload
    def answer(
        self,
        macs: float | str | None,
        limits: Sequence[Limit] = (),
        cautious: bool = False,
        extrapolate: bool = False,
        space: AnswerSpace = "uniform",
    ) -> Answer: ...

    @overload
    def answer(
        self,
        macs: list[Any] | tuple[Any, ...] | NDArray[Any],
        limits: Sequence[Limit] = (),
        cautious: bool = False,
        extrapolate: bool = False,
        space: AnswerSpace = "uniform",
    ) -> list[Answer]: ...

    def answer(
        self,
        macs: float | str | list[Any] | tuple[Any, ...] | NDArray[Any] | None,
        limits: Sequence[Limit] = (),
        cautious: bool = False,
        extrapolate: bool = False,
        space: AnswerSpace = "uniform",
    ) -> Answer | list[Answer]:
        """The best buildable network within a budget, by all that the trainings taught: what `planner predict` prints.

        Where too little was taught the curves answer, as `predict` does; the answer says so.

        Args:
            macs: The budget, as in `predict`; None where the limits alone decide.
            limits: Further costs that must not be passed.
            cautious: Whether networks are compared by the lower bounds of their accuracies instead of the means.
            extrapolate: Whether the curves answer outside the range that the fit saw.
            space: `"stage"` also for networks whose stages are scaled apart.

        Raises:
            PlannerError: As `predict`; or if no network keeps to the budget and the limits.
        """
        values = several(macs)
        if isinstance(values, list):
            return [answer_for(self, budget, limits, cautious, extrapolate, space=space)[0] for budget in values]
        return answer_for(self, values, limits, cautious, extrapolate, space=space)[0]

    def save(self, path: str | Path) -> None:
        """Writes the formula file, schema `planner-formula/1`.

        Raises:
            PlannerError: If the file cannot be written.
        """
        target = path_of(path)
        write_out(target if target.name else target.absolute(), dumps(self))  # "." has no name

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a formula file.

        Raises:
            PlannerError: If the file is missing, not of the schema, or holds impossible values.
        """
        return read_formula_file(path_of(path), cls)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return drawn(self.card())

    def card(self) -> Card:
        """What it covers, how its answers grow with the budget, and what it was fitted to."""
        low, high = (format_count(macs) for macs in self.macs_range)
        facts: dict[str, str | None] = {
            "base network": f"{self.base} at {self.resolution} px, {self.classes} classes",
            "budgets": f"{low} to {high} MACs",
            "kind": self.kind,
        }
        for name in self.branches:
            facts[f"to {name}"] = "; ".join(sentences(self, name, self.exponents.get(name, {})))
        curve = "of the front, by its curve" if self.accuracy else None
        facts[self.score.name] = "of each architecture, by a surrogate" if self.surrogate else curve
        facts |= {f"warning {i}" if i > 1 else "warning": warning for i, warning in enumerate(self.warnings, 1)}
        fronts = {"Selected for the fit": self.front, "Front": self.non_dominated}
        return Card(
            "Formula",
            facts,
            tuple(points_table(name, _multipliers(front), self.score) for name, front in fronts.items()),
        )


def _multipliers(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Points of a formula without their pixels: r says them."""
    return [{name: value for name, value in point.items() if name != "resolution"} for point in points]
