"""What a coordinator records: an observation only for the training it came of, tables that are true, nothing left."""

import errno
import json
import os
import re
import shutil
import signal
from dataclasses import replace

import pandas as pd
import pytest
from sqlalchemy.exc import OperationalError

import planner.study.patience as patience
from planner import PlannerError
from planner.study.ledger import Ledger
from planner.study.reader import Records
from planner.study.settings import StudySettings
from planner.training.coordinator import Coordinator
from planner.training.interruption import Interruption
from planner.training.leftovers import OLD, remove_left
from planner.training.loop import train_queued
from planner.training.resources import Resources
from sampler import architecture_complexity, random_design
from trainer.engines.engine import Event, checkpoint_path, observation_path, write_observation
from trainer.observation import Fidelity, Observation

SETTINGS = {"data": {"source": "fractal", "side": 90, "classes": 4}, "space": {"resolution": 64, "r": (0.5, 1.4)}}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder with the storage of a ledger in which three architectures wait: made once."""
    folder = tmp_path_factory.mktemp("begun") / "mine"
    folder.mkdir()
    made = Ledger(folder, StudySettings.model_validate(SETTINGS))
    made.enqueue(random_design(made.space, 3, seed=0), "random")
    return folder


@pytest.fixture
def ledger(begun, tmp_path):
    shutil.copytree(begun, tmp_path / "mine")
    made = Ledger(tmp_path / "mine", StudySettings.model_validate(SETTINGS))
    made.lines = []
    made.tell = made.lines.append
    return made


def of(training, accuracy=0.5):
    """What a worker would give for a training."""
    cost = architecture_complexity(training.architecture, 4)
    costs = {name: getattr(cost, name) for name in ("macs", "params", "activations")}
    given = {"seconds": 1.0, "device": "cpu", **costs}
    return Observation(training.architecture, training.fidelity, training.seed, "ok", accuracy, 1.0, **given)


def written(ledger, number, training, accuracy=0.5):
    write_observation(ledger.observations, number, training, of(training, accuracy))
    return observation_path(ledger.observations, number)


# --- R1: an observation of another training is not this one's ---

CHANGES = {
    "architecture": lambda one, ledger: replace(one, architecture=random_design(ledger.space, 1, seed=9)[0]),
    "seed": lambda one, _: replace(one, seed=7),
    "epochs": lambda one, _: replace(one, fidelity=Fidelity(9)),
    "data_share": lambda one, _: replace(one, fidelity=replace(one.fidelity, data_share=0.5)),
    "recipe.learning_rate": lambda one, _: replace(one, recipe=replace(one.recipe, learning_rate=0.1)),
    "data.source": lambda one, _: replace(one, data=replace(one.data, source="cifar10:there")),
    "data.holdout": lambda one, _: replace(one, data=replace(one.data, holdout=0.0)),
    "parent": lambda one, _: replace(one, parent="somewhere/000002.safetensors"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_an_old_observation_of_another_training_is_set_aside_by_name(ledger, what):
    number, *_ = ledger.claim()
    path = written(ledger, number, CHANGES[what](ledger.training(number), ledger), 0.9)
    text = path.read_text()
    assert ledger.reconcile() == (0, 1)
    assert not path.exists() and path.with_name("000000.json.other").read_text() == text
    assert ledger.lines == [f"{path}: not of trial 0 ({what}); kept as 000000.json.other"]
    written(ledger, number, CHANGES[what](ledger.training(number), ledger), 0.8)
    assert ledger.on_disk(number) is None and path.with_name("000000.json.other1").exists()


def test_an_observation_is_its_trainings_wherever_the_study_and_its_images_are_cached(ledger, tmp_path):
    number, *_ = ledger.claim()
    ledger.ask_for(ledger.architecture(1), "test", {"parent": 0, "keep": True})
    written(ledger, number, ledger.training(number))
    written(ledger, 3, ledger.training(3))
    moved = Ledger((tmp_path / "mine").rename(tmp_path / "yours"), ledger.settings)
    assert moved.reconcile() == (1, 0) and moved.on_disk(3) is not None


def test_an_older_versions_observation_is_compared_in_what_it_says(ledger):
    number, *_ = ledger.claim()
    path = written(ledger, number, ledger.training(number))
    old = json.loads(path.read_text())
    del old["asked"]
    path.write_text(json.dumps(old))
    assert ledger.on_disk(number) is not None
    path.write_text(json.dumps(old | {"seed": 3}))
    assert ledger.on_disk(number) is None and "(seed)" in ledger.lines[0]


class Engine:
    """Writes observations without training; knows what it was given."""

    at_once = 1

    def __init__(self, ledger):
        self.ledger, self.given = ledger, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def pause(self):
        pass

    end = pause

    def run(self, next_training):
        while (job := next_training()) is not None:
            self.given.append(job[0])
            written(self.ledger, *job, accuracy=0.25)
            yield Event("done", job[0])


def coordinator(ledger, silent, engine=None):
    engine = engine or Engine(ledger)
    return Coordinator(ledger, ledger.folder / "cache", Resources(), lambda *_: engine, silent, None), engine


def test_a_restored_ledger_takes_what_was_trained_meanwhile_and_overwrites_nothing(ledger, silent):
    """The ledger is an older copy: trial 0 was trained, and another network as number 1."""
    same = written(ledger, 0, ledger.training(0), 0.75)
    other = written(ledger, 1, CHANGES["architecture"](ledger.training(1), ledger), 0.9)
    texts = [same.read_text(), other.read_text()]
    made, engine = coordinator(ledger, silent)
    assert made.run() == 3
    assert engine.given == [1, 2]
    assert ledger.frame()["accuracy"].tolist() == [0.75, 0.25, 0.25]
    assert [same.read_text(), other.with_name("000001.json.other").read_text()] == texts


# --- Tables that are true ---


def test_tables_are_there_while_training_and_cost_a_small_part_of_the_time(ledger, monkeypatch, silent):
    seen = []
    clock = [0.0]
    monkeypatch.setattr("planner.training.coordinator.time.monotonic", lambda: clock[0])
    export = ledger.export

    def slowly():
        clock[0] += 1.0
        return export()

    monkeypatch.setattr(ledger, "export", slowly)

    class Slow(Engine):
        def run(self, next_training):
            for event in super().run(next_training):
                clock[0] += 15.0  # of a training
                yield event
                seen.append(len(pd.read_csv(ledger.folder / "trials.csv")))

    coordinator(ledger, silent, Slow(ledger))[0].run()
    assert seen == [1, 1, 3]  # written in a second, so 20 s pass before it is written again
    with ledger.exporting(again=True):
        pass
    assert len(pd.read_csv(ledger.folder / "trials.csv")) == 3


def test_a_table_that_cannot_be_written_loses_no_training_and_is_said_once(ledger, monkeypatch, silent):
    (ledger.folder / "trials.csv").mkdir()
    made, _ = coordinator(ledger, silent)
    lines = []
    monkeypatch.setattr(made.progress, "note", lines.append, raising=False)
    with pytest.raises(PlannerError, match="trials.csv: Is a directory; free space or rights, then run"):
        with ledger.exporting(again=True):
            assert made.run() == 3
    assert ledger.counts()["ok"] == 3
    with ledger.queueing():
        ledger.repeat(0, 1)  # which must not be asked for again
    assert "trials.csv: Is a directory" in ledger.lines[-1] and ledger.counts()["waiting"] == 1
    assert len(lines) == 1 and lines[0].endswith("(nothing is lost: the ledger has it)")


def test_whoever_queues_leaves_the_tables_there(ledger):
    for name in ("trials.csv", "epochs.csv"):
        assert not (ledger.folder / name).exists()
    with ledger.queueing():
        ledger.repeat(0, 1)
    assert len(pd.read_csv(ledger.folder / "trials.csv")) == len(pd.read_csv(ledger.folder / "epochs.csv")) == 0


def test_a_table_that_somebody_removed_is_written_again(ledger):
    ledger.export().unlink()
    assert ledger.export().is_file()


# --- Trials of other programs ---


@pytest.mark.parametrize("value", [0.5, float("inf"), -3.0])
def test_trials_of_other_programs_are_told_apart_everywhere(ledger, value):
    import optuna

    trial = optuna.trial.create_trial(values=[value, 1e6], params={}, distributions={}, user_attrs={"x": float("nan")})
    ledger.study.add_trial(trial)
    ledger.study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING))
    read = Records(ledger.folder, ledger.settings)
    for one in (ledger, read):
        assert one.counts() == {"ok": 0, "failed": 0, "running": 0, "waiting": 3} and one.foreign() == 2
        assert one.asked() == len(one.tried()) == 3 and len(one.frame()) == 0
    assert ledger.reconcile() == (0, 0)
    with pytest.raises(PlannerError, match="there is no trial 3"):
        ledger.architecture(3)


# --- The second Ctrl-C ---


def test_a_second_signal_waits_for_the_end_of_a_query_and_no_longer():
    done = []
    with Interruption(None, None, lambda _: None) as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.asked
        with pytest.raises(KeyboardInterrupt):
            with interruption.whole():
                os.kill(os.getpid(), signal.SIGINT)
                with interruption.whole():
                    done.append("query")
                done.append("commit")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            done.append("never")
    assert done == ["query", "commit"]


def test_two_signals_inside_the_ledger_end_at_once_and_put_everything_back(ledger, monkeypatch, silent):
    made, engine = coordinator(ledger, silent)
    every = Ledger._every

    def signalled(self, *states):
        if made.running and not made.interruption.by_user:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
        return every(self, *states)

    monkeypatch.setattr(Ledger, "_every", signalled)
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert engine.given == [] and ledger.counts() == {"ok": 0, "failed": 0, "running": 0, "waiting": 3}


# --- What the system refuses ---

REFUSED = {
    "ENOSPC": "free space", "EDQUOT": "quota", "EMFILE": "ulimit -n", "EFBIG": "ulimit -f", "ESTALE": "mount that",
    "ENOLCK": "keeps locks", "EIO": "disk",
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_system_refuses_is_one_line_with_what_mends_it(ledger, run, monkeypatch, silent, in_process, name):
    def refuse(*_):
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)), "results/some.file")

    one_line = rf"results/some.file: .*{REFUSED[name]}.*, then run the same command again"
    monkeypatch.setattr("trainer.images_task.ImagesTask.prepare", lambda *_: None)
    monkeypatch.setattr(Ledger, "claim", refuse)
    with pytest.raises(PlannerError, match=f"^{one_line}$"):
        train_queued(ledger, ledger.folder / "cache", Resources(1, "cpu"), silent)
    run("status")  # whatever it imports is imported before the fake is there, and does not keep it
    monkeypatch.setattr("planner.study.folder.folder_of", refuse)
    code, _, err = run("status")
    assert code == 2 and re.fullmatch(f"planner: {one_line}\n", err)


# --- What kills leave ---


@pytest.mark.parametrize("alone", [True, False])
def test_what_killed_processes_left_is_removed_and_nothing_else(ledger, tmp_path, alone):
    folder = ledger.folder
    wanted = checkpoint_path(folder / "checkpoints", ledger.training(1))
    link = folder / "networks"
    (tmp_path / "elsewhere").mkdir()
    link.symlink_to(tmp_path / "elsewhere")
    theirs = [wanted, tmp_path / "elsewhere" / "a.7.part", folder / "notes.part", folder / "checkpoints" / "mine.pt"]
    formula = folder / "formula.json.0123456789abcdef.part"  # `fit` may be writing it
    young = [folder / "trials.csv.99.part", folder / "checkpoints" / f"{'e' * 16}.pt.0123456789abcdef.part"]
    decoding = folder / "cache" / "a-train-images.npy.0123456789abcdef.part"  # as `sample` may be
    old, left = folder / "report.html.99.part", folder / "checkpoints" / f"{'f' * 16}.pt"
    stale = folder / "cache" / "b-train-images.npy.0123456789abcdef.part"
    for path in (*theirs, formula, decoding, stale, *young, old, left):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    for path in (old, stale):
        os.utime(path, (0, path.stat().st_mtime - 2 * OLD))
    remove_left(ledger, alone)
    assert all(path.exists() for path in (*theirs, formula, decoding))
    assert not any(path.exists() for path in (old, left, stale))
    assert [path.exists() for path in young] == [not alone] * 2


# --- A server that is away ---


class Remote:
    """A ledger on a server that answers at the third try."""

    file, asking = None, False

    def __init__(self, fails):
        self.fails, self.lines, self.renewed = fails, [], 0
        self.locks, self.tell = self, self.lines.append

    def renew(self):
        self.renewed += 1

    @patience.patient
    def outer(self):
        return self.inner()

    @patience.patient
    def inner(self):
        self.fails -= 1
        if self.fails >= 0:
            try:
                raise OperationalError("SELECT 1", None, RuntimeError("server closed the connection"))
            except OperationalError as error:
                raise PlannerError("the ledger refuses") from error
        return "answer"


def test_a_server_that_is_away_for_a_moment_is_asked_again(monkeypatch):
    monkeypatch.setattr(patience, "PAUSE", 0.0)
    remote = Remote(2)
    assert remote.outer() == "answer" and remote.renewed == 2 and not remote.asking
    assert remote.lines == ["the ledger's server is away; asked again for 60 s"]


def test_a_server_that_stays_away_and_other_errors_are_not_asked_for_ever(monkeypatch):
    monkeypatch.setattr(patience, "PAUSE", 0.0)
    monkeypatch.setattr(patience, "LONGEST_AWAY", 0.01)
    with pytest.raises(PlannerError, match="the ledger refuses"):
        Remote(10**9).outer()
    tries = []
    with pytest.raises(ZeroDivisionError):
        patience.again(lambda: tries.append(1) or 1 / 0, lambda: None, tries.append)
    assert tries == [1]


@pytest.mark.parametrize(("parts", "said"), [(1, 0), (4, 1)])
def test_batches_done_in_parts_are_said_once(ledger, monkeypatch, silent, parts, said):
    """Batch norm sees other statistics then, so accuracies are not quite comparable."""

    class Short(Engine):
        def run(self, next_training):
            for event in super().run(next_training):
                path = observation_path(ledger.observations, event.key)
                path.write_text(json.dumps(json.loads(path.read_text()) | {"micro_batches": parts}))
                yield event

    made, _ = coordinator(ledger, silent, Short(ledger))
    lines = []
    monkeypatch.setattr(made.progress, "note", lines.append, raising=False)
    assert made.run() == 3
    assert sum("done in 4 parts" in line and "micro_batches" in line for line in lines) == said == len(lines)
