"""Candidates of an Optuna search space: draws, moves of good ones, and the numbers that a surrogate reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sampler.architecture import FloatArray

ParameterRow = dict[str, Any]
_Space = Mapping[str, BaseDistribution]
# Of a parameter's range: how far a move of a good candidate goes, as a standard deviation.
_REACH = 0.1


def drawn_rows(space: _Space, n: int, rng: np.random.Generator) -> list[ParameterRow]:
    """`n` random candidates, each parameter uniform in its range, or in its logarithm where it says so."""
    return _rows({name: _values(one, rng.random(n)) for name, one in space.items()}, n)


def moved_rows(rows: Sequence[ParameterRow], space: _Space, n: int, rng: np.random.Generator) -> list[ParameterRow]:
    """`n` candidates that differ from random ones of `rows` in one or two parameters, by a little.

    Args:
        rows: Where to start from, with all parameters of the space; not needed where `n` is 0.
        space: The parameters.
        n: How many.
        rng: The generator.
    """
    parents = [rows[i] for i in rng.integers(len(rows), size=n)] if n else []
    changes = np.argsort(rng.random((n, len(space))), axis=1) < rng.integers(1, 3, (n, 1))
    columns: dict[str, list[Any]] = {}
    for (name, one), change in zip(space.items(), changes.T, strict=True):
        old = [parent[name] for parent in parents]
        if isinstance(one, CategoricalDistribution):
            new = _values(one, rng.random(n))
        else:
            unit = _unit(one, np.array(old, dtype=np.float64)) + _REACH * rng.standard_normal(n)
            new = _values(one, np.clip(unit, 0, np.nextafter(1, 0)))
        columns[name] = [after if moves else before for before, after, moves in zip(old, new, change, strict=True)]
    return _rows(columns, n)


def features(rows: Sequence[ParameterRow], space: _Space) -> dict[str, FloatArray]:
    """Numeric columns: a parameter's values, or one column of zeros and ones for each category.

    Of a range that reaches zero or below, places between 1 and 2 instead: a surrogate that saw positive numbers alone
    may read their logarithms, and then has no answer for the rest of the range.
    """
    columns: dict[str, FloatArray] = {}
    for i, (name, one) in enumerate(space.items()):
        if isinstance(one, CategoricalDistribution):
            which = np.array([one.to_internal_repr(row[name]) for row in rows], dtype=np.int64)
            columns.update({f"x{i}_{j}": (which == j).astype(np.float64) for j in range(len(one.choices))})
        else:
            values = np.array([row[name] for row in rows], dtype=np.float64)
            assert isinstance(one, FloatDistribution | IntDistribution)
            low, span = float(one.low), max(float(one.high - one.low), 1e-300)
            columns[f"x{i}"] = values if low > 0 else 1 + (values - low) / span
    return columns


def key_of(row: ParameterRow) -> tuple[tuple[str, str], ...]:
    """What tells a candidate from others; `1`, `True` and `1.0` are different categories."""
    return tuple(sorted((name, repr(value)) for name, value in row.items()))


def _rows(columns: Mapping[str, Sequence[Any]], n: int) -> list[ParameterRow]:
    return [{name: values[i] for name, values in columns.items()} for i in range(n)]


def _values(distribution: BaseDistribution, unit: FloatArray) -> list[Any]:
    """Values at places in [0, 1) of a range, in Python's types."""
    if isinstance(distribution, CategoricalDistribution):
        return [distribution.choices[int(place * len(distribution.choices))] for place in unit]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution) and distribution.log:
        # Half a step beyond each end, so that the ends come as often as their neighbours.
        numbers = np.exp(np.log(low - 0.5) + unit * (np.log(high + 0.5) - np.log(low - 0.5)))
        return [int(min(max(round(number), low), high)) for number in numbers]
    if distribution.log:
        return [min(max(float(number), low), high) for number in np.exp(np.log(low) + unit * np.log(high / low))]
    if distribution.step is None:
        return [min(float(number), high) for number in low + unit * (high - low)]
    steps = np.floor(unit * (round((high - low) / distribution.step) + 1))
    kind = int if isinstance(distribution, IntDistribution) else float
    return [min(kind(low + int(step) * distribution.step), high) for step in steps]


def _unit(distribution: BaseDistribution, values: FloatArray) -> FloatArray:
    """Places in [0, 1] of numbers in a range."""
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        low, high, values = np.log(low), np.log(high), np.log(values)
    # The middle of a step, so that no move is no step.
    half = 0.5 / (round((high - low) / distribution.step) + 1) if distribution.step and not distribution.log else 0.0
    unit: FloatArray = (values - low) / max(high - low, 1e-300) * (1 - 2 * half) + half
    return unit
