"""Rows of a table that are repeated trainings of one network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.tables.column_types import column_type

if TYPE_CHECKING:
    import pandas as pd

# Columns that, with the integers of the architectures, say what was trained and how.
_TASK = ("base", "base_resolution", "classes", "epochs", "data_share", "proxy_resolution")


def averaged_repeats(frame: pd.DataFrame) -> tuple[pd.DataFrame, float | None]:
    """Trainings that differ in nothing but their seed, as one row each with their mean accuracy.

    Args:
        frame: Rows with the columns of `planner.tables.table`; repeats are known by a column `seed`.

    Returns:
        The rows, in their order, with a column `repeats`, and the pooled variance of accuracy between seeds (None
        without repeats).
    """
    columns = set(map(str, frame))
    integers = {"resolution", "width_1", "depth_1"} <= columns
    known = (*_TASK, *(() if integers else ("rule", "r", "d", "w", "macs")))
    same = [str(column) for column in frame if column in known or _is_integer(str(column))]
    if "seed" not in frame or not (integers or {"r", "d"} <= columns or {"resolution", "d"} <= columns):
        return frame, None
    groups = frame.groupby(same, dropna=False, sort=False)["accuracy"]
    repeats = groups.transform("size")
    variance = None
    if (repeats > 1).any():
        freedom = len(frame) - groups.ngroups
        variance = float(((frame["accuracy"] - groups.transform("mean")) ** 2).sum() / freedom)
    together = frame.assign(accuracy=groups.transform("mean"), repeats=repeats)
    return together.drop_duplicates(same), variance


def _is_integer(column: str) -> bool:
    """Whether a column holds integers of architectures."""
    kind = column_type(column)
    return kind is not None and kind.of_network
