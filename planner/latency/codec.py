"""The latency file, both ways: JSON of schema `planner-latency/1`. No pickle, no code, no NaN."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.latency.model import COUNTS, FEATURES, Departure, LatencyModel
from planner.text.documents import Format, number
from sampler.architecture import FloatArray

_SCHEMA = "planner-latency/1"
_UNITS = "coefficients: ms, and ms per MAC, activation, param, block; resolution: pixels; log_residuals: natural logs"
KERNEL = "matern32"
LARGEST_POINTS = 10_000


def dumps(model: LatencyModel) -> str:
    """The text of a latency file: sorted keys, so that a diff is readable."""
    document = {
        "schema": _SCHEMA,
        "units": _UNITS,
        "measured_on": model.measured_on,
        "per": model.per,
        "features": list(model.features),
        "coefficients": model.coefficients,
        "departure": {
            "kernel": KERNEL,
            "inputs": model.departure.inputs.tolist(),
            "alpha": model.departure.alpha.tolist(),
            "variance": model.departure.variance,
            "length_scale": model.departure.length_scale,
        },
        "ranges": {name: list(ends) for name, ends in model.ranges.items()},
        "log_residuals": model.log_residuals.tolist(),
        "errors": model.errors,
        "provenance": model.provenance,
    }
    return json.dumps(document, allow_nan=False, sort_keys=True, indent=1) + "\n"


def _model_in(document: dict[str, Any]) -> LatencyModel:
    if document["per"] not in ("pass", "image"):
        raise PlannerError(f"per is {document['per']!r}; pass or image is wanted")
    features = tuple(name for name in FEATURES if name in document["features"])
    if list(features) != document["features"] or "macs" not in features:
        raise PlannerError(f"features are {document['features']!r}; macs and more of {', '.join(FEATURES)} are wanted")
    residuals = _array(document["log_residuals"], "log_residuals")
    if not len(residuals) or residuals[0] < 0 or (np.diff(residuals) < 0).any():
        raise PlannerError("log_residuals must be at least one number, none negative, rising")
    return LatencyModel(
        measured_on=_described(document["measured_on"]),
        per=document["per"],
        features=features,
        coefficients=_coefficients_in(document["coefficients"], features),
        departure=_departure_in(document["departure"], len(features)),
        ranges={name: _range_in(document["ranges"][name], name) for name in features},
        log_residuals=residuals,
        errors={key: number(value, key) for key, value in document["errors"].items()},
        provenance=dict(document["provenance"]),
    )


_FORMAT = Format(_SCHEMA, "latency model", "write it again with `planner latency fit --out`", _model_in)


def load(path: Path) -> LatencyModel:
    """Reads a latency file.

    Raises:
        PlannerError: If it is missing, too large, not of the schema, or holds impossible values.
    """
    return _FORMAT.load(path, "give a file written by `planner latency fit --out`")


def loads(text: str, name: str = "latency model") -> LatencyModel:
    """The latency model of a text; `name` is what errors call it.

    Raises:
        PlannerError: If the text is not of the schema, or holds impossible values.
    """
    return _FORMAT.loads(text, name)


def _described(measured_on: dict[str, Any]) -> dict[str, Any]:
    for key, value in measured_on.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise PlannerError(f"{key} of measured_on is {value!r}; a text or number is wanted")
    return dict(measured_on)


def _coefficients_in(document: dict[str, Any], features: tuple[str, ...]) -> dict[str, float]:
    wanted = {"fixed", *(name for name in COUNTS if name in features)}
    if set(document) != wanted:
        raise PlannerError(f"coefficients are {sorted(document)}; {sorted(wanted)} are wanted")
    coefficients = {name: number(value, f"coefficient {name}") for name, value in document.items()}
    if min(coefficients.values()) < 0 or max(coefficients.values()) == 0:
        raise PlannerError("coefficients must not be negative, and one must be positive")
    return coefficients


def _departure_in(document: dict[str, Any], p: int) -> Departure:
    if document["kernel"] != KERNEL:
        raise PlannerError(f"kernel {document['kernel']!r} is unknown; known: {KERNEL}")
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
    if not isinstance(values, list) or len(values) > LARGEST_POINTS:
        raise PlannerError(f"{name} must be a list of at most {LARGEST_POINTS} numbers")
    return np.array([number(value, name) for value in values], dtype=np.float64)
