"""`planner.ExactCostSampler`: the planner's proposals in anyone's Optuna study, where one objective can be computed.

Optuna's own samplers model both objectives. Here the cost of a candidate is known before it is tried, so only the
costly objective is modelled: many candidates are drawn, the cost of each is computed, and the one with the largest
expected gain in hypervolume is tried (`planner.propose`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from planner.errors import PlannerError
from planner.front.pareto import non_dominated_mask
from planner.proposers.candidates import ParameterRow, drawn_rows, features, key_of, moved_rows
from planner.proposers.proposal import FEWEST_DISTINCT, propose
from planner.surrogates.fit import fit_surrogate
from planner.text.documents import shown
from sampler.checks import checked_whole
from sampler.seeds import checked_seed

if TYPE_CHECKING:
    import pandas as pd

_Cost = Callable[[dict[str, Any]], float]
POOL_SIZE = 2_000
FEWEST_STARTUP = 8
_COST, _TARGET = "cost", "target"
# Of the pool, moves of the best trials in one or two parameters.
LOCAL_SHARE = 0.25
STRATA = 10
CHOSEN = "exact_cost_sampler:params"
LONGEST_ATTRIBUTE = 2_000  # some databases hold no more


class ExactCostSampler(BaseSampler):
    """Proposes by expected gain in hypervolume over a costly objective and a cost that is computed.

    For studies with two objectives, the costly one and the cost, each minimised or maximised; in a study with the
    costly objective alone, the cost is minimised beside it. Trials that run or wait are believed to come out as the
    surrogate expects, so that parallel trials do not crowd; failed and pruned ones are not proposed again and teach
    nothing. Constraints are not read: let `candidates` hold what is allowed. Parameters that are not asked for in
    every trial are drawn at random, and so are all in the first trial, from which the others learn their ranges.

    Args:
        cost: The computable objective of a trial's parameters: positive and finite, the same for the same
            parameters. It gets those that every trial has.
        seed: Random seed of draws and fits: the same seed, trials and order give the same proposals.
        objective: Which of the study's objectives is the costly one; the other is the cost.
        n_startup_trials: Finished trials before the surrogate is used; until then, candidates of the costs least
            tried. By default two for each coefficient of a line in the parameters, 2 (k + 1), and at least 8.
        pool_size: Candidates drawn for each trial; the cost of each is computed.
        candidates: Parameters to try, instead of draws; each must hold every parameter. Once all were tried, they
            are tried again.

    Raises:
        PlannerError: If an argument, a cost or the study's number of objectives is impossible.

    Example:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> sampler = ExactCostSampler(cost=lambda params: params["width"] ** 2, seed=0)
        >>> study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        >>> def objective(trial):
        ...     width = trial.suggest_int("width", 8, 64)
        ...     return 1 - 1 / width, width**2
        >>> study.optimize(objective, n_trials=3)
        >>> len({trial.params["width"] for trial in study.trials})
        3
    """

    def __init__(
        self,
        cost: _Cost,
        *,
        seed: int | None = None,
        objective: int = 0,
        n_startup_trials: int | None = None,
        pool_size: int = POOL_SIZE,
        candidates: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        if isinstance(objective, bool) or not isinstance(objective, int) or objective not in (0, 1):
            raise PlannerError(f"objective is {shown(objective)}; 0 or 1 is wanted, the place of the costly objective")
        if not callable(cost):
            raise PlannerError(f"cost is {shown(cost)}; a function of a trial's parameters is wanted")
        listed = candidates is None or isinstance(candidates, Sequence)
        if not listed or not all(isinstance(one, dict) for one in candidates or ()):
            raise PlannerError(f"candidates is {shown(candidates)}; a list of dictionaries of parameters is wanted")
        checked_whole("pool_size", pool_size, -(2**62), 10_000_000)
        if n_startup_trials is not None:
            checked_whole("n_startup_trials", n_startup_trials, 0, 2**62)
        if pool_size < 1 or (candidates is not None and not len(candidates)):
            raise PlannerError(f"pool_size {pool_size} and candidates must leave something to try")
        seed = None if seed is None else checked_seed(seed)
        self.cost, self.objective, self.pool_size = cost, objective, pool_size
        self.n_startup_trials = n_startup_trials
        self.candidates = None if candidates is None else [dict(one) for one in candidates]
        self.independent = RandomSampler(seed=seed)
        self.seed = int(np.random.default_rng(seed).integers(2**31))
        self._costs: dict[Any, float] = {}

    def reseed_rng(self) -> None:
        """Another seed, for a process of its own."""
        self.independent.reseed_rng()
        self.seed = int(np.random.default_rng().integers(2**31))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What all finished trials have in common."""
        self._check(study)
        space = intersection_search_space(study.get_trials(deepcopy=False))
        return {name: one for name, one in space.items() if not one.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters that promise most."""
        self._check(study)
        if not search_space:
            return {}
        rng = np.random.default_rng([self.seed, trial.number])
        known = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number]
        trials = [(one, row) for one in known if (row := _row_of(one, search_space)) is not None]
        pool = self._pool(study, trials, search_space, rng)
        finished = {key_of(row) for one, row in trials if self._value(study, one) is not None}
        again = key_of(pool[0]) in {key_of(row) for _, row in trials}
        if again or len(finished) < self._startup(search_space):
            chosen = pool[self._emptiest(study, [row for _, row in trials], pool, rng)]
        else:
            chosen = pool[self._best(study, trials, pool, search_space)]
        _announce(study, trial, chosen)
        return chosen

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter on its own: of a candidate where there are some, else at random."""
        self._check(study)
        if self.candidates is not None:
            rng = np.random.default_rng([self.seed, trial.number])  # the same candidate for all of a trial's parameters
            tried = {key_of(_part(one.params, self.candidates[0])) for one in study.get_trials(deepcopy=False)}
            untried = [one for one in self.candidates if key_of(one) not in tried] or self.candidates
            fitting = [one for one in untried if _agrees(one, trial.params)] or untried
            value = fitting[int(rng.integers(len(fitting)))].get(param_name)
            if value is not None and param_distribution._contains(param_distribution.to_internal_repr(value)):
                return value
        return self.independent.sample_independent(study, trial, param_name, param_distribution)

    def _check(self, study: Study) -> None:
        if len(study.directions) not in (1, 2) or self.objective >= len(study.directions):
            raise PlannerError(
                f"the study has {len(study.directions)} objectives and the costly one is number {self.objective}; "
                "ExactCostSampler wants two, or the costly one alone"
            )

    def _startup(self, space: dict[str, BaseDistribution]) -> int:
        coefficients = 1 + sum(
            len(one.choices) - 1 if isinstance(one, CategoricalDistribution) else 1 for one in space.values()
        )
        return max(FEWEST_STARTUP, 2 * coefficients) if self.n_startup_trials is None else self.n_startup_trials

    def _pool(
        self,
        study: Study,
        trials: Sequence[tuple[FrozenTrial, ParameterRow]],
        space: dict[str, BaseDistribution],
        rng: np.random.Generator,
    ) -> list[ParameterRow]:
        """Candidates, each once and none of them tried; all of them where every one was."""
        if self.candidates is not None:
            rows = [_part(one, space) for one in self.candidates]
        else:
            best = self._front(study, trials)
            local = moved_rows(best, space, int(LOCAL_SHARE * self.pool_size) if best else 0, rng)
            rows = [*local, *drawn_rows(space, self.pool_size - len(local), rng)]
        distinct = {key_of(row): row for row in rows}
        tried = {key_of(row) for _, row in trials}
        untried = [row for key, row in distinct.items() if key not in tried]
        return untried or list(distinct.values())

    def _front(self, study: Study, trials: Sequence[tuple[FrozenTrial, ParameterRow]]) -> list[ParameterRow]:
        """Parameters of the finished trials that no other dominates."""
        finished = [(row, value) for one, row in trials if (value := self._value(study, one)) is not None]
        if not finished:
            return []
        losses = np.array([[-value, self._log_cost(study, row)] for row, value in finished])
        return [row for (row, _), kept in zip(finished, non_dominated_mask(losses), strict=True) if kept]

    def _value(self, study: Study, trial: FrozenTrial) -> float | None:
        """The costly objective of a finished trial, to be made large; None where there is none."""
        if trial.state != TrialState.COMPLETE or not math.isfinite(trial.values[self.objective]):
            return None
        value = float(trial.values[self.objective])
        return value if study.directions[self.objective] == StudyDirection.MAXIMIZE else -value

    def _log_cost(self, study: Study, row: ParameterRow) -> float:
        """Logarithm of the cost, to be made small."""
        key = key_of(row)
        if key not in self._costs:
            self._costs[key] = float(self.cost(dict(row)))
        cost = self._costs[key]
        if not 0 < cost < math.inf:
            raise PlannerError(f"the cost of {row} is {cost}; ExactCostSampler wants positive, finite costs")
        maximised = len(study.directions) == 2 and study.directions[1 - self.objective] == StudyDirection.MAXIMIZE
        return -math.log(cost) if maximised else math.log(cost)

    def _emptiest(
        self, study: Study, tried: Sequence[ParameterRow], pool: Sequence[ParameterRow], rng: np.random.Generator
    ) -> int:
        """Before the surrogate: a random candidate of the stratum of log costs that holds the fewest trials."""
        costs = np.array([self._log_cost(study, row) for row in [*pool, *tried]])
        edges = np.linspace(costs.min(), costs.max(), STRATA + 1)[1:-1]
        which = np.searchsorted(edges, costs, side="right")
        counts = np.bincount(which[len(pool) :], minlength=STRATA)
        there = np.unique(which[: len(pool)])
        emptiest = there[counts[there] == counts[there].min()]
        return int(rng.choice(np.flatnonzero(which[: len(pool)] == rng.choice(emptiest))))

    def _best(
        self,
        study: Study,
        trials: Sequence[tuple[FrozenTrial, ParameterRow]],
        pool: Sequence[ParameterRow],
        space: dict[str, BaseDistribution],
    ) -> int:
        """The candidate with the largest expected gain."""
        frame = self._frame(study, pool, space)
        done = [(row, value) for one, row in trials if (value := self._value(study, one)) is not None]
        observed = self._frame(study, [row for row, _ in done], space).assign(**{_TARGET: [value for _, value in done]})
        running = [row for one, row in trials if not one.state.is_finished()]
        inputs = [name for name in frame.columns if name != _COST]
        if running:
            observed = _believed(observed, self._frame(study, running, space), inputs, self.seed)
        return int(propose(observed, frame, 1, inputs=inputs, target=_TARGET, cost=_COST, seed=self.seed)[0])

    def _frame(self, study: Study, rows: Sequence[ParameterRow], space: dict[str, BaseDistribution]) -> pd.DataFrame:
        import pandas as pd

        frame = pd.DataFrame(features(rows, space))
        costs = np.array([self._log_cost(study, row) for row in rows])
        return frame.assign(**{_COST: np.exp(costs)})


def _believed(observed: pd.DataFrame, running: pd.DataFrame, inputs: Sequence[str], seed: int) -> pd.DataFrame:
    """Finished trials, and running ones as a surrogate of the finished expects them, where they are enough for one."""
    import pandas as pd

    if len(observed) < FEWEST_DISTINCT or observed[_TARGET].nunique() < 2:
        return observed
    surrogate = fit_surrogate(observed, inputs, _TARGET, _COST, seed=seed)
    mean, _ = surrogate.posterior(running)
    return pd.concat([observed, running.assign(**{_TARGET: mean})], ignore_index=True)


def _announce(study: Study, trial: FrozenTrial, chosen: ParameterRow) -> None:
    """Tells other processes what this trial will be, before its objective has asked for all of it."""
    try:
        text = json.dumps(chosen)
    except TypeError:  # a category that is no plain value; Optuna warns of it
        return
    if len(text) <= LONGEST_ATTRIBUTE:
        study._storage.set_trial_system_attr(trial._trial_id, CHOSEN, text)


def _row_of(trial: FrozenTrial, space: dict[str, BaseDistribution]) -> ParameterRow | None:
    """A trial's parameters, where it has all of the space inside their ranges; those of a waiting one are fixed."""
    params = (
        trial.system_attrs.get("fixed_params", {}) | json.loads(trial.system_attrs.get(CHOSEN, "{}")) | trial.params
    )
    if not space.keys() <= params.keys():
        return None
    try:
        inside = all(one._contains(one.to_internal_repr(params[name])) for name, one in space.items())
    except ValueError:  # a category that the space does not have
        return None
    return _part(params, space) if inside else None


def _part(params: dict[str, Any], names: Any) -> ParameterRow:
    """The parameters of some names, as far as they are there."""
    return {name: params[name] for name in names if name in params}


def _agrees(candidate: ParameterRow, params: dict[str, Any]) -> bool:
    return all(candidate.get(name) == value for name, value in params.items() if name in candidate)
