"""A study's methods at the same budgets, measured alike."""

from __future__ import annotations

from collections.abc import Sequence

from planner.compare.background import study_background
from planner.compare.comparison import compare_in
from planner.compare.measuring import Trained
from planner.compare.rows import Row
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
    background, file = study_background(ledger, measure.epochs), ledger.folder / "comparison.csv"
    return list(compare_in(background, measure, budgets, methods, file).rows)
