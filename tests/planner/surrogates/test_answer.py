"""Which row of a pool answers a budget: real tables where they are there, made-up ones for every sad state."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planner
from planner import PlannerError
from planner.surrogates.answer_model import FEWEST_DIFFERENT, AnswerModel, answer_model
from planner.surrogates.optimism import choices
from planner.surrogates.smooth import SmoothCurves

INPUTS = ["width", "depth"]
NATS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "tables" / "nats_sss_cifar10.csv.gz"


def accuracy(frame):
    return 0.9 - 0.5 * frame["width"] ** -0.7 - 0.2 * frame["depth"] ** -1.0


@pytest.fixture(scope="module")
def pool():
    """All networks of a small space, with made-up but exact costs."""
    frame = pd.DataFrame([(w, d) for w in range(1, 13) for d in range(1, 7)], columns=INPUTS)
    frame.index = [f"net{i}" for i in range(len(frame))]
    return frame.assign(macs=frame["width"] ** 2 * frame["depth"] * 1000)


@pytest.fixture(scope="module")
def observed(pool):
    some = pool.sample(24, random_state=0)
    return some.assign(accuracy=accuracy(some))


@pytest.fixture(scope="module")
def model(observed):
    return answer_model(observed, INPUTS)


def matrix_of(frame):
    return frame[[*INPUTS, "macs"]].to_numpy(dtype=float)


def ask(observed, pool, budgets, **more):
    return planner.answer(observed, pool, budgets, inputs=INPUTS, **more)


BUDGETS = [3_000, 20_000, 20_000.0, "100k", 400_000]


@pytest.fixture(scope="module")
def labels(observed, pool):
    """The answers to those budgets."""
    return ask(observed, pool, BUDGETS)


def test_answers_are_nearly_the_best_rows_within_their_budgets_and_never_beyond(labels, pool):
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


def test_a_cautious_answer_takes_less_of_what_is_uncertain(model, pool):
    matrix = matrix_of(pool)
    off = model.scores(matrix) - model.scores(matrix, cautious=True)
    own, _, deviations = model.own(matrix)
    assert (off >= 0).all() and off[own] == pytest.approx(deviations)
    other = np.setdiff1d(np.arange(len(pool)), own)
    assert off[other] == pytest.approx(model.surrogate.outcomes(matrix)[1][other])


def test_a_trained_row_counts_with_its_own_result_and_one_lucky_row_does_not_win(pool):
    rng = np.random.default_rng(0)
    some = pool.sample(40, random_state=0)
    noisy = some.assign(accuracy=accuracy(some) + rng.normal(0, 0.01, len(some)))
    lucky = noisy.index[noisy["macs"].between(20_000, 100_000)][0]
    noisy.loc[lucky, "accuracy"] += 0.02
    place = list(pool.index).index(lucky)
    models = [answer_model(noisy, INPUTS, noise_variance=variance) for variance in (None, 1e-4, 0.0)]
    unknown, told, exact = (each.scores(matrix_of(pool))[place] for each in models)
    plain = models[0].surrogate.predict(pool)["mean"].iloc[place]
    assert plain < unknown < exact and plain < told < exact
    assert exact == pytest.approx(noisy["accuracy"][lucky], abs=2e-3)


def test_repeats_of_one_row_count_as_one_with_their_mean(pool):
    some = pool.sample(30, random_state=0)
    twice = pd.concat([some, some]).assign(accuracy=lambda rows: accuracy(rows) + np.repeat([0.01, -0.01], 30))
    model = answer_model(twice, INPUTS, noise_variance=1e-4)
    assert len(model.tried) == 30
    own, reached, _ = model.own(matrix_of(some))
    assert own.tolist() == list(range(30)) and reached == pytest.approx(accuracy(some).to_numpy(), abs=9e-3)


@pytest.mark.parametrize("rows", [1, 2, 4, FEWEST_DIFFERENT - 1])
def test_with_too_few_rows_the_best_measured_one_within_the_budget_answers(pool, rows):
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


def test_a_model_survives_json_and_what_is_damaged_is_refused(model, pool):
    matrix = matrix_of(pool)
    document = json.loads(json.dumps(model.as_dict(), allow_nan=False))
    again = AnswerModel.from_dict(document, model.surrogate)
    assert again.scores(matrix).tolist() == model.scores(matrix).tolist()
    assert [part.tolist() for part in again.expected(matrix)] == [part.tolist() for part in model.expected(matrix)]
    assert again.doubt == model.doubt and again.as_dict() == document
    for damage in (
        {"pull": -1.0},
        {"pull": "1"},
        {"reached": document["reached"][1:]},
        {"deviations": [-1.0] * len(document["deviations"])},
        {"tried": []},
        {"tried": [row[1:] for row in document["tried"]]},
        {"curves": {**document["curves"], "spread": 0.0}},
        {"curves": {**document["curves"], "coefficients": [[0.0, 0.0, 0.0]]}},
        {"optimism": {**document["optimism"], "bias": -0.1}},
        {"optimism": {**document["optimism"], "winners": 1.5}},
        {"doubt": 3},
    ):
        with pytest.raises(PlannerError):
            AnswerModel.from_dict(document | damage, model.surrogate)


def test_the_expectation_at_an_answer_is_never_above_the_surrogates_and_its_interval_is_no_shorter(model, pool):
    matrix = matrix_of(pool)
    mean, lower, upper = model.expected(matrix)
    plain = model.surrogate.intervals_of(matrix[:, :-1], matrix[:, -1])
    own, reached, _ = model.own(matrix)
    other = np.setdiff1d(np.arange(len(pool)), own)
    assert (mean[other] <= plain[0][other]).all() and mean[own].tolist() == reached.tolist()
    assert (upper - lower >= (plain[2] - plain[1]) - 1e-12).all() and (lower <= mean).all() and (mean <= upper).all()


def test_choices_are_the_best_rows_by_definition():
    rng = np.random.default_rng(0)
    scores, cost = rng.random(9), rng.uniform(1, 100, 9)
    best = {
        max((row for row in range(9) if cost[row] <= budget * (1 + 1e-9)), key=lambda row: scores[row])
        for budget in np.geomspace(cost.min(), cost.max(), 10)
    }
    assert choices(scores, cost).tolist() == sorted(best)


def test_distances_from_curves_are_those_of_their_definition():
    curves = SmoothCurves(math.log(10), 2.0, np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 0.25]]))
    cost, x = np.array([10.0, 10 * math.exp(2)]), np.array([[1.0, 0.0], [2.0, 1.0]])
    assert curves.distances(x, cost) == pytest.approx([(0 + 1) / 2, (0.5**2 + 1.75**2) / 2])
    assert SmoothCurves().distances(np.empty((2, 0)), cost).tolist() == [0, 0]


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
