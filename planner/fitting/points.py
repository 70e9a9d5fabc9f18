"""The points of a formula: trainings, in JSON's types, as its file and its readers have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from planner.front import pareto
from planner.tables.table import Table
from planner.text.deferred import pd
from sampler.families.registry import known_bases
from sampler.knobs import knobs_among
from sampler.moves import stage_columns

_MOST_LISTED = 500  # points of the front that a formula's file holds
_POINT = ("c", "r", "d", "w", "accuracy", "expected")  # of a training, besides its integers


def listed_front(table: Table) -> pd.DataFrame:
    """The rows that no other dominates by what was observed, by rising MACs; evenly thinned where there are many."""
    frame = table.frame
    rows = frame[pareto.front_mask(frame["accuracy"], frame["macs"])].sort_values("macs", kind="stable")
    if len(rows) <= _MOST_LISTED:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, _MOST_LISTED).round().astype(int)]


def training_points(rows: pd.DataFrame) -> tuple[dict[str, Any], ...]:
    """Trainings, in JSON's types."""
    return tuple(training_point(row) for _, row in rows.iterrows())


def training_point(row: pd.Series) -> dict[str, Any]:
    """One training, in JSON's types, with the integers of its network where they are known."""
    point: dict[str, Any] = {name: float(row[name]) for name in _POINT if _known(row, [name])}
    point |= {name: int(row[name]) for name in ("macs", "resolution", "stem", "head") if _known(row, [name])}
    for kind in ("width", "depth"):
        names = [str(name) for name in row.index if re.fullmatch(rf"{kind}_\d+", str(name))]
        if names and _known(row, names):
            point[f"{kind}s"] = [int(row[name]) for name in names]
    if knobs := _knobs(row):
        point["knobs"] = knobs
    trial = row.get("trial")
    if trial is not None and trial == trial:  # a missing one is None or NaN
        point["trial"] = trial if isinstance(trial, str) else int(trial)
    return point


def _knobs(row: pd.Series) -> dict[str, list[int]]:
    """The knobs that a row says of its network."""
    known = known_bases().get(str(row.get("base")))
    sizes = {} if known is None else knobs_among(known, row.index)
    names = {name: stage_columns(name, size) for name, size in sizes.items()}
    return {name: [int(row[one]) for one in columns] for name, columns in names.items() if _known(row, columns)}


def _known(row: pd.Series, names: Sequence[str]) -> bool:
    """Whether a row holds finite numbers in some columns."""
    return all(name in row and pd.notna(row[name]) and np.isfinite(row[name]) for name in names)
