"""Which row of a pool answers a budget: real tables where they are there, made-up ones for every sad state."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planner
from planner import PlannerError
from planner.surrogates.answer_model import FEWEST_DIFFERENT, answer_model

INPUTS = ["width", "depth"]
NATS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "tables" / "nats_sss_cifar10.csv.gz"


def ask(observed, pool, budgets, **more):
    return planner.answer(observed, pool, budgets, inputs=INPUTS, **more)


BUDGETS = [3_000, 20_000, 20_000.0, "100k", 400_000]


@pytest.fixture(scope="module")
def labels(observed, pool):
    """The answers to those budgets."""
    return ask(observed, pool, BUDGETS)


def test_answers_are_nearly_the_best_rows_within_their_budgets_and_never_beyond(labels, pool, accuracy):
    truth = accuracy(pool)
    assert len(labels) == len(BUDGETS) and labels[1] == labels[2]
    for label, budget in zip(labels, (3_000, 20_000, 20_000, 100_000, 400_000), strict=True):
        assert pool["macs"][label] <= budget
        assert truth[label] > truth[pool["macs"] <= budget].max() - 0.01


def test_a_budget_of_exactly_a_rows_cost_affords_it(observed, pool):
    cheapest = pool["macs"].min()
    assert pool["macs"][ask(observed, pool, [cheapest])[0]] == cheapest
    with pytest.raises(
        PlannerError, match=rf"no row of the pool is within a budget of {cheapest - 1}: the macs of the"
    ):
        ask(observed, pool, [5e5, cheapest - 1])


def test_answers_do_not_depend_on_the_order_of_the_pool_or_on_rows_that_are_there_twice(observed, pool, labels):
    shuffled = pool.sample(frac=1, random_state=1)
    assert ask(observed, shuffled, BUDGETS) == labels
    doubled = pd.concat([pool, pool])
    assert ask(observed, doubled, BUDGETS) == labels


def test_rows_without_a_result_teach_nothing(observed, pool, labels):
    failed = observed.iloc[:3].assign(accuracy=[math.nan, math.inf, 0.99], status=["ok", "ok", "diverged"])
    with_failed = pd.concat([observed.assign(status="ok"), failed])
    assert ask(with_failed, pool, BUDGETS) == labels


@pytest.mark.parametrize("rows", [1, 2, 4, FEWEST_DIFFERENT - 1])
def test_with_too_few_rows_the_best_measured_one_within_the_budget_answers(pool, rows, accuracy):
    some = pool[pool["macs"] > 5_000].sample(rows, random_state=3).assign(accuracy=lambda rows: accuracy(rows))
    budget = some["macs"].max()
    assert ask(some, pool, [budget]) == [some["accuracy"].idxmax()]
    # None was measured within this one: of the dearest rows that it affords.
    (label,) = ask(some, pool, [4_000])
    assert pool["macs"][label] == 4_000


def test_a_surrogate_that_explains_nothing_is_doubted_and_one_that_does_is_not(pool, model):
    assert model.doubt == ""
    some = pool.sample(30, random_state=0)
    guessed = some.assign(accuracy=np.random.default_rng(5).random(30))
    doubted = answer_model(guessed, INPUTS)
    assert "its error on held-out trainings" in doubted.doubt and len(doubted.doubt) < 200
    within = guessed[guessed["macs"] <= 100_000]
    assert ask(guessed, pool, [100_000]) == [within["accuracy"].idxmax()]


def test_equal_results_are_answered_by_one_of_the_measured(pool):
    some = pool.sample(20, random_state=0).assign(accuracy=0.5)
    (label,) = ask(some, pool, [50_000])
    assert label in some.index and pool["macs"][label] <= 50_000


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"budgets": "3M"}, "budgets is '3M'; a list of costs is wanted"),
        ({"budgets": 3e6}, "a list of costs is wanted"),
        ({"budgets": [math.nan]}, "the budget must be a positive number"),
        ({"inputs": "width"}, "a list of different column names"),
        ({"inputs": ["width", "dept"]}, "did you mean depth"),
        ({"target": "top1"}, "no column top1"),
        ({"target": None}, "names of columns are wanted"),
        ({"cost": "flops"}, "no column flops"),
        ({"cautious": "yes"}, "cautious is 'yes'; True or False"),
        ({"noise_variance": -1.0}, "noise_variance must be finite and not negative"),
        ({"observed": pd.DataFrame({"accuracy": [math.nan], "width": [1], "depth": [1], "macs": [1]})}, "measure some"),
        ({"pool": pd.DataFrame({"width": [], "depth": [], "macs": []})}, "the pool has no rows"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(observed, pool, more, told):
    arguments = {"observed": observed, "pool": pool, "budgets": [1e5], "inputs": INPUTS} | more
    with pytest.raises(PlannerError, match=told) as refusal:
        planner.answer(**arguments)
    assert "\n" not in str(refusal.value)


@pytest.mark.skipif(not NATS.is_file(), reason="the shared tables are not here")
def test_on_a_real_table_answers_lose_less_than_the_best_trainings():
    table = pd.read_csv(NATS).rename(columns={"flops": "macs", "cifar10_test_acc": "accuracy"})
    inputs = [f"c{i}" for i in range(1, 6)]
    some = table.sample(60, random_state=0)
    budgets = np.geomspace(*table["macs"].quantile([0.05, 0.95]), 10)
    labels = planner.answer(some, table, budgets, inputs=inputs)
    within = [table["macs"] <= budget for budget in budgets]
    best = np.array([table["accuracy"][one].max() for one in within])
    ours = best - table["accuracy"][labels].to_numpy()
    trained = best - np.array([some["accuracy"][some["macs"] <= budget].max() for budget in budgets])
    assert (table["macs"][labels].to_numpy() <= budgets).all() and (ours >= 0).all()
    assert ours.mean() < 0.6 * trained.mean()
