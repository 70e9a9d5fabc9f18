"""What is said of a table's formula: how it was fitted, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.formulas.exponents import slope_of
from planner.table_formulas.prediction import KnownRow, TablePrediction
from planner.table_formulas.record import TableCurves


def table_fit_words(formula: TableCurves) -> list[str]:
    """Everything that is said of a fit, a line each, its summary first."""
    low, high = formula.cost_range
    known = formula.provenance
    chosen = "".join(f", {column} {value}" for column, value in formula.where.items())
    better = "small" if formula.lower else "large"
    lines = [
        f"fitted {', '.join(formula.dims)} to {known.get('rows', '?')} rows{chosen}: {formula.cost} {low:.4g} to "
        f"{high:.4g}, {formula.score} to be {better}",
        *(f"  {remark}" for remark in known.get("remarks", ())),
        *(f"  {name} is {value:g} in every row: kept as a constant" for name, value in formula.constants.items()),
        f"  {_growth(formula)}",
        *_curve_errors(formula),
        f"  {_surrogate(formula)}",
    ]
    return [*lines, *_grid(formula)]


def _growth(formula: TableCurves) -> str:
    """What twice the cost does."""
    c_range = (formula.cost_range[0] / formula.middle, formula.cost_range[1] / formula.middle)
    found = {name: slope_of(curve, c_range) for name, curve in formula.curves.items()}
    parts = [
        f"{name} x{one.doubling:.2f} ({2**one.lower:.2f} to {2**one.upper:.2f})"
        for name, one in found.items()
        if one is not None
    ]
    return f"for twice the {formula.cost}, on average over the range: {', '.join(parts)}"


def _curve_errors(formula: TableCurves) -> list[str]:
    known = {name: formula.errors.get(f"curve_{name}") for name in formula.curves}
    errors = [f"{name} {error:.0%}" for name, error in known.items() if error is not None]
    return [f"  leave-one-out error of the curves: {', '.join(errors)}"] if errors else []


def _surrogate(formula: TableCurves) -> str:
    """Whether a surrogate chooses the answers, and how good it is."""
    if formula.doubt:
        return f"the curves answer, not the best row: {formula.doubt}"
    error = formula.errors.get("score_rmse")
    known = "" if error is None else f"; error on rows held out {error:.3g}"
    return f"answers are the best of {formula.candidates} rows by the expected {formula.score}{known}"


def _grid(formula: TableCurves) -> list[str]:
    if not formula.grid:
        return []
    sizes = " x ".join(f"{len(values)} {name}" for name, values in formula.grid.items())
    guessed = formula.provenance.get("estimated", 0)
    error = formula.errors.get("cost_rmse")
    known = f" to {error:.1%} on rows held out" if guessed and error is not None else ""
    estimated = f"; the {formula.cost} of {guessed} untrained ones is estimated{known}" if guessed else ""
    return [f"  grid: {sizes}{estimated}"]


def table_answer_words(formula: TableCurves, answer: TablePrediction) -> list[str]:
    """Everything that is said of one answer, a line each."""
    low, high = formula.cost_range
    span = f"{low:.4g} to {high:.4g}"
    lines = [f"{formula.cost} {answer.budget:g} ({formula.provenance.get('rows', 'the')} rows, {span})"]
    if not answer.in_range:
        lines.append("OUTSIDE that range: an extrapolation")
    lines.append(f"answer: {_values(answer.dims)}")
    if answer.row is not None:
        lines.append(f"  {_known(formula, answer.row)}{_expected(formula, answer)}")
    lines.append(f"why: {answer.reason}")
    beside = [f"  curves alone: {_values(answer.curve)}"]
    for what, row in (("nearest row to them", answer.nearest), ("best trained row", answer.best)):
        if row is not None:
            values = _values(dict(zip(formula.dims, row.values, strict=True)))
            beside.append(f"  {what}: {values}, {_known(formula, row)}")
    return [*lines, "beside it:", *beside]


def _values(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _known(formula: TableCurves, row: KnownRow) -> str:
    """The cost and the score of a row."""
    upper = row.cost_upper
    cost = f"{row.cost:.4g}" if upper is None else f"about {row.cost:.4g} (estimated; {upper:.4g} at most, 90 %)"
    score = "not trained" if row.score is None else f"{formula.score} {row.score:.4g} measured"
    return f"{formula.cost} {cost}, {score}"


def _expected(formula: TableCurves, answer: TablePrediction) -> str:
    found: dict[str, Any] | None = answer.expected
    if found is None:
        return ""
    span = f"{found['lower']:.4g} to {found['upper']:.4g}, {found['level']:.0%}"
    return f", {found['mean']:.4g} expected ({span})"
