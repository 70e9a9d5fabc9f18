"""`planner.answer`: tables and budgets in, the label of one row per budget out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import PlannerError
from planner.surrogates.answer_model import AnswerModel, answer_model, places_of
from planner.surrogates.pools import columns_with_cost, finished_in, matrix_of, without_logarithms
from planner.surrogates.rows import as_frame, noise_variances_of, numbers_in
from planner.text.deferred import pd
from planner.text.documents import shown
from planner.text.quantities import budget_of
from sampler.architecture import FloatArray, IntArray
from sampler.seeds import checked_seed

# Share of the budget within which the fallback looks for the row that is nearest to the smooth curves.
_SPENT = 0.02


def answer(
    observed: pd.DataFrame | str | Path,
    pool: pd.DataFrame | str | Path,
    budgets: Sequence[float | str],
    *,
    inputs: Sequence[str],
    target: str = "accuracy",
    cost: str = "macs",
    seed: int = 0,
    noise_variance: float | ArrayLike | str | None = None,
    cautious: bool = False,
) -> list[Any]:
    """Chooses for each budget the row of a pool that costs no more and of which most is expected.

    What is expected comes from a surrogate of all that was measured, less a weak pull to smooth curves of the inputs
    over the cost; a row that was measured counts with its own result, shrunk by the noise of measuring
    (`planner.surrogates.answer_model`). Where too little was measured for that (fewer than 8 different rows, or a
    cross-validated error no smaller than the spread of the target, or above twice a linear model's), the best measured
    row within the budget answers; where none is, the row nearest to the smooth curves among the dearest within the
    budget.

    Args:
        observed: Measurements: the columns of `inputs`, `cost` and `target`; or the path of a CSV file. Rows
            whose target is missing or infinite, or whose column `status` is not `ok`, are left out.
        pool: Rows that may answer, with the columns of `inputs` and `cost`; measured rows may be among it.
        budgets: Largest costs, as numbers or texts such as `"200M"`.
        inputs: Names of the numeric columns that say what a row is.
        target: Name of the column that was measured, to be large; negate what is to be small.
        cost: Name of the column of costs: positive, known exactly.
        seed: Random seed of the surrogate's fit.
        noise_variance: Variance of the target between repeated measurements of one row, where that is known: one
            number, one for each row of `observed`, or the name of a column of it.
        cautious: Whether the lower bound counts, one standard deviation below what is expected.

    Returns:
        A row label of `pool` for each budget.

    Raises:
        PlannerError: If a column is missing, a number impossible, nothing was measured, or no row is within a budget.

    Example:
        >>> import pandas as pd
        >>> pool = pd.DataFrame({"width": range(8, 72, 4), "macs": [w * w for w in range(8, 72, 4)]})
        >>> observed = pool.drop([3, 10]).assign(accuracy=lambda rows: 1 - 2 / rows["width"])
        >>> answer(observed, pool, [200, 402, "3k"], inputs=["width"])
        [1, 3, 11]
    """
    seed = checked_seed(seed)
    if not isinstance(cost, str) or not isinstance(target, str):
        raise PlannerError(f"target is {shown(target)} and cost {shown(cost)}; names of columns are wanted")
    if not isinstance(cautious, bool | np.bool_):
        raise PlannerError(f"cautious is {shown(cautious)}; True or False is wanted")
    names = columns_with_cost(inputs, cost)
    measured, candidates = as_frame(observed), as_frame(pool)
    done = np.flatnonzero(finished_in(measured, target))
    if not len(candidates):
        raise PlannerError("the pool has no rows; give those that may answer")
    if not len(done):
        raise PlannerError(f"none of {len(measured)} observed rows has a finite {target}; measure some first")
    matrix, tried = matrix_of(candidates, names), matrix_of(measured.iloc[done], names)
    limits = _limits_of(budgets, float(matrix[:, -1].min()), cost)
    without_logarithms(matrix, tried)
    values = numbers_in(measured.iloc[done], target)
    noise = None if noise_variance is None else noise_variances_of(noise_variance, measured, [int(row) for row in done])
    table = pd.DataFrame(tried, columns=names).assign(**{target: values})
    model = answer_model(table, names[:-1], target, cost, noise, seed) if len(done) > 1 else None
    if model is not None and not model.doubt:
        chosen = best_within(model.scores(matrix, bool(cautious)), matrix[:, -1], limits)
    else:
        chosen = _without_surrogate(matrix, tried, values, model, limits)
    return [candidates.index[row] for row in chosen]


def best_within(scores: FloatArray, cost: FloatArray, limits: Sequence[float]) -> IntArray:
    """`(b,)` numbers of the rows of the highest `(n,)` score within each limit; of equals the cheapest."""
    order = np.argsort(cost, kind="stable")
    within = np.searchsorted(cost[order], limits, side="right")
    return np.array([order[np.argmax(scores[order[:count]])] for count in within], dtype=np.int64)


def _without_surrogate(
    matrix: FloatArray, tried: FloatArray, values: FloatArray, model: AnswerModel | None, limits: Sequence[float]
) -> IntArray:
    """`(b,)` best measured rows; where none is within a limit, of the dearest rows those nearest to the curves."""
    different, codes = np.unique(tried, axis=0, return_inverse=True)
    own, places = places_of(matrix, different)
    reached, cost = np.full(len(matrix), -np.inf), matrix[:, -1]
    reached[own] = (np.bincount(codes.reshape(-1), values) / np.bincount(codes.reshape(-1)))[places]
    away = np.zeros(len(matrix)) if model is None else model.distances(matrix)
    chosen = best_within(reached, cost, limits)
    for place in np.flatnonzero(np.isneginf(reached[chosen])).tolist():
        most = cost[cost <= limits[place]].max()
        near = np.flatnonzero((cost <= most) & (cost >= (1 - _SPENT) * most))
        chosen[place] = near[np.lexsort([-cost[near], away[near]])[0]]
    return chosen


def _limits_of(budgets: Sequence[float | str], cheapest: float, cost: str) -> list[float]:
    """Budgets as numbers, each of which pays for the cheapest row."""
    if isinstance(budgets, str) or not isinstance(budgets, Iterable):
        raise PlannerError(f"budgets is {shown(budgets)}; a list of costs is wanted, such as [200e6, 400e6]")
    limits = [float(budget_of(budget)) for budget in budgets]
    low = [limit for limit in limits if limit < cheapest]
    if low:
        raise PlannerError(
            f"no row of the pool is within a budget of {low[0]:g}: the {cost} of the cheapest is {cheapest:g}; give "
            "larger budgets, or a pool with cheaper rows"
        )
    return limits
