"""`bayes`: the rows of the largest expected gain in hypervolume, or of the largest gain of answers, as a proposer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from planner.proposers.proposal import proposed_labels
from planner.proposers.protocol import PENDING, ProposalTask
from planner.tables.status import ok_rows
from planner.text.quantities import format_count

if TYPE_CHECKING:
    import pandas as pd


class ExpectedGain:
    """Chooses by what a surrogate of the target promises; see `planner.proposers.bayes` and `.answering`."""

    extrapolates = True

    def __call__(self, observed: pd.DataFrame, pool: pd.DataFrame, n: int, task: ProposalTask) -> Sequence[Any]:
        """As `Proposer`; failures teach nothing, not even where to spread rows out."""
        if "status" in observed:
            kept = ok_rows(observed) | observed["status"].isin(PENDING).to_numpy()
            observed = observed[kept].reset_index(drop=True)
        return proposed_labels(observed, pool, n, task)

    def about(self, name: str, task: ProposalTask) -> str:
        """What it chose by."""
        return f"{name}: {aim(task)}"


def aim(task: ProposalTask) -> str:
    """What proposals by expected gain are to improve, for people."""
    if not task.budgets:
        return f"largest expected gain in hypervolume per {task.per}"
    at = ", ".join(format_count(float(budget)) for budget in task.budgets)
    return f"largest expected improvement of the answers at {at} MACs per {task.per}"
