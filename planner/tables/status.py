"""What became of trainings: the one place that asks whether they came to their end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planner.tables.cells import words

if TYPE_CHECKING:
    import pandas as pd

OK = "ok"  # the status of a training that has a score and went through all its epochs
# What trackers write of such a one: W&B and MLflow, Optuna, Slurm, and people.
FINISHED = frozenset((OK, "finished", "complete", "completed", "done", "success", "succeeded"))


def is_ok(facts: Mapping[Any, Any]) -> bool:
    """Whether a training of a study ended well, by its facts or its row of a table."""
    return bool(facts.get("status") == OK)


def ok_rows(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Which trainings ended well, by a column `status`; all where there is none.

    Args:
        frame: `n` trainings, of a study or from outside.

    Returns:
        `(n,)` booleans; False where the status is missing.
    """
    if "status" not in frame:
        return np.ones(len(frame), dtype=bool)
    return np.array([isinstance(word, str) and word.lower() in FINISHED for word in words(frame["status"])], dtype=bool)
