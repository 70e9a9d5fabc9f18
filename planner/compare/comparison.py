"""A comparison as a whole: every method's network for every budget, measured alike, and what may be said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.compare.background import Background
from planner.compare.contenders import contenders
from planner.compare.measuring import Measure
from planner.compare.rows import Row, rows_of_contenders, write_rows
from planner.compare.summary import caveats, summaries, warnings


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a comparison gave.

    Attributes:
        rows: Trainings, by budget, then by method; a method without a network for a budget says why in its row.
        left_out: Reasons of the methods that were not asked for and have no answer, by name.
        file: File that the rows were written to; None for none.
    """

    rows: Sequence[Row]
    left_out: dict[str, str] = field(default_factory=dict)
    file: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """Everything in JSON's types but the file."""
        rows = self.rows
        budgets = [
            {"budget": budget, "methods": [one.as_dict() for one in found]} for budget, found in summaries(rows).items()
        ]
        facts = {name: getattr(rows[0], name) for name in ("base", "classes", "scored_on", "epochs")}
        said = {} if rows[0].score.is_accuracy else {"score": rows[0].score.as_dict()}
        return (
            facts
            | said
            | {
                "budgets": budgets,
                "left_out": self.left_out,
                "caveats": caveats(rows),
                "warnings": warnings(rows),
                "rows": [row.as_dict() for row in rows],
            }
        )


def compare_in(
    background: Background,
    measure: Measure,
    budgets: Sequence[float],
    methods: Sequence[str] | None = None,
    out: Path | None = None,
    own: bool = True,
) -> Comparison:
    """Measures the network that every method gives for each budget.

    Args:
        background: Knowledge that the methods may use: `study_background(ledger, measure.epochs)`, or a table's.
        measure: Gives the accuracies: `Trained` on a study's ledger, or `LookedUp` in a table.
        budgets: MACs.
        methods: Names of methods; all that have an answer by default.
        out: File for the rows, such as `comparison.csv` in the study's folder; None for none.
        own: Whether that file is the study's own, which a program that stops half-way must not damage.

    Raises:
        PlannerError: If a method is unknown or lacks something, or trainings remain.
    """
    found, left_out = contenders(background, budgets, methods)
    scores = measure([one.architecture for one in found if one.architecture])
    rows = rows_of_contenders(found, scores, measure, background.base, background.classes, background.score)
    if out:
        write_rows(out, rows, own=own)
    return Comparison(rows, left_out, out)
