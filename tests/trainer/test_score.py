"""What trainings are judged by: its direction, its limit, and how it is shown."""

import numpy as np
import pytest

from planner.errors import PlannerError
from trainer.conformance import SMALL_NETWORK, check_trainer
from trainer.observation import DataSpec, EpochRecord, Fidelity, Observation, Training
from trainer.protocol import Job, NoScore, TrainerError, checked_score
from trainer.recipe import Recipe
from trainer.score import ACCURACY, Score, score_from

RMSE = Score("rmse", lower=True, unit="K")
IOU = Score("mIoU", limit=100, unit="%")


def job(score, epochs=3):
    return Job(None, 1, epochs, 1.0, 0, "cpu", 1, None, score=score)


def test_accuracy_is_what_is_meant_where_nothing_is_said():
    assert Score() == ACCURACY == Score("accuracy", limit=1) and ACCURACY.limit == 1 and ACCURACY.is_accuracy
    assert score_from(None) == ACCURACY
    assert (ACCURACY.merit(0.3), ACCURACY.text(0.3), ACCURACY.drawn(0.25)) == (0.3, "30.0%", 25.0)
    document = {"accuracy": 0.3, "reached": 0.2}
    assert ACCURACY.outward(document) is document


def test_of_two_values_the_better_has_the_larger_merit_and_both_come_back():
    for score, better, worse in ((RMSE, 0.2, 0.5), (IOU, 71.0, 30.0), (Score("nll", lower=True), -3.0, -1.0)):
        assert score.merit(better) > score.merit(worse)
        assert score.merit(score.merit(better)) == better
    np.testing.assert_array_equal(RMSE.merit(np.array([1.0, -2.0])), [-1.0, 2.0])


def test_what_is_shown_is_the_value_with_its_unit_and_the_lower_end_first():
    assert RMSE.text(-0.31456) == "0.3146 K"
    assert (RMSE.span(-0.4, -0.2), IOU.span(40.0, 45.5)) == ("0.2 K to 0.4 K", "40 % to 45.5 %")
    assert (RMSE.axis, IOU.axis, Score("psnr").axis) == (" (K, lower is better)", " (%)", "")
    assert RMSE.typed == "rmse --lower --unit 'K'" and IOU.typed == "mIoU --higher --limit-score 100 --unit '%'"


def test_programs_are_given_values_under_the_score_s_name():
    inner = {"mean": -0.3, "lower": -0.4, "upper": -0.2, "level": 0.9}
    found = RMSE.outward(
        {"macs": 7, "accuracy": inner, "others": [{"accuracy": -0.5, "reached": -0.6}, {"accuracy": None}]}
    )
    told = {"mean": 0.3, "lower": 0.2, "upper": 0.4, "level": 0.9}
    assert found == {"macs": 7, "rmse": told, "others": [{"rmse": 0.5, "reached": 0.6}, {"rmse": None}]}


@pytest.mark.parametrize(
    ("score", "values", "limit"),
    [
        (RMSE, [0.3, 0.5], 0.0),
        (Score("nll", lower=True), [-3.0, 1.0], -7.0),
        (Score("psnr"), [20.0, 30.0], 40.0),
        (Score("psnr"), [20.0, 20.0], 21.0),
        (IOU, [20.0, 30.0], 100.0),
    ],
)
def test_a_limit_that_nobody_knows_is_one_that_no_training_reached(score, values, limit):
    bounded = score.bounded(score.merit(np.array(values)))
    assert bounded.limit == limit and bounded.name == score.name
    assert all(bounded.most > score.merit(value) for value in values)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "two words"}, "--score 'two words': a name of letters"),
        ({"name": "macs"}, "--score macs: tables of trainings have a column of that name"),
        ({"name": "width_2"}, "tables of trainings have a column of that name"),
        ({"name": "accuracy", "lower": True}, "--score accuracy: higher is better, and 1 the most"),
        ({"name": "accuracy", "limit": 100}, "--score accuracy: higher is better, and 1 the most"),
        ({"name": "rmse", "limit": float("nan")}, "--limit-score nan: a finite number is wanted"),
        ({"name": "rmse", "limit": "low"}, "--limit-score 'low': a finite number is wanted"),
        ({"name": "rmse", "lower": "yes"}, "lower is 'yes'; true or false is wanted"),
        ({"name": "rmse", "unit": "K" * 30}, "at most 20 printable letters"),
        ({"name": "rmse", "direction": "down"}, "score: 'direction' is unknown; known: name, lower, limit, unit"),
    ],
)
def test_what_is_no_score_is_refused_in_one_line(fields, words):
    with pytest.raises(PlannerError, match=words) as error:
        score_from(fields)
    assert "\n" not in str(error.value)


def test_any_finite_number_is_a_score_but_of_an_accuracy_and_beyond_the_limit():
    assert checked_score(np.float32(812.5), "here", RMSE) == 812.5
    with pytest.raises(PlannerError, match=r"here: mIoU is better than its limit, 100"):
        checked_score(101, "here", IOU)
    with pytest.raises(PlannerError, match=r"here: a score is in \[0, 1\]"):
        checked_score(812.5, "here")


def test_further_numbers_are_kept_with_their_epoch_and_read_again():
    one = job(RMSE)
    one.report(1, 3.5, energy_j=np.float32(2.5), broken=float("nan"), seconds=12)
    assert one.history == [EpochRecord(1, None, 3.5, None, {"energy_j": 2.5, "seconds": 12.0})]
    network = SMALL_NETWORK
    training = Training(network, Fidelity(3), Recipe(), DataSpec("", 8), trainer="mine", classes=2, score=RMSE)
    found = Observation(
        network,
        Fidelity(3),
        0,
        "ok",
        3.5,
        None,
        1,
        1,
        1,
        12.0,
        "cpu",
        history=tuple(one.history),
        asked=training.facts(),
    )
    again = Observation.from_json(found.to_json())
    assert again == found and again.score == RMSE and again.other_than(training) is None


def test_records_of_accuracies_are_written_as_ever():
    assert (
        '"facts"'
        not in Observation(
            SMALL_NETWORK,
            *(Fidelity(1), 0, "ok", 0.5, 0.7, 1, 1, 1, 1.0, "cpu"),
            history=(EpochRecord(1, 0.1, 0.5, 0.7),),
        ).to_json()
    )


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"macs": 3}, "macs is a column of every study's table; report it by another name"),
        ({"rmse": 3}, "rmse is a column of every study's table"),
        ({"top5": "good"}, "top5 is 'good'; a number is wanted"),
    ],
)
def test_a_fact_with_another_column_s_name_or_no_number_is_refused(facts, words):
    with pytest.raises(PlannerError, match=words):
        job(RMSE).report(1, 3.5, **facts)


def test_a_score_that_is_not_finite_diverged_whatever_its_direction():
    with pytest.raises(NoScore):
        job(RMSE).report(1, float("inf"))


def test_a_trainer_of_another_score_is_checked_as_one():
    def train(job):
        for epoch in range(len(job.history) + 1, job.epochs + 1):
            job.report(epoch, 812.5 / epoch)

    check_trainer(train, score=RMSE)
    with pytest.raises(TrainerError, match=r"a score is in \[0, 1\]"):
        check_trainer(train)
