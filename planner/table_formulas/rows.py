"""The rows of a table of anybody's trainings: named dimensions, a score and a cost, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.surrogates.rows import numbers_in
from planner.table_formulas.document import MOST_DIMENSIONS
from planner.tables.cells import cell_refusal, source_of, words
from planner.tables.frames import check_columns, frame_of
from planner.tables.status import ok_rows
from planner.tables.table import frame_sha256
from planner.text.deferred import pd
from planner.text.documents import no_column, shown
from sampler.architecture import FloatArray

# Rows of equal dimensions whose costs differ by more are different networks, not one that was measured twice.
ALIKE_COST = 1.25
_MOST_TOLD = 10


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table that mean something.

    Attributes:
        dims: Names of the dimensions.
        score: Name of the scores.
        cost: Name of the costs.
        lower: Whether smaller scores are better.
        where: Words that choose rows, by column.
    """

    dims: tuple[str, ...]
    score: str
    cost: str
    lower: bool
    where: dict[str, str]

    @classmethod
    def of(cls, dims: Any, score: Any, cost: Any, lower: Any, where: Any) -> TableColumns:
        """The columns that a caller names.

        Raises:
            PlannerError: If names are missing, come twice, or are no texts.
        """
        listed = isinstance(dims, Iterable) and not isinstance(dims, str)
        names = list(dims) if listed else []
        if not 0 < len(names) <= MOST_DIMENSIONS or not all(isinstance(name, str) and name for name in names):
            raise PlannerError(
                f"dims is {shown(dims)}; names of 1 to {MOST_DIMENSIONS} columns are wanted, as depth,width"
            )
        for what, name in (("score", score), ("cost", cost)):
            if not isinstance(name, str) or not name:
                raise PlannerError(f"{what} is {shown(name)}; the name of a column is wanted")
        every = [*names, score, cost]
        if twice := [name for name in every if every.count(name) > 1]:
            raise PlannerError(f"{twice[0]} is named twice among dims, score and cost; each is a column of its own")
        if not isinstance(lower, bool):
            raise PlannerError(f"lower is {shown(lower)}; True or False is wanted")
        if where is not None and not isinstance(where, Mapping):
            raise PlannerError(f"where is {shown(where)}; a value for each column is wanted, as {{'family': 'yolo5'}}")
        chosen = {str(name): str(value) for name, value in (where or {}).items()}
        return cls(tuple(names), score, cost, lower, chosen)


@dataclass(frozen=True, eq=False)
class TableRows:
    """Different rows of a table.

    Attributes:
        values: `(n, k)` values of the dimensions, positive.
        cost: `(n,)` costs, positive; of repeated rows the mean.
        score: `(n,)` scores, large ones better (negated where smaller are); of repeated rows the mean; empty of rows
            that were not trained.
        noise_variance: `(n,)` variances of the scores between repeats, over the number of repeats; None without any.
        sha256: Digest of the table.
        remarks: Sentences on how it was read, where that is not plain.
    """

    values: FloatArray
    cost: FloatArray
    score: FloatArray
    noise_variance: FloatArray | None
    sha256: str
    remarks: tuple[str, ...] = ()


def read_rows(table: pd.DataFrame | str | Path, columns: TableColumns, trained: bool = True) -> TableRows:
    """The rows of a table.

    Args:
        table: A frame, or the path of a file that `planner.tables.frames` reads.
        columns: Columns that mean something; where there is a column `status`, only finished rows count.
        trained: Whether scores are wanted, and every column of `where` must be there.

    Raises:
        PlannerError: If a column is missing, a cell is no positive number (a score: no finite one), no row is left,
            or rows of equal dimensions have costs that are far apart.
    """
    frame = frame_of(table, "training" if trained else "network", "trainings" if trained else "networks")
    source = source_of(frame)
    check_columns(frame.columns, source.name)
    wanted = [*columns.dims, columns.cost, *([columns.score] if trained else [])]
    if missing := [name for name in wanted if name not in frame]:
        raise PlannerError(f"{source.name}: {no_column(missing, frame.columns)}")
    sha256 = source.sha256 or frame_sha256(frame)
    if source.lines is None:
        frame = frame.reset_index(drop=True)
    rows, remarks = _chosen(frame, columns.where, source.name, trained)
    values = np.column_stack([_positive(rows, name) for name in columns.dims])
    cost = _positive(rows, columns.cost)
    score = _numbers_of(rows, columns.score) * (-1 if columns.lower else 1) if trained else np.empty(0)
    return _different(values, cost, score, rows, columns, sha256, remarks)


def _numbers_of(frame: pd.DataFrame, name: str) -> FloatArray:
    """`(n,)` finite numbers of a column, with the table's name in errors."""
    try:
        return numbers_in(frame, name)
    except PlannerError as error:
        raise PlannerError(f"{source_of(frame).name}: {error}") from error


def _positive(frame: pd.DataFrame, name: str) -> FloatArray:
    values = _numbers_of(frame, name)
    wrong = np.flatnonzero(values <= 0)
    if len(wrong):
        wanted = "a positive number is wanted, for curves are of logarithms"
        raise cell_refusal(source_of(frame), frame[name], int(wrong[0]), wanted)
    return values


def _chosen(frame: pd.DataFrame, where: Mapping[str, str], name: str, strict: bool) -> tuple[pd.DataFrame, list[str]]:
    """The finished rows that hold certain words, and what is said of the others."""
    remarks: list[str] = []
    for column, wanted in where.items():
        if column not in frame:
            if strict:
                raise PlannerError(f"{name}: {no_column([column], frame.columns)}")
            continue
        said = words(frame[column])
        kept = np.array([_same(one, wanted) for one in said], dtype=bool)
        if not kept.any():
            known = [str(one) for one in dict.fromkeys(said.dropna())]
            more = f" and {len(known) - _MOST_TOLD} more" if len(known) > _MOST_TOLD else ""
            raise PlannerError(
                f"{name}: no row has {column}={wanted}; {column} is {', '.join(known[:_MOST_TOLD]) or 'empty'}{more}"
            )
        frame = frame[kept]
    done = ok_rows(frame)
    if not done.all():
        remarks.append(f"not used: {int((~done).sum())} rows whose status is not ok")
        frame = frame[done]
    if frame.empty:
        raise PlannerError(f"{name}: no rows to fit; give one per training, with status ok where there is a status")
    return frame, remarks


def _same(word: Any, wanted: str) -> bool:
    """Whether a cell holds a word, or a number equal to it."""
    if word is None or word == wanted:
        return word is not None
    try:
        return float(word) == float(wanted)
    except ValueError:
        return False


def _different(
    values: FloatArray,
    cost: FloatArray,
    score: FloatArray,
    rows: pd.DataFrame,
    columns: TableColumns,
    sha256: str,
    remarks: Sequence[str],
) -> TableRows:
    """Rows of equal dimensions as one, with mean cost and score."""
    different, first, codes = np.unique(values, axis=0, return_index=True, return_inverse=True)
    codes, count = codes.reshape(-1), np.bincount(codes.reshape(-1))
    least, most = np.full(len(different), np.inf), np.zeros(len(different))
    np.minimum.at(least, codes, cost)
    np.maximum.at(most, codes, cost)
    apart = np.flatnonzero(most > ALIKE_COST * least)
    if len(apart):
        own, source = np.flatnonzero(codes == apart[0]), source_of(rows)
        places = [source.place(int(rows.index[row])) for row in (own[np.argmin(cost[own])], own[np.argmax(cost[own])])]
        raise PlannerError(
            f"{source.name}: {' and '.join(places)} have the same {', '.join(columns.dims)} but a {columns.cost} of "
            f"{cost[own].min():g} and {cost[own].max():g}; name what tells them apart among --dims, or choose rows by "
            "--where COLUMN=VALUE"
        )
    means = np.bincount(codes, cost) / count
    if not len(score):
        return TableRows(different, means, score, None, sha256, tuple(remarks))
    reached, noise = np.bincount(codes, score) / count, None
    if len(score) > len(different):
        variance = float(((score - reached[codes]) ** 2).sum() / (len(score) - len(different)))
        noise = variance / count
        remarks = [*remarks, f"{len(score)} rows of {len(different)} different ones: repeats are averaged"]
    return TableRows(different, means, reached, noise, sha256, tuple(remarks))
