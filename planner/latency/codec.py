"""The latency file, both ways: JSON of schema `planner-latency/1`. No pickle, no code, no NaN."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.latency.departure import Departure
from planner.latency.features import LATENCY_FEATURES, TIMED_COUNTS
from planner.text.documents import Format, number
from sampler.architecture import FloatArray

_SCHEMA = "planner-latency/1"
_UNITS = "coefficients: ms, and ms per MAC, activation, param, block; resolution: pixels; log_residuals: natural logs"
_KERNEL = "matern32"
_MOST_POINTS = 10_000


def latency_text(fields: Mapping[str, Any]) -> str:
    """The text of a latency file.

    Args:
        fields: Attributes of a model by their names (`planner.latency.model.LatencyModel`).
    """
    departure: Departure = fields["departure"]
    document = {
        "schema": _SCHEMA,
        "units": _UNITS,
        "measured_on": fields["measured_on"],
        "per": fields["per"],
        "features": list(fields["features"]),
        "coefficients": fields["coefficients"],
        "departure": {
            "kernel": _KERNEL,
            "inputs": departure.inputs.tolist(),
            "alpha": departure.alpha.tolist(),
            "variance": departure.variance,
            "length_scale": departure.length_scale,
        },
        "ranges": {name: list(ends) for name, ends in fields["ranges"].items()},
        "log_residuals": fields["log_residuals"].tolist(),
        "errors": fields["errors"],
        "provenance": fields["provenance"],
    }
    return json.dumps(document, allow_nan=False, sort_keys=True, indent=1) + "\n"


def _fields_in(document: dict[str, Any]) -> dict[str, Any]:
    if document["per"] not in ("pass", "image"):
        raise PlannerError(f"per is {document['per']!r}; pass or image is wanted")
    features = tuple(name for name in LATENCY_FEATURES if name in document["features"])
    if list(features) != document["features"] or "macs" not in features:
        known = ", ".join(LATENCY_FEATURES)
        raise PlannerError(f"features are {document['features']!r}; macs and more of {known} are wanted")
    residuals = _array(document["log_residuals"], "log_residuals")
    if not len(residuals) or residuals[0] < 0 or (np.diff(residuals) < 0).any():
        raise PlannerError("log_residuals must be at least one number, none negative, rising")
    return {
        "measured_on": _setting_in(document["measured_on"]),
        "per": document["per"],
        "features": features,
        "coefficients": _coefficients_in(document["coefficients"], features),
        "departure": _departure_in(document["departure"], len(features)),
        "ranges": {name: _range_in(document["ranges"][name], name) for name in features},
        "log_residuals": residuals,
        "errors": {key: number(value, key) for key, value in document["errors"].items()},
        "provenance": dict(document["provenance"]),
    }


_FORMAT = Format(_SCHEMA, "latency model", "write it again with `planner latency fit --out`", _fields_in)


def fields_of_file(path: Path) -> dict[str, Any]:
    """The attributes of a latency file's model, by their names.

    Raises:
        PlannerError: If it is missing, too large, not of the schema, or holds impossible values.
    """
    return _FORMAT.load(path, "give a file written by `planner latency fit --out`")


def fields_of_text(text: str, name: str) -> dict[str, Any]:
    """As `fields_of_file`, of a text; `name` is what errors call it.

    Raises:
        PlannerError: If the text is not of the schema, or holds impossible values.
    """
    return _FORMAT.loads(text, name)


def _setting_in(measured_on: dict[str, Any]) -> dict[str, Any]:
    for key, value in measured_on.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise PlannerError(f"{key} of measured_on is {value!r}; a text or number is wanted")
    return dict(measured_on)


def _coefficients_in(document: dict[str, Any], features: tuple[str, ...]) -> dict[str, float]:
    wanted = {"fixed", *(name for name in TIMED_COUNTS if name in features)}
    if set(document) != wanted:
        raise PlannerError(f"coefficients are {sorted(document)}; {sorted(wanted)} are wanted")
    coefficients = {name: number(value, f"coefficient {name}") for name, value in document.items()}
    if min(coefficients.values()) < 0 or max(coefficients.values()) == 0:
        raise PlannerError("coefficients must not be negative, and one must be positive")
    return coefficients


def _departure_in(document: dict[str, Any], p: int) -> Departure:
    if document["kernel"] != _KERNEL:
        raise PlannerError(f"kernel {document['kernel']!r} is unknown; known: {_KERNEL}")
    alpha = _array(document["alpha"], "alpha")
    m = len(alpha)
    inputs = np.array(document["inputs"], dtype=np.float64) if m else np.empty((0, p))
    if inputs.shape != (m, p) or not np.isfinite(inputs).all():
        raise PlannerError(f"inputs of shape {inputs.shape}; finite numbers, {m} x {p}, are wanted")
    variance, length_scale = (number(document[key], key) for key in ("variance", "length_scale"))
    if variance < 0 or length_scale <= 0:
        raise PlannerError(f"variance {variance:g} and length scale {length_scale:g} must be positive")
    return Departure(inputs, alpha, variance, length_scale)


def _range_in(value: list[Any], name: str) -> tuple[float, float]:
    low, high = (number(end, f"range of {name}") for end in value)
    if not 0 < low <= high:
        raise PlannerError(f"range of {name} is {low:g} to {high:g}; rising positive numbers are wanted")
    return low, high


def _array(values: Any, name: str) -> FloatArray:
    if not isinstance(values, list) or len(values) > _MOST_POINTS:
        raise PlannerError(f"{name} must be a list of at most {_MOST_POINTS} numbers")
    return np.array([number(value, name) for value in values], dtype=np.float64)
