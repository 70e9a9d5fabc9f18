"""Tables of rows that were measured, and of rows that could be: the numbers in their inputs and costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import PlannerError
from planner.surrogates.rows import column_of, numbers_in
from planner.tables.cells import read_cells, source_of
from planner.tables.column_types import ANY, column_type
from planner.tables.status import ok_rows
from planner.text.documents import shown
from sampler.architecture import FloatArray

if TYPE_CHECKING:
    import pandas as pd


def columns_with_cost(inputs: Sequence[str], cost: str) -> list[str]:
    """The inputs, and the cost last; it is one of the surrogate's inputs in any case.

    Raises:
        PlannerError: If the inputs are no list of different names.
    """
    listed = isinstance(inputs, Iterable) and not isinstance(inputs, str)
    names = [] if not listed else [str(name) for name in inputs if str(name) != cost]
    if not names or len(set(names)) < len(names):
        raise PlannerError(f"inputs is {shown(inputs)}; a list of different column names, besides {cost}, is wanted")
    return [*names, cost]


def matrix_of(frame: pd.DataFrame, names: Sequence[str]) -> FloatArray:
    """`(n, k + 1)` numbers of a frame's columns, the cost last.

    Raises:
        PlannerError: If a column is missing, a value is no finite number, or a cost is not positive.
    """
    matrix: FloatArray = np.column_stack([numbers_in(frame, name) for name in names])
    wrong = np.flatnonzero(matrix[:, -1] <= 0)
    if len(wrong):
        raise PlannerError(f"{names[-1]} of row {wrong[0] + 1} is {matrix[wrong[0], -1]:g}; a positive cost is wanted")
    return matrix


def columns_in(inputs: ArrayLike, cost: ArrayLike | None, names: Sequence[str], cost_name: str | None) -> FloatArray:
    """`(n, k)` or `(n, k + 1)` numbers of arrays: the inputs, then the cost where a surrogate was fitted with one.

    Args:
        inputs: `(n, k)` numbers.
        cost: `(n,)` costs, or None.
        names: Names of the k inputs.
        cost_name: Name of the cost, or None where the surrogate has none.

    Raises:
        PlannerError: If shapes are wrong, a value is not finite, or a cost is missing or too many.
    """
    matrix = np.asarray(inputs, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != len(names):
        raise PlannerError(f"inputs of shape {matrix.shape}; (n, {len(names)}) is wanted: {list(names)}")
    if (cost is None) != (cost_name is None):
        wanted = f"the cost {cost_name} is wanted" if cost is None else "it was fitted without a cost"
        raise PlannerError(f"cost does not fit the surrogate: {wanted}")
    if cost is not None:
        costs = np.asarray(cost, dtype=np.float64)
        if costs.shape != (len(matrix),):
            raise PlannerError(f"cost of shape {costs.shape}; ({len(matrix)},) is wanted")
        matrix = np.column_stack([matrix, costs])
    if not np.isfinite(matrix).all():
        raise PlannerError(f"inputs or cost hold {(~np.isfinite(matrix)).sum()} numbers that are not finite")
    return matrix


def without_logarithms(matrix: FloatArray, tried: FloatArray) -> None:
    """Moves columns below zero, in place, where the pool has values of which the rows tried let one take a logarithm.

    A surrogate takes logarithms of a column that is positive in its rows, and could not read the pool's zeros then.
    """
    if not len(matrix) or not len(tried):
        return
    low, least = matrix.min(axis=0), tried.min(axis=0)
    moved = ((low <= 0) & (least > 0)) | ((low < 0) & (least >= 0))
    shift = np.where(moved, np.maximum(matrix.max(axis=0), tried.max(axis=0)) + 1, 0.0)
    matrix -= shift
    tried -= shift


def finished_in(observed: pd.DataFrame, target: str) -> NDArray[np.bool_]:
    """`(n,)` whether each row has a result: its target is finite, and its `status`, where there is one, `ok`.

    Raises:
        PlannerError: If there is no such column.
    """
    column = column_of(observed, target)
    values, _ = read_cells(column, source_of(observed).decimal, (column_type(target) or ANY).units)
    return np.asarray(np.isfinite(values) & ok_rows(observed), dtype=bool)
