"""`planner.ExactCostSampler`: Optuna's own conformance suites, and what it promises beyond them."""

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)
from optuna.trial import TrialState

from planner import ExactCostSampler, PlannerError
from planner.proposers import sampler as module
from planner.proposers.candidates import drawn_rows, features, moved_rows

optuna.logging.set_verbosity(optuna.logging.ERROR)


def any_cost(params):
    """Positive for any parameters of Optuna's suites."""
    numbers = [value for value in params.values() if isinstance(value, (int, float))]
    return 1.0 + sum(abs(number) for number in numbers)


class Suites(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    """Not `SingleOnlySamplerTestCase`, which wants two objectives refused.

    Optuna's Basic and Relative suites make studies of one objective; the cost is computed, so that a study need not
    record it, and they apply as they are.
    """


class TestConformanceWithDefaults(Suites):
    @pytest.fixture
    def sampler(self):
        return lambda: ExactCostSampler(any_cost, pool_size=50)


class TestConformanceWithTheSurrogateFromTheFirstTrial(Suites):
    """The model takes part from the first trial on; its fit, tested elsewhere, is replaced by something quick."""

    @pytest.fixture
    def sampler(self, monkeypatch):
        monkeypatch.setattr("planner.proposers.sampler.propose", nearest_to_the_best)
        return lambda: ExactCostSampler(any_cost, n_startup_trials=1, pool_size=50)


def nearest_to_the_best(observed, pool, n, *, inputs, target, cost, seed):
    """A stand-in for `propose`: checks what it is given, and names the row nearest to the best."""
    assert np.isfinite(observed[[*inputs, target, cost]].to_numpy(dtype=float)).all()
    assert np.isfinite(pool[[*inputs, cost]].to_numpy(dtype=float)).all()
    assert (pool[cost] > 0).all() and len(pool) and n == 1
    best = observed.loc[observed[target].idxmax(), inputs]
    return [((pool[inputs] - best) ** 2).sum(axis=1).idxmin()]


RANGES = {
    "x": FloatDistribution(0, 1),
    "size": IntDistribution(8, 64, step=8),
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "kind": CategoricalDistribution(("a", "b", "c")),
}


def size_cost(params):
    return float(params["size"])


def study_of(sampler, directions=("maximize", "minimize")):
    return optuna.create_study(directions=directions, sampler=sampler)


def value_of(params):
    """Best at x = 0.5 and kind b; larger sizes are better, and dearer."""
    return 1 - (params["x"] - 0.5) ** 2 - 0.2 * (params["kind"] != "b") + 0.3 * params["size"] / 64


def run_trials(study, n, values=lambda params: (value_of(params), size_cost(params))):
    for _ in range(n):
        trial = study.ask(RANGES)
        study.tell(trial, values(trial.params))
    return [trial.params for trial in study.trials]


def test_the_same_seed_gives_the_same_trials_and_another_others(monkeypatch):
    monkeypatch.setattr("planner.proposers.sampler.propose", nearest_to_the_best)
    one, again, other = (run_trials(study_of(ExactCostSampler(size_cost, seed=s, pool_size=50)), 14) for s in (3, 3, 4))
    assert one == again != other
    sampler = ExactCostSampler(size_cost, seed=3)
    before = sampler.seed
    sampler.reseed_rng()
    assert sampler.seed != before


def test_trials_before_the_surrogate_spread_over_the_costs():
    sizes = [params["size"] for params in run_trials(study_of(ExactCostSampler(size_cost, seed=1, pool_size=200)), 9)]
    assert len(set(sizes[1:])) >= 7  # eight sizes; eight random ones would be about five different


def test_the_surrogate_is_used_after_two_trials_for_each_coefficient(monkeypatch):
    seen = []

    def counted(observed, pool, n, **options):
        seen.append(len(observed))
        return nearest_to_the_best(observed, pool, n, **options)

    monkeypatch.setattr("planner.proposers.sampler.propose", counted)
    run_trials(study_of(ExactCostSampler(size_cost, seed=0, pool_size=50)), 15)
    assert seen == [12, 13, 14]  # 1 + 3 numbers + 2 of 3 categories = 6 coefficients


@pytest.mark.parametrize("objective", [0, 1])
@pytest.mark.parametrize("costly", ["maximize", "minimize"])
@pytest.mark.parametrize("cheap", ["maximize", "minimize"])
def test_directions_and_places_of_the_objectives_are_respected(monkeypatch, objective, costly, cheap):
    given = {}

    def spying(observed, pool, n, **options):
        given.update(observed=observed)
        return [pool.index[0]]

    monkeypatch.setattr("planner.proposers.sampler.propose", spying)
    directions = (costly, cheap) if objective == 0 else (cheap, costly)
    study = study_of(ExactCostSampler(size_cost, seed=0, objective=objective, n_startup_trials=3), directions)

    def values(params):
        both = (value_of(params), size_cost(params))
        return both if objective == 0 else both[::-1]

    tried = run_trials(study, 5, values)[:4]
    sign, power = 1 if costly == "maximize" else -1, 1 if cheap == "minimize" else -1
    assert given["observed"]["target"].tolist() == pytest.approx([sign * value_of(one) for one in tried])
    assert given["observed"]["cost"].tolist() == pytest.approx([size_cost(one) ** power for one in tried])


def test_running_trials_are_believed_and_failed_and_pruned_ones_left_alone(monkeypatch):
    given = {}

    def spying(observed, pool, n, **options):
        given.update(observed=observed, pool=pool)
        return [pool.index[0]]

    monkeypatch.setattr("planner.proposers.sampler.propose", spying)
    monkeypatch.setattr(module, "_believed", lambda observed, running, *_: observed.assign(believed=len(running)))
    grid = {"size": IntDistribution(1, 12)}
    study = study_of(ExactCostSampler(size_cost, seed=0, n_startup_trials=2))
    for _ in range(4):
        trial = study.ask(grid)
        study.tell(trial, (trial.params["size"] / 12, trial.params["size"]))
    study.tell(study.ask(grid), state=TrialState.FAIL)
    study.tell(study.ask(grid), state=TrialState.PRUNED)
    running = [study.ask(grid) for _ in range(2)]
    study.ask(grid)
    assert len(given["observed"]) == 4 and (given["observed"]["believed"] == len(running)).all()
    left = set(range(1, 13)) - {trial.params["size"] for trial in study.trials[:8]}
    assert set(given["pool"]["x0"]) == left and len(left) == 4


def test_a_surrogate_believes_in_running_trials():
    rng = np.random.default_rng(0)
    x = rng.random((30, 2))
    observed = pd.DataFrame({"x0": x[:, 0], "cost": 1 + x[:, 1], "target": x[:, 0] + x[:, 1]})
    running = pd.DataFrame({"x0": [0.5], "cost": [1.5]})
    believed = module._believed(observed, running, ["x0"], 0)
    assert len(module._believed(observed.head(3), running, ["x0"], 0)) == 3  # too few to believe anything
    assert len(believed) == 31 and believed["target"].iloc[30] == pytest.approx(1.0, abs=0.05)


def test_candidates_are_tried_each_once_before_any_twice():
    candidates = [{"x": x, "size": size} for x in (0.25, 0.75) for size in (8, 16, 32)]
    sampler = ExactCostSampler(size_cost, seed=0, candidates=candidates, n_startup_trials=99)
    study = study_of(sampler)
    ranges = {name: RANGES[name] for name in ("x", "size")}
    for _ in range(6):
        trial = study.ask(ranges)
        study.tell(trial, (trial.params["x"], trial.params["size"]))
    assert sorted(map(str, (trial.params for trial in study.trials))) == sorted(map(str, candidates))
    assert study.ask(ranges).params in candidates


def test_draws_and_moves_stay_in_their_ranges_and_moves_are_near():
    rng = np.random.default_rng(0)
    rows = drawn_rows(RANGES, 200, rng)
    near = moved_rows(rows[:1], RANGES, 200, rng)
    for row in rows + near:
        assert all(one._contains(one.to_internal_repr(row[name])) for name, one in RANGES.items()), row
        assert [type(row[name]) for name in RANGES] == [float, int, float, str]
    assert {row["size"] for row in rows} == set(range(8, 65, 8))
    different = [sum(row[name] != rows[0][name] for name in RANGES) for row in near]
    assert max(different) == 2
    assert np.mean([abs(row["x"] - rows[0]["x"]) for row in near]) < 0.1
    assert 0.3 < np.mean([row["rate"] < 10**-2.5 for row in rows]) < 0.7
    columns = features(rows, RANGES)
    assert list(columns) == ["x0", "x1", "x2", "x3_0", "x3_1", "x3_2"]
    assert columns["x0"].min() >= 1 and columns["x0"].max() <= 2  # of a range that begins at 0
    assert columns["x1"].tolist() == [row["size"] for row in rows]
    assert (columns["x3_0"] + columns["x3_1"] + columns["x3_2"] == 1).all()


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_cost_is_refused(cost):
    with pytest.raises(PlannerError, match="wants positive, finite costs"):
        run_trials(study_of(ExactCostSampler(lambda params: cost, seed=0)), 2)


def test_impossible_arguments_are_refused():
    with pytest.raises(PlannerError, match="objective is 2; 0 or 1 is wanted"):
        ExactCostSampler(size_cost, objective=2)
    with pytest.raises(PlannerError, match="must leave something to try"):
        ExactCostSampler(size_cost, candidates=[])
    study = optuna.create_study(directions=["minimize"] * 3, sampler=ExactCostSampler(size_cost))
    with pytest.raises(PlannerError, match="the study has 3 objectives"):
        study.ask(RANGES)


def test_with_the_real_surrogate_proposals_move_to_where_the_front_is():
    study = study_of(ExactCostSampler(size_cost, seed=0, pool_size=300))
    ranges = {name: RANGES[name] for name in ("x", "size")}
    for _ in range(12):
        trial = study.ask(ranges)
        study.tell(trial, (np.exp(-3 * trial.params["x"]) + 0.3 * trial.params["size"] / 64, trial.params["size"]))
    x = [trial.params["x"] for trial in study.trials]
    assert np.mean(x[:8]) > 0.3 and max(x[8:]) < 0.2, x
