"""Fits the formula of a table alone: a surrogate says which rows are best, curves say how the dimensions grow.

A row within the cost of which most is expected answers, trained or not (`planner.surrogates.answer_model`); the curves
go through those answers over the whole range of costs; where too little was trained to choose by, through the front.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from planner.errors import PlannerError
from planner.fitting.curves import FEWEST_POINTS
from planner.front import pareto
from planner.gaussian.curve_fit import LOGLINEAR, CurveFit, fit_process
from planner.surrogates.answer_model import AnswerModel, answer_model
from planner.table_formulas.candidates import Candidates, candidates_of, dim_names, frame_named
from planner.table_formulas.document import MOST_KEPT_ROWS
from planner.table_formulas.formula import TableFormula
from planner.table_formulas.prediction import TableRung
from planner.table_formulas.rows import TableColumns, TableRows, read_rows
from planner.text.deferred import pd
from sampler.architecture import FloatArray, IntArray
from sampler.seeds import checked_seed

_BUDGETS = 64  # over the range, whose answers the curves go through
_BINS = 2_000  # of costs: of a larger table the best of each is kept


def fit_table(
    table: pd.DataFrame | str | Path,
    dims: Sequence[str],
    score: str,
    cost: str,
    *,
    lower: bool = False,
    where: Mapping[str, Any] | None = None,
    pool: pd.DataFrame | str | Path | None = None,
    seed: int = 0,
) -> TableFormula:
    """Fits cost -> the named dimensions to any table of trainings; no base network is needed.

    Args:
        table: Trainings, one a row: a frame or the path of a CSV file. Rows whose column `status`, where there is one,
            does not say ok are left out; rows of equal dimensions are repeats.
        dims: Names of the columns that say what was trained, such as depth, width and resolution: positive numbers.
        score: Name of the column of scores.
        cost: Name of the column of costs, in any unit: positive numbers.
        lower: Whether smaller scores are better.
        where: Values that choose rows, by column.
        pool: Rows that were not trained but may answer: the columns of `dims` and `cost`.
        seed: Random seed of the fits.

    Returns:
        The formula; `.predict(40)`, `.save("formula.json")`.

    Raises:
        PlannerError: If a column is missing, a cell is no such number, fewer than 4 rows or costs differ, or every
            score or every dimension is the same.

    Example:
        >>> import pandas as pd
        >>> width = [8, 12, 16, 24, 32, 48, 64, 96]
        >>> table = pd.DataFrame({"width": width, "ms": [w / 4 for w in width], "map": [1 - 2 / w for w in width]})
        >>> formula = fit_table(table, ["width"], "map", "ms")
        >>> formula.predict(9).dims
        {'width': 32.0}
    """
    columns = TableColumns.of(dims, score, cost, lower, where)
    seed = checked_seed(seed)
    rows = read_rows(table, columns)
    _check(rows, columns)
    others = None if pool is None else read_rows(pool, columns, trained=False)
    import scipy.linalg  # noqa: F401  # what is loaded later is not limited

    with threadpool_limits(1):  # as `planner.fitting.fit`: the same table gives the same file
        return _fit(rows, others, columns, seed)


def _fit(rows: TableRows, pool: TableRows | None, columns: TableColumns, seed: int) -> TableFormula:
    model = _model(rows, seed)
    found, grid, errors = candidates_of(rows, pool, seed)
    records = np.empty(0, dtype=np.int64) if model.doubt else _records(model, found)
    low, high = float(rows.cost.min()), float(rows.cost.max())
    middle, curves = _curves(rows, model, found, records, columns, seed)
    surrogate = {f"score_{name}": error for name, error in model.surrogate.errors.items() if error is not None}
    kept = _kept(found, records)
    return TableFormula(
        dims=columns.dims,
        score=columns.score,
        lower=columns.lower,
        cost=columns.cost,
        cost_range=(low, high),
        middle=middle,
        curves={name: fitted.curve for name, fitted in curves.items()},
        constants={name: float(rows.values[0, place]) for place, name in enumerate(columns.dims) if name not in curves},
        grid={name: values.tolist() for name, values in zip(columns.dims, grid, strict=True)} if grid else {},
        rows=tuple(found.take(kept).rows(columns.lower)),
        ladder=_ladder(model, found.take(records), columns.lower),
        doubt=model.doubt,
        where=columns.where,
        errors={**{f"curve_{name}": fitted.rmse for name, fitted in curves.items()}, **surrogate, **errors},
        provenance=_provenance(rows, pool, found, seed),
    )


def _check(rows: TableRows, columns: TableColumns) -> None:
    """Refuses a table of which nothing can be learned."""
    n, budgets = len(rows.cost), pareto.distinct_budgets(rows.cost)
    if min(n, budgets) < FEWEST_POINTS:
        raise PlannerError(
            f"{n} different rows of {budgets} distinct {columns.cost} are too few to fit: at least {FEWEST_POINTS} of "
            f"each are wanted; train more"
        )
    if not np.ptp(rows.values, axis=0).any():
        raise PlannerError(f"{', '.join(columns.dims)} are the same in every row; name --dims that differ")
    if not np.ptp(rows.score):
        raise PlannerError(f"{columns.score} is {abs(rows.score[0]):g} in every row; there is nothing to learn from it")
    if rows.score[np.argmin(rows.cost)] == rows.score.max():
        other = "leave --lower out" if columns.lower else "give --lower"
        raise PlannerError(
            f"the cheapest row has the {'smallest' if columns.lower else 'largest'} {columns.score} of all, so more "
            f"{columns.cost} buys nothing; if it is to be {'large' if columns.lower else 'small'}, {other}"
        )


def _model(rows: TableRows, seed: int) -> AnswerModel:
    frame = frame_named(rows.values)
    table = frame.assign(score=rows.score, cost=rows.cost)
    return answer_model(table, dim_names(frame), "score", "cost", rows.noise_variance, seed)


def _records(model: AnswerModel, found: Candidates) -> IntArray:
    """Numbers of the candidates that beat every cheaper one, by ascending budget."""
    scores = model.scores(_read(model, found))
    before = np.r_[-np.inf, np.maximum.accumulate(scores)[:-1]]
    beating = np.flatnonzero(scores > before)
    # Of several that one budget pays for the best is the last.
    last = np.r_[np.diff(found.within[beating]) > 0, True]
    return beating[last][:MOST_KEPT_ROWS]


def _read(model: AnswerModel, found: Candidates) -> FloatArray:
    """`(m, k + 1)` what the surrogate reads of candidates."""
    places = [int(name.rpartition("_")[2]) for name in model.surrogate.inputs]
    return np.column_stack([found.values[:, places], found.cost])


def _ladder(model: AnswerModel, best: Candidates, lower: bool) -> tuple[TableRung, ...]:
    if not len(best.cost):
        return ()
    mean, low, high = model.expected(_read(model, best))
    mean, low, high = (-mean, -high, -low) if lower else (mean, low, high)
    ends = zip(mean.tolist(), low.tolist(), high.tolist(), strict=True)
    return tuple(TableRung(row, *three) for row, three in zip(best.rows(lower), ends, strict=True))


def _curves(
    rows: TableRows, model: AnswerModel, found: Candidates, records: IntArray, columns: TableColumns, seed: int
) -> tuple[float, dict[str, CurveFit]]:
    """The cost in the middle, and the curve of each dimension that varies in the table."""
    values, cost = _points(rows, model, found, records, seed)
    if (budgets := pareto.distinct_budgets(cost)) < FEWEST_POINTS:
        raise PlannerError(
            f"the best rows have {budgets} distinct {columns.cost}, too few for a curve: at least {FEWEST_POINTS} are "
            "wanted; train dearer rows"
        )
    middle = float(np.exp(np.log(cost).mean()))
    x, curves = np.log(cost / middle), {}
    for place, name in enumerate(columns.dims):
        if np.ptp(rows.values[:, place]) > 0:
            y = np.log(values[:, place])
            curves[name] = fit_process(x, y, LOGLINEAR, seed, offset=float(y.mean()))
    return middle, curves


def _points(
    rows: TableRows, model: AnswerModel, found: Candidates, records: IntArray, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Dimensions and costs of what the curves go through: the answers, or the front where there are too few."""
    if len(records):
        ends = found.within[records]
        budgets = np.geomspace(rows.cost.min(), rows.cost.max(), _BUDGETS)
        places = np.unique(np.maximum(np.searchsorted(ends, budgets, side="right") - 1, 0))
        if pareto.distinct_budgets(ends[places]) >= FEWEST_POINTS:
            chosen = records[places]
            return found.values[chosen], ends[places]
    believed = rows.score if model.doubt else _believed(model, rows)
    front = pareto.nsga3_rows(believed, rows.cost, seed=seed)
    return rows.values[front], rows.cost[front]


def _believed(model: AnswerModel, rows: TableRows) -> FloatArray:
    own = Candidates(rows.values, rows.cost, np.full(len(rows.cost), np.nan), rows.score)
    return model.surrogate.outcomes(_read(model, own))[0]


def _kept(found: Candidates, records: IntArray) -> IntArray:
    """Numbers of the candidates that the file holds: all, or of very many the best trained of every bin of costs."""
    if len(found.cost) <= MOST_KEPT_ROWS:
        return np.arange(len(found.cost))
    bins = np.linspace(0, _BINS, len(found.cost), endpoint=False).astype(np.int64)
    order = np.lexsort((-np.nan_to_num(found.score, nan=-np.inf), bins))
    first = order[np.r_[True, np.diff(bins[order]) > 0]]
    return np.union1d(first, records)[:MOST_KEPT_ROWS]


def _provenance(rows: TableRows, pool: TableRows | None, found: Candidates, seed: int) -> dict[str, Any]:
    return {
        "rows": len(rows.cost),
        "pool": 0 if pool is None else len(pool.cost),
        "candidates": len(found.cost),
        "untrained": int(np.isnan(found.score).sum()),
        "estimated": int((~np.isnan(found.upper)).sum()),
        "table_sha256": rows.sha256,
        "remarks": list(rows.remarks),
        "seed": seed,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("scaling-planner", "numpy", "scikit-learn", "pymoo")},
        },
    }
