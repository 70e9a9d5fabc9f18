"""Proposals for the answers at given budgets: against a simulation of what measuring would do, and what is refused."""

import json
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

import planner
from planner import PlannerError
from planner.gaussian.warps import Warp
from planner.proposers import answering
from planner.proposers.bayes import Known
from planner.surrogates.fit import fit_surrogate
from sampler.complexity import count

INPUTS = ["width", "depth"]
COLUMNS = [*INPUTS, "macs"]
BUDGETS = [60_000.0, 250_000.0]


@pytest.fixture(scope="module")
def pool():
    frame = pd.DataFrame([(w, d) for w in range(1, 13) for d in range(1, 7)], columns=INPUTS)
    return frame.assign(macs=frame["width"] ** 2 * frame["depth"] * 1000)


@pytest.fixture(scope="module")
def observed(pool):
    some = pool.sample(16, random_state=0)
    noise = np.random.default_rng(0).normal(0, 0.01, len(some))
    return some.assign(accuracy=0.9 - 0.5 * some["width"] ** -0.7 - 0.2 * some["depth"] ** -1.0 + noise)


@pytest.fixture(scope="module")
def known(observed):
    """One Gaussian process and nothing else, so that a simulation is exact."""
    surrogate = fit_surrogate(observed, INPUTS, "accuracy", "macs", validate=False)
    mixture = surrogate.mixture
    one = replace(mixture, members=(mixture.members[-1],), weights=np.ones(1), warp=Warp("identity", 0.0, 0.0, 1.0))
    return Known(replace(surrogate, mixture=one, residuals=np.empty(0)), observed[COLUMNS].to_numpy(float))


def simulated(known, rows, x, budget, draws=120):
    """What the answer of a budget is expected to be worth more once row x was measured, by measuring it many times."""
    costs, reached = known.points()
    tried = reached[np.exp(costs) <= budget * 1.000001].max(initial=-np.inf)
    within = np.flatnonzero(rows[:, -1] <= budget)
    mean, _ = known.of(rows)
    best = max(tried, mean[within].max())
    here, there = (known.of(rows[[x]])[part][0] for part in (0, 1))
    total = 0.0
    # Quantiles of what may come out, each as likely as the others.
    for place in (np.arange(draws) + 0.5) / draws:
        value = here + there * NormalDist().inv_cdf(place)
        after = known.surrogate.believing(rows[[x]], np.array([value])).outcomes(rows, 0.0)[0]
        after[x] = value
        total += max(tried, after[within].max()) - best
    return total / draws


def test_the_value_of_a_row_is_what_the_answer_gains_when_measuring_it_is_simulated(known, pool, observed, monkeypatch):
    monkeypatch.setattr(answering, "RIVALS", 100)  # all of them
    rows = pool.drop(observed.index)[COLUMNS].to_numpy(float)
    rows = rows[rows[:, -1] <= BUDGETS[0]]
    found = np.exp(answering._log_values(known, rows, BUDGETS[:1]))
    wanted = np.array([simulated(known, rows, x, BUDGETS[0]) for x in range(len(rows))])
    assert np.argmax(found) == np.argmax(wanted)
    assert np.allclose(found, wanted, atol=0.03 * wanted.max())


def test_a_few_rivals_are_enough(known, pool, observed, monkeypatch):
    rows = pool.drop(observed.index)[COLUMNS].to_numpy(float)
    few = answering.best_rows_for(known, rows, BUDGETS, 3)
    monkeypatch.setattr(answering, "RIVALS", 100)
    assert answering.best_rows_for(known, rows, BUDGETS, 3)[0] == few[0]


def test_measuring_the_answer_itself_is_worth_something(known, pool, observed):
    rows = pool.drop(observed.index)[COLUMNS].to_numpy(float)
    mean, _ = known.of(rows)
    rivals = answering._Rivals.of(known, rows, mean, BUDGETS[1])
    value = answering._improvement(known, rows, *known.of(rows), rivals)
    assert value[rivals.rows[0]] > 0 and (value >= 0).all()


def test_proposals_for_budgets_cost_no_more_and_lie_near_them(pool, observed):
    ours = planner.propose(observed, pool, 6, inputs=INPUTS, budgets=["200k"])
    assert len(set(ours)) == 6 and not set(ours) & set(observed.index)
    costs = pool.loc[ours, "macs"]
    assert costs.max() <= 200_000
    by_chance = pool.loc[pool["macs"] <= 200_000, "macs"]
    assert np.log(200_000 / costs).mean() < 0.6 * np.log(200_000 / by_chance).mean()
    assert ours == planner.propose(observed, pool, 6, inputs=INPUTS, budgets=[200_000])


def test_screening_a_large_pool_changes_little(pool, observed, monkeypatch):
    every = planner.propose(observed, pool, 3, inputs=INPUTS, budgets=BUDGETS)
    monkeypatch.setattr(answering, "ANSWER_SHORTLIST", 15)
    assert planner.propose(observed, pool, 3, inputs=INPUTS, budgets=BUDGETS)[0] == every[0]


def test_what_costs_more_time_for_the_same_lesson_comes_later(pool, observed):
    seconds = pool.assign(seconds=np.where(pool["width"] % 2, 1000.0, 1.0))
    ours = planner.propose(observed, seconds, 2, inputs=INPUTS, budgets=BUDGETS, per="second")
    assert (pool.loc[ours, "width"] % 2 == 0).all()


@pytest.mark.parametrize(
    ("budgets", "words"),
    [
        ([], "a list of costs is wanted"),
        ("200k", "a list of costs is wanted"),
        ([-1], "must be a positive number"),
        (["much"], "is not a count"),
        ([900], "beyond the limits or the largest budget"),
    ],
)
def test_budgets_that_make_no_sense_are_refused_in_one_line(pool, observed, budgets, words):
    with pytest.raises(PlannerError, match=words) as refused:
        planner.propose(observed, pool, inputs=INPUTS, budgets=budgets)
    assert "\n" not in str(refused.value)


def test_the_command_queues_for_the_budgets_asked_for_and_says_so(run, mine):
    low, high = mine.space.macs_window
    budgets = [float(np.geomspace(low, high, 5)[place]) for place in (2, 3)]
    line = ("--for", ",".join(f"{budget / 1e6:.4f}M" for budget in budgets), "--pool", 500)
    code, out, err = run("propose", "-n", 2, *line, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert "largest expected improvement of the answers at" in found["notes"][0]
    assert count(mine.pending(), 4).macs.max() <= budgets[1] * 1.001
    assert "--for has no effect without --method bayes" in run("propose", *line, "--method", "random")[2]
