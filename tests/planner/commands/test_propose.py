"""`planner propose`: what it queues, by every method, and what it says."""

import json
from dataclasses import replace

import optuna
import pandas as pd
import pytest

from planner import ExactCostSampler
from planner.proposers import methods
from planner.proposers.gain import aim
from planner.proposers.names import PROPOSER_NAMES
from planner.proposers.optuna_proposer import every_row, optuna_sampler, replica
from planner.proposers.outlook import Outlook
from planner.proposers.pool import architectures_frame, make_pool
from planner.proposers.registry import PROPOSERS
from sampler import SearchSpace, architecture_complexity, base
from sampler.complexity import count


@pytest.fixture
def quick(monkeypatch):
    """Puts simple arithmetic in the place of the surrogate."""

    def dearest(observed, pool, n, task):
        assert {"status", task.target, task.cost, *task.inputs} <= set(observed)
        assert {task.cost, *task.inputs} <= set(pool)
        return list(pool[task.cost].nlargest(n).index)

    dearest.about = lambda name, task: f"{name}: {aim(task)}"

    class Simple:
        def of_rows(self, rows):
            columns = {"mean": 0.5, "lower": 0.4, "upper": 0.6, "in_range": False, "gain": 0.01, "points": 0.002}
            return pd.DataFrame(columns, index=rows.index)

    monkeypatch.setattr(Outlook, "of", lambda *_: Simple())
    with PROPOSERS.temporarily("bayes", dearest):
        yield


def replica_of(ledger, sampler):
    """A study in memory with what Optuna's samplers see of a ledger."""
    rows = methods.StudyRows(ledger)
    task = rows.task(architectures_frame(ledger.tried(), ledger.space), 0, "trial", None)
    return replica(every_row(rows.observed, task), ledger.distributions(), task, sampler)


def queued(ledger):
    """Rows of what waits."""
    pending = ledger.pending()
    return [] if pending is None else [tuple(row) for row in pending.integers()]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("method", PROPOSER_NAMES)
def test_every_method_queues_untried_architectures_that_may_be_trained(run, mine, method):
    tried = {tuple(row) for row in mine.tried().integers()}
    n = 1 if method == "gp" else 3  # seconds each
    code, out, err = run("propose", "-n", n, "--method", method, "--params", "3M", "--pool", 2000, "--json")
    assert code == 0, err
    found, waiting = json.loads(out), queued(mine)
    assert len(waiting) == len(set(waiting)) == len(found["queued"]) == n
    assert not set(waiting) & tried
    cost = count(mine.pending(), 4)
    low, high = mine.space.macs_window
    assert (cost.macs >= low).all() and (cost.macs <= high).all() and (cost.params <= 3e6).all()
    assert [row["macs"] for row in found["queued"]] == cost.macs.tolist()
    assert found["queued"][0]["accuracy"] == {"mean": 0.5, "lower": 0.4, "upper": 0.6, "in_range": False}
    trials = [one for one in mine.study.get_trials() if one.state == optuna.trial.TrialState.WAITING]
    assert {one.user_attrs["origin"] for one in trials} == {method} and len(mine.study.trials) == 11 + n
    if method != "bayes":
        assert "moved to the nearest of the pool's architectures" in found["notes"][0]


@pytest.mark.usefixtures("quick")
def test_a_second_proposal_knows_what_waits_and_the_same_seed_chooses_the_same(mine):
    pool = make_pool(mine.space, 1000, 0, mine.tried())
    for method in ("tpe", "nsga2", "nsga3", "random"):
        one, again = (methods.choose_rows(mine, pool, 3, method, seed=5) for _ in range(2))
        assert one == again and len(set(one)) == 3
    mine.enqueue(pool.take([7]), "test")
    replica = replica_of(mine, optuna.samplers.RandomSampler())
    running = replica.get_trials(states=(optuna.trial.TrialState.RUNNING,))
    assert [one.params["resolution"] for one in running] == [pool[7].resolution]
    assert len(mine.study.get_trials(states=(optuna.trial.TrialState.WAITING,))) == 1  # the ledger's own is untouched


def test_other_samplers_see_what_optuna_s_own_storage_holds(mine, train):
    """Also where a search asked for an architecture outside the ranges of the study's space."""
    wide = replace(base("efficientnet_b0").architecture(), resolution=64, widths=(64, 64, 64, 80, 112, 192, 640))
    mine.ask_for(wide, "greedy", {"epochs": 1})
    train(mine)
    mine.ask_for(wide, "greedy", {"epochs": 2})
    replica = replica_of(mine, optuna.samplers.RandomSampler())
    stored = optuna.load_study(study_name=None, storage=mine.url).trials
    assert len(replica.trials) == len(stored) == 13
    assert [trial.params for trial in replica.trials[:-1]] == [trial.params for trial in stored[:-1]]
    assert [trial.distributions for trial in replica.trials[:-1]] == [trial.distributions for trial in stored[:-1]]
    assert replica.trials[-1].params["width_1"] == 64  # it waits in the ledger


def test_genetic_samplers_breed_from_the_ledger_s_trainings(mine):
    """A child of trainings with one resolution has that resolution; a random suggestion would rarely."""
    study = replica_of(mine, optuna_sampler("nsga2", 10, 0))
    parents = {trial.params["width_7"] for trial in study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))}
    children = []
    for _ in range(10):
        trial = study.ask(mine.distributions())
        children.append(trial.params["width_7"] in parents)
    assert sum(children) >= 7  # mutation changes some


@pytest.mark.usefixtures("quick")
def test_a_proposal_for_people_says_what_it_expects(run, mine):
    code, out, err = run("propose", "-n", 2, "--pool", 2000)
    assert (code, err) == (0, "")
    assert out.split()[:3] == ["MACs", "px", "r"]
    assert out.count("50.0%  40.0%..60.0% outside") == 2 and "+1 %" in out
    assert "bayes: largest expected gain in hypervolume per trial; chosen among" in out
    assert out.endswith("mine: 2 wait. Next: planner train --study mine\n")
    assert "2 waiting or running were taken into account" in run("propose", "-n", 1, "--pool", 2000)[1]


def test_the_initial_design_is_queued_first_and_its_size_said(run, new, train):
    code, out, err = run("propose", "-n", 2)
    assert code == 0, err
    assert "the initial design has 8 architectures, two for each coefficient of a line in 3 factors" in out
    assert len(queued(new)) == 8
    assert "nothing queued" in run("propose", "-n", 2)[1] and len(queued(new)) == 8
    failing = iter([None, None, None])
    train(new, lambda macs, _: next(failing, 0.5 + macs / 1e9))
    assert "5 are trained, and 3 more" in run("propose", "-n", 2)[1]  # failed ones teach nothing
    assert len(queued(new)) == 3


@pytest.mark.parametrize("kind, size", [("uniform", 8), ("stage", 32)])
def test_the_initial_design_has_two_trainings_for_each_coefficient(kind, size):
    space = SearchSpace("efficientnet_b0", 64, kind=kind)
    assert methods.initial_size(space) == size == max(8, 2 * (space.dimensions + 1))


@pytest.mark.usefixtures("quick")
def test_a_uniform_study_takes_proposals_by_stage(run, mine, train):
    code, out, err = run("propose", "-n", 6, "--method", "random", "--space", "stage", "--pool", 2000)
    assert code == 0, err
    uniform = {tuple(row) for row in make_pool(mine.space, 1_000_000).integers()}
    assert any(row not in uniform for row in queued(mine))
    train(mine)  # the ledger's parameters have room for them
    assert mine.counts()["ok"] == 16


def test_trials_are_repeated_with_seeds_that_they_have_not_had(run, mine):
    assert "trials 3, 5 are queued with 2 more seeds each" in run("propose", "--repeat", "3,5", "--seeds", 2)[1]
    again = [mine.claim() for _ in range(4)]
    assert [seed for _, _, seed in again] == [1, 2, 1, 2]
    assert again[0][1] == again[1][1] != again[2][1]
    assert mine.asked() == 11
    mine.repeat(again[1][0], 1)
    assert mine.claim()[2] == 3
    code, out, err = run("propose", "--repeat", "99")
    assert code == 2 and "there is no trial 99" in err


def test_mistakes_are_refused(run, mine):
    for line, words in {
        "--method best": "'best' is not one of 'bayes'",
        "-n 0": "0 is not in the range 1<=x<=1000",
        "--pool 0": "0 is not in the range 1<=x<=1000000",
        "--flops 1": "no architecture inside the window of MACs and the budgets is left to try",
        "--repeat x": "'x' is not a list of whole numbers",
        "--study nobody": "no study in results/nobody",
    }.items():
        code, out, err = run("propose", *line.split())
        assert (code, out) == (2, "") and words in err and err.count("\n") == 1, line


def test_the_exact_cost_sampler_works_on_the_ledger_s_own_study(mine):
    def cost(params):  # the stem and the head follow the first and the last stage, nearly
        one = replace(
            base("efficientnet_b0").architecture(),
            resolution=params["resolution"],
            widths=tuple(params[f"width_{i}"] for i in range(1, 8)),
            depths=tuple(params[f"depth_{i}"] for i in range(1, 8)),
        )
        return architecture_complexity(one, 4).macs

    study = replica_of(mine, ExactCostSampler(cost, seed=0, n_startup_trials=99, pool_size=200))
    suggested = [study.ask(mine.distributions()).params for _ in range(3)]
    assert all(set(params) == set(mine.distributions()) for params in suggested)
    assert len({tuple(params.values()) for params in suggested}) == 3


def test_a_real_surrogate_proposes_and_expects(run, mine):
    found = json.loads(run("propose", "-n", 1, "--pool", 500, "--json")[1])["queued"][0]
    macs, accuracy = found["macs"], found["accuracy"]
    assert accuracy["lower"] < 0.9 - 0.5 * (macs / 1e6) ** -0.3 < accuracy["upper"]
    assert 0 < found["gain"] < 1
