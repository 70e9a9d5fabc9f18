"""Every number of a report, in JSON's types: what the page draws, tabulates, embeds and lets people download."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.advice.recommend import recommend
from planner.advice.situation import Situation
from planner.errors import InputError, PlannerError
from planner.formulas.coefficients import EFFICIENTNET
from planner.formulas.exponents import sentences
from planner.formulas.formula import FormulaCurves
from planner.formulas.networks import network_inputs
from planner.formulas.selection import rows_of, with_stopped
from planner.front.pareto import front_mask
from planner.report.answers import answers_of, budgets_of, front_accuracy
from planner.report.curves import Band, bands_of
from planner.report.found import searches_of
from planner.report.source import ReportSource
from planner.rules import compound
from planner.surrogates.fit import held_out_predictions
from planner.surrogates.validate import LEVELS, covered
from planner.tables.chance import warning_of
from planner.tables.status import ok_rows
from sampler import base as base_named

if TYPE_CHECKING:
    import pandas as pd


MOST_ROWS = 1000  # trainings in a page; more only hide each other, and it must open at once
MOST_LOST = 100
_LISTED = (
    *("trial", "origin", "rule", "accuracy", "macs", "params", "c", "r", "d", "w", "resolution", "stem", "head"),
    *("epochs", "data_share", "seed", "seconds"),
)
_UNKNOWN = "unknown"  # origin or status, where a table does not say


def numbers_of(source: ReportSource) -> dict[str, Any]:
    """All of them; of another score than accuracy, accuracies are its merits, and `score` says which."""
    table, formula = source.table, source.formula
    answers, missing = answers_of(source)
    low, high = float(table.frame["c"].min()), float(table.frame["c"].max())
    reference = compound(table.base, table.resolution, table.classes)
    searches = searches_of(source)
    return {
        "name": source.name,
        "base": {"name": table.base, "resolution": table.resolution, "classes": table.classes, "macs": table.base_macs},
        "trainings": trainings_of(source),
        "not_shown": max(0, len(table.frame) - MOST_ROWS),
        "left_out": table.left_out,
        "formula": None if formula is None else formula_of(formula, source.origin),
        "warnings": warnings_of(source),
        "doubts": list(source.doubts),
        "why": source.why,
        "budgets": budgets_of(source),
        "answers": answers,
        "missing": missing,
        "front_accuracy": front_accuracy(formula) if formula else [],
        "ladder": [rung.as_dict() for rung in formula.ladder] if formula else [],
        "curves": _curves(bands_of(formula)) if formula else {},
        "compound_curves": _curves(bands_of(reference, formula.c_range if formula else (low, high))),
        "time": time_of(source.finished),
        "lost": lost_of(source.finished),
        "calibration": calibration_of(source),
        **({"searches": searches} if searches else {}),
        **({} if table.score.is_accuracy else {"score": table.score.as_dict()}),
        **(_standing(source.situation) if source.situation else {"status": None, "next": None}),
    }


def warnings_of(source: ReportSource) -> list[str]:
    """What a reader must know before any number: of these trainings, and of the formula's."""
    why = warning_of(source.table.frame["accuracy"], source.table.classes, source.table.score)
    return list(dict.fromkeys([*([why] if why else []), *(source.formula.warnings if source.formula else ())]))


def trainings_of(source: ReportSource) -> list[dict[str, Any]]:
    """The usable trainings, marked where on the front or selected for the fit; some by chance where there are many."""
    frame, stages = source.table.frame, len(base_named(source.table.base).stages)
    front = front_mask(frame["accuracy"], frame["macs"])
    selected = rows_of(frame, source.formula.front if source.formula else ())
    marked = front | selected
    kept = np.arange(len(frame))
    if len(frame) > MOST_ROWS:
        others = np.random.default_rng(0).permutation(np.flatnonzero(~marked))
        kept = np.sort(np.concatenate([np.flatnonzero(marked), others])[:MOST_ROWS])
    listed = []
    for row in kept.tolist():
        one = frame.iloc[row]
        training = {name: value for name in _LISTED if (value := plain(one.get(name))) is not None}
        for kind in ("width", "depth"):
            parts = [plain(one.get(f"{kind}_{i + 1}")) for i in range(stages)]
            if None not in parts:
                training[f"{kind}s"] = parts
        listed.append({"row": row, **training, "front": bool(front[row]), "selected": bool(selected[row])})
    return listed


def plain(value: Any) -> Any:
    """A cell in JSON's types; None where it is missing or not finite."""
    if value is None or str(value) == "<NA>":  # pandas' missing value compares to nothing
        return None
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int | str) else str(value)


def formula_of(formula: FormulaCurves, origin: str) -> dict[str, Any]:
    """What was fitted, and how it grows with the budget, beside EfficientNet's constants."""
    return {
        "file": origin,
        "kind": formula.kind,
        "points": len(formula.front),
        "trainings": plain(formula.provenance.get("rows")),
        "macs_range": list(formula.macs_range),
        "exponents": {
            name: {key: one.as_dict() for key, one in found.items()} for name, found in formula.exponents.items()
        },
        "growth": {name: sentences(formula, name, formula.exponents.get(name, {})) for name in formula.branches},
        "efficientnet": EFFICIENTNET.as_dict(),
        "errors": {name: value for name, one in formula.errors.items() if (value := plain(one)) is not None},
    }


def _curves(bands: dict[str, list[Band]]) -> dict[str, list[dict[str, list[float]]]]:
    """Bands in JSON's types, without the places where a budget leaves no width."""
    found = {}
    for name, parts in bands.items():
        found[name] = [_finite(band).as_dict() for band in parts if np.isfinite(band.mean).any()]
    return found


def _finite(band: Band) -> Band:
    kept = np.isfinite(band.mean) & np.isfinite(band.lower) & np.isfinite(band.upper)
    return Band(band.c[kept], band.mean[kept], band.lower[kept], band.upper[kept])


def time_of(finished: pd.DataFrame) -> list[dict[str, Any]]:
    """Seconds of trainings by what chose them and what became of them, the most first."""
    if "seconds" not in finished:
        return []
    import pandas as pd

    seconds = pd.to_numeric(finished["seconds"], errors="coerce")
    groups: dict[tuple[str, str], list[float]] = {}
    for origin, status, one in zip(_words(finished, "origin"), _words(finished, "status"), seconds, strict=True):
        groups.setdefault((origin, status), []).append(float(one))
    rows = [
        {
            "origin": origin,
            "status": status,
            "trainings": len(spent),
            "seconds": float(np.nansum(spent)),
            "untimed": int(np.isnan(spent).sum()),
        }
        for (origin, status), spent in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row["seconds"], row["origin"], row["status"]))


def lost_of(finished: pd.DataFrame) -> list[dict[str, str]]:
    """Trainings that ended without an accuracy, with what they said; the last ones where there are many."""
    if "status" not in finished:
        return []
    rows = finished[~ok_rows(finished)].tail(MOST_LOST)
    columns = [_words(rows, name, "") for name in ("trial", "status", "message")]
    return [dict(zip(("trial", "status", "message"), row, strict=True)) for row in zip(*columns, strict=True)]


def _words(frame: pd.DataFrame, column: str, default: str = _UNKNOWN) -> Sequence[str]:
    values: Iterable[Any] = frame[column] if column in frame else [None] * len(frame)
    return [default if (found := plain(value)) is None else str(found) for value in values]


def calibration_of(source: ReportSource) -> dict[str, Any] | None:
    """Measured accuracies beside those expected by a surrogate that had not seen them; None without a surrogate."""
    if source.surrogate is None:
        return None

    taught = with_stopped(source.table)
    inputs, _ = network_inputs(taught)
    try:
        used, found = held_out_predictions(source.surrogate, inputs.assign(accuracy=taught.frame["accuracy"]))
    except PlannerError:  # a formula's own surrogate, of columns that this version would not choose
        return None
    used, found = used[: len(source.table.frame)], found.first(len(source.table.frame))  # those that were measured
    measured, inside = source.table.frame["accuracy"].to_numpy(dtype=np.float64)[used], covered(found, 0.9)
    shown = range(0, len(used), math.ceil(len(used) / MOST_ROWS))
    rows = [
        {
            "row": int(used[i]),
            "measured": float(measured[i]),
            "expected": float(found.mean[i]),
            "inside_90": None if inside is None else bool(inside[i]),
        }
        for i in shown
    ]
    shares = {str(round(100 * level)): covered(found, level) for level in LEVELS}
    coverage = {level: None if one is None else float(one.mean()) for level, one in shares.items()}
    error = float(np.sqrt(np.mean((found.mean - measured) ** 2)))
    return {"rows": rows, "coverage": coverage, "rmse": error, "errors": dict(source.surrogate.errors)}


def _standing(situation: Situation) -> dict[str, Any]:
    """Where a study stands and what `planner next` advises."""
    try:
        advice: dict[str, Any] | None = recommend(situation).as_dict()
    except InputError as error:
        advice = {"what": "no advice", "why": str(error), "command": "", "hours": None}
    return {"status": situation.as_dict(), "next": advice}
