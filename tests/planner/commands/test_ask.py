"""`planner ask` and `tell`: trainings for people with scripts of their own, each handed out once and none lost."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import planner
from planner.errors import PlannerError
from planner.study.asking import Asker
from planner.study.opening import open_ledger
from planner.study.settings import StudySettings, write_settings
from planner.training.loop import queue
from planner.training.resources import Resources
from sampler import Architecture

MAKE = ("--base", "resnet18", "--classes", "10", "--resolution", "32")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study that is asked and told, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return planner.create_study("mine", base="resnet18", classes=10, resolution=32)


def later(monkeypatch, seconds):
    """The clock that askers and the ledger look at is so many seconds ahead."""
    clock = SimpleNamespace(time=lambda: time.time() + seconds)
    monkeypatch.setattr("planner.study.ledger.time", clock)
    monkeypatch.setattr("planner.study.asking.time", clock)


def test_a_study_is_made_asked_and_told_from_the_shell(run):
    code, out, _ = run("ask", "--study", "own", *MAKE, "-n", "3", "--json", "--within", "6h")
    asked = json.loads(out)
    assert code == 0 and [one["trial"] for one in asked] == [0, 1, 2]
    first = asked[0]
    sizes = (first[name] for name in ("base", "resolution", "stem", "widths", "depths", "head"))
    counted = planner.complexity(Architecture(*map(_tuples, sizes)), classes=10)
    assert (first["macs"], first["params"]) == (counted.macs, counted.params)
    assert (first["epochs"], first["seed"], first["base"], first["device"]) == (3, 0, "resnet18", "cpu")
    assert Path(first["folder"]).is_dir() and 0 < first["until"] - time.time() <= 6 * 3600
    assert run("tell", "0", "--score", "0.71", "--seconds", "900", "--device", "board")[1] == (
        "results/own: trial 0 is recorded as ok; 1 trained, 0 failed, 2 handed out, 0 wait\n"
    )
    assert run("tell", "1", "--failed", "the node\nwas lost")[1].startswith("results/own: trial 1 waits again; ")
    told = json.loads(run("tell", "2", "--score", "nan", "--json")[1])
    assert (told["status"], told["again"], told["failed"], told["waiting"]) == ("diverged", False, 2, 1)
    frame = open_ledger("own").frame()
    assert frame["status"].tolist() == ["ok", "killed", "diverged"]
    assert (frame["accuracy"][0], frame["seconds"][0], frame["device"][0]) == (0.71, 900, "board")
    assert frame["message"][1] == "the node was lost"
    assert not any(Path("results/own/asked").iterdir())
    again = json.loads(run("ask", "--json")[1])[0]  # of the last study; what failed comes first
    assert [again[name] for name in ("widths", "depths")] == [asked[1][name] for name in ("widths", "depths")]


def _tuples(value):
    return tuple(value) if isinstance(value, list) else value


def test_people_read_a_line_for_each_training_and_how_to_tell(run):
    out = run("ask", "--base", "vit_tiny_patch16", "--classes", "10", "-n", "2")[1].splitlines()
    assert len(out) == 3 and out[0].startswith("trial 0: ") and "heads" in out[0] and "epochs, seed 0" in out[1]
    assert out[2].startswith("Tell what they gave: planner tell 0 --study study --score 0.71. Not told of by ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tell", "7", "--score", "0.5"), "there is no trial 7"),
        (("tell", "0"), "say how the training ended: --score S, or --failed REASON"),
        (("tell", "0", "--score", "0.5", "--failed", "x"), "say how the training ended"),
        (("tell", "0", "--failed", " "), "--failed needs a reason"),
        (("tell", "0", "--score", "71"), r"a score is in [0, 1]"),
        (("tell", "1", "--score", "0.5"), "trial 1 is not being trained: it waits, and nobody asked for it"),
        (("ask", "--within", "6"), "'6' is not a duration; write one with its unit"),
        (("ask", "--epochs", "9"), "was made with --epochs 3, not 9"),
        (("ask", "-n", "0"), "0 is not in the range"),
        (("ask", "--study", "other"), "no study in results/other; to make one, say what is trained"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(study, refused, arguments, words):
    ledger = study.ledger()
    with ledger.queueing():
        queue(ledger, 2)
    study.ask(within="1h")
    assert words in refused(*arguments)
    assert open_ledger("mine").counts() == {"ok": 0, "failed": 0, "running": 1, "waiting": 1}


def test_telling_twice_is_one_line_and_the_first_stands(study, refused, run):
    trial = study.ask(within="1h")
    assert run("tell", trial.number, "--score", "0.5")[0] == 0
    assert refused("tell", trial.number, "--score", "0.6").endswith(
        "trial 0 is not being trained: it was told before (ok, 0.5)\n"
    )
    assert open_ledger("mine").frame()["accuracy"].tolist() == [0.5]
    failed = study.ask(within="1h")
    assert run("tell", failed.number, "--failed", "broken")[0] == 0
    assert "it was told before (killed), and is trial 2 now" in refused("tell", failed.number, "--score", "0.6")


def test_what_was_not_told_in_time_is_handed_out_again_under_its_number_and_told_late_by_either(study, monkeypatch):
    first, second = study.ask(2, within=3600)
    other = planner.load_study("mine")
    later(monkeypatch, 3500)
    assert other.ask(within="1h").number == 2
    later(monkeypatch, 3601)
    again = other.ask(within="1h")
    assert again.number == first.number and again.architecture == first.architecture
    assert open_ledger("mine").counts() == {"ok": 0, "failed": 0, "running": 2, "waiting": 1}
    study.tell(second, 0.25)  # handed back, and nobody has it
    study.tell(first, 0.5)  # handed out again, and told by the first asker after all
    with pytest.raises(PlannerError, match=r"it was told before \(ok, 0.5\)"):
        other.tell(again, 0.75)
    frame = study.table()
    assert sorted(zip(frame["trial"], frame["accuracy"], strict=True)) == [(0, 0.5), (1, 0.25)]
    assert open_ledger("mine").counts() == {"ok": 2, "failed": 0, "running": 1, "waiting": 0}


def test_a_failure_that_is_told_late_changes_nothing(study, monkeypatch):
    trial = study.ask(within=60)
    later(monkeypatch, 61)
    ledger = study.ledger()
    with ledger.coordinating():
        assert ledger.reconcile() == (0, 0)
    assert ledger.counts()["waiting"] == 1
    study.tell(trial, status="killed", message="lost")
    assert ledger.counts() == {"ok": 0, "failed": 0, "running": 0, "waiting": 1}
    assert trial.folder.is_dir()
    assert study.ask(within=60).number == trial.number


def test_a_coordinator_trains_what_was_handed_back_and_leaves_what_is_out(study, monkeypatch, train):
    early, late = study.ask(within=60), study.ask(within=6000)
    later(monkeypatch, 61)
    ledger = study.ledger()
    with ledger.coordinating():
        ledger.reconcile()
        train(ledger)
    counts = ledger.counts()
    assert (counts["ok"], counts["running"], counts["waiting"]) == (1, 1, 0)
    with pytest.raises(PlannerError, match=f"trial {early.number} is not being trained: it was told before"):
        study.tell(early, 0.5)
    study.tell(late, 0.5)


def test_what_a_coordinator_took_that_was_handed_back_is_its_own_when_it_dies(study, monkeypatch):
    trial = study.ask(within=60)
    later(monkeypatch, 61)
    ledger = study.ledger()
    with ledger.coordinating():
        ledger.reconcile()
        assert ledger.claim()[0] == trial.number
    with ledger.coordinating():  # the next one, after a kill
        assert ledger.reconcile() == (0, 1)
    assert ledger.counts() == {"ok": 0, "failed": 1, "running": 0, "waiting": 1}


def test_an_observation_that_a_killed_teller_wrote_is_recorded(study, monkeypatch):
    trial, other = study.ask(2, within=60)
    asker = Asker(study.ledger())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asker.ledger, "record", lambda *_: None)  # killed before it was recorded
        asker.tell(trial.number, 0.5, "ok", {"seconds": 1.0, "device": "", "loss": None})
    assert open_ledger("mine").counts()["running"] == 2
    assert study.ask(within=60).number not in (trial.number, other.number)
    assert study.table()["accuracy"].tolist() == [0.5]


def test_a_time_that_is_none_is_refused(study):
    for within in (0, -1, True, "soon", float("nan")):
        with pytest.raises(PlannerError, match="is not a duration"):
            study.ask(within=within)
    assert study.records.counts()["running"] == 0


TOGETHER = """
import json, os, sys
from planner.errors import PlannerError
from planner.study.asking import Asker
from planner.study.opening import open_ledger
from planner.training.loop import queue
import pandas, sqlalchemy.dialects.sqlite
from sqlalchemy import Engine, event
# As in the tests themselves: nobody waits for the disk.
event.listen(Engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))

def work(place):
    ledger = open_ledger("mine")
    asker, numbers, told = Asker(ledger), [], 0
    for _ in range(2):
        found = asker.ask(2, lambda missing: queue(ledger, ledger.asked() + missing), within=600)
        numbers += [one.number for one in found]
    for number in range(3):  # all tell of the same
        try:
            asker.tell(number, place / 10, "ok", {"seconds": 1.0, "device": "", "loss": None})
            told += 1
        except PlannerError as error:
            assert "told before" in str(error) or "there is no trial" in str(error), error
    print(json.dumps([numbers, told]), file=open(f"found{place}", "w"), flush=True)

children = []
for place in range(4):
    if not (child := os.fork()):
        code = 1
        try:
            work(place)
            code = 0
        finally:
            os._exit(code)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


@pytest.mark.slow
def test_four_processes_that_ask_and_tell_at_once_get_different_trials_and_each_is_told_once(study):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    ended = subprocess.run([sys.executable, "-c", TOGETHER], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = [json.loads(Path(f"found{place}").read_text()) for place in range(4)]
    numbers = [number for asked, _ in found for number in asked]
    assert sorted(numbers) == list(range(16))
    counts = open_ledger("mine").counts()
    assert sum(told for _, told in found) == counts["ok"] == 3 and counts["running"] == 13 and not counts["failed"]


def test_any_study_can_be_asked_and_then_trained_by_its_trainer(run, tmp_path):
    settings = {"data": {"source": "", "side": 90, "classes": 4}, "space": {"resolution": 64}, "trainer": "t.py:train"}
    write_settings(tmp_path / "results/own/study.toml", StudySettings.model_validate(settings))
    Path("t.py").write_text("def train(job): return 0.5")
    assert run("ask", "--study", "own", "-n", "2")[0] == 0
    assert run("sample", "--study", "own", "--trials", "2")[0] == 0
    study = planner.load_study("own")
    study.run(resources=Resources(engine="inline", device="cpu"))
    assert study.records.counts() == {"ok": 2, "failed": 0, "running": 2, "waiting": 0}
