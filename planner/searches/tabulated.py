"""A scorer that looks accuracies up: any search on networks that somebody has trained already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import PlannerError
from planner.searches.scoring import Candidate
from planner.tables.table import Table, as_table
from sampler import base as base_named
from sampler.architecture import stack
from sampler.moves import column_names

if TYPE_CHECKING:
    import pandas as pd

_ENDS = ("stem", "head")  # columns that a table may lack


class TableScorer:
    """Accuracies of a table's rows that have a candidate's very integers.

    Rows that differ in their seed alone are averaged. A table without a column for the stem or the head is taken to
    hold networks whose stem and head are the candidates'. Parents play no part.

    Args:
        frame: Trainings, as `planner.tables.table` describes them: a frame, a table, or the path of a CSV file.
        base: The base network's name.

    Raises:
        PlannerError: If a column of integers is missing, the table is of another base network, or one network stands
            in it with several fidelities.
    """

    def __init__(self, frame: pd.DataFrame | Table | str | Path, base: str) -> None:
        table = as_table(frame, base)
        if table.base != base:
            raise PlannerError(f"the table holds networks of {table.base}, not of {base}; give the other as the base")
        names = column_names(len(base_named(base).stages))
        missing = [name for name in names if name not in table.frame and name not in _ENDS]
        if missing:
            raise PlannerError(f"the table has no column {', '.join(missing)}; a search needs every network's integers")
        self.columns = [column for column, name in enumerate(names) if name in table.frame]
        wanted = [names[column] for column in self.columns]
        frame = table.frame.dropna(subset=wanted)  # rows that say multipliers only are of no known network
        rows = frame[wanted].astype(int).itertuples(index=False, name=None)
        self.known: dict[tuple[int, ...], float] = {}
        for row, accuracy in zip(rows, frame["accuracy"], strict=True):
            if row in self.known:
                network = ", ".join(f"{names[k]} {value}" for k, value in zip(self.columns, row, strict=True))
                raise PlannerError(
                    f"the table holds {network} more than once; keep one number of epochs, share of data and classes, "
                    "and give repeated trainings a column seed"
                )
            self.known[row] = float(accuracy)

    def __call__(self, candidates: Sequence[Candidate]) -> list[float | None]:
        """Accuracy of each in [0, 1]; None where the table has no such network."""
        if not candidates:
            return []
        rows = stack([candidate.architecture for candidate in candidates]).integers()[:, self.columns]
        return [self.known.get(tuple(row)) for row in rows.tolist()]
