"""A surrogate as a document of plain JSON types, both ways. No pickle, no code, no NaN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.gaussian.features import SCALES, Features
from planner.gaussian.kernels import FORMS, Kernel
from planner.gaussian.outside import Outside
from planner.gaussian.posterior import Member, Mixture, Seen
from planner.gaussian.warps import KINDS, Warp
from planner.surrogates.calibration import LARGEST
from planner.surrogates.surrogate import Surrogate
from planner.text.documents import Format, number
from sampler.architecture import FloatArray

_SCHEMA = "planner-surrogate/1"
MOST_ROWS = 5_000
MOST_COLUMNS = 300
MOST_MEMBERS = 10
LARGEST_LOG = 20.0  # of a hyper-parameter; beyond it a covariance is all noise or all jitter
LARGEST_FEATURE = 1e4
MOST_FREEDOM = 1_000


def written(surrogate: Surrogate) -> dict[str, Any]:
    """The document of a surrogate."""
    mixture, features, warp = surrogate.mixture, surrogate.mixture.features, surrogate.mixture.warp
    return {
        "schema": _SCHEMA,
        "inputs": list(surrogate.inputs),
        "target": surrogate.target,
        "cost": surrogate.cost,
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
        "residuals": surrogate.residuals.tolist(),
        "outside": _written_outside(surrogate.outside),
        "errors": dict(surrogate.errors),
        "provenance": dict(surrogate.provenance),
    }


def _written_outside(outside: Outside) -> dict[str, Any]:
    constants = None if outside.constants is None else [None if np.isnan(x) else x for x in outside.constants.tolist()]
    freedom = dict(zip(("above", "below"), outside.freedom, strict=True))
    return {"above": outside.above, "below": outside.below, "freedom": freedom, "constants": constants}


def _surrogate_in(document: Mapping[str, Any]) -> Surrogate:
    inputs = tuple(_text(name, "inputs") for name in list_of(document["inputs"], "inputs", MOST_COLUMNS))
    cost = None if document["cost"] is None else _text(document["cost"], "cost")
    names = (*inputs, *([cost] if cost else []))
    if not inputs or len(set(names)) != len(names):
        raise PlannerError(f"inputs and cost are {list(names)}; different names are wanted")
    residuals = numbers_of(document["residuals"], "residuals", LARGEST)
    if not len(residuals) or residuals[0] < 0 or (np.diff(residuals) < 0).any():
        raise PlannerError("residuals must be at least one number, none negative, rising")
    errors = {key: None if value is None else number(value, key) for key, value in document["errors"].items()}
    mixture = _mixture_in(document, names)
    target, provenance = _text(document["target"], "target"), dict(document["provenance"])
    # Records of earlier versions lack it: the prior alone says how wide intervals are outside.
    outside = _outside_in(document["outside"], names) if "outside" in document else Outside()
    return Surrogate(inputs, target, cost, mixture, residuals, errors, provenance, outside)


def _outside_in(document: Mapping[str, Any], names: tuple[str, ...]) -> Outside:
    above, below = (number(document[side], side) for side in ("above", "below"))
    freedom = tuple(document["freedom"][side] for side in ("above", "below"))
    if not min(above, below) > 0 or not all(type(one) is int and 0 < one <= MOST_FREEDOM for one in freedom):
        raise PlannerError(
            f"outside is {above:g} and {below:g} of freedom {list(freedom)}; positive numbers, and whole ones up to "
            f"{MOST_FREEDOM}, are wanted"
        )
    constants = document["constants"]
    if constants is None:
        return Outside(above, below, (freedom[0], freedom[1]))
    listed = list_of(constants, "constants", MOST_COLUMNS)
    if len(listed) != len(names):
        raise PlannerError(f"constants holds {len(listed)} values; {len(names)} are wanted")
    values = np.array([np.nan if one is None else number(one, "constants") for one in listed], dtype=np.float64)
    return Outside(above, below, (freedom[0], freedom[1]), values)


_FORMAT = Format(_SCHEMA, "surrogate", "fit the surrogate again", _surrogate_in)


def read(document: Mapping[str, Any]) -> Surrogate:
    """The surrogate of a document.

    Raises:
        PlannerError: If it is not of the schema, or holds impossible values.
    """
    return _FORMAT.of(document, "surrogate")


def _mixture_in(document: Mapping[str, Any], names: tuple[str, ...]) -> Mixture:
    features = _features_in(document["features"], names)
    seen = _seen_in(document["seen"], len(features.kept))
    records = list_of(document["members"], "members", MOST_MEMBERS)
    weights = np.array([number(record["weight"], "weight") for record in records])
    if not len(weights) or weights.min() < 0 or abs(weights.sum() - 1) > 1e-6:
        raise PlannerError(f"weights are {weights.tolist()}; none may be negative, and their sum must be 1")
    return Mixture(features, _warp_in(document["warp"]), tuple(_member_in(each, seen) for each in records), weights)


def _features_in(document: Mapping[str, Any], names: tuple[str, ...]) -> Features:
    scales = tuple(list_of(document["scales"], "scales", MOST_COLUMNS))
    if len(scales) != len(names) or not set(scales) <= set(SCALES):
        raise PlannerError(f"scales are {list(scales)}; one of {', '.join(SCALES)} is wanted for each of {len(names)}")
    arrays = {key: numbers_of(document[key], key, MOST_COLUMNS, len(names)) for key in ("units", "centres", "spreads")}
    if min(arrays["units"].min(), arrays["spreads"].min()) <= 0:
        raise PlannerError("units and spreads must be positive")
    return Features(names, scales, **arrays)


def _warp_in(document: Mapping[str, Any]) -> Warp:
    if document["kind"] not in KINDS:
        raise PlannerError(f"warp {document['kind']!r} is unknown; known: {', '.join(KINDS)}")
    limit, centre, spread = (number(document[key], key) for key in ("limit", "centre", "spread"))
    if spread <= 0:
        raise PlannerError(f"spread is {spread:g}; a positive number is wanted")
    return Warp(document["kind"], limit, centre, spread)


def _seen_in(document: Mapping[str, Any], d: int) -> Seen:
    w = numbers_of(document["w"], "w", MOST_ROWS)
    n = len(w)
    rows = [numbers_of(row, "x", MOST_COLUMNS, d) for row in list_of(document["x"], "x", MOST_ROWS)]
    noise = numbers_of(document["noise"], "noise", MOST_ROWS, n)
    if not n or len(rows) != n or noise.min() < 0:
        raise PlannerError(
            f"{len(rows)} rows x and {n} values w; as many, at least one, and no negative noise are wanted"
        )
    x = np.array(rows).reshape(n, d)
    if max(np.abs(x).max(initial=0), np.abs(w).max()) > LARGEST_FEATURE:
        raise PlannerError(f"x or w holds numbers beyond {LARGEST_FEATURE:g}; they should be standardised")
    return Seen(x, w, noise)


def _member_in(document: Mapping[str, Any], seen: Seen) -> Member:
    form, groups = document["form"], document["groups"]
    d = 0 if form == "linear" else seen.x.shape[1]
    if form not in FORMS:
        raise PlannerError(f"form {form!r} is unknown; known: {', '.join(FORMS)}")
    whole = isinstance(groups, list) and all(type(group) is int for group in groups)
    if not whole or len(groups) != d or sorted(set(groups)) != list(range(max(groups, default=-1) + 1)):
        raise PlannerError(f"groups of {form} are {groups!r}; {d} whole numbers, counted from 0, are wanted")
    if form != "linear" and not d:
        raise PlannerError(f"form {form} needs a feature")
    kernel = Kernel(_text(document["name"], "name"), form, tuple(groups))
    theta = numbers_of(document["log_hyperparameters"], "log_hyperparameters", MOST_COLUMNS + 3, kernel.size)
    if np.abs(theta).max() > LARGEST_LOG:
        raise PlannerError(f"log_hyperparameters reach {np.abs(theta).max():g}; at most {LARGEST_LOG:g} is wanted")
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


def numbers_of(value: Any, name: str, most: int, exactly: int | None = None) -> FloatArray:
    """`(n,)` finite numbers of a document's list.

    Raises:
        PlannerError: If it is something else, or holds too many or, where that is said, not exactly so many.
    """
    values = np.array([number(each, name) for each in list_of(value, name, most)], dtype=np.float64)
    if exactly is not None and len(values) != exactly:
        raise PlannerError(f"{name} holds {len(values)} numbers; {exactly} are wanted")
    return values
