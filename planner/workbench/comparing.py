"""A study's methods at the same budgets, measured alike."""

from __future__ import annotations

from collections.abc import Sequence

from planner.compare.background import of_study
from planner.compare.contenders import contenders
from planner.compare.measuring import Trained
from planner.compare.rows import Row, rows_of_contenders, write_rows
from planner.study.ledger import Ledger


def comparison(
    ledger: Ledger, measure: Trained, budgets: Sequence[float], methods: Sequence[str] | None = None
) -> list[Row]:
    """Trains the network of every method for each budget, and writes `comparison.csv` in the study's folder.

    Args:
        ledger: The study's ledger.
        measure: Trains networks on it.
        budgets: MACs.
        methods: Names of methods; all that have an answer by default.

    Raises:
        PlannerError: If a method is unknown or lacks something, or trainings remain.
    """
    background = of_study(ledger, measure.epochs)
    found, _ = contenders(background, budgets, methods)
    scores = measure([one.architecture for one in found if one.architecture])
    rows = rows_of_contenders(found, scores, measure, background.base, background.classes)
    write_rows(ledger.folder / "comparison.csv", rows, own=True)
    return rows
