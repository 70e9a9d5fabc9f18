"""A study whose trainings are a function of the user: the whole loop on real data, and what may go wrong in it."""

import os
import re
from pathlib import Path

import pytest

from planner.answers.predict import answer_for
from planner.errors import PlannerError
from planner.fitting.fit import fit
from planner.front.pareto import as_losses, non_dominated_mask
from planner.study.folder import cache_of
from planner.study.opening import open_ledger
from planner.study.options import StudyOptions
from planner.training.loop import train_queued
from planner.training.making import Wanted, queue_in
from planner.training.resources import Resources
from trainer.engines.engine import checkpoint_path
from trainer.trainers import TRAINERS, register_trainer

# Handwritten digits, real ones; a perceptron whose hidden layers are as wide as the network's stages stands for it.
DIGITS = """
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

def train(job):
    pictures, labels = load_digits(return_X_y=True)
    pictures, fitted = pictures / 16, round(1200 * job.share)
    model = MLPClassifier(job.architecture.widths, random_state=job.seed)
    for epoch in range(1, job.epochs + 1):
        model.partial_fit(pictures[:fitted], labels[:fitted], classes=range(10))
        job.report(epoch, model.score(pictures[1200:], labels[1200:]))
"""
OPTIONS = {"base": "resnet18", "classes": 10, "resolution": 32, "epochs": 3}


class Notes:
    def __init__(self):
        self.lines, self.epochs, self.ended = [], [], []

    def note(self, text):
        self.lines.append(text)

    def epoch(self, *facts):
        self.epochs.append(facts)

    def done(self, number, observation):
        self.ended.append((number, observation))

    def start(self, *_):
        pass

    close = start


def study(trainer, trials, **options):
    ledger, added = queue_in("mine", StudyOptions(**{**OPTIONS, "trainer": trainer, **options}), Wanted(trials))
    assert added == trials
    return ledger


def train(ledger, notes=None, **asked):
    asked = {"engine": "inline", "device": "cpu", **asked}
    return train_queued(ledger, cache_of(ledger.folder), Resources(**asked), notes or Notes())


@pytest.mark.usefixtures("run")
def test_the_whole_loop_on_digits_with_two_workers():
    Path("digits.py").write_text(DIGITS)
    notes, ledger = Notes(), study("digits.py:train", 10)
    assert train(ledger, notes, engine="local", workers=2) == 10
    assert sorted(fact[0] for fact in notes.epochs) == sorted([*range(10)] * 3)
    assert not list((ledger.folder / "checkpoints").iterdir())
    again = open_ledger("mine")
    assert (again.counts()["ok"], again.settings.trainer, again.settings.data.source) == (10, "digits.py:train", "")
    frame = again.frame()
    assert frame["accuracy"].between(0.2, 1).all() and frame["accuracy"].nunique() > 4
    assert (frame["epochs"] == 3).all() and frame["seconds"].gt(0).all() and frame["loss"].isna().all()
    front = non_dominated_mask(as_losses(frame["accuracy"].astype(float), frame["macs"].astype(float)))
    assert 1 <= front.sum() < 10
    formula = fit(again.table())
    low, high = formula.macs_range
    answer = answer_for(formula, (low * high) ** 0.5, (), extrapolate=True)[0]
    assert low < answer.prediction.macs <= (low * high) ** 0.5


@pytest.mark.usefixtures("run")
def test_a_function_that_no_worker_could_import_trains_in_this_process_and_another_trainer_is_another_study():
    with TRAINERS.temporarily("here", lambda job: 0.5 + job.architecture.resolution / 1000):
        ledger = study("here", 4)
        assert train(ledger) == 4
        assert ledger.frame()["accuracy"].nunique() > 1
        with pytest.raises(PlannerError, match="was made with --trainer here, not there; leave the option out"):
            queue_in("mine", StudyOptions(trainer="there"), Wanted(5))
    with pytest.raises(PlannerError, match="no trainer of this name is known in this process.*--engine inline"):
        train(queue_in("mine", StudyOptions(), Wanted(5))[0])


@pytest.mark.usefixtures("run")
def test_a_job_that_is_killed_goes_on_in_its_folder_and_loses_no_report():
    Path("kills.py").write_text(
        "import os\n"
        "def train(job):\n"
        "    done = job.folder / 'done'\n"
        "    first = int(done.read_text()) + 1 if done.exists() else 1\n"
        "    for epoch in range(first, job.epochs + 1):\n"
        "        done.write_text(str(epoch))\n"
        "        job.report(epoch, 0.1 * epoch + first / 1000)\n"
        "        if epoch == 2 and first == 1:\n"
        "            os._exit(9)\n"
    )
    notes, ledger = Notes(), study("kills.py:train", 1)
    assert train(ledger, notes, engine="local", workers=1) == 1
    assert notes.lines == ["trial 0: its process ended with exit code 9; queued again"]
    frame, (_, found) = ledger.frame(), notes.ended[0]
    assert frame["status"].tolist() == ["killed", "ok"]
    assert [record.accuracy for record in found.history] == pytest.approx([0.101, 0.201, 0.303])


FAULTY = """
def typo(job):
    return job.archtecture

def nan(job):
    job.report(1, 0.5)
    job.report(2, float("nan"))

def percent(job):
    job.report(1, 73.1)

def silent(job):
    job.report(1, 0.5)

def words(job):
    return "good"

number = 3
"""


@pytest.mark.usefixtures("run")
def test_what_the_trainer_raises_is_one_line_and_three_in_a_row_end_the_run_with_nothing_lost():
    Path("faulty.py").write_text(FAULTY)
    notes, ledger = Notes(), study("faulty.py:typo", 4)
    line = "AttributeError: 'Job' object has no attribute 'archtecture'.* (faulty.py, line 3)"
    with pytest.raises(PlannerError, match="3 trainings in a row ended so: mend the trainer") as error:
        train(ledger, notes)
    assert re.search(line.replace("(", r"\(").replace(")", r"\)"), str(error.value)) and "\n" not in str(error.value)
    assert len(notes.lines) == 3 and all(text.endswith("queued again") for text in notes.lines)
    assert ledger.counts() == {"ok": 0, "failed": 3, "running": 0, "waiting": 4}
    assert "archtecture" in ledger.frame()["message"][0]
    Path("faulty.py").write_text("def typo(job):\n    return 0.5\n")
    assert train(open_ledger("mine"), notes) == 4  # the same command goes on
    assert open_ledger("mine").counts()["ok"] == 4


@pytest.mark.usefixtures("run")
def test_one_network_that_the_trainer_cannot_train_is_given_up_and_the_others_go_on():
    with TRAINERS.temporarily("here", lambda job: 1 // (job.seed > 0) / 2 if job.architecture == bad else 0.5):
        ledger, notes = study("here", 4), Notes()
        bad = ledger.architecture(1)
        train(ledger, notes)
    assert ledger.counts() == {"ok": 3, "failed": 3, "running": 0, "waiting": 0}
    assert notes.lines[-1].endswith("given up after several tries")


@pytest.mark.usefixtures("run")
def test_a_score_that_is_no_number_is_a_training_that_diverged():
    Path("faulty.py").write_text(FAULTY)
    ledger, notes = study("faulty.py:nan", 1), Notes()
    assert train(ledger, notes) == 2  # with another seed as well
    assert ledger.frame()["message"].tolist() == ["the score is nan after epoch 2"] * 2
    assert [found.status for _, found in notes.ended] == ["diverged"] * 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("percent", r"job.report\(1, 73.1\): a score is in \[0, 1\], higher is better; scale it"),
        ("silent", "neither returned a score nor reported one for the last epoch, 3"),
        ("words", r"returned 'good': a score is a number in \[0, 1\]"),
    ],
)
@pytest.mark.usefixtures("run")
def test_what_is_no_score_is_tried_again_and_told_in_one_line(name, words):
    Path("faulty.py").write_text(FAULTY)
    ledger = study(f"faulty.py:{name}", 4)
    with pytest.raises(PlannerError, match=f"{words}.*; 3 trainings in a row ended so") as error:
        train(ledger)
    assert "\n" not in str(error.value)
    assert ledger.counts() == {"ok": 0, "failed": 3, "running": 0, "waiting": 4}


@pytest.mark.usefixtures("run")
def test_one_score_that_is_none_does_not_stop_the_others():
    Path("faulty.py").write_text(
        "def at_times(job):\n    return 73.1 if job.architecture.resolution % 3 == 0 else 0.5\n"
    )
    ledger = study("faulty.py:at_times", 9)
    train(ledger)
    frame = ledger.frame()
    odd = frame["resolution"] % 3 == 0
    assert 0 < odd.sum() < len(frame) and (frame["status"].eq("ok") == ~odd).all()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.py:train", "nowhere.py: No such file or directory; give the path of a Python file"),
        ("faulty.py:number", "number is no function; name a function of a job"),
        ("faulty.py:train", "faulty.py has no 'train'; name a function of a job, such as faulty.py:train"),
        ("broken.py:train", r"cannot be imported \(SyntaxError: .*\); mend it"),
        ("no.such.module:train", r"cannot be imported \(ModuleNotFoundError: No module named 'no'\); mend it"),
        ("nobody", "no trainer of this name is known in this process"),
    ],
)
@pytest.mark.usefixtures("run")
def test_a_trainer_that_is_none_is_refused_in_one_line_before_a_study_is_made(name, words):
    Path("faulty.py").write_text(FAULTY)
    Path("broken.py").write_text("def train(job:\n")
    with pytest.raises(PlannerError, match=words) as error:
        study(name, 2)
    assert str(error.value).startswith(f"--trainer {name}: ") and "\n" not in str(error.value)
    assert not Path("results/mine").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trainer": "x.py:y"}, "say how many outputs networks have, such as --classes 10"),
        ({"trainer": "x.py:y", "classes": 3, "data": "fractal"}, "--data has no effect beside --trainer"),
    ],
)
@pytest.mark.usefixtures("run")
def test_options_of_one_trainer_are_refused_beside_the_other(options, words):
    with pytest.raises(PlannerError, match=words):
        queue_in("mine", StudyOptions(**options), Wanted(1))


@pytest.mark.usefixtures("run")
def test_hours_that_are_over_pause_a_job_which_goes_on_in_the_same_folder(monkeypatch):
    folders = []

    def slow(job):
        folders.append(job.folder)
        for epoch in range(len(job.history) + 1, job.epochs + 1):
            if len(folders) == 1 and epoch == 2:
                os.kill(os.getpid(), 2)
            job.report(epoch, epoch / 10)

    with TRAINERS.temporarily("here", slow):
        ledger = study("here", 1)
        kept = checkpoint_path(ledger.folder / "checkpoints", ledger.training(0))
        with pytest.raises(KeyboardInterrupt):
            train(ledger)
        assert ledger.counts()["waiting"] == 1 and [path.name for path in kept.iterdir()] == ["reports.json"]
        assert train(ledger) == 1
    assert folders == [kept, kept] and not kept.exists()
    assert ledger.frame()["accuracy"].tolist() == [0.3]


def test_classes_alone_are_refused_by_the_command(refused):
    assert "--classes has no effect without --trainer" in refused("sample", "--trials", "1", "--classes", "3")


def test_a_trainer_is_registered_by_a_decorator():
    with TRAINERS.temporarily("mine", len):
        with pytest.raises(PlannerError, match="trainer 'mine' is there already"):

            @register_trainer("mine")
            def _(job):
                return 0.5
