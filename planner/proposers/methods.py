"""Which architectures of a pool to train next, by ours or by Optuna's samplers, on a study's ledger.

`bayes` is the expected gain in hypervolume (`planner.proposers.bayes`). Optuna's samplers know nothing of windows,
budgets or which integers go together: each of their suggestions is moved to the nearest architecture of the pool, and
the next suggestion is asked for with that one running. They run on a copy of the ledger in memory, so that what they
suggested and nobody trained does not stay in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from planner.errors import PlannerError
from planner.proposers.apart import uniform_where_untried
from planner.proposers.outlook import inputs_of
from planner.proposers.pool import architectures_frame
from planner.study.trials import architecture_of, parameters, trained, widened
from sampler import Architectures, SearchSpace
from sampler import base as base_named
from sampler.architecture import FloatArray
from sampler.complexity import count
from sampler.moves import column_names, from_rows
from sampler.scaling import rule_named

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from planner.study.reader import Records

_Per = Literal["trial", "second"]
METHODS = ("bayes", "tpe", "gp", "nsga2", "nsga3", "random")
# The front's selection never has fewer points (`planner.front.pareto.FEWEST_KEPT`).
FEWEST_INITIAL = 8
GENERATION = 50  # Optuna's default population


def initial_size(space: SearchSpace) -> int:
    """Architectures of the initial design: two for each coefficient of a line in the space's factors, 8 at least.

    A line over k factors has k + 1 coefficients, and is the mean of the surrogate: as many trainings determine it, and
    as many again say how far they scatter about it. That is 8 for uniform scaling and 32 for seven stages.
    """
    return max(FEWEST_INITIAL, 2 * (space.dimensions + 1))


def missing_initial(ledger: Records, space: SearchSpace) -> int:
    """How many of the initial design were neither trained nor are queued; failed ones are missing."""
    counts = ledger.counts()
    return max(0, initial_size(space) - counts["ok"] - counts["running"] - counts["waiting"])


def front_architectures(rows: pd.DataFrame, space: SearchSpace) -> Architectures | None:
    """The architectures on the front of trainings; None where there are no trainings."""
    from planner.front.pareto import as_losses, non_dominated_mask

    if rows.empty:
        return None
    kept = rows[non_dominated_mask(as_losses(rows["accuracy"], rows["macs"]))]
    names = list(column_names(len(base_named(space.base).stages)))
    return from_rows(space.network, kept[names].to_numpy(dtype=np.int64))


def noise_variance(ledger: Records) -> float | None:
    """Of accuracy between seeds, where architectures were trained with several."""
    return ledger.table().noise_variance if ledger.counts()["ok"] else None


def choose(
    ledger: Records,
    pool: Architectures,
    n: int,
    method: str,
    seed: int,
    per: _Per = "trial",
    budgets: Sequence[float] | None = None,
) -> list[int]:
    """Chooses what to train next.

    Args:
        ledger: The study's ledger.
        pool: What could be trained, nothing of it tried.
        n: How many; fewer come back where the pool holds fewer.
        method: One of `METHODS`.
        seed: Same seed, same choice.
        per: For `bayes`: gain per `trial`, or per `second` of training.
        budgets: For `bayes`: MACs whose answers are to be improved, instead of the whole front.

    Returns:
        Row numbers of the pool, the best first.

    Raises:
        PlannerError: If the method is unknown.
    """
    if method not in METHODS:
        raise PlannerError(f"method {method!r} is unknown; known methods: {', '.join(METHODS)}")
    if method == "bayes":
        return _by_gain(ledger, pool, n, seed, per, budgets)
    return _by_sampler(ledger, pool, n, _sampler(method, ledger, seed))


def _by_gain(
    ledger: Records, pool: Architectures, n: int, seed: int, per: _Per, budgets: Sequence[float] | None
) -> list[int]:
    from planner.proposers.proposal import propose

    frame, rows = architectures_frame(pool, ledger.space), trained(ledger.frame())
    inputs = inputs_of(rows, frame)
    alike = uniform_where_untried(rows, frame, ledger.space, [*inputs, "macs"])
    rows = _with_waiting(rows, ledger)
    noise = noise_variance(ledger)
    options: dict[str, Any] = {"inputs": inputs, "target": "accuracy", "cost": "macs", "seed": seed, "per": per}
    options |= {name: one for name, one in (("budgets", budgets), ("alike", alike)) if one}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # a dependency of BoTorch scripts functions as it is loaded
        labels = propose(rows, frame, n, noise_variance=noise, **options)
    return [int(label) for label in labels]


def choose_epochs(
    ledger: Records,
    pool: Architectures,
    n: int,
    epochs: Sequence[int],
    seed: int,
    budgets: Sequence[float] | None = None,
) -> list[tuple[int, int]]:
    """Chooses what to train next and for how long: by what it teaches, per second, of the study's own epochs.

    Args:
        ledger: The study's ledger.
        pool: What could be trained; nothing of it was tried for the study's own epochs.
        n: How many.
        epochs: Among which is chosen; the study's own are always among them.
        seed: Same seed, same choice.
        budgets: MACs whose answers are to be improved, instead of the whole front.

    Returns:
        Row numbers of the pool with their epochs, the best first.
    """
    import pandas as pd

    from planner.proposers.proposal import propose

    usual = ledger.settings.fidelity.epochs
    lengths = sorted({*epochs, usual})
    rows, whole = trained(ledger.frame(), shorter=True), architectures_frame(pool, ledger.space)
    frame = pd.concat([whole.assign(epochs=one) for one in lengths], ignore_index=True)
    known, rows = rows, _with_waiting(rows, ledger)
    inputs = list(dict.fromkeys([*inputs_of(rows, whole), *(["epochs"] if len(lengths) > 1 else [])]))
    fidelity = {"epochs": float(usual)} if "epochs" in inputs else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        labels = propose(
            rows,
            frame,
            n,
            inputs=inputs,
            seed=seed,
            per="second",
            fidelity=fidelity,
            noise_variance=noise_variance(ledger),
            budgets=budgets,
            alike=uniform_where_untried(known, whole, ledger.space, [*inputs, "macs"]),
        )
    return [(label % len(whole), lengths[label // len(whole)]) for label in map(int, labels)]


def _with_waiting(rows: pd.DataFrame, ledger: Records) -> pd.DataFrame:
    """What was measured, and after it what waits, without accuracy."""
    import pandas as pd

    pending = ledger.pending()
    if pending is None:
        return rows
    waiting = architectures_frame(pending, ledger.space).assign(
        status="waiting", accuracy=np.nan, seconds=np.nan, epochs=ledger.pending_epochs()
    )
    return pd.concat([rows, waiting[[name for name in waiting if name in rows]]], ignore_index=True)


def _by_sampler(ledger: Records, pool: Architectures, n: int, sampler: optuna.samplers.BaseSampler) -> list[int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = replica(ledger, sampler)
        distributions: dict[str, Any] = ledger.distributions()
        names = list(distributions)
        points = _logs(pool)
        spread = np.maximum(points.std(axis=0), 1e-9)
        free, chosen = np.ones(len(pool), dtype=bool), list[int]()
        while len(chosen) < min(n, len(pool)):
            trial = study.ask(distributions)
            wanted = np.log(np.array([[trial.params[name] for name in names]], dtype=np.float64))
            distance = (((points - wanted) / spread) ** 2).sum(axis=1)
            row = int(np.argmin(np.where(free, distance, np.inf)))
            _replace(study, trial, parameters(pool[row]), distributions)
            free[row] = False
            chosen.append(row)
    return chosen


def _replace(study: optuna.Study, trial: optuna.Trial, params: dict[str, int], distributions: dict[str, Any]) -> None:
    """Puts what will be trained in the place of what was suggested."""
    import optuna

    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    study.add_trial(_running(params, distributions))


def _running(params: dict[str, int], distributions: dict[str, Any]) -> optuna.trial.FrozenTrial:
    import optuna

    state = optuna.trial.TrialState.RUNNING
    return optuna.trial.create_trial(state=state, params=params, distributions=distributions)


def replica(ledger: Records, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    """A study in memory with the ledger's trials; what waits there is running here.

    Trials get the generation 0 of a genetic sampler, which would else take none of them for a parent.
    """
    import optuna
    from optuna.trial import TrialState

    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    key = getattr(sampler, "_get_generation_key", lambda: None)()
    ranges = ledger.distributions()
    for trial in ledger.study.get_trials(states=(TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED)):
        if "architecture" not in trial.user_attrs:
            continue  # queued by another program
        trial.params = parameters(architecture_of(trial.user_attrs))
        trial.distributions = widened(ranges, trial.params)
        if key is not None:
            trial.system_attrs[key] = 0
        study.add_trial(trial)
    for architecture in ledger.pending() or ():
        params = parameters(architecture)
        study.add_trial(_running(params, widened(ranges, params)))
    return study


def _sampler(method: str, ledger: Records, seed: int) -> optuna.samplers.BaseSampler:
    from optuna import samplers

    done = ledger.counts()["ok"]
    population = max(2, min(GENERATION, done))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental arguments
        if method == "tpe":
            # Waiting trainings count as bad ones, so that a batch does not crowd; stages are modelled together.
            options: dict[str, Any] = {"multivariate": True, "constant_liar": True, "warn_independent_sampling": False}
            return samplers.TPESampler(seed=seed, n_startup_trials=min(done, 10), **options)
        if method == "gp":
            return samplers.GPSampler(seed=seed, n_startup_trials=min(done, 10), warn_independent_sampling=False)
        if method == "nsga2":
            return samplers.NSGAIISampler(seed=seed, population_size=population)
        if method == "nsga3":
            return samplers.NSGAIIISampler(seed=seed, population_size=population)
        return samplers.RandomSampler(seed=seed)


def _logs(pool: Architectures) -> FloatArray:
    """`(n, 1 + 2 s)` logarithms of what a trial's parameters are, in their order."""
    logs: FloatArray = np.log(np.column_stack([pool.resolution, pool.widths, pool.depths]).astype(np.float64))
    return logs


def macs_of_parameters(space: SearchSpace) -> Callable[[dict[str, Any]], float]:
    """The MACs of a trial's parameters, as `planner.ExactCostSampler(cost=..)` takes them.

    The stem follows the first stage's width and the head the last's, as `sampler.moves` has it; architectures that
    were drawn may differ from that by a divisor of stem or head, which the parameters do not say.
    """
    network, rule = space.network, rule_named(space.rule)

    def cost(params: dict[str, Any]) -> float:
        stages = range(1, len(network.stages) + 1)
        widths, depths = ([params[f"{name}_{i}"] for i in stages] for name in ("width", "depth"))
        stem = rule.stem_channels(network, np.array([widths[0] / network.stages[0].width]))
        head = rule.head_channels(network, np.array([widths[-1] / network.stages[-1].width]))
        rows = np.array([[params["resolution"], stem[0], *widths, *depths, head[0]]], dtype=np.int64)
        return float(count(from_rows(network, rows), space.classes).macs[0])

    return cost
