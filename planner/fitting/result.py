"""The formula of a study, fitted and written, and what there is to say of the fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.answers.formula import Formula
from planner.fitting.fit import fit
from planner.fitting.words import fit_words, training_name
from planner.formulas.codec import dumps
from planner.formulas.coefficients import EFFICIENTNET, coefficients_of
from planner.formulas.formula import FormulaCurves
from planner.front.pareto import FRONT_SHARE, distinct_budgets
from planner.study.reader import Records
from planner.text.documents import write_own


@dataclass(frozen=True, eq=False)
class FitResult:
    """A formula that was fitted and written to a file.

    Attributes:
        formula: The formula.
        path: File of the formula.
    """

    formula: Formula
    path: Path

    @property
    def words(self) -> list[str]:
        """What is said of it, a line each."""
        return [*fit_words(self.formula), f"formula: {self.path}"]

    def as_dict(self) -> dict[str, Any]:
        """Everything that a fit found, in JSON's types."""
        formula, facts = self.formula, self.formula.provenance
        constants = {name: coefficients_of(formula, name) for name in formula.branches}
        exponents = formula.exponents.items()
        return {
            "formula": str(self.path),
            "base": formula.base,
            "kind": formula.kind,
            "points": len(formula.front),
            "distinct_budgets": distinct_budgets([point["macs"] for point in formula.front]),
            "non_dominated": len(formula.non_dominated),
            "not_fitted": [training_name(point) for point in formula.unfitted],
            "warnings": list(formula.warnings),
            "rows": facts["rows"],
            "macs_range": list(formula.macs_range),
            "slopes": {side: {name: law.value for name, law in laws.items()} for side, laws in exponents},
            "exponents": {side: {name: law.as_dict() for name, law in laws.items()} for side, laws in exponents},
            "coefficients": {side: factors.as_dict() for side, factors in constants.items() if factors is not None},
            "efficientnet": EFFICIENTNET.as_dict(),
            "leave_one_out_rmse": formula.errors,
            "selection": facts.get("selection"),
            "curves": facts.get("curves"),
            "distilled": facts.get("distilled"),
            "prior": facts.get("prior"),
            "compound": facts.get("compound"),
            **({} if formula.score.is_accuracy else {"score": formula.score.as_dict()}),
        }


def fit_study(
    study: Records,
    kind: str = "loglinear",
    share: float = FRONT_SHARE,
    seed: int = 0,
    raw: bool = False,
    prior: FormulaCurves | str | Path | None = None,
) -> FitResult:
    """Fits the formula of a study's trainings, and writes `formula.json` in its folder.

    Args:
        study: Ledger of the study.
        kind: Kind of formula, as of `planner.fit`, like all that follow.
        share: Share of the trainings that NSGA-III keeps.
        seed: Random seed of ties and restarts.
        raw: Whether accuracies as observed select.
        prior: An earlier formula to start from.

    Raises:
        PlannerError: As `planner.fit`; or if the file cannot be written.
    """
    formula = fit(study.table(), kind, share, seed, raw=raw, prior=prior)
    path = study.folder / "formula.json"
    write_own(path, dumps(formula))
    return FitResult(formula, path)
