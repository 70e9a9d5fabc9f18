"""A table as an audit needs it: the request checked, cells as numbers, one target per architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from planner.errors import PlannerError
from planner.scores.ranks import FEWEST_RANKED
from planner.tables.cells import TableSource, numbers, shares, words
from planner.tables.column_types import ANY, ColumnType, column_type
from planner.tables.status import ok_rows
from planner.text.documents import no_column

if TYPE_CHECKING:
    import pandas as pd


def check_request(
    frame: pd.DataFrame,
    columns: Sequence[str],
    target: str | None,
    repeats: Sequence[str],
    group: str | None,
    name: str,
) -> None:
    """Refuses what cannot be asked of a table; `name` is what messages call it.

    Raises:
        PlannerError: If a column is missing or the target or its repeats are ambiguous.
    """
    if not columns:
        raise PlannerError(f"{name}: no proxy given, and no column macs or params to compare with; name a proxy")
    if target is None and not repeats:
        raise PlannerError("no target given; name the column that the proxy should predict (--target)")
    if repeats and (group or len(set(repeats)) < 2):
        raise PlannerError("repeats are two or more columns, or rows of one group, not both; leave one out")
    if target in columns:
        raise PlannerError(f"{target} is the target and a proxy of itself; name another proxy")
    wanted = [*columns, *repeats, *(column for column in (target, group) if column)]
    missing = [column for column in wanted if column not in frame]
    if missing:
        raise PlannerError(f"{name}: {no_column(missing[:1], frame.columns)}")


def finite_numbers(
    frame: pd.DataFrame, columns: Sequence[str], group: str | None, source: TableSource
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The columns as numbers in the rows that have them all, and how many rows have not, by reason.

    Raises:
        PlannerError: If a cell is neither a finite number nor missing.
    """
    import pandas as pd

    left_out: dict[str, int] = {}
    frame = frame.reset_index(drop=True)
    if "status" in frame:
        done = ok_rows(frame)
        others = words(frame["status"])[~done].fillna("missing").value_counts().sort_index()
        left_out = {f"status {status}": int(n) for status, n in others.items()}
        frame = frame[done]
    found = pd.DataFrame(index=frame.index)
    for column in dict.fromkeys(columns):
        units = (column_type(column) or ANY).units
        found[column] = numbers(frame[column], source, ColumnType(units=units, said="a finite number or nothing"))
        if column == "accuracy" and found[column].between(0, 100).all():
            shares(frame[column], source)  # refuses some in percent among others that are not
    if group:
        found["_group"] = frame[group]
    for column in map(str, found):
        lacking = found[column].isna()
        if lacking.any():
            left_out[f"no {group if column == '_group' else column}"] = int(lacking.sum())
        found = found[~lacking]
    return found, left_out


def targets_of(
    numbers: pd.DataFrame, target: str | None, label: str, repeats: Sequence[str], group: str | None, name: str
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """One row per architecture; with `variance` of one training, its `freedom` and `trainings` behind a target.

    Args:
        numbers: Numbers of all columns; with `_group`, the group's labels, where there is a group.
        target: The column, if one was named.
        label: Name of the target in the answer.
        repeats: Columns with repeated trainings.
        group: The column that tells which rows are repeats.
        name: Name of the table in messages.

    Raises:
        PlannerError: If no row is a repeat of another, or the target is none of its repeats nor their mean.
    """
    import pandas as pd

    if group:
        groups = numbers.groupby("_group")
        size = groups.size()
        if not (size > 1).any():
            raise PlannerError(f"{name}: no two rows are equal in {group}; leave --group out, or name another column")
        spread = pd.DataFrame({"variance": groups[label].var().fillna(0.0), "freedom": size - 1, "trainings": size})
        return groups.mean(), spread
    if not repeats:
        return numbers, None
    runs = numbers[list(repeats)]
    mean = runs.mean(axis=1)
    # Means are often stored rounded.
    if target and target not in repeats and not np.allclose(numbers[target], mean, rtol=1e-4):
        raise PlannerError(
            f"{name}: {target} is neither one of {', '.join(repeats)} nor their mean; leave --target out"
        )
    numbers = numbers if target else numbers.assign(**{label: mean})
    trainings = 1 if target in repeats else runs.shape[1]
    spread = pd.DataFrame({"variance": runs.var(axis=1), "freedom": runs.shape[1] - 1, "trainings": trainings})
    return numbers, spread


def signs_of(columns: Sequence[str], smaller: Sequence[str]) -> dict[str, float]:
    """-1 where smaller is better.

    Raises:
        PlannerError: If one of `smaller` is not among the columns.
    """
    unknown = [column for column in smaller if column not in columns]
    if unknown:
        raise PlannerError(f"smaller is better in {unknown[0]!r}, which is neither proxy nor target; leave it out")
    return {column: -1.0 if column in smaller else 1.0 for column in columns}


def check_rows(numbers: pd.DataFrame, label: str, left_out: Mapping[str, int], name: str) -> None:
    """Refuses what leaves nothing to rank.

    Raises:
        PlannerError: If fewer than `FEWEST_RANKED` rows are left, or the target is constant.
    """
    if len(numbers) < FEWEST_RANKED:
        reasons = "".join(f", {n} left out ({reason})" for reason, n in left_out.items())
        raise PlannerError(f"{name}: {len(numbers)} rows to compare{reasons}; at least {FEWEST_RANKED} are wanted")
    if numbers[label].nunique() == 1:
        raise PlannerError(f"{name}: {label} is {numbers[label].iloc[0]:g} in every row; there is nothing to rank")
