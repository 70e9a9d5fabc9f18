"""Fits an accuracy surrogate to a table of networks that were trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import PlannerError
from planner.gaussian.features import default_scales
from planner.gaussian.kernels import Kernel
from planner.gaussian.members import fitted_member
from planner.gaussian.mixture import Mixture
from planner.surrogates import choose
from planner.surrogates.calibration import thinned
from planner.surrogates.choose import IDENTITY, Problem, chosen_transforms, seen_through, warp_at
from planner.surrogates.extremes import outside_of
from planner.surrogates.mixture import fit_mixture, tuning_rows, weighed
from planner.surrogates.rows import as_frame, noise_variances_of, numbers_in, study_inputs, with_indicators
from planner.surrogates.surrogate import LINEAR_ERRORS, Surrogate
from planner.surrogates.validate import HeldOutPredictions, cross_validated, errors_of, folds_of
from planner.tables.status import ok_rows
from planner.text.deferred import pd
from planner.text.documents import shown
from sampler.seeds import checked_seed

_COST = "macs"
MOST_FITTED_ROWS = 3_000  # that a posterior is conditioned on; more are thinned by chance
MOST_INPUTS = 200


def fit_surrogate(
    table: pd.DataFrame | str | Path,
    inputs: Sequence[str] | None = None,
    target: str = "accuracy",
    cost: str | None = None,
    noise_variance: float | ArrayLike | str | None = None,
    seed: int = 0,
    *,
    validate: bool = True,
) -> Surrogate:
    """Fits a surrogate to any table with numeric columns.

    A mixture of Gaussian processes that share a linear mean in the logarithms of the inputs (see
    `planner.gaussian.kernels`), of a target warped so that the line is a saturating power law (`warps`); weighed by
    leave-one-out densities; its intervals calibrated on rows held out in cross-validation, and beyond the rows seen on
    what leaving the largest and the smallest out has cost (see `planner.gaussian.outside`).

    Args:
        table: A frame, or the path of a CSV file; where there is a column `status`, only rows that say `ok` are used.
        inputs: Names of the columns that describe a network, or the task it was trained on (a column of words, such as
            the data set, becomes one input for each word); by default those of a study's trials that vary
            (resolution, widths, depths, epochs, data share, base, data).
        target: Name of the column to predict, in any unit.
        cost: Name of a positive cost column (MACs), read as one more input, of whose power law the mean is made; by
            default `macs` where the table has it (tables to predict may lack that one: the surrogate is then fitted
            again without).
        noise_variance: Variance of the target between trainings that differ in their seed alone, where it was
            measured: one number, one for each row, or the name of a column. More noise is learned on top.
        seed: Random seed of the folds, and of the choice of rows where there are very many.
        validate: Whether to cross-validate. Without, it takes a third of the time, `errors` is empty, and the
            calibration rests on leave-one-out residuals at the hyper-parameters of all rows.

    Returns:
        The surrogate.

    Raises:
        PlannerError: If a column is missing, a value is no number, or there are fewer than 2 rows.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"width": [8, 16, 24, 32, 48, 64], "accuracy": [0.5, 0.6, 0.66, 0.7, 0.76, 0.8]})
        >>> surrogate = fit_surrogate(frame, inputs=["width"])
        >>> print(f"{surrogate.predict(pd.DataFrame({'width': [40]}))['mean'][0]:.2f}")
        0.73
    """
    seed = checked_seed(seed)
    frame = as_frame(table)
    used = used_rows(frame, seed)
    rows = frame.iloc[used]
    names = _inputs(rows, inputs)
    if cost is not None and not isinstance(cost, str):
        raise PlannerError(f"cost is {shown(cost)}; the name of a column, or None, is wanted")
    by_itself = cost is None and _COST in map(str, frame.columns) and _COST not in (*names, target)
    cost = _COST if by_itself else (None if cost in names else cost)
    columns = [*names, *([cost] if cost else [])]
    problem = Problem(
        tuple(columns),
        np.column_stack([numbers_in(rows, name) for name in columns]),
        numbers_in(rows, target),
        noise_variances_of(noise_variance, frame, used),
    )
    _check(problem, cost)
    surrogate = _surrogate(problem, tuple(names), target, cost, seed, validate)
    if not by_itself:
        return surrogate
    plain = replace(problem, names=tuple(names), inputs=problem.inputs[:, :-1])
    return replace(surrogate, refit_without_cost=lambda: _surrogate(plain, tuple(names), target, None, seed, validate))


def held_out_predictions(
    surrogate: Surrogate, table: pd.DataFrame | str | Path
) -> tuple[list[int], HeldOutPredictions]:
    """What the surrogate's errors were measured on: each row predicted by a mixture that has not seen it.

    Args:
        surrogate: Surrogate of `fit_surrogate`.
        table: Table that it was fitted to, with the same columns.

    Returns:
        Numbers of the table's rows that were used, and their predictions in the same order.

    Raises:
        PlannerError: If it is another table, or a column is missing.
    """
    frame, seed = as_frame(table), int(surrogate.provenance["seed"])
    used = used_rows(frame, seed)
    rows = frame.iloc[used]
    names = [*surrogate.inputs, *([surrogate.cost] if surrogate.cost else [])]
    if len(used) != len(surrogate.mixture.seen.w):
        raise PlannerError(f"the surrogate was fitted to {len(surrogate.mixture.seen.w)} rows, not to {len(used)}")
    inputs = np.column_stack([numbers_in(rows, name) for name in names])
    return used, cross_validated(surrogate.mixture, folds_of(inputs, seed), seed)


def used_rows(frame: pd.DataFrame, seed: int) -> list[int]:
    """Numbers of a table's rows that a fit with this seed learns from: the finished ones, thinned where very many.

    Raises:
        PlannerError: If fewer than two trainings are finished.
    """
    used = np.flatnonzero(ok_rows(frame))
    if len(used) < 2:
        raise PlannerError(f"{len(used)} finished trainings in the table; at least 2 are needed")
    if len(used) > MOST_FITTED_ROWS:
        used = np.sort(np.random.default_rng(seed).choice(used, MOST_FITTED_ROWS, replace=False))
    return [int(row) for row in used]


def _inputs(rows: pd.DataFrame, inputs: Sequence[str] | None) -> list[str]:
    listed = inputs is None or isinstance(inputs, Iterable)
    names = study_inputs(rows) if inputs is None else [str(name) for name in inputs] if listed else []
    if isinstance(inputs, str) or not 0 < len(set(names)) == len(names) <= MOST_INPUTS:
        raise PlannerError(f"inputs is {shown(inputs)}; a list of 1 to {MOST_INPUTS} different column names is wanted")
    return with_indicators(rows, names)


def _check(problem: Problem, cost: str | None) -> None:
    if cost and (problem.inputs[:, -1] <= 0).any():
        raise PlannerError(f"the cost {cost} must be positive in every row")
    largest = np.abs(problem.target).max()
    if largest > 1e100 or np.abs(problem.inputs).max() > 1e100:
        raise PlannerError("the table holds numbers beyond 1e100; give them in a smaller unit")


def _surrogate(
    problem: Problem,
    names: tuple[str, ...],
    target: str,
    cost: str | None,
    seed: int,
    validate: bool,
) -> Surrogate:
    rng = np.random.default_rng(seed)
    few = rng.permutation(len(problem.target))[: choose.ROWS]
    rung, scales = chosen_transforms(problem.rows(np.sort(few)), default_scales(problem.inputs))
    whole = fit_mixture(problem, rung, scales, seed)
    versions = {name: version(name) for name in ("numpy", "scipy")}
    provenance = {"rows": len(problem.target), "folds": 0, "seed": seed, "versions": versions}
    if not validate:
        mean, variance = whole.leave_one_out()
        residuals = thinned((whole.seen.w - mean) / np.sqrt(variance))
        outside = outside_of(whole, problem, rung, cost is not None, residuals, seed)
        return Surrogate(names, target, cost, whole, residuals, {}, provenance, outside)
    folds = folds_of(problem.inputs, seed)
    held_out = cross_validated(whole, folds, seed)
    linear = cross_validated(_linear(whole, problem, seed), folds, seed)
    errors = errors_of(held_out, problem) | errors_of(linear, problem, LINEAR_ERRORS)
    provenance["folds"] = int(folds.max()) + 1
    residuals = thinned(held_out.residuals)
    outside = outside_of(whole, problem, rung, cost is not None, residuals, seed)
    return Surrogate(names, target, cost, whole, residuals, errors, provenance, outside)


def _linear(whole: Mixture, problem: Problem, seed: int) -> Mixture:
    """What the surrogate is compared with: a ridge line in the same features, of the target as it is."""
    warp = warp_at(IDENTITY, problem.target)
    seen = seen_through(problem, whole.features, warp)
    member = fitted_member(Kernel("linear", "linear"), seen, seen.rows(tuning_rows(len(seen.w), seed)))
    return weighed(whole.features, warp, [member])
