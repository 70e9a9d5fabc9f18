"""The formula file, both ways: JSON, no pickle, no code, no NaN. What it holds says `planner.formulas.document`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from planner.errors import PlannerError
from planner.formulas.branch import Branch, Direction
from planner.formulas.curve_files import curve_in, curve_out, in_our_terms, kind_curve_in
from planner.formulas.declared import costs_out, known_network
from planner.formulas.document import COUNTING, FORMULA_SCHEMA, formula_model
from planner.formulas.formula import FormulaCurves
from planner.formulas.kinds import FORMULA_KINDS, FormulaKind
from planner.formulas.parts import parts_of, resolution_of, rounded_sizes
from planner.formulas.rungs import ladder_in
from planner.formulas.stages import stages_in, stages_out
from planner.formulas.vectors import disagreement, vectors_of
from planner.surrogates.answer_model import AnswerModel
from planner.surrogates.surrogate import Surrogate
from planner.tables.chance import warning_of
from planner.text.documents import CURVES_SCHEMA, Format, number, read_as, shown
from sampler import BaseNetwork, ScalingRule, base_names, rule_named
from sampler.scaling import known_rule
from trainer.score import score_from

_F = TypeVar("_F", bound=FormulaCurves)

_DIRECTIONS: tuple[Direction, ...] = ("shrink", "enlarge")
_BUILDING = ("resolution", "parts", "sizes")
_OTHERS = {
    CURVES_SCHEMA: "it is the formula of a table alone, which knows no MACs: ask it by --cost, in the table's own unit "
    "(planner.TableFormula.load in Python)"
}
LARGEST_ERROR = 10.0  # of a share between 0 and 1, however badly a curve was fitted
LARGEST_END = 1e6  # of a range of pixels, channels or blocks


def dumps(formula: FormulaCurves) -> str:
    """The text of a formula file, with its test vectors and its digest.

    Raises:
        PlannerError: If the formula gives no architecture for any budget of its range.
        ValueError: If it holds a number that is not finite.
    """
    network = formula.network
    document = {
        "schema": FORMULA_SCHEMA,
        "counting": COUNTING,
        "base": {
            "name": formula.base,
            "network": {**asdict(network), **costs_out(network, formula.classes)},
            "macs": formula.base_macs,
        },
        "classes": formula.classes,
        "kind": formula.kind,
        "branches": {
            name: _branch_out(branch, network, formula.classes, FORMULA_KINDS[formula.kind])
            for name, branch in formula.branches.items()
        },
        "accuracy": None if formula.accuracy is None else formula.accuracy.as_dict(),
        "front": list(formula.front),
        "errors": formula.errors,
        "provenance": formula.provenance,
        "vectors": vectors_of(formula),
    }
    if formula.non_dominated:
        document["non_dominated"] = list(formula.non_dominated)
    if formula.warnings:
        document["warnings"] = list(formula.warnings)
    if not formula.score.is_accuracy:
        document["score"] = formula.score.as_dict()
    if formula.surrogate is not None:
        document["surrogate"] = formula.surrogate.as_dict()
    if formula.answers is not None:
        document["answers"] = formula.answers.as_dict()
    if formula.ladder:
        document["ladder"] = [rung.as_dict() for rung in formula.ladder]
    return canonical(signed(document))


def signed(document: dict[str, Any]) -> dict[str, Any]:
    """A document with the digest of the rest of it, as key `sha256`."""
    rest = {key: value for key, value in document.items() if key != "sha256"}
    return {**rest, "sha256": hashlib.sha256(canonical(rest).encode()).hexdigest()}


def canonical(document: dict[str, Any]) -> str:
    """The one text of a document: sorted keys, and one line for what holds no other, so that a diff is readable.

    Raises:
        ValueError: If it holds a number that is not finite.
    """
    return _text(document, "\n") + "\n"


def _text(value: Any, line: str) -> str:
    """A value, whose lines begin with `line`."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    if not any(one and isinstance(one, dict | list | tuple) for one in inner):
        return json.dumps(value, allow_nan=False, sort_keys=True)
    deeper = line + " "
    if isinstance(value, dict):
        members = [f"{json.dumps(key)}: {_text(value[key], deeper)}" for key in sorted(value)]
        return "{" + deeper + f",{deeper}".join(members) + line + "}"
    return "[" + deeper + f",{deeper}".join(_text(one, deeper) for one in value) + line + "]"


def _checked(document: dict[str, Any], kind: type[_F], shipped: bool) -> _F:
    """The formula of a document: its shape, its digest, its meaning and its answers are checked, in this order.

    Of a file that ships the planner's own tests have checked the shape, and its digest says that it still is that file:
    pydantic, which takes longer to import than all else here takes to run, is left alone.
    """
    if not shipped:
        read_as(formula_model(), in_our_terms(document))
    if signed(document)["sha256"] != document["sha256"]:
        raise PlannerError("it was changed after it was written (its sha256 is another)")
    with known_network(document["base"]):
        formula = _formula_in(document, kind)
        if problem := disagreement(formula, document["vectors"]):
            raise PlannerError(problem)
    return formula


def _format(kind: type[_F], shipped: bool = False) -> Format[_F]:
    read = partial(_checked, kind=kind, shipped=shipped)
    return Format(FORMULA_SCHEMA, "formula", "write it again with `planner fit --out`", read, others=_OTHERS)


def read_formula_file(path: Path, kind: type[_F]) -> _F:
    """Reads a formula file as a class of formulas.

    Raises:
        PlannerError: If it is missing, too large, not of the schema, changed since it was written, or from a version
            that answers otherwise.
    """
    return _format(kind).load(path, "give a formula written by `planner fit --out`")


def read_formula(text: str, kind: type[_F], name: str = "formula", shipped: bool = False) -> _F:
    """The formula of a text, as a class of formulas.

    Args:
        text: Text of a formula file.
        kind: Class of the formula.
        name: Name of the file in errors.
        shipped: Whether it is a file of the planner's own, whose shape need not be checked again.

    Raises:
        PlannerError: If the text is not of the schema, was changed since it was written, or answers otherwise here.
    """
    return _format(kind, shipped).loads(text, name)


def _formula_in(document: dict[str, Any], kind: type[_F]) -> _F:
    name, network = document["base"]["name"], document["base"]["network"]
    surrogate = Surrogate.from_dict(document["surrogate"]) if "surrogate" in document else None
    if name not in base_names() and name not in base_names(installed=True):
        raise PlannerError(f"base network {shown(name)} is unknown to this version")
    formula = kind(
        base=name,
        resolution=network["resolution"],
        classes=document["classes"],
        base_macs=document["base"]["macs"],
        kind=document["kind"],
        branches={
            d: _branch_in(document["branches"][d], d, len(network["stages"]), FORMULA_KINDS[document["kind"]])
            for d in _DIRECTIONS
            if d in document["branches"]
        },
        accuracy=None if document["accuracy"] is None else curve_in(document["accuracy"], "accuracy"),
        front=tuple(document["front"]),
        errors=document["errors"],
        provenance=_provenance_in(document["provenance"]),
        surrogate=surrogate,
        answers=AnswerModel.from_dict(document["answers"], surrogate) if surrogate and "answers" in document else None,
        non_dominated=tuple(document.get("non_dominated", ())),
        warnings=tuple(document["warnings"]) if "warnings" in document else _warnings(document),
        score=score_from(document.get("score")),
    )
    if formula.accuracy is not None and not np.isfinite(formula.accuracy.precision).all():
        raise PlannerError("the accuracy has no variance: its points repeat without noise")
    _check_accuracy(formula)
    costs = costs_out(formula.network, formula.classes)
    declared = {"declared": network["declared"]} if "declared" in network and "declared" in costs else {}
    if not _same(network, {**asdict(formula.network), **costs, **declared}):  # of that what was derived how may differ
        raise PlannerError(f"its table of {name} is not this version's")
    macs = formula.at().base_macs
    if formula.base_macs != macs:
        raise PlannerError(f"macs of {name} is {formula.base_macs}; this version counts {macs}")
    if "ladder" in document:
        _check_shares(formula, document["ladder"])
        formula = replace(formula, ladder=ladder_in(document["ladder"], formula.network, formula.classes))
    for direction, branch in formula.branches.items():
        ours = _building(branch, formula.network, formula.classes)
        theirs = {key: value for key, value in document["branches"][direction].items() if key in _BUILDING}
        if not _same(theirs, ours):
            raise PlannerError(f"{' or '.join(ours)} of {direction} are not this version's")
    return formula


def _warnings(document: dict[str, Any]) -> tuple[str, ...]:
    """What a file that is older than its key would say."""
    why = warning_of(
        [point["accuracy"] for point in document["front"]], document["classes"], score_from(document.get("score"))
    )
    return () if why is None else (why,)


def _check_accuracy(formula: FormulaCurves) -> None:
    """Refuses a curve of the error that gives no share anywhere near 0 to 1: no test vector holds its values."""
    if formula.accuracy is None:
        return
    with np.errstate(all="ignore"):
        values = formula.accuracy(np.geomspace(*formula.c_range, 9))
    largest = LARGEST_ERROR if formula.score.is_accuracy else np.finfo(np.float64).max
    if not (np.abs(values) <= largest).all():
        raise PlannerError(f"accuracy gives an error of {values[np.abs(values).argmax()]:.3g}; a share is wanted")


def _check_shares(formula: FormulaCurves, ladder: list[dict[str, Any]]) -> None:
    """Refuses rungs whose accuracies are no shares, where accuracies they are."""
    for index, rung in enumerate(ladder if formula.score.is_accuracy else ()):
        for name in ("accuracy", "lower", "upper"):
            if not 0 <= rung[name] <= 1:
                wanted = "at most 1" if rung[name] > 1 else "at least 0"
                raise PlannerError(f"ladder[{index}].{name} is {shown(rung[name])}; {wanted} is wanted")


def _provenance_in(provenance: dict[str, Any]) -> dict[str, Any]:
    """What a formula was fitted on; of that only the columns' ranges and how many scaled stages apart are used."""
    varied = provenance.get("stage_varied", [0, 0])
    whole = isinstance(varied, list) and [type(one) for one in varied] == [int, int]
    if not whole or not 0 <= varied[0] <= varied[1]:
        raise PlannerError(f"provenance.stage_varied is {shown(varied)}; two numbers of rows are wanted, as [12, 60]")
    ranges = provenance.get("ranges", {})
    if not isinstance(ranges, dict):
        raise PlannerError(f"provenance.ranges is {shown(ranges)}; the two ends of columns, by name, are wanted")
    for name, ends in ranges.items():
        place = f"provenance.ranges.{shown(name)[1:-1]}"
        if not isinstance(ends, list) or len(ends) != 2 or not 0 <= number(ends[0], place) <= number(ends[1], place):
            raise PlannerError(f"{place} is {shown(ends)}; two rising positive numbers are wanted")
        if ends[1] > LARGEST_END:
            raise PlannerError(f"{place} ends at {ends[1]:g}; at most {LARGEST_END:g} is wanted")
    return provenance


def _same(theirs: Any, ours: Any) -> bool:
    return bool(theirs == json.loads(json.dumps(ours)))


def _branch_out(branch: Branch, network: BaseNetwork, classes: int, kind: FormulaKind) -> dict[str, Any]:
    document = {
        "rule": _rule_out(rule_named(branch.rule)),
        "c_range": list(branch.c_range),
        "r": curve_out(branch.r, kind),
        "d": curve_out(branch.d, kind),
        **_building(branch, network, classes),
    }
    if branch.stages is not None:
        document["stages"] = stages_out(branch.stages)
    return document


def _building(branch: Branch, network: BaseNetwork, classes: int) -> dict[str, Any]:
    """What a reader without the planner needs in order to build and to count."""
    rule = rule_named(branch.rule)
    built = {"resolution": resolution_of(network, rule), "parts": parts_of(network, rule, classes)}
    sizes = rounded_sizes(network, rule, classes)
    return {**built, "sizes": sizes} if sizes else built


def _rule_out(rule: ScalingRule) -> dict[str, Any]:
    """A rule, in JSON's types; its step where it has one."""
    return {name: value for name, value in asdict(rule).items() if name != "step" or value != 1}


def _branch_in(document: dict[str, Any], name: str, stages: int, kind: FormulaKind) -> Branch:
    rule = document["rule"]
    if not known_rule(rule["name"]) or _rule_out(rule_named(rule["name"])) != rule:
        raise PlannerError(f"scaling rule {shown(rule['name'])} of {name} is not this version's")
    low, high = document["c_range"]
    if low > high:
        raise PlannerError(f"c_range of {name} is {low:g} to {high:g}; rising numbers are wanted")
    return Branch(
        rule["name"],
        (low, high),
        kind_curve_in(document["r"], f"r of {name}", kind),
        kind_curve_in(document["d"], f"d of {name}", kind),
        stages_in(document["stages"], stages, name, curve_in) if "stages" in document else None,
    )
