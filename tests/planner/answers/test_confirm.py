"""`planner predict --confirm`: the best few networks for a budget are trained, and the best measured answers."""

import json
import shutil

import numpy as np
import pytest

from planner import PlannerError
from planner.answers.confirm import ORIGIN, confirm
from planner.answers.formula import Formula
from planner.answers.predict import answer_for
from planner.fitting.fit import fit
from planner.training.resources import Resources
from sampler import stratified_design

BUDGET = 15e6


def reached(macs, one):
    """A closed form: pixels and MACs help, and every network is a little lucky or not, as its integers say."""
    luck = np.random.default_rng(macs + sum(one.widths)).normal(0, 0.004)
    return 0.9 - 0.5 * (macs / 3e6) ** -0.3 + 0.1 * np.log(one.resolution / 32) + luck


@pytest.fixture(scope="module")
def studied(tmp_path_factory, train):
    """The folder of a study with 28 trainings and its formula."""
    from planner.study.ledger import Ledger
    from planner.study.settings import StudySettings, write_settings

    folder = tmp_path_factory.mktemp("studied") / "mine"
    folder.mkdir(parents=True)
    data = {"source": "fractal", "side": 45, "classes": 4}
    space = {"resolution": 32, "r": (0.7, 1.4), "window": (0.05, 1.05)}
    settings = StudySettings.model_validate({"base": "resnet20_cifar", "data": data, "space": space})
    write_settings(folder / "study.toml", settings)
    ledger = Ledger(folder, settings)
    ledger.enqueue(stratified_design(ledger.space, 28, 0), "stratified")
    train(ledger, reached)
    fit(ledger.table()).save(folder / "formula.json")
    return folder


@pytest.fixture
def study(studied, run, tmp_path):
    """That study's ledger in the folder where `run` runs."""
    from planner.study.opening import open_ledger

    shutil.copytree(studied, tmp_path / "results" / "mine")
    return open_ledger("mine")


@pytest.fixture
def training(monkeypatch, train):
    """A list of how many trainings each call of the coordinator did; they take no time."""
    counts = []

    def trained(ledger, *_):
        counts.append(ledger.counts()["waiting"])
        train(ledger, reached)
        return counts[-1]

    monkeypatch.setattr("planner.answers.confirm.train_queued", trained)
    return counts


def confirmed(ledger, silent, n=3, **how):
    formula = Formula.load(ledger.folder / "formula.json")
    where = {"cache": ledger.folder, "resources": Resources(), "progress": silent}
    return confirm(ledger, formula, BUDGET, n=n, **where, **how)


def test_the_best_measured_of_the_best_expected_answers(study, training, silent):
    expected = answer_for(Formula.load(study.folder / "formula.json"), BUDGET, n=3)
    answer, every = confirmed(study, silent)
    assert [one.answer.architecture for one in every] == [one.architecture for one in expected]
    truth = [reached(one.prediction.macs, one.architecture) for one in expected]
    assert [one.accuracy for one in every] == pytest.approx(truth)
    assert answer.architecture == expected[int(np.argmax(truth))].architecture
    assert answer.by == "training" and answer.prediction.macs <= BUDGET
    assert answer.reason.startswith("the best measured of the 3 best expected, all trained, the best expected first: ")
    assert all(one.words in answer.reason for one in every)


def test_they_are_trainings_of_the_study_like_any_other(study, training, silent):
    before = len(study.table().frame)
    _, every = confirmed(study, silent)
    frame = study.frame()
    new = frame[frame["origin"] == ORIGIN]
    assert len(new) == training[0] <= 3 and len(study.table().frame) == before + len(new)
    assert set(new["seed"]) == {study.settings.seed}
    assert new["r"].notna().all() and new["w"].notna().all()
    assert {number for one in every for number in one.trials} >= set(new["trial"])


def test_nothing_is_trained_twice(study, training, silent):
    first, _ = confirmed(study, silent)
    done = len(study.frame())
    again, every = confirmed(study, silent)
    assert len(training) == 1 and len(study.frame()) == done
    assert again.architecture == first.architecture and len(every) == 3
    more, every = confirmed(study, silent, n=4)
    assert training[1:] == [1] and len(every) == 4 and len(study.frame()) == done + 1
    assert more.prediction.macs <= BUDGET


def test_what_is_interrupted_goes_on_with_what_is_queued(study, monkeypatch, training, silent):
    with monkeypatch.context() as stopped:
        stopped.setattr("planner.answers.confirm.train_queued", lambda *_: 0)
        with pytest.raises(PlannerError, match="[123] of 3 trainings remain; the same command goes on with them"):
            confirmed(study, silent)
    waiting = study.counts()["waiting"]
    answer, _ = confirmed(study, silent)
    assert training == [waiting] and answer.by == "training"


def test_networks_that_diverge_are_left_and_all_of_them_are_refused(study, monkeypatch, train, silent):
    best = answer_for(Formula.load(study.folder / "formula.json"), BUDGET)[0].architecture
    monkeypatch.setattr(
        "planner.answers.confirm.train_queued",
        lambda ledger, *_: train(ledger, lambda macs, one: None if one == best else reached(macs, one)),
    )
    with pytest.raises(PlannerError, match="all 1 networks for this budget diverged; predict without --confirm"):
        confirmed(study, silent, n=1)
    answer, every = confirmed(study, silent)
    assert every[0].accuracy is None and "one diverged" in answer.reason
    assert answer.architecture in [one.answer.architecture for one in every[1:]]


def test_the_command_trains_and_answers(study, training, run):
    asked = ("predict", "--study", "mine", "--flops", "15M", "--confirm", "2")
    code, out, err = run(*asked, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["by"] == "training" and len(found["confirmed"]) == 2
    best = max(found["confirmed"], key=lambda one: one["accuracy"])
    assert {name: found[name] for name in ("resolution", "widths", "depths", "macs")}.items() <= best.items()
    code, out, _ = run(*asked)
    assert code == 0 and len(training) == 1
    assert "why: the best measured of the 2 best expected" in out
    assert out.endswith("next: `planner fit --study mine` teaches the formula what was measured\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--confirm 3", "--confirm has no effect without --study"),
        ("--workers 2", "--workers has no effect without --confirm"),
        ("--study mine --confirm 3 --stop-early", "--stop-early has no effect beside --confirm"),
        ("--study mine --confirm 3 --classes 10", "--classes has no effect beside --confirm"),
        ("--study mine --confirm 0", "--confirm"),
    ],
)
def test_what_does_not_go_together_is_refused(refused, arguments, words):
    assert words in refused("predict", "--flops", "6M", *arguments.split())
