"""Workers: observations are on disk before they are reported, and a dead worker is one event."""

import os
import signal
import time

import pytest

from sampler import Architecture
from trainer.engines import local, vigil
from trainer.engines.engine import observation_path
from trainer.engines.local import LocalEngine
from trainer.observation import DataSpec, Fidelity, Observation, Recipe, Training

SMALL = Architecture("efficientnet_b0", 32, 8, (8, 8, 8, 8, 8, 8, 8), (1, 1, 1, 1, 1, 1, 1), 16)
DATA = DataSpec("fractal:classes=2,train=20,validation=4", 32)


def jobs(*trainings):
    queue = list(enumerate(trainings))
    return lambda: queue.pop(0) if queue else None


def training(epochs=1, data=DATA):
    return Training(SMALL, Fidelity(epochs), Recipe(batch_size=8), data)


@pytest.mark.slow
def test_observations_are_on_disk_when_they_are_reported_and_the_same_for_the_same_training(tmp_path):
    found = {}
    with LocalEngine(tmp_path, ("cpu", "cpu")) as engine:
        for event in engine.run(jobs(training(), training(), training(epochs=2))):
            if event.kind == "done":
                found[event.key] = Observation.from_json(observation_path(tmp_path, event.key).read_text())
    assert sorted(found) == [0, 1, 2]
    assert (found[0].accuracy, found[0].loss) == (found[1].accuracy, found[1].loss)
    assert found[2].fidelity.epochs == 2


def test_a_killed_worker_costs_its_own_training_only(tmp_path):
    events = []
    with LocalEngine(tmp_path) as engine:
        next_one = jobs(training(epochs=500), training())
        for event in engine.run(next_one):
            if event.key == 0 and event.kind == "epoch" and not [e for e in events if e.kind == "died"]:
                os.kill(engine.workers[0].process.pid, signal.SIGKILL)
                time.sleep(0.2)
            events.append(event)
    assert [(e.kind, e.key) for e in events if e.kind != "epoch"] == [("died", 0), ("done", 1)]
    assert "exit code -9" in next(e for e in events if e.kind == "died").text
    assert not observation_path(tmp_path, 0).exists()


def test_a_training_is_stopped_where_the_coordinator_says_so(tmp_path):
    asked = []

    def stops(event):
        asked.append((event.key, len(event.history)))
        return event.key == 0 and len(event.history) == 2

    with LocalEngine(tmp_path, stops=stops) as engine:
        events = list(engine.run(jobs(training(epochs=4), training(epochs=2))))
    assert asked == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [event.key for event in events if event.kind == "done"] == [0, 1]
    found = [Observation.from_json(observation_path(tmp_path, key).read_text()) for key in (0, 1)]
    assert [(one.status, len(one.history)) for one in found] == [("stopped", 2), ("ok", 2)]


def test_a_worker_that_is_stopped_is_told_and_then_ended_with_its_training(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(vigil, "STOPPED_SECONDS", 0.05)
    monkeypatch.setattr(vigil, "END_SECONDS", 0.2)
    with LocalEngine(tmp_path) as engine:
        first = engine.workers[0].process
        os.kill(first.pid, signal.SIGSTOP)
        told, died = list(engine.run(jobs(training())))
        assert engine.workers[0].process is not first and engine.workers[0].key is None  # another one has its place
    assert told.kind == "silent" and told.key == died.key == 0
    assert f"process {first.pid} is stopped (`kill -CONT {first.pid}` lets it go on)" in told.text
    assert died.kind == "died" and died.text.endswith(f"its process {first.pid} was ended")


def test_leaving_the_engine_ends_a_worker_that_is_stopped_too(tmp_path):
    with LocalEngine(tmp_path) as engine:
        process = engine.workers[0].process
        os.kill(process.pid, signal.SIGSTOP)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("data", "words"),
    [(DataSpec("npz:nowhere.npz", 32), "nowhere.npz"), (DataSpec("fractal:colour=3", 32), "colour")],
)
def test_what_the_user_can_mend_comes_back_as_one_line(tmp_path, data, words):
    with LocalEngine(tmp_path) as engine:
        (event,) = list(engine.run(jobs(training(data=data))))
    assert event.kind == "refused" and words in event.text and "\n" not in event.text
