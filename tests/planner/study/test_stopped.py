"""What a training that was stopped is expected to have reached, and who learns of it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from planner.formulas.selection import noise_variances, select, with_stopped
from planner.proposers.methods import StudyRows
from planner.study.ledger import Ledger
from planner.study.settings import StudySettings
from planner.study.stopped import FEWEST_ALIKE, expected_end
from planner.study.trials import LearningCurve
from sampler import architecture_complexity, random_design
from trainer.observation import EpochRecord, Observation

EPOCHS = 10
SHARES = (1 - 0.7 ** np.arange(1, EPOCHS + 1)) / (1 - 0.7**EPOCHS)
RNG = np.random.default_rng(0)
FINALS = RNG.uniform(0.4, 0.7, 12)
FINISHED = [LearningCurve(1_000_000, tuple(final * SHARES + RNG.normal(0, 0.01, EPOCHS))) for final in FINALS]


def test_the_end_is_predicted_by_linear_regression_over_those_that_finished():
    then, final = (np.array([one.accuracies[place] for one in FINISHED]) for place in (4, -1))
    line = stats.linregress(then, final)
    residual = final - line.intercept - line.slope * then
    error = (residual**2).sum() / 10 * (1 + 1 / 12 + (0.4 - then.mean()) ** 2 / ((then - then.mean()) ** 2).sum())
    stopped = LearningCurve(1_100_000, (0.1, 0.2, 0.3, 0.35, 0.4))
    mean, variance = expected_end(stopped, FINISHED)
    assert mean == pytest.approx(line.intercept + 0.4 * line.slope)
    assert variance == pytest.approx(error * 10 / 8)


def test_the_last_tenth_of_the_epochs_says_where_it_was():
    long = [LearningCurve(1_000_000, tuple(np.repeat(one.accuracies, 10))) for one in FINISHED]
    low, high = (LearningCurve(1_000_000, (0.3,) * 18 + last) for last in ((0.3, 0.28), (0.28, 0.3)))
    assert expected_end(low, long) == pytest.approx(expected_end(high, long))


@pytest.mark.parametrize(
    ("stopped", "finished"),
    [
        (LearningCurve(1_000_000, (0.1, 0.2)), FINISHED[: FEWEST_ALIKE - 1]),
        (LearningCurve(3_000_000, (0.1, 0.2)), FINISHED),
        (LearningCurve(1_000_000, ()), FINISHED),
        (LearningCurve(1_000_000, (0.1,) * EPOCHS), FINISHED),
    ],
)
def test_nothing_is_expected_without_others_or_a_curve(stopped, finished):
    assert expected_end(stopped, finished) is None


def test_no_stopped_training_is_expected_above_all_that_finished_or_below_where_it_was():
    for now in (0.01, 2.0):
        mean, _ = expected_end(LearningCurve(1_000_000, (now,)), FINISHED)
        finals = [one.accuracies[-1] for one in FINISHED]
        assert min(now, min(finals)) <= mean <= max(finals)


@pytest.fixture
def ledger(tmp_path):
    """Twenty-four networks of like cost that were trained, and four that were stopped after three of ten epochs."""
    data, space = {"source": "fractal", "side": 90, "classes": 4}, {"resolution": 64, "r": (0.5, 1.4)}
    settings = StudySettings.model_validate({"data": data, "space": space, "fidelity": {"epochs": EPOCHS}})
    (tmp_path / "mine").mkdir()
    found = Ledger(tmp_path / "mine", settings)
    found.enqueue(random_design(found.space, 28, seed=0), "random")
    claimed = [found.claim() for _ in range(28)]
    by_cost = sorted(claimed, key=lambda one: found.macs_of(one[0]))
    stopped = {number for number, *_ in by_cost[12:16]}
    for number, architecture, seed in claimed:
        cost = architecture_complexity(architecture, 4)
        final = 0.05 * np.log(cost.macs) - 0.3 + RNG.normal(0, 0.002)
        curve = (final - 0.03 * (number in stopped)) * SHARES
        history = tuple(EpochRecord(epoch, 1.0, float(one)) for epoch, one in enumerate(curve, start=1))
        whole = Observation(
            architecture,
            settings.fidelity,
            seed,
            "ok",
            float(curve[-1]),
            1.0,
            cost.macs,
            cost.params,
            cost.activations,
            1.0,
            "cpu",
            history=history,
        )
        if number in stopped:
            whole = replace(whole, status="stopped", accuracy=float(curve[2]), history=history[:3])
        found.record(number, whole)
    return found


def test_a_studys_stopped_trainings_teach_the_surrogate_and_are_on_no_front(ledger):
    table = ledger.table()
    assert len(table.frame) == 24 and table.left_out == {"stopped": 4} and len(table.stopped) == 4
    line = 0.05 * np.log(table.stopped["macs"].to_numpy(float)) - 0.3
    assert table.stopped["accuracy"].to_numpy() == pytest.approx(line - 0.03, abs=0.015)
    taught = with_stopped(table)
    noise = noise_variances(taught)
    assert (noise[:24] == 0).all() and (noise[24:] > 0).all() and noise_variances(table) is None
    chosen, without = (select(one, 0.3, 0) for one in (table, replace(table, stopped=None)))
    assert len(chosen.surrogate.mixture.seen.w) == 28 and len(without.surrogate.mixture.seen.w) == 24
    assert len(chosen.accuracy) == len(chosen.expected) == 24 and chosen.rows.max() < 24
    measured = noise_variances(with_stopped(replace(table, noise_variance=1e-4)))
    assert (measured[:24] == 1e-4).all() and (measured[24:] == noise[24:]).all()


def test_proposers_are_given_what_is_expected_with_its_noise(ledger):
    rows = StudyRows(ledger)
    observed = rows.observed
    assert len(observed) == 28 and (observed["status"] == "ok").all()
    assert (observed["noise_variance"] > 0).sum() == 4
    pool = observed[observed["trial"] < 5].drop(columns="accuracy")
    assert rows.task(pool, 0, "trial", None).noise_variance == "noise_variance"


def test_what_was_asked_apart_is_expected_to_nothing(ledger):
    one = ledger.architecture(0)
    ledger.ask_for(one, "greedy", {"epochs": 12})
    number, architecture, seed = ledger.claim()
    cost = architecture_complexity(architecture, 4)
    costs = cost.macs, cost.params, cost.activations
    history = (EpochRecord(1, 1.0, 0.1),)
    fidelity = replace(ledger.settings.fidelity, epochs=12)
    asked = Observation(architecture, fidelity, seed, "stopped", 0.1, 1.0, *costs, 1.0, "cpu", history=history)
    ledger.record(number, asked)
    assert len(ledger.expected()) == 4
