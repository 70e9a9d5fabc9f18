"""The formula file, both ways: JSON of schema `planner-formula/1`. No pickle, no code, no NaN."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from planner.documents import number, parse, read_text
from planner.errors import PlannerError
from planner.formulas.curve import Curve
from planner.formulas.formula import Branch, Direction, Formula
from planner.formulas.stages import stages_in, stages_out
from sampler import RULES, base, base_names

SCHEMA = "planner-formula/1"
COUNTING = "macs: multiply-accumulates of convolutions and linear layers; no bias, norm, activation or pooling"
LARGEST_FILE = 16_000_000
LARGEST_POINTS = 1_000
KINDS = ("loglinear", "tinynet", "compound")
DIRECTIONS: tuple[Direction, ...] = ("shrink", "enlarge")
ARRAYS = ("inputs", "alpha", "precision")


def dumps(formula: Formula) -> str:
    """The text of a formula file: sorted keys, so that a diff is readable."""
    document = {
        "schema": SCHEMA,
        "counting": COUNTING,
        "base": {"name": formula.base, "network": asdict(formula.network), "macs": formula.base_macs},
        "classes": formula.classes,
        "kind": formula.kind,
        "branches": {name: _branch_out(branch) for name, branch in formula.branches.items()},
        "accuracy": None if formula.accuracy is None else _curve_out(formula.accuracy),
        "front": list(formula.front),
        "errors": formula.errors,
        "provenance": formula.provenance,
        "surrogate": None if formula.surrogate is None else formula.surrogate.as_dict(),
    }
    return json.dumps(document, allow_nan=False, sort_keys=True, indent=1) + "\n"


def load(path: Path) -> Formula:
    """Reads a formula file.

    Raises:
        PlannerError: If it is missing, too large, not of the schema, or holds impossible values.
    """
    text = read_text(
        path, LARGEST_FILE, "no formula; give a `planner fit` file", "give a formula written by `planner fit --out`"
    )
    return loads(text, str(path))


def loads(text: str, name: str = "formula") -> Formula:
    """The formula of a text; `name` is what errors call it.

    Raises:
        PlannerError: If the text is not of the schema, or holds impossible values.
    """
    try:
        document = parse(text)
    except (ValueError, RecursionError) as error:
        raise PlannerError(f"{name}: not a formula file ({error}); write it again with `planner fit --out`") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise PlannerError(f"{name}: schema {found!r} is unknown, {SCHEMA!r} is read; fit the formula again")
    try:
        return _formula_in(document)
    except PlannerError as error:
        raise PlannerError(f"{name}: {error}; write it again with `planner fit --out`") from error
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        what = f"{type(error).__name__}: {error}"
        raise PlannerError(f"{name}: damaged formula ({what}); write it again with `planner fit --out`") from error


def _formula_in(document: dict[str, Any]) -> Formula:
    name = document["base"]["name"]
    if name not in base_names():
        raise PlannerError(f"base network {name!r} is unknown to this version")
    network = document["base"]["network"]
    if document["kind"] not in KINDS:
        raise PlannerError(f"kind {document['kind']!r} is unknown; known: {', '.join(KINDS)}")
    if not document["branches"] or set(document["branches"]) - set(DIRECTIONS):
        raise PlannerError(f"branches are {sorted(document['branches'])}; shrink, enlarge or both are wanted")
    stages = len(base(name).stages)
    formula = Formula(
        base=name,
        resolution=_integer(network["resolution"], "resolution"),
        classes=_integer(document["classes"], "classes"),
        base_macs=_integer(document["base"]["macs"], "macs"),
        kind=document["kind"],
        branches={d: _branch_in(document["branches"][d], d, stages) for d in DIRECTIONS if d in document["branches"]},
        accuracy=None if document["accuracy"] is None else _curve_in(document["accuracy"], "accuracy"),
        front=tuple(dict(point) for point in document["front"]),
        errors={key: number(value, key) for key, value in document["errors"].items()},
        provenance=dict(document["provenance"]),
        surrogate=_surrogate_in(document.get("surrogate")),
    )
    if not _agrees(network, json.loads(json.dumps(asdict(formula.network)))):
        raise PlannerError(f"its table of {name} is not this version's ({base(name).name})")
    macs = formula.at().base_macs
    if formula.base_macs != macs:
        raise PlannerError(f"macs of {name} is {formula.base_macs}; this version counts {macs}")
    return formula


def _agrees(theirs: Any, ours: Any) -> bool:
    """Whether a file's table says nothing else than ours; ours may say more, as later versions do."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return all(key in ours and _agrees(value, ours[key]) for key, value in theirs.items())
    if isinstance(theirs, list) and isinstance(ours, list):
        return len(theirs) == len(ours) and all(map(_agrees, theirs, ours))
    return bool(theirs == ours)


def _branch_out(branch: Branch) -> dict[str, Any]:
    document: dict[str, Any] = {
        "rule": asdict(RULES[branch.rule]),
        "c_range": list(branch.c_range),
        "r": _curve_out(branch.r),
        "d": _curve_out(branch.d),
    }
    if branch.stages is not None:
        document["stages"] = stages_out(branch.stages, _curve_out)
    return document


def _branch_in(document: dict[str, Any], name: str, stages: int) -> Branch:
    rule = document["rule"]
    if rule["name"] not in RULES or asdict(RULES[rule["name"]]) != rule:
        raise PlannerError(f"scaling rule {rule['name']!r} of {name} is not this version's")
    low, high = (number(value, f"c_range of {name}") for value in document["c_range"])
    if not 0 < low <= high:
        raise PlannerError(f"c_range of {name} is {low:g} to {high:g}; rising positive numbers are wanted")
    return Branch(
        rule["name"],
        (low, high),
        _curve_in(document["r"], f"r of {name}"),
        _curve_in(document["d"], f"d of {name}"),
        None if document.get("stages") is None else stages_in(document["stages"], stages, name, _curve_in),
    )


def _curve_out(curve: Curve) -> dict[str, Any]:
    document = {one.name: getattr(curve, one.name) for one in fields(Curve)}
    document["kernel"] = "rbf"
    for name in ARRAYS:
        document[name] = document[name].tolist()
    return document


def _curve_in(document: dict[str, Any], name: str) -> Curve:
    if document["kernel"] != "rbf":
        raise PlannerError(f"kernel {document['kernel']!r} of {name} is unknown; known: rbf")
    for scale in ("input_scale", "output_scale"):
        if document[scale] not in ("identity", "log"):
            raise PlannerError(f"{scale} {document[scale]!r} of {name} is unknown; known: identity, log")
    m = len(document["inputs"])
    if m > LARGEST_POINTS:
        raise PlannerError(f"{name} holds {m} points, more than {LARGEST_POINTS}")
    arrays: dict[str, Any] = {key: np.array(document[key], dtype=np.float64) for key in ARRAYS}
    if not m:
        arrays["precision"] = np.empty((0, 0))
    shapes = {key: array.shape for key, array in arrays.items()}
    if shapes != {"inputs": (m,), "alpha": (m,), "precision": (m, m)}:
        raise PlannerError(f"{name} holds arrays of shapes {shapes}; (m,), (m,) and (m, m) are wanted")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise PlannerError(f"{name} holds numbers that are missing or not finite")
    numbers: dict[str, Any] = {
        key: number(document[key], f"{key} of {name}")
        for key in ("offset", "slope", "slope_variance", "variance", "length_scale", "noise_variance")
    }
    if numbers["length_scale"] <= 0 or min(numbers[key] for key in numbers if key.endswith("variance")) < 0:
        raise PlannerError(f"{name} holds a negative variance or length scale")
    return Curve(document["input_scale"], document["output_scale"], **numbers, **arrays)


def _surrogate_in(document: Any) -> Any:
    """The surrogate of a document, which older formulas do not have."""
    if document is None:
        return None
    if not isinstance(document, dict):
        raise PlannerError(f"surrogate is {document!r}; a record of one, or null, is wanted")
    return import_module("planner.surrogates.surrogate").Surrogate.from_dict(document)


def _integer(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PlannerError(f"{name} is {value!r}; a positive whole number is wanted")
    return value
