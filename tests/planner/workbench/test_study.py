"""A study in Python: made, asked and told, trained, fitted, predicted by; and what it refuses."""

import gc
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import planner
from planner import PlannerError
from planner.study.folder import folder_of
from planner.study.opening import open_ledger
from planner.study.settings import read_settings
from planner.training.resources import Resources
from trainer.observation import Observation

IMAGES = {"base": "resnet20_cifar", "data": "fractal:classes=2,train=40,validation=4", "resolution": 32, "epochs": 1}


def test_what_is_asked_and_told_is_a_table_a_front_a_formula_and_an_answer(told, score_of):
    table = told.table()
    assert len(table) == 24 and set(table["status"]) == {"ok"} and table["loss"].isna().all()
    assert table["accuracy"].tolist() == [score_of(macs) for macs in table["macs"].tolist()]
    front = told.front()
    assert 3 < len(front) < 24 and front["macs"].is_monotonic_increasing and front["accuracy"].is_monotonic_increasing
    low, high = told.formula.macs_range
    answer = told.predict("10M")
    assert low < 10e6 < high and 0.8 * 10e6 < answer.prediction.macs <= 10e6
    assert answer.prediction.macs == planner.complexity(answer.prediction.architecture, classes=4).macs
    assert [one.prediction.macs for one in told.predict(["10M", 10e6])] == [answer.prediction.macs] * 2
    expected = answer.accuracy
    assert expected["lower"] < 0.9 - 0.5 * 10**-0.3 < expected["upper"]


def test_the_commands_read_what_was_told(told, monkeypatch, capsys):
    from planner.cli import main

    for arguments in (["front", "--json"], ["predict", "--study", "forms", "--flops", "10M", "--json"], ["status"]):
        monkeypatch.setattr(sys, "argv", ["planner", *arguments])
        main()
    front, predicted, *status = capsys.readouterr().out.splitlines()
    assert len(json.loads(front)["front"]) == len(told.front())
    assert json.loads(predicted)["macs"] == told.predict("10M").prediction.macs
    assert status[0].startswith("forms: 24 trained, 0 failed or stopped, 0 running, 0 wait")


def test_a_report_is_a_page_in_the_folder_or_where_it_is_wanted(told, tmp_path):
    page = told.report()
    assert page == Path("results/forms/report.html") and "24 trainings" in page.read_text()
    with pytest.raises(PlannerError, match="a folder of its path is a file; choose another"):
        told.report(page / "page.html")


def test_a_trial_says_what_to_train(study):
    trial = study.ask()
    assert trial.architecture.base == "efficientnet_b0" and (trial.classes, trial.epochs, trial.seed) == (4, 3, 0)
    assert trial.macs == planner.complexity(trial.architecture, classes=4).macs
    assert trial.params == {
        "resolution": trial.architecture.resolution,
        **{f"width_{i + 1}": width for i, width in enumerate(trial.architecture.widths)},
        **{f"depth_{i + 1}": depth for i, depth in enumerate(trial.architecture.depths)},
    }
    assert repr(study) == "Study(results/mine, efficientnet_b0: 0 ok, 0 failed, 1 running, 0 waiting)"
    assert "0 ok, 0 failed, 1 running, 0 waiting" in study._repr_html_()


def test_no_two_askers_get_the_same(study):
    other = planner.load_study("mine")
    first, second, third = study.ask(3), other.ask(3), study.ask(2)
    assert len({one.number for one in (*first, *second, *third)}) == 8
    assert len({one.architecture for one in (*first, *second, *third)}) == 8
    with pytest.raises(PlannerError, match=f"trial {second[0].number} is trained by somebody else"):
        study.tell(second[0], 0.5)
    other.tell(second[0], 0.5)


@pytest.mark.slow
def test_processes_that_ask_at_the_same_time_share_the_queue(study):
    program = "import planner; print(*[one.number for one in planner.load_study('mine').ask(3)])"
    command = [sys.executable, "-c", program]
    asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    numbers = [int(number) for process in asking for number in process.communicate(timeout=120)[0].split()]
    ended = {one.number for one in open_ledger("mine")._finished()}  # askers end one after the other
    assert len(numbers) == len(set(numbers)) == 12 and ended <= set(numbers)


def test_what_was_never_told_waits_again_once_the_asker_is_gone(study):
    program = "import os, planner; print(planner.load_study('mine').ask().number, flush=True); os._exit(9)"
    number = int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout)
    assert study.records.counts()["running"] == 1
    wanted = study.records.architecture(number)
    again = study.ask()
    assert again.architecture == wanted and again.number != number
    assert study.table()["message"].tolist() == ["its coordinator was killed"]
    assert [one.name for one in (study.folder / "askers").iterdir() if one.name != "turn"] == [
        str(study._asker.ledger.locks.number)
    ]


def test_an_asker_that_was_dropped_is_gone(study):
    other = planner.load_study("mine")
    wanted = other.ask().architecture
    del other
    gc.collect()
    assert study.ask().architecture == wanted


def test_what_an_asker_is_at_is_left_alone_by_training(study, silent_training):
    trial = study.ask()
    ended = silent_training(study)
    assert ended == 0 and study.records.counts()["running"] == 1
    study.tell(trial, 0.5)
    assert study.records.counts()["ok"] == 1


@pytest.fixture
def silent_training():
    """A function: what a coordinator does that finds nothing to do, as its count of trainings that ended."""
    from planner.training.loop import train_queued
    from planner.workbench.notes import Notes

    def train(study):
        return train_queued(study.ledger(), study.folder / "cache", Resources(workers=1, device="cpu"), Notes())

    return train


def test_a_coordinator_and_an_asker_exclude_each_other_for_moments_only(study):
    with study.ledger().coordinating():
        with pytest.raises(PlannerError, match="another process is training this study"):
            study.ask()
    trial = study.ask()
    with study.ledger().coordinating():
        study.tell(trial, 0.25)
    assert study.table()["accuracy"].tolist() == [0.25]


def test_what_is_told_is_recorded_like_a_training(study):
    trial = study.ask()
    study.tell(trial.number, 0.5, loss=0.25, seconds=12.0, device="tpu:0")
    observation = Observation.from_json((study.folder / "observations" / "000000.json").read_text())
    assert (observation.accuracy, observation.loss, observation.seconds, observation.device) == (0.5, 0.25, 12, "tpu:0")
    assert observation.architecture == trial.architecture and observation.macs == trial.macs
    (study.folder / "ledger.db").unlink()  # the ledger is made anew of it
    assert study.ledger().frame()["accuracy"].tolist() == [0.5]


def test_a_training_that_was_killed_is_queued_again_and_one_that_diverged_is_not(study):
    first, second = study.ask(2)
    study.tell(first, status="killed", message="the board was unplugged")
    study.tell(second, status="diverged")
    assert study.table()["status"].tolist() == ["killed", "diverged"]
    assert study.ask().architecture == first.architecture


@pytest.mark.parametrize("score", [1.5, -0.1, float("nan"), float("inf"), "good", None, [0.5], 10**400, np.zeros(2)])
def test_a_score_that_can_be_none_is_one_line_and_records_nothing(study, score):
    trial = study.ask()
    with pytest.raises(PlannerError, match="trial 0.*(a score is|the score is)") as error:
        study.tell(trial, score)
    assert "\n" not in str(error.value) and study.records.counts()["running"] == 1
    study.tell(trial, np.float32(0.5))
    assert study.table()["accuracy"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (((0,), {"score": 0.5, "status": "fine"}), "status 'fine' is unknown; known: ok, stopped"),
        (((0,), {"score": 0.5, "status": "diverged"}), "a training that ended as diverged has no score"),
        (((0,), {"score": 0.5, "loss": float("nan")}), "trial 0: .* finite loss"),
        (((7,), {"score": 0.5}), "there is no trial 7"),
        ((("one",), {"score": 0.5}), "trial must be whole numbers"),
    ],
)
def test_a_result_that_cannot_be_is_one_line(study, told, words):
    study.ask()
    arguments, named = told
    with pytest.raises(PlannerError, match=words):
        study.tell(*arguments, **named)
    assert study.records.counts()["running"] == 1


def test_nothing_is_told_twice(study):
    trial = study.ask()
    study.tell(trial, 0.5)
    with pytest.raises(PlannerError, match="trial 0 is not being trained: it was told before"):
        study.tell(trial, 0.75)
    assert study.table()["accuracy"].tolist() == [0.5]


@pytest.mark.slow
def test_a_study_trains_by_itself_and_goes_on(here, capfd):
    study = planner.create_study("own", **IMAGES)
    assert study.run(trials=2, resources=Resources(workers=1, device="cpu")) is study
    assert study.records.counts()["ok"] == 2 and "2 trainings to do, 0 done before" in capfd.readouterr().err
    study.run(trials=2)
    assert len(study.table()) == 2
    with pytest.raises(PlannerError, match="trials must be between 1 and"):
        study.run(trials=0)
    with pytest.raises(PlannerError, match="method 'nosuch' is unknown; known methods: stratified"):
        study.run(trials=3, method="nosuch")


def test_a_study_of_a_name_is_made_once_or_loaded(study, small):
    with pytest.raises(PlannerError, match="results/mine: a study of that name is there; load_if_exists=True opens it"):
        planner.create_study("mine", **small)
    assert planner.create_study("mine", load_if_exists=True, **small).settings == study.settings
    with pytest.raises(PlannerError, match="study mine was made with --classes 4, not 5; leave the option out"):
        planner.create_study("mine", load_if_exists=True, **{**small, "classes": 5})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base": "resnet-50"}, "base network 'resnet-50' is unknown"),
        ({"window": (2.0, 1.0)}, "--window 2.0 1.0: two quantities"),
        ({"window": "1M"}, "window '1M': two quantities are wanted"),
        ({"classes": 0}, "data.classes: .*given: 0"),
        ({"data": "fractal:classes=2,train=40,validation=4"}, "leave --classes out"),
        ({"seed": -1}, "seed: "),
        ({"rule": "nosuch"}, "scaling rule 'nosuch' is unknown"),
        ({"storage": "sqlite://"}, "is in memory"),
    ],
)
def test_a_study_that_cannot_be_made_leaves_nothing_behind(here, small, options, words):
    with pytest.raises(PlannerError, match=words):
        planner.create_study("mine", **{**small, **options})
    assert list(here.rglob("*")) == []


def test_a_study_is_found_by_its_name_or_as_the_last_one(study):
    assert planner.load_study().name == "mine" == planner.list_studies()[0].name
    assert read_settings(folder_of("mine") / "study.toml") == study.settings
    with pytest.raises(PlannerError, match="no study in results/nosuch; .*: mine"):
        planner.load_study("nosuch")


def test_a_study_without_trainings_says_what_is_missing(study):
    for call in (study.front, study.fit, study.report, lambda: study.predict("3M")):
        with pytest.raises(PlannerError) as error:
            call()
        assert "\n" not in str(error.value)


def quick(job):
    """A trainer that needs no images: reports every epoch what a larger network does better."""
    for epoch in range(1, job.epochs + 1):
        macs = planner.complexity(job.architecture, classes=job.classes).macs
        job.report(epoch, (0.9 - 0.5 * (macs / 1e6) ** -0.3) * epoch / job.epochs)


def slow(job):
    """Another function, which must not be taken for the study's."""


def test_a_function_of_this_process_trains_a_study(here, small):
    study = planner.create_study("own", trainer=quick, **small)
    study.run(trials=4)
    table = study.table()
    assert set(table["status"]) == {"ok"} and len(table) == 4
    assert table["accuracy"].tolist() == pytest.approx([0.9 - 0.5 * (macs / 1e6) ** -0.3 for macs in table["macs"]])
    assert len((study.folder / "epochs.csv").read_text().splitlines()) == 1 + 3 * 4
    assert planner.load_study("own", trainer=quick).run(trials=5).records.counts()["ok"] == 5
    assert planner.create_study("own", load_if_exists=True, trainer=quick, **small).trainer is quick
    with pytest.raises(PlannerError, match="study own was made with --trainer quick, not slow"):
        planner.create_study("own", load_if_exists=True, trainer=slow, **small)
    with pytest.raises(PlannerError, match="no trainer of this name is known in this process"):
        planner.load_study("own").run(trials=6)
    with pytest.raises(PlannerError, match="study own was made with quick, not slow; give that one"):
        planner.load_study("own", trainer=slow)


def test_the_same_function_does_a_trial_that_was_asked_for(study):
    trial = study.ask()
    quick(trial)
    (trial.folder / "checkpoint").write_text("half of it")
    study.tell(trial)
    assert study.table()["accuracy"].tolist() == [0.9 - 0.5 * (trial.macs / 1e6) ** -0.3]
    assert len((study.folder / "epochs.csv").read_text().splitlines()) == 1 + 3
    assert not trial.folder.exists() and study.table()["device"].tolist() == ["cpu"]


def test_a_trial_builds_its_network(study):
    trial = study.ask()
    parameters = sum(one.numel() for one in trial.build().parameters())
    assert parameters == planner.complexity(trial.architecture, classes=4).params


@pytest.mark.parametrize("trainer", [lambda job: 0.5, 3, None])
def test_a_trainer_that_cannot_be_named_is_refused(here, small, trainer):
    if trainer is None:
        with pytest.raises(PlannerError, match="neither images nor a trainer; ask for its trainings"):
            planner.create_study("mine", **small).run(trials=1)
    else:
        with pytest.raises(PlannerError, match="trainer .*: give FILE.py:NAME, package.module:NAME or a named"):
            planner.create_study("mine", trainer=trainer, **small)


def test_another_trainer_has_its_own_data(here, small):
    with pytest.raises(PlannerError, match="--data has no effect beside --trainer"):
        planner.create_study("mine", trainer="train.py:train", data="fractal", **small)
    with pytest.raises(PlannerError, match="say how many outputs networks have, such as --classes 10"):
        planner.create_study("mine", trainer="train.py:train", base="resnet18")


def test_proposals_are_queued_and_asked_for_next(told, tmp_path, monkeypatch):
    shutil.copytree("results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    study = planner.load_study("forms")
    proposed = study.propose(2)
    assert len(proposed.architectures) == 2 and proposed.method == "bayes"
    assert [trial.architecture for trial in study.ask(2)] == list(proposed.architectures)


def test_methods_are_compared_at_equal_macs(told, tmp_path, monkeypatch):
    shutil.copytree("results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlannerError, match="neither images nor a trainer"):
        planner.load_study("forms").compare("10M", ["compound"], seeds=1)
    text = Path("results/forms/study.toml").read_text()
    Path("results/forms/study.toml").write_text(text.replace("[data]", 'trainer = "quick"\n\n[data]', 1))
    study = planner.load_study("forms", trainer=quick)
    found = study.compare(["10M", 20e6], ["compound", "answer"], seeds=1)
    assert [(row.method, row.budget) for row in found.rows] == [
        (name, macs) for macs in (10e6, 20e6) for name in ("compound", "answer")
    ]
    assert all(row.accuracy > 0.5 for row in found.rows) and found.file == Path("results/forms/comparison.csv")
