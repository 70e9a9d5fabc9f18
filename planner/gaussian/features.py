"""Raw columns to features: which columns get logarithms, which share a length-scale, and how all are standardised."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.errors import PlannerError
from sampler.architecture import FloatArray

SCALES = ("raw", "log", "log1p", "constant")
LEAST_RATIO = 1.5  # largest over smallest value; below that a logarithm is as good as straight
DECADES = 20.0  # largest over smallest positive value from which a column with zeros gets a logarithm


@dataclass(frozen=True, eq=False)
class Features:
    """How raw columns become features.

    Attributes:
        names: Names of the k columns.
        scales: Scale of each column: `raw`, `log`, `log1p` (log(1 + x / unit)) or `constant` (left out).
        units: `(k,)` divisors of x before the logarithm; 1 elsewhere.
        centres: `(k,)` means, which are subtracted.
        spreads: `(k,)` standard deviations, by which the rest is divided.
    """

    names: tuple[str, ...]
    scales: tuple[str, ...]
    units: FloatArray
    centres: FloatArray
    spreads: FloatArray

    @property
    def kept(self) -> list[int]:
        """Numbers of the columns that are features."""
        return [j for j, scale in enumerate(self.scales) if scale != "constant"]

    @property
    def groups(self) -> tuple[int, ...]:
        """For each feature the number of its group: columns whose names differ in a trailing number only."""
        stems = [re.sub(r"[\W_]*\d+$", "", self.names[j]) for j in self.kept]
        order = list(dict.fromkeys(stems))
        return tuple(order.index(stem) for stem in stems)

    def of(self, inputs: FloatArray) -> FloatArray:
        """`(n, d)` features of `(n, k)` raw inputs.

        Raises:
            PlannerError: If a column that gets a logarithm is not positive.
        """
        columns = [(_scaled(inputs, j, self) - self.centres[j]) / self.spreads[j] for j in self.kept]
        return np.column_stack(columns) if columns else np.empty((len(inputs), 0))


def _scaled(inputs: FloatArray, j: int, features: Features) -> FloatArray:
    column, scale = inputs[:, j], features.scales[j]
    if scale == "raw":
        return column
    wrong = column <= 0 if scale == "log" else column < 0
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise PlannerError(
            f"{features.names[j]} of row {row + 1} is {column[row]:g}; it was positive where the surrogate was fitted"
        )
    return np.log(column) if scale == "log" else np.log1p(column / features.units[j])


def default_scales(inputs: FloatArray) -> tuple[str, ...]:
    """Logarithms for positive columns, and for those with zeros that span decades; `constant` where nothing varies."""
    return tuple(_default_scale(column) for column in inputs.T)


def _default_scale(column: FloatArray) -> str:
    low, high = float(column.min()), float(column.max())
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        return "constant"
    if low > 0:
        return "log" if high >= LEAST_RATIO * low else "raw"
    return "log1p" if low == 0 and high >= DECADES * _smallest(column) else "raw"


def _smallest(column: FloatArray) -> float:
    return float(column.min(where=column > 0, initial=np.inf)) if (column > 0).any() else 1.0


def standardised_features(names: Sequence[str], scales: Sequence[str], inputs: FloatArray) -> Features:
    """Features that have mean 0 and deviation 1 over the rows of `(n, k)` inputs."""
    k = len(names)
    units = np.array([_smallest(inputs[:, j]) if scales[j] == "log1p" else 1.0 for j in range(k)])
    plain = Features(tuple(names), tuple(scales), units, np.zeros(k), np.ones(k))
    values = plain.of(inputs)
    centres, spreads = np.zeros(k), np.ones(k)
    centres[plain.kept] = values.mean(axis=0)
    spreads[plain.kept] = np.where(values.std(axis=0) > 0, values.std(axis=0), 1.0)
    return Features(tuple(names), tuple(scales), units, centres, spreads)
