"""`planner.propose`: tables in, row labels out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from planner.errors import PlannerError
from planner.proposers.answering import ANSWERS_NOISE_SHARE, best_rows_for
from planner.proposers.bayes import NOISE_SHARE, Known, best_rows
from planner.proposers.protocol import PENDING, Alike, GainPer, ProposalTask
from planner.proposers.spread import spread_out
from planner.study.pace import TIME_COLUMNS, own_seconds
from planner.surrogates.fit import MOST_FITTED_ROWS, fit_surrogate
from planner.surrogates.pools import columns_with_cost, finished_in, matrix_of, without_logarithms
from planner.surrogates.rows import as_frame, numbers_in
from planner.text.deferred import pd
from planner.text.documents import no_column, shown
from planner.text.quantities import budget_of
from sampler.architecture import FloatArray, IntArray
from sampler.checks import checked_number, checked_whole, is_number
from sampler.seeds import checked_seed

Bools = NDArray[np.bool_]
# Fewer different rows than this teach a surrogate nothing that spreading the rows out would not.
FEWEST_DISTINCT = 5
_SECONDS = "seconds"
# Residuals of log seconds beyond so many times their median count less; HUBER is 1.345 standard deviations.
HUBER, LEAST_OFF, HUBER_ROUNDS = 1.345 * 1.4826, 1e-3, 20


def propose(
    observed: pd.DataFrame | str | Path,
    pool: pd.DataFrame | str | Path,
    n: int = 1,
    *,
    inputs: Sequence[str],
    target: str = "accuracy",
    cost: str = "macs",
    seed: int = 0,
    noise_variance: float | str | None = None,
    noise_share: float | None = None,
    limits: Mapping[str, float] | None = None,
    per: GainPer = "trial",
    fidelity: Mapping[str, float] | None = None,
    budgets: Sequence[float | str] | None = None,
    alike: Alike | None = None,
) -> list[Any]:
    """Chooses rows of a pool to measure next: those that promise the largest gain in hypervolume.

    The hypervolume is that of log cost and target. With `budgets` those that promise most for the answers at these
    costs instead (`planner.proposers.answering`). Until five different rows with different targets have been measured,
    rows are spread out.

    Args:
        observed: Rows that were measured: the columns of `inputs`, `cost` and `target`; or the path of a CSV file. Rows
            whose target is missing or infinite, or whose column `status` is not `ok`, count as tried and teach nothing;
            those whose `status` is `running` or `queued` are believed to come out as expected.
        pool: Rows that could be measured, with the columns of `inputs` and `cost`; rows whose inputs and cost equal
            those of a row that was tried, or of a row before, are left out.
        n: How many to choose; fewer come back where the pool holds fewer.
        inputs: Numeric columns that say what a row is.
        target: Column that is measured, to be made large.
        cost: Column of what a row costs: positive, known exactly, to be made small.
        seed: Random seed of the first rows, while nothing is known, and of the surrogate's fit.
        noise_variance: Variance of the target between repeated measurements of one row, where that is known; or the
            name of a column of `observed` that says it row by row (the least is that of what is measured next).
        noise_share: How much of the variation that the inputs do not explain, beyond `noise_variance`, is noise of
            measuring too: 0 if a measurement says what a row is worth, the default; 1 if only the inputs say that, the
            default with `budgets`, whose answers are mostly rows that were not measured.
        limits: Largest values of columns of the pool: budgets. Rows beyond any of them are left out.
        per: Gain per `trial`, or per `second` of training: then either both tables have a column `seconds`, or the
            observed one alone, from whose cost (and fidelity) the pool's seconds are predicted. With columns
            `cpu_seconds` and `threads` too, seconds of a crowded machine count as those of a quiet one.
        fidelity: The values that count of some of the inputs, such as `{"epochs": 30}`, where rows were or could be
            measured more cheaply too. A row of lower fidelity is worth what it would teach of itself at these values;
            ask for it per second.
        budgets: Costs for which answers are wanted, as numbers or texts such as `"200M"`: the rows chosen cost no more
            than the largest, and are those after whose measuring the best expectation within each is highest.
        alike: Where rows of the pool differ in something in which too few of the observed ones did to be believed: a
            function of `(n, k + 1)` numbers, the columns of `inputs` and `cost`, that gives the rows that are like them
            otherwise. What is expected of those is expected of them, with more doubt.

    Returns:
        Row labels of `pool`, the best first.

    Raises:
        PlannerError: If a column is missing, a number impossible, or no row of the pool is left.

    Example:
        >>> import pandas as pd
        >>> pool = pd.DataFrame({"width": [8, 16, 24, 32, 48, 64], "macs": [1, 4, 9, 16, 36, 64]}, index=list("abcdef"))
        >>> observed = pool.loc[list("abcdf")].assign(accuracy=[0.5, 0.6, 0.66, 0.7, 0.8])
        >>> propose(observed, pool, inputs=["width"])
        ['e']
    """
    task = ProposalTask(inputs, target, cost, seed, noise_variance, noise_share, limits, per, fidelity, budgets, alike)
    return proposed_labels(observed, pool, n, task)


def proposed_labels(
    observed: pd.DataFrame | str | Path, pool: pd.DataFrame | str | Path, n: int, task: ProposalTask
) -> list[Any]:
    """Chooses rows of a pool, as `propose` does.

    Raises:
        PlannerError: If a column is missing, a number impossible, or no row of the pool is left.
    """
    if checked_whole("n", n, -(2**62), 2**62) < 1:
        raise PlannerError(f"n is {n}; at least one row is wanted")
    task, budgets = _checked(task)
    names = columns_with_cost(task.inputs, task.cost)
    rows = _Observed(as_frame(observed), names, task, _places(task.fidelity or {}, names))
    if task.target not in rows.frame:
        raise PlannerError(f"observed: {no_column([task.target], rows.frame.columns)}")
    candidates = as_frame(pool)
    matrix, tried = matrix_of(candidates, names), matrix_of(rows.frame, names)
    without_logarithms(matrix, tried)
    left = _left(candidates, matrix, tried, task, budgets)
    known = rows.known(tried)
    if known is None:
        chosen = spread_out(matrix[left], tried, n, task.seed)
    else:
        paid = [task.cost, *(task.fidelity or {})]
        seconds = _log_seconds(rows.frame, candidates.iloc[left], paid) if task.per == "second" else None
        if budgets:
            chosen = best_rows_for(known, matrix[left], budgets, n, penalty=seconds)
        else:
            chosen = best_rows(known, matrix[left], n, penalty=seconds)
    return [candidates.index[row] for row in left[chosen]]


def _checked(task: ProposalTask) -> tuple[ProposalTask, list[float]]:
    """A task whose seed, share of noise and names can be what they should, and its budgets as numbers.

    Raises:
        PlannerError: If one cannot.
    """
    seed, budgets = checked_seed(task.seed), _budgets(task.budgets)
    noise_share, per = task.noise_share, task.per
    if noise_share is None:
        noise_share = ANSWERS_NOISE_SHARE if budgets else NOISE_SHARE
    share = is_number(noise_share) and 0 <= noise_share <= 1
    if not isinstance(per, str) or per not in get_args(GainPer) or not share:
        told = f"per is {shown(per)} and noise_share {shown(noise_share)}"
        raise PlannerError(f"{told}; trial or second, and a share, are wanted")
    for what, given in (("limits", task.limits), ("fidelity", task.fidelity)):
        if given is not None and not isinstance(given, Mapping):
            raise PlannerError(f"{what} is {shown(given)}; a dictionary of numbers by column is wanted")
    if not isinstance(task.cost, str) or not isinstance(task.target, str):
        raise PlannerError(f"target is {shown(task.target)} and cost {shown(task.cost)}; names of columns are wanted")
    return replace(task, seed=seed, noise_share=noise_share), budgets


def _left(
    candidates: pd.DataFrame, matrix: FloatArray, tried: FloatArray, task: ProposalTask, budgets: Sequence[float]
) -> IntArray:
    """Numbers of the pool's rows that were not tried and are within limits and budgets.

    Raises:
        PlannerError: If there are none.
    """
    inside = _within(candidates, task.limits or {}) & (matrix[:, -1] <= max(budgets, default=math.inf))
    left: IntArray = np.flatnonzero(inside & ~_known(matrix, tried))
    if not len(left):
        beyond = "the limits or the largest budget" if budgets else "the limits"
        raise PlannerError(f"none of {len(matrix)} rows is left: all were tried or are beyond {beyond}; give more")
    return left


@dataclass(frozen=True)
class _Observed:
    """The rows that were tried: all that a surrogate can learn from.

    Attributes:
        frame: Table of them.
        names: Columns that are read of it, the cost last.
        task: Columns, seed and noise.
        fidelity: Values that count, by the number of their column.
    """

    frame: pd.DataFrame
    names: list[str]
    task: ProposalTask
    fidelity: dict[int, float]

    def known(self, tried: FloatArray) -> Known | None:
        """What the observed rows teach; None where that is next to nothing."""
        import pandas as pd

        task = self.task
        done = np.flatnonzero(finished_in(self.frame, task.target))
        values = numbers_in(self.frame.iloc[done], task.target)
        if len(np.unique(values)) < 2 or len(np.unique(tried[done, :-1], axis=0)) < FEWEST_DISTINCT:
            return None
        kept = _thinned(tried[done, -1], values, task.seed)
        rows, values = tried[done][kept], values[kept]
        *inputs, cost = self.names
        table = pd.DataFrame(rows, columns=self.names).assign(**{task.target: values})
        noise: Any = task.noise_variance
        if isinstance(noise, str):
            noise = numbers_in(self.frame.iloc[done[kept]], noise)
        surrogate = fit_surrogate(table, inputs, task.target, cost, noise, task.seed, validate=False)
        assert task.noise_share is not None  # which was checked
        least = 0.0 if noise is None else float(np.min(noise))
        known = Known(surrogate, rows, task.noise_share, self.fidelity, least, task.alike)
        for row in tried[self._pending()]:
            known = known.believing(row[None])
        return known

    def _pending(self) -> Bools:
        if "status" not in self.frame:
            return np.zeros(len(self.frame), dtype=bool)
        return np.asarray(self.frame["status"].isin(PENDING), dtype=bool)


def _thinned(costs: FloatArray, values: FloatArray, seed: int) -> IntArray:
    """Numbers of the rows to learn from: all, or as many as a surrogate takes, the measured front among them."""
    n = len(values)
    if n <= MOST_FITTED_ROWS:
        return np.arange(n)
    order = np.lexsort((-values, costs))
    best = np.maximum.accumulate(values[order])
    front = order[np.append(True, best[1:] > best[:-1])][-MOST_FITTED_ROWS:]
    others = np.setdiff1d(np.random.default_rng(seed).permutation(n), front, assume_unique=True)
    return np.sort(np.concatenate([front, others[: MOST_FITTED_ROWS - len(front)]]))


def _known(matrix: FloatArray, tried: FloatArray) -> Bools:
    """`(m,)` bools: whether a row was tried, or stands in the pool before."""
    together = np.ascontiguousarray(np.concatenate([tried, matrix]) + 0.0)  # -0.0 is 0.0
    whole = together.view(np.dtype((np.void, together.itemsize * together.shape[1]))).ravel()
    first: IntArray = np.unique(whole, return_index=True)[1]
    new = np.zeros(len(together), dtype=bool)
    new[first] = True
    known: Bools = ~new[len(tried) :]
    return known


def _budgets(budgets: Sequence[float | str] | None) -> list[float]:
    """Costs of a list of numbers or texts; none where none was given."""
    if budgets is None:
        return []
    if isinstance(budgets, str) or not isinstance(budgets, Iterable) or not (listed := list(budgets)):
        raise PlannerError(f"budgets is {shown(budgets)}; a list of costs is wanted")
    return [budget_of(one) for one in listed]


def _within(pool: pd.DataFrame, limits: Mapping[str, float]) -> Bools:
    inside = np.ones(len(pool), dtype=bool)
    for name, limit in limits.items():
        inside &= numbers_in(pool, name) <= checked_number(f"the limit of {shown(name)}", limit)
    return inside


def _places(fidelity: Mapping[str, float], names: Sequence[str]) -> dict[int, float]:
    """The values that count by the number of their column."""
    finite = {name: is_number(value) and abs(value) < math.inf for name, value in fidelity.items()}
    wrong = [name for name in fidelity if name not in names[:-1] or not finite[name]]
    if wrong:
        raise PlannerError(
            f"fidelity {wrong[0]}={shown(fidelity[wrong[0]])} is impossible; give finite values of inputs"
        )
    return {names.index(name): float(value) for name, value in fidelity.items()}


def _log_seconds(observed: pd.DataFrame, pool: pd.DataFrame, paid: Sequence[str]) -> FloatArray:
    """`(m,)` logarithms of the seconds that rows of the pool would take: known, or a power law of what is paid for."""
    if _SECONDS in pool:
        return np.asarray(np.log(np.maximum(numbers_in(pool, _SECONDS), 1e-3)), dtype=np.float64)
    if _SECONDS not in observed:
        raise PlannerError(f"per second needs a column {_SECONDS} in observed or in the pool; add it, or use per trial")
    measured = observed[observed[_SECONDS].notna()]
    seconds = np.log(np.maximum(own_seconds(numbers_in(measured, _SECONDS), *_others_of(measured)), 1e-3))
    if not len(seconds):
        return np.zeros(len(pool))
    before, after = (_logs(frame, paid) for frame in (measured, pool))
    weights = np.ones(len(seconds))
    for _ in range(HUBER_ROUNDS):  # Huber's weights: a machine that did something else for a while makes outliers
        centre, level = np.average(before, axis=0, weights=weights), np.average(seconds, weights=weights)
        root = np.sqrt(weights)
        slopes = np.linalg.lstsq((before - centre) * root[:, None], (seconds - level) * root, rcond=1e-9)[0]
        off = np.abs(seconds - level - (before - centre) @ slopes)
        limit = HUBER * max(float(np.median(off)), LEAST_OFF)
        weights = limit / np.maximum(off, limit)
    return np.asarray((after - centre) @ slopes + level, dtype=np.float64)


def _others_of(measured: pd.DataFrame) -> list[FloatArray]:
    """The other columns of `planner.study.pace.TIME_COLUMNS`; NaN where the table has none."""
    import pandas as pd

    missing = pd.Series(np.nan, index=measured.index)
    found = [pd.to_numeric(measured.get(name, missing), errors="coerce") for name in TIME_COLUMNS[1:]]
    return [one.to_numpy(dtype=np.float64, na_value=np.nan) for one in found]


def _logs(frame: pd.DataFrame, columns: Sequence[str]) -> FloatArray:
    matrix: FloatArray = np.column_stack([np.log(np.maximum(numbers_in(frame, name), 1e-9)) for name in columns])
    return matrix
