"""The front of a study or table, and what is selected of it for a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.formulas.formula import FormulaCurves
from planner.formulas.selection import OBSERVED, rows_of, select
from planner.front import pareto
from planner.tables.chance import warning_of
from planner.tables.table import Table, TrainingRows
from planner.text.deferred import pd

SHOWN_COLUMNS = ("trial", "resolution", "r", "d", "w", "macs", "accuracy", "front", "selected")


@dataclass(frozen=True, eq=False)
class FrontSelection:
    """The trainings of a table that nothing dominates, and those that a fit selects.

    Attributes:
        table: The trainings.
        rows: Those on the front or selected, by rising MACs, with the columns `front` and `selected` that say which.
        by: Numbers by which they were selected.
    """

    table: TrainingRows
    rows: pd.DataFrame
    by: str

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types, with the rank correlations of r, d and w with MACs on those selected."""
        names = [name for name in SHOWN_COLUMNS if name in self.rows]
        shown = self.rows[names]
        whole = [name for name in names if name == "macs" and (shown[name] % 1 == 0).all()]  # models had them as floats
        shown = shown.astype(dict.fromkeys(whole, "int64"))
        rows = [{name: _finite(value) for name, value in row.items()} for row in shown.to_dict("records")]
        selected = self.rows[self.rows["selected"]]
        multipliers = [name for name in ("r", "d", "w") if name in selected]
        correlation = {name: pareto.spearman(selected[name], selected["macs"]) for name in multipliers}
        why, table, score = None, self.table, self.table.score
        if isinstance(table, Table):
            why = warning_of(table.frame["accuracy"], table.classes, score)
        document = {
            "base": self.table.base or None,
            "rows": len(self.table.frame),
            "left_out": self.table.left_out,
            "front": [row for row in rows if row["front"]],
            "selected": [row for row in rows if row["selected"]],
            "selected_by": self.by,
            "spearman": {name: _finite(value) for name, value in correlation.items()},
            "warnings": [] if why is None else [why],
        }
        told: dict[str, Any] = score.outward(document | ({} if score.is_accuracy else {"score": score.as_dict()}))
        return told


def select_front(
    table: TrainingRows, share: float | None = None, formula: FormulaCurves | None = None
) -> FrontSelection:
    """The trainings on the front, or selected for a fit.

    Args:
        table: The trainings; of those without a base network, which have no r and d, what was observed selects.
        share: Share that NSGA-III keeps; by default as the formula, or as fits do.
        formula: Formula of the study: where it was fitted to these trainings, what it selected counts.
    """
    frame = table.frame
    selected, by = _selected(table, share, formula)
    marked = frame.assign(front=pareto.front_mask(frame["accuracy"], frame["macs"]), selected=selected)
    rows = marked[marked["front"] | marked["selected"]].sort_values(["macs", "accuracy"], kind="stable")
    return FrontSelection(table, rows, by)


def _selected(table: TrainingRows, share: float | None, formula: FormulaCurves | None) -> tuple[NDArray[np.bool_], str]:
    """Which rows a fit selects, and by what."""
    frame, kept = table.frame, pareto.FRONT_SHARE if share is None else share
    if formula is not None and share is None and formula.provenance.get("table_sha256") == table.sha256:
        by = (formula.provenance.get("selection") or {}).get("by", "its fit")
        return rows_of(frame, formula.front), str(by)
    if isinstance(table, Table):
        selection = select(table, kept, 0)
        rows, by = selection.rows, selection.by
    else:
        rows, by = pareto.nsga3_rows(frame["accuracy"], frame["macs"], kept), OBSERVED
    return np.isin(np.arange(len(frame)), rows), by


def _finite(value: Any) -> Any:
    """A cell in JSON's types: None where it is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
