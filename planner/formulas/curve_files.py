"""Curves in formula files: ours, which every reader of the file knows, and those of kinds that others registered."""

from __future__ import annotations

from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.formulas.kinds import FORMULA_KINDS, FormulaKind
from planner.formulas.protocol import FormulaCurve
from planner.gaussian.curve import Curve, power_law

ARRAYS = ("inputs", "alpha")
DEEPEST = 8  # priors of priors: studies that were each fitted with the one before


def curve_out(curve: FormulaCurve, kind: FormulaKind) -> dict[str, Any]:
    """A curve of r or d in JSON's types; one that is not ours says of which kind it is."""
    document = curve.as_dict()
    return document if kind.read is None else {"kernel": kind.name, **document}


def kind_curve_in(document: dict[str, Any], name: str, kind: FormulaKind) -> FormulaCurve:
    """The curve of r or d of a document; `name` is what errors call it."""
    if kind.read is None:
        return curve_in(document, name)
    return kind.read({key: value for key, value in document.items() if key != "kernel"})


def curve_in(document: dict[str, Any], name: str, depth: int = 0) -> Curve:
    """The curve of ours that a document holds.

    Raises:
        PlannerError: If its parts do not go together.
    """
    arrays = {key: np.array(document[key], dtype=np.float64) for key in ARRAYS}
    lengths = {key: len(array) for key, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise PlannerError(f"{name} holds arrays of lengths {lengths}; one length is wanted")
    for there, other in (("prior", "prior_weight"), ("prior_weight", "prior")):
        if there in document and other not in document:
            raise PlannerError(f"{other} of {name} is missing beside its {there}")
    values = {key: value for key, value in document.items() if key != "kernel"}
    if "prior" in document:
        if depth >= DEEPEST:
            raise PlannerError(f"{name} has priors nested deeper than {DEEPEST}")
        values["prior"] = curve_in(document["prior"], f"the prior of {name}", depth + 1)
        if values["prior"].output_scale != values["output_scale"]:
            raise PlannerError(f"{name} and its prior are on different output scales")
    return Curve(**{**values, **arrays})


def in_our_terms(document: Any) -> Any:
    """A document of somebody's own kind with stand-ins for its curves: the schema of the file knows ours alone.

    What the curves of such a kind hold its own `read` checks.
    """
    name = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(name, str) or name not in FORMULA_KINDS or FORMULA_KINDS[name].read is None:
        return document
    branches = document.get("branches")
    if not isinstance(branches, dict) or not all(isinstance(branch, dict) for branch in branches.values()):
        return document
    ours = power_law(0.0).as_dict()
    replaced = {
        side: {key: _stand_in(key, value, ours) for key, value in part.items()} for side, part in branches.items()
    }
    return {**document, "kind": "compound", "branches": replaced}


def _stand_in(key: str, value: Any, ours: dict[str, Any]) -> Any:
    return ours if key in ("r", "d") and isinstance(value, dict) else value
