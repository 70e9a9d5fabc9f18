"""A table of measured latencies in, a model with cross-validated errors out."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.latency.departure import Departure
from planner.latency.estimate import estimate, line_over_macs
from planner.latency.features import coordinates, summed
from planner.latency.model import LatencyModel
from planner.latency.table import LatencyTable, as_latency_table
from sampler.architecture import FloatArray, IntArray
from sampler.seeds import checked_seed

if TYPE_CHECKING:
    import pandas as pd

_FOLDS = 10
# Rows that the Gaussian process keeps: more cost a prediction time and tell it little.
MOST_LATENCY_POINTS = 400


def fit_latency(
    source: pd.DataFrame | str | Path | Sequence[str | Path], models: str | None = None, seed: int = 0
) -> LatencyModel:
    """Fits latency over MACs, activations, params, resolution and blocks: those that the table has.

    Args:
        source: A frame, or the path(s) of CSV files with the columns described in `planner.latency.table`.
        models: A pattern such as `resnet*` that selects rows by their column `model` or `base`.
        seed: Random seed of the folds, and of the rows that the Gaussian process keeps of a large table.

    Raises:
        PlannerError: If the table cannot be used.
    """
    table = as_latency_table(source, models)
    rng = np.random.default_rng(checked_seed(seed))
    model, baseline = cross_validated_residuals(table, rng)
    coefficients, departure = _estimated(table, np.arange(len(table.latency_ms)), rng)
    return LatencyModel(
        measured_on=table.measured_on,
        per=table.per,
        features=tuple(table.features),
        coefficients=coefficients,
        departure=departure,
        ranges={name: (float(values.min()), float(values.max())) for name, values in table.features.items()},
        log_residuals=np.sort(np.abs(model)),
        errors={
            "median_relative_error": median_relative_error(model),
            "macs_only_median_relative_error": median_relative_error(baseline),
            "rows": float(len(model)),
            "architectures": float(len(np.unique(table.architecture))),
        },
        provenance=_provenance(table, models, seed),
    )


def cross_validated_residuals(table: LatencyTable, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Logs of measured over predicted `(n,)` for left-out networks: of the model, and of the line over MACs."""
    model, baseline = np.empty_like(table.latency_ms), np.empty_like(table.latency_ms)
    for kept, left_out in folds(table.network, rng):
        coefficients, departure = _estimated(table, kept, rng)
        features = {name: values[left_out] for name, values in table.features.items()}
        measured = np.log(table.latency_ms[left_out])
        model[left_out] = measured - np.log(summed(coefficients, features)) - departure(coordinates(features))
        intercept, slope = line_over_macs(table.features["macs"][kept], table.latency_ms[kept])
        baseline[left_out] = measured - intercept - slope * np.log(features["macs"])
    return model, baseline


def folds(group: IntArray, rng: np.random.Generator) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows to keep and rows to leave out, `_FOLDS` times; all rows of a group fall together."""
    groups = np.unique(group)
    fold = np.empty(len(groups), dtype=np.int64)
    fold[rng.permutation(len(groups))] = np.arange(len(groups)) % _FOLDS
    of_row = fold[np.searchsorted(groups, group)]
    for i in range(min(_FOLDS, len(groups))):
        yield np.flatnonzero(of_row != i), np.flatnonzero(of_row == i)


def median_relative_error(log_residuals: FloatArray) -> float:
    """The median of |predicted / measured - 1|."""
    return float(np.median(np.abs(np.expm1(-log_residuals))))


def _estimated(table: LatencyTable, kept: IntArray, rng: np.random.Generator) -> tuple[dict[str, float], Departure]:
    features = {name: values[kept] for name, values in table.features.items()}
    few = (
        np.sort(rng.choice(len(kept), MOST_LATENCY_POINTS, replace=False)) if len(kept) > MOST_LATENCY_POINTS else None
    )
    return estimate(features, table.latency_ms[kept], few)


def _provenance(table: LatencyTable, models: str | None, seed: int) -> dict[str, Any]:
    return {
        "tables": list(table.sources),
        "models": models,
        "seed": seed,
        "folds": _FOLDS,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("scaling-planner", "numpy", "scipy")},
        },
    }
