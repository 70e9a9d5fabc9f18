"""A surrogate as a document of plain JSON types, both ways. No pickle, no code, no NaN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.gaussian.features import SCALES, Features
from planner.gaussian.kernels import KERNEL_FORMS, Kernel
from planner.gaussian.mixture import Mixture
from planner.gaussian.outside import Outside
from planner.gaussian.posterior import Member, Observations
from planner.gaussian.warps import WARP_KINDS, Warp
from planner.surrogates.calibration import MOST_RESIDUALS
from planner.text.documents import Format, number
from sampler.architecture import FloatArray

_SCHEMA = "planner-surrogate/1"
MOST_RECORD_ROWS = 5_000
MOST_COLUMNS = 300
_MOST_MEMBERS = 10
_LARGEST_LOG = 20.0  # of a hyper-parameter; beyond it a covariance is all noise or all jitter
_LARGEST_FEATURE = 1e4
_MOST_FREEDOM = 1_000


def surrogate_document(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a surrogate.

    Args:
        fields: Attributes of it by their names (`planner.surrogates.surrogate.Surrogate`).
    """
    mixture: Mixture = fields["mixture"]
    features, warp = mixture.features, mixture.warp
    return {
        "schema": _SCHEMA,
        "inputs": list(fields["inputs"]),
        "target": fields["target"],
        "cost": fields["cost"],
        "features": {
            "scales": list(features.scales),
            "units": features.units.tolist(),
            "centres": features.centres.tolist(),
            "spreads": features.spreads.tolist(),
        },
        "warp": {"kind": warp.kind, "limit": warp.limit, "centre": warp.centre, "spread": warp.spread},
        "seen": {"x": mixture.seen.x.tolist(), "w": mixture.seen.w.tolist(), "noise": mixture.seen.noise.tolist()},
        "members": [
            {
                "name": member.kernel.name,
                "form": member.kernel.form,
                "groups": list(member.kernel.groups),
                "log_hyperparameters": member.theta.tolist(),
                "weight": float(weight),
            }
            for member, weight in zip(mixture.members, mixture.weights, strict=True)
        ],
        "residuals": fields["residuals"].tolist(),
        "outside": _outside_document(fields["outside"]),
        "errors": dict(fields["errors"]),
        "provenance": dict(fields["provenance"]),
    }


def _outside_document(outside: Outside) -> dict[str, Any]:
    constants = None if outside.constants is None else [None if np.isnan(x) else x for x in outside.constants.tolist()]
    freedom = dict(zip(("above", "below"), outside.freedom, strict=True))
    return {"above": outside.above, "below": outside.below, "freedom": freedom, "constants": constants}


def _fields_in(document: Mapping[str, Any]) -> dict[str, Any]:
    inputs = tuple(_text(name, "inputs") for name in list_of(document["inputs"], "inputs", MOST_COLUMNS))
    cost = None if document["cost"] is None else _text(document["cost"], "cost")
    names = (*inputs, *([cost] if cost else []))
    if not inputs or len(set(names)) != len(names):
        raise PlannerError(f"inputs and cost are {list(names)}; different names are wanted")
    residuals = numbers_listed(document["residuals"], "residuals", MOST_RESIDUALS)
    if not len(residuals) or residuals[0] < 0 or (np.diff(residuals) < 0).any():
        raise PlannerError("residuals must be at least one number, none negative, rising")
    return {
        "inputs": inputs,
        "cost": cost,
        "residuals": residuals,
        "errors": {key: None if value is None else number(value, key) for key, value in document["errors"].items()},
        "mixture": _mixture_in(document, names),
        "target": _text(document["target"], "target"),
        "provenance": dict(document["provenance"]),
        # Records of earlier versions lack it: the prior alone says how wide intervals are outside.
        "outside": _outside_in(document["outside"], names) if "outside" in document else Outside(),
    }


def _outside_in(document: Mapping[str, Any], names: tuple[str, ...]) -> Outside:
    above, below = (number(document[side], side) for side in ("above", "below"))
    freedom = tuple(document["freedom"][side] for side in ("above", "below"))
    if not min(above, below) > 0 or not all(
        type(degrees) is int and 0 < degrees <= _MOST_FREEDOM for degrees in freedom
    ):
        raise PlannerError(
            f"outside is {above:g} and {below:g} of freedom {list(freedom)}; positive numbers, and whole ones up to "
            f"{_MOST_FREEDOM}, are wanted"
        )
    constants = document["constants"]
    if constants is None:
        return Outside(above, below, (freedom[0], freedom[1]))
    listed = list_of(constants, "constants", MOST_COLUMNS)
    if len(listed) != len(names):
        raise PlannerError(f"constants holds {len(listed)} values; {len(names)} are wanted")
    values = np.array([np.nan if value is None else number(value, "constants") for value in listed], dtype=np.float64)
    return Outside(above, below, (freedom[0], freedom[1]), values)


_FORMAT = Format(_SCHEMA, "surrogate", "fit the surrogate again", _fields_in)


def surrogate_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a document's surrogate, by their names.

    Raises:
        PlannerError: If it is not of the schema, or holds impossible values.
    """
    return _FORMAT.of(document, "surrogate")


def _mixture_in(document: Mapping[str, Any], names: tuple[str, ...]) -> Mixture:
    features = _features_in(document["features"], names)
    seen = _seen_in(document["seen"], len(features.kept))
    records = list_of(document["members"], "members", _MOST_MEMBERS)
    weights = np.array([number(record["weight"], "weight") for record in records])
    if not len(weights) or weights.min() < 0 or abs(weights.sum() - 1) > 1e-6:
        raise PlannerError(f"weights are {weights.tolist()}; none may be negative, and their sum must be 1")
    return Mixture(features, _warp_in(document["warp"]), tuple(_member_in(each, seen) for each in records), weights)


def _features_in(document: Mapping[str, Any], names: tuple[str, ...]) -> Features:
    scales = tuple(list_of(document["scales"], "scales", MOST_COLUMNS))
    if len(scales) != len(names) or not set(scales) <= set(SCALES):
        raise PlannerError(f"scales are {list(scales)}; one of {', '.join(SCALES)} is wanted for each of {len(names)}")
    arrays = {
        key: numbers_listed(document[key], key, MOST_COLUMNS, len(names)) for key in ("units", "centres", "spreads")
    }
    if min(arrays["units"].min(), arrays["spreads"].min()) <= 0:
        raise PlannerError("units and spreads must be positive")
    return Features(names, scales, **arrays)


def _warp_in(document: Mapping[str, Any]) -> Warp:
    if document["kind"] not in WARP_KINDS:
        raise PlannerError(f"warp {document['kind']!r} is unknown; known: {', '.join(WARP_KINDS)}")
    limit, centre, spread = (number(document[key], key) for key in ("limit", "centre", "spread"))
    if spread <= 0:
        raise PlannerError(f"spread is {spread:g}; a positive number is wanted")
    return Warp(document["kind"], limit, centre, spread)


def _seen_in(document: Mapping[str, Any], d: int) -> Observations:
    w = numbers_listed(document["w"], "w", MOST_RECORD_ROWS)
    n = len(w)
    rows = [numbers_listed(row, "x", MOST_COLUMNS, d) for row in list_of(document["x"], "x", MOST_RECORD_ROWS)]
    noise = numbers_listed(document["noise"], "noise", MOST_RECORD_ROWS, n)
    if not n or len(rows) != n or noise.min() < 0:
        raise PlannerError(
            f"{len(rows)} rows x and {n} values w; as many, at least one, and no negative noise are wanted"
        )
    x = np.array(rows).reshape(n, d)
    if max(np.abs(x).max(initial=0), np.abs(w).max()) > _LARGEST_FEATURE:
        raise PlannerError(f"x or w holds numbers beyond {_LARGEST_FEATURE:g}; they should be standardised")
    return Observations(x, w, noise)


def _member_in(document: Mapping[str, Any], seen: Observations) -> Member:
    form, groups = document["form"], document["groups"]
    d = 0 if form == "linear" else seen.x.shape[1]
    if form not in KERNEL_FORMS:
        raise PlannerError(f"form {form!r} is unknown; known: {', '.join(KERNEL_FORMS)}")
    whole = isinstance(groups, list) and all(type(group) is int for group in groups)
    if not whole or len(groups) != d or sorted(set(groups)) != list(range(max(groups, default=-1) + 1)):
        raise PlannerError(f"groups of {form} are {groups!r}; {d} whole numbers, counted from 0, are wanted")
    if form != "linear" and not d:
        raise PlannerError(f"form {form} needs a feature")
    kernel = Kernel(_text(document["name"], "name"), form, tuple(groups))
    theta = numbers_listed(document["log_hyperparameters"], "log_hyperparameters", MOST_COLUMNS + 3, kernel.size)
    if np.abs(theta).max() > _LARGEST_LOG:
        raise PlannerError(f"log_hyperparameters reach {np.abs(theta).max():g}; at most {_LARGEST_LOG:g} is wanted")
    return Member(kernel, theta, seen)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise PlannerError(f"{name} holds {value!r}; a text is wanted")
    return value


def list_of(value: Any, name: str, most: int) -> list[Any]:
    """A list of a document.

    Raises:
        PlannerError: If it is something else, or too long.
    """
    if not isinstance(value, list) or len(value) > most:
        raise PlannerError(f"{name} must be a list of at most {most}")
    return value


def numbers_listed(value: Any, name: str, most: int, exactly: int | None = None) -> FloatArray:
    """`(n,)` finite numbers of a document's list.

    Raises:
        PlannerError: If it is something else, or holds too many or, where that is said, not exactly so many.
    """
    values = np.array([number(each, name) for each in list_of(value, name, most)], dtype=np.float64)
    if exactly is not None and len(values) != exactly:
        raise PlannerError(f"{name} holds {len(values)} numbers; {exactly} are wanted")
    return values
