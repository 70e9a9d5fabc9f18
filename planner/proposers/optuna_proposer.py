"""Optuna's samplers as proposers.

They know nothing of windows, budgets or which integers go together: each of their suggestions is moved to the nearest
row of the pool, and the next suggestion is asked for with that one running. They run on a study in memory, made of the
rows that were tried, so that what they suggested and nobody trained stays nowhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.proposers.protocol import PENDING, ProposalTask
from planner.study.trials import widened
from planner.tables.status import ok_rows
from sampler.architecture import FloatArray

if TYPE_CHECKING:
    import optuna
    import pandas as pd

_GENERATION = 50  # Optuna's default population
_STARTUP = 10  # trials before a model is used


class OptunaProposer:
    """Chooses what one of Optuna's samplers suggests.

    Args:
        method: `tpe`, `gp`, `nsga2`, `nsga3` or `random`.
    """

    def __init__(self, method: str) -> None:
        self.method = method

    @property
    def from_nothing(self) -> bool:
        """Whether nothing needs to be known."""
        return self.method == "random"

    def about(self, name: str, task: ProposalTask) -> str:
        """What it chose by."""
        return f"{name} of Optuna; its suggestions were moved to the nearest of the pool's architectures"

    def __call__(self, observed: pd.DataFrame, pool: pd.DataFrame, n: int, task: ProposalTask) -> Sequence[Any]:
        """As `Proposer`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # experimental arguments
            rows = every_row(observed, task)
            ranges = ranges_of(task, rows, pool)
            study = replica(
                rows, ranges, task, optuna_sampler(self.method, int(_finished(rows, task).sum()), task.seed)
            )
            return [pool.index[row] for row in _nearest(study, pool, ranges, n)]


def _nearest(
    study: optuna.Study, pool: pd.DataFrame, ranges: Mapping[str, optuna.distributions.IntDistribution], n: int
) -> list[int]:
    """Numbers of the pool's rows nearest to suggestions, each once."""
    distributions: dict[str, Any] = dict(ranges)
    names = list(ranges)
    values = pool[names].to_numpy(dtype=np.float64)
    points = _logs(values, values)
    spread = np.maximum(points.std(axis=0), 1e-9)
    free, chosen = np.ones(len(pool), dtype=bool), list[int]()
    while len(chosen) < min(n, len(pool)):
        trial = study.ask(distributions)
        wanted = _logs(np.array([[trial.params[name] for name in names]], dtype=np.float64), values)
        distance = (((points - wanted) / spread) ** 2).sum(axis=1)
        row = int(np.argmin(np.where(free, distance, np.inf)))
        _replace(study, trial, _params(pool.iloc[row].to_dict(), ranges), distributions)
        free[row] = False
        chosen.append(row)
    return chosen


def every_row(observed: pd.DataFrame, task: ProposalTask) -> pd.DataFrame:
    """All rows that were tried, those tried otherwise too, in the order of their trials; what is to come last."""
    import pandas as pd

    if task.others is None or task.others.empty:
        return observed
    come = _pending(observed)
    ended = pd.concat([observed[~come], task.others], ignore_index=True)
    if "trial" in ended:
        ended = ended.sort_values("trial", kind="stable")
    rows: pd.DataFrame = pd.concat([ended, observed[come]], ignore_index=True)
    return rows


def ranges_of(
    task: ProposalTask, rows: pd.DataFrame, pool: pd.DataFrame
) -> dict[str, optuna.distributions.IntDistribution]:
    """The range of every parameter: the task's, or those of whole numbers that the tables hold."""
    from optuna.distributions import IntDistribution

    if task.ranges:
        return {name: IntDistribution(low, high, step=step) for name, (low, high, step) in task.ranges.items()}
    ends = {name: [*rows[name].dropna(), *pool[name]] for name in task.inputs}
    return {name: IntDistribution(round(min(values)), round(max(values))) for name, values in ends.items()}


def replica(
    rows: pd.DataFrame,
    ranges: Mapping[str, optuna.distributions.IntDistribution],
    task: ProposalTask,
    sampler: optuna.samplers.BaseSampler,
) -> optuna.Study:
    """A study in memory with rows as its trials; what is to come is running here.

    Trials get the generation 0 of a genetic sampler, which would else take none of them for a parent.
    """
    import optuna

    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    key = getattr(sampler, "_get_generation_key", lambda: None)()
    attributes = {} if key is None else {key: 0}
    done, come = _finished(rows, task), _pending(rows)
    complete, failed = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL
    for place, row in enumerate(rows.to_dict("records")):
        params = _params(row, ranges)
        if come[place]:
            study.add_trial(_running(params, widened(ranges, params)))
            continue
        values = [float(row[task.target]), float(row[task.cost])] if done[place] else None
        study.add_trial(
            optuna.trial.create_trial(
                state=complete if done[place] else failed,
                values=values,
                params=params,
                distributions=widened(ranges, params),
                system_attrs=attributes,
            )
        )
    return study


def _finished(rows: pd.DataFrame, task: ProposalTask) -> Any:
    """`(n,)` bools: the rows with a result."""
    return rows[task.target].notna().to_numpy(dtype=bool) & ok_rows(rows)


def _pending(rows: pd.DataFrame) -> Any:
    """`(n,)` bools: the rows whose result is to come."""
    return rows["status"].isin(PENDING).to_numpy() if "status" in rows else np.zeros(len(rows), dtype=bool)


def _params(row: Mapping[Any, Any], names: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(row[name]) for name in names}


def _replace(study: optuna.Study, trial: optuna.Trial, params: dict[str, int], distributions: dict[str, Any]) -> None:
    """Puts what will be trained in the place of what was suggested."""
    import optuna

    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    study.add_trial(_running(params, distributions))


def _running(params: dict[str, int], distributions: dict[str, Any]) -> optuna.trial.FrozenTrial:
    import optuna

    state = optuna.trial.TrialState.RUNNING
    return optuna.trial.create_trial(state=state, params=params, distributions=distributions)


def optuna_sampler(method: str, done: int, seed: int) -> optuna.samplers.BaseSampler:
    """One of Optuna's samplers, for a study with so many finished trials."""
    from optuna import samplers

    population, startup = max(2, min(_GENERATION, done)), max(1, min(done, _STARTUP))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental arguments
        if method == "tpe":
            # Waiting trainings count as bad ones, so that a batch does not crowd; stages are modelled together.
            options: dict[str, Any] = {"multivariate": True, "constant_liar": True, "warn_independent_sampling": False}
            return samplers.TPESampler(seed=seed, n_startup_trials=startup, **options)
        if method == "gp":
            return samplers.GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
        if method == "nsga2":
            return samplers.NSGAIISampler(seed=seed, population_size=population)
        if method == "nsga3":
            return samplers.NSGAIIISampler(seed=seed, population_size=population)
        return samplers.RandomSampler(seed=seed)


def _logs(values: FloatArray, pool: FloatArray) -> FloatArray:
    """Values by their logarithms, in columns that are positive all over the pool."""
    positive = (pool > 0).all(axis=0)
    logs: FloatArray = np.where(positive, np.log(np.where(positive, values, 1.0)), values)
    return logs
