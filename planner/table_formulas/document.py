"""The file of a table's formula, schema `planner-curves/1`: JSON, no code, no NaN, keys sorted.

A curve gives a dimension at a cost: x = log(cost / middle), and the dimension is exp(offset + slope x + variance sum_i
alpha_i exp(-(x - inputs_i)^2 / (2 length_scale^2))). The best row of a cost is the last of `ladder` that it pays for.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
from annotated_types import Gt, Len, MaxLen, MinLen
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on alone

from planner.errors import PlannerError
from planner.formulas.codec import canonical, signed
from planner.formulas.curve_files import curve_in
from planner.formulas.document import FORMULA_SCHEMA, CurveDocument
from planner.table_formulas.prediction import KnownRow, TableRung
from planner.table_formulas.record import TableCurves
from planner.text.documents import CURVES_SCHEMA, Format, read_as

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_T = TypeVar("_T", bound=TableCurves)
_CLOSED = {"strict": True, "extra": "forbid"}
MOST_DIMENSIONS, MOST_KEPT_ROWS = 50, 4_000
_VECTORS, _DIGITS, _TOLERANCE = 10, 12, 1e-9

_Above = Annotated[float, Gt(0)]
_Name = Annotated[str, MinLen(1)]
_Digest = Annotated[str, Len(64, 64)]


class RowDocument(TypedDict):
    """A row: values in the order of `dims`."""

    values: Annotated[list[_Above], MinLen(1)]
    cost: _Above
    score: float | None
    """null where it was not trained."""
    cost_upper: _Above | None
    """Upper end of the 90 % interval of an estimated cost; null where it was measured."""


class TableRungDocument(TypedDict):
    """An answer: what is expected of it, between the ends of its 90 % interval."""

    row: RowDocument
    mean: float
    lower: float
    upper: float


class CostVectorDocument(TypedDict):
    """A cost, and what it gives."""

    cost: _Above
    curve: list[_Above]
    """On the curves, in the order of `dims`."""
    answer: list[_Above] | None
    """Of the ladder; null where it has none."""


class ScoreColumnDocument(TypedDict):
    """The column of scores."""

    name: _Name
    lower: bool
    """Whether smaller is better."""


class CurvesDocument(TypedDict):
    """Cost -> the named dimensions, learned from one table."""

    schema: Literal["planner-curves/1"]
    sha256: _Digest
    """As in `planner-formula/1`."""
    dims: Annotated[list[_Name], MinLen(1), MaxLen(MOST_DIMENSIONS)]
    score: ScoreColumnDocument
    cost: _Name
    cost_range: Annotated[list[_Above], Len(2, 2)]
    """Of the rows that were fitted, in the table's own unit."""
    middle: _Above
    """What costs are divided by in the curves."""
    curves: Annotated[dict[str, CurveDocument], MinLen(1)]
    """Of each dimension that varies."""
    constants: dict[str, _Above]
    """Of each that does not."""
    grid: dict[str, Annotated[list[_Above], MinLen(1)]]
    """The values of each dimension, where every one has few; or empty."""
    rows: Annotated[list[RowDocument], MinLen(1), MaxLen(MOST_KEPT_ROWS)]
    ladder: Annotated[list[TableRungDocument], MaxLen(MOST_KEPT_ROWS)]
    doubt: str
    """Why the ladder is empty."""
    where: dict[str, str]
    errors: dict[str, float]
    provenance: Annotated[dict[str, Any], MinLen(1)]
    vectors: Annotated[list[CostVectorDocument], Len(1, 100)]


@cache
def curves_model() -> TypeAdapter[CurvesDocument | None]:
    """The checker of documents; None is one as well, for pydantic refuses to configure a `TypedDict` from here."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(CurvesDocument | None, config=ConfigDict(**_CLOSED))  # type: ignore[typeddict-item]


def curves_text(formula: TableCurves) -> str:
    """The text of a file, with its test vectors and its digest.

    Raises:
        ValueError: If it holds a number that is not finite.
    """
    document = {
        "schema": CURVES_SCHEMA,
        "dims": list(formula.dims),
        "score": {"name": formula.score, "lower": formula.lower},
        "cost": formula.cost,
        "cost_range": list(formula.cost_range),
        "middle": formula.middle,
        "curves": {name: curve.as_dict() for name, curve in formula.curves.items()},
        "constants": formula.constants,
        "grid": formula.grid,
        "rows": [_row_out(row) for row in formula.rows],
        "ladder": [
            {"row": _row_out(one.row), "mean": one.mean, "lower": one.lower, "upper": one.upper}
            for one in formula.ladder
        ],
        "doubt": formula.doubt,
        "where": formula.where,
        "errors": formula.errors,
        "provenance": formula.provenance,
        "vectors": [_vector(formula, float(cost)) for cost in np.geomspace(*formula.cost_range, _VECTORS)],
    }
    return canonical(signed(document))


def read_curves_file(path: Path, kind: type[_T]) -> _T:
    """Reads a file as a class of table formulas.

    Raises:
        PlannerError: If it is missing, too large, not of the schema, changed since it was written, or from a version
            that answers otherwise.
    """
    form = Format(
        CURVES_SCHEMA,
        "table's formula",
        "write it again with `planner fit TABLE --dims .. --out`",
        lambda document: _checked(document, kind),
        others={FORMULA_SCHEMA: "it is a base network's formula: ask it by --flops (planner.load_formula in Python)"},
    )
    return form.load(path, "give a formula written by `planner fit TABLE --dims .. --out`")


def _checked(document: dict[str, Any], kind: type[_T]) -> _T:
    """The formula of a document: its shape, its digest, its meaning and its answers are checked, in this order."""
    read_as(curves_model(), document)
    if signed(document)["sha256"] != document["sha256"]:
        raise PlannerError("it was changed after it was written (its sha256 is another)")
    dims = document["dims"]
    if len(set(dims)) < len(dims) or {*document["curves"], *document["constants"]} != set(dims):
        raise PlannerError(f"curves and constants are not those of dims, {', '.join(dims)}")
    low, high = document["cost_range"]
    if not low < high:
        raise PlannerError(f"cost_range is {low:g} to {high:g}; rising numbers are wanted")
    rows = tuple(_row_in(one, f"rows[{i}]", len(dims)) for i, one in enumerate(document["rows"]))
    ladder = tuple(_rung_in(one, f"ladder[{i}]", len(dims)) for i, one in enumerate(document["ladder"]))
    _check_rising("rows", rows)
    _check_rising("ladder", [one.row for one in ladder])
    formula = kind(
        dims=tuple(dims),
        score=document["score"]["name"],
        lower=document["score"]["lower"],
        cost=document["cost"],
        cost_range=(low, high),
        middle=document["middle"],
        curves={name: curve_in(one, f"the curve of {name}") for name, one in document["curves"].items()},
        constants=document["constants"],
        grid=document["grid"],
        rows=rows,
        ladder=ladder,
        doubt=document["doubt"],
        where=document["where"],
        errors=document["errors"],
        provenance=document["provenance"],
    )
    _check_vectors(formula, document["vectors"])
    return formula


def _vector(formula: TableCurves, cost: float) -> dict[str, Any]:
    rung = formula.rung(cost)
    curve = [float(f"{value:.{_DIGITS}g}") for value in formula.on_curves(cost).values()]
    return {"cost": cost, "curve": curve, "answer": None if rung is None else list(rung.row.values)}


def _check_vectors(formula: TableCurves, vectors: list[dict[str, Any]]) -> None:
    """Refuses a file that answers otherwise here than where it was written."""
    for vector in vectors:
        ours = _vector(formula, vector["cost"])
        near = len(ours["curve"]) == len(vector["curve"]) and all(
            math.isclose(one, other, rel_tol=_TOLERANCE)
            for one, other in zip(ours["curve"], vector["curve"], strict=True)
        )
        if not near or ours["answer"] != vector["answer"]:
            raise PlannerError(f"a cost of {vector['cost']:g} gives other dimensions than its test vector says")


def _row_out(row: KnownRow) -> dict[str, Any]:
    return {"values": list(row.values), "cost": row.cost, "score": row.score, "cost_upper": row.cost_upper}


def _row_in(document: dict[str, Any], place: str, dims: int) -> KnownRow:
    if len(document["values"]) != dims:
        raise PlannerError(f"{place} has {len(document['values'])} values; one for each of {dims} dims is wanted")
    return KnownRow(tuple(document["values"]), document["cost"], document["score"], document["cost_upper"])


def _rung_in(document: dict[str, Any], place: str, dims: int) -> TableRung:
    if not document["lower"] <= document["mean"] <= document["upper"]:
        raise PlannerError(f"{place}.mean is {document['mean']:g}, outside its own interval")
    return TableRung(
        _row_in(document["row"], f"{place}.row", dims), document["mean"], document["lower"], document["upper"]
    )


def _check_rising(name: str, rows: Any) -> None:
    for place, (one, other) in enumerate(pairwise(rows), start=1):
        if other.within < one.within:
            raise PlannerError(f"{name}[{place}] costs {other.within:g} after {one.within:g}; rising costs are wanted")
