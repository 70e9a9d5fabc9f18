"""A training that is killed goes on to the same numbers, and a checkpoint of something else is left alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sampler import Architecture
from trainer.checkpoint import identity_of, read_checkpoint, write_checkpoint
from trainer.engines.engine import checkpoint_path, observation_path
from trainer.engines.local import LocalEngine
from trainer.images import ImageData, ImageSplit
from trainer.observation import DataSpec, Fidelity, Observation, Training
from trainer.proxy import train
from trainer.recipe import RECIPES, Recipe

SMALL = Architecture("efficientnet_b0", 32, 8, (8, 8, 8, 8, 8, 8, 8), (1, 2, 1, 1, 1, 1, 1), 16)
CPU = torch.device("cpu")
# Everything that draws a random number or keeps a state.
RICH = replace(
    RECIPES["tinynet"],
    batch_size=16,
    randaugment=9,
    mixup=0.2,
    cutmix=1.0,
    clip_grad=0.5,
    erasing=0.3,
    drop_path=0.2,
    dropout=0.2,
    channel_dropout=0.2,
    ema=0.2,
)
RECIPE_OF = {"fast": replace(Recipe(), batch_size=16), "rich": RICH}


def noise(n, seed, side=40):
    rng = np.random.default_rng(seed)
    return ImageSplit(rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8), np.arange(n, dtype=np.int64) % 2)


DATA = ImageData(noise(160, 0), noise(40, 1), ("even", "odd"), "noise", 40, "fingerprint of the noise")


def training(recipe="fast", **other):
    asked = Training(SMALL, Fidelity(epochs=3), RECIPE_OF[recipe], DataSpec("noise", 40, holdout=0.2), 3)
    return replace(asked, **other)


@pytest.fixture(scope="module")
def uninterrupted():
    return record(train(training(), DATA))


def record(observation):
    """An observation without what a clock says."""
    document = json.loads(observation.to_json())
    del document["seconds"], document["cpu_seconds"]
    return document


# Runs in a process of its own, which never trains itself: only a process that has not used autograd may fork.
KILLED = """
    import importlib.util, io, json, os, random, signal, sys, threading, time
    import torch
    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("subject", sys.argv[1])
    subject = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(subject)
    from pathlib import Path
    from trainer import checkpoint, proxy

    folder, recipe = Path(sys.argv[2]), sys.argv[3]
    proxy.CHECKPOINT_SECONDS = float(sys.argv[4])
    path = folder / "state.pt"

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def child(out, at_write=0, at_step=0, delay=0.0):
        # In a process of its own, which dies before a file gets its last name, or soon after a step began.
        writes, steps, replaced, gradients = [], [], os.replace, proxy.accumulated
        def replacing(*names):
            writes.append(names)
            if len(writes) == at_write:
                die()
            replaced(*names)
        def stepping(*arguments):
            steps.append(1)
            if len(steps) == at_step:
                threading.Timer(delay, die).start()
            return gradients(*arguments)
        pid = os.fork()
        if pid:
            return pid
        os.replace, proxy.accumulated = replacing, stepping
        observation = proxy.train(subject.training(recipe), subject.DATA, checkpoint=path)
        out.write_text(json.dumps(subject.record(observation)))
        os._exit(0)

    whole = folder / "whole.json"
    start = time.monotonic()
    assert os.waitpid(child(whole), 0)[1] == 0
    step = (time.monotonic() - start) / 24
    path.unlink()

    rest, draw = folder / "rest.json", random.Random(int(sys.argv[5]))
    ends = []
    for at_write in (1, 2):  # between the temporary file and its last name
        ends.append(os.waitpid(child(folder / "ignored.json", at_write), 0)[1])
    assert path.exists()
    for kill in range(int(sys.argv[6])):
        at_step = draw.randint(1, 2) if kill else 5
        pid = child(folder / "ignored.json", at_step=at_step, delay=draw.uniform(0, 0.9) * step)
        ends.append(os.waitpid(pid, 0)[1])
    state = torch.load(io.BytesIO(path.read_bytes()[32:]), weights_only=True)["state"]
    assert os.waitpid(child(rest), 0)[1] == 0
    print(json.dumps({"ends": ends, "epoch": state["epoch"], "step": state["step"],
                      "same": whole.read_text() == rest.read_text(), "record": json.loads(rest.read_text())}))
"""


@pytest.mark.parametrize(
    ("recipe", "seconds_between", "kills"),
    [
        pytest.param("rich", 0.0, 1, marks=pytest.mark.slow),
        *(pytest.param(recipe, seconds, 5, marks=pytest.mark.slow) for recipe in RECIPE_OF for seconds in (0.0, 60.0)),
    ],
)
def test_a_training_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path, recipe, seconds_between, kills):
    arguments = [__file__, tmp_path, recipe, str(seconds_between), "0", str(kills)]
    command = [sys.executable, "-c", textwrap.dedent(KILLED), *arguments]
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ends"] == [9] * (kills + 2)
    assert (found["epoch"], found["step"]) != (0, 0)
    assert found["same"] and found["record"]["status"] == "ok" and len(found["record"]["history"]) == 3


class _Stop(Exception):
    pass


def stop_after(epochs):
    def on_epoch(history):
        if len(history) == epochs:
            raise _Stop

    return on_epoch


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory):
    """The folder of the checkpoint of a training that was stopped after its first epoch."""
    path = tmp_path_factory.mktemp("stopped") / "deep" / "state.pt"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(_Stop):
        patch.setattr("trainer.proxy.CHECKPOINT_SECONDS", 0.0)
        train(training(), DATA, on_epoch=stop_after(1), checkpoint=path)
    return path.parent


@pytest.fixture
def stopped(stopped_once, tmp_path):
    """A copy of that checkpoint."""
    return shutil.copytree(stopped_once, tmp_path / "deep") / "state.pt"


def test_what_was_done_is_not_done_again(stopped):
    seen = []
    train(training(), DATA, on_epoch=lambda history: seen.append(len(history)), checkpoint=stopped)
    assert seen == [2, 3]


def test_seconds_before_the_interruption_count(stopped):
    identity = identity_of(training(), DATA.fingerprint, "cpu", None)
    state, _ = read_checkpoint(stopped, identity, CPU)
    write_checkpoint(stopped, identity, {**state, "seconds": 1000.0})
    assert train(training(), DATA, checkpoint=stopped).seconds > 1000


def test_processor_time_before_the_interruption_counts_where_it_is_known(stopped):
    identity = identity_of(training(), DATA.fingerprint, "cpu", None)
    state, _ = read_checkpoint(stopped, identity, CPU)
    write_checkpoint(stopped, identity, {**state, "cpu_seconds": 500.0})
    observation = train(training(), DATA, checkpoint=stopped)
    assert 500 < observation.cpu_seconds < 600 and observation.threads == torch.get_num_threads()
    del state["cpu_seconds"]  # as a version before this one wrote it
    write_checkpoint(stopped, identity, state)
    assert train(training(), DATA, checkpoint=stopped).cpu_seconds is None


def test_the_images_may_lie_elsewhere(stopped):
    moved = training(data=replace(training().data, source="elsewhere", cache="other"))
    seen = []
    train(moved, DATA, on_epoch=lambda history: seen.append(len(history)), checkpoint=stopped)
    assert seen == [2, 3]


@pytest.mark.parametrize(
    ("asked", "data", "words"),
    [
        (training(seed=4), DATA, "(seed)"),
        (training("rich"), DATA, "(recipe)"),
        (training(fidelity=Fidelity(2)), DATA, "(fidelity)"),
        (training(architecture=replace(SMALL, head=24)), DATA, "(architecture)"),
        (training(), replace(DATA, fingerprint="others"), "(images)"),
    ],
)
def test_a_checkpoint_of_another_training_is_ignored_and_named(stopped, asked, data, words):
    observation = train(asked, data, checkpoint=stopped)
    assert observation.status == "ok" and len(observation.history) == asked.fidelity.epochs
    assert observation.message.startswith(
        "checkpoint state.pt ignored: of another training"
    ) and observation.message.endswith(words)


def test_a_checkpoint_of_other_versions_is_ignored_and_named(stopped, monkeypatch):
    monkeypatch.setattr("timm.__version__", "0.0.1")
    assert "another training (timm)" in train(training(), DATA, checkpoint=stopped).message


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-100],
        lambda content: content[:1000] + bytes([content[1000] ^ 1]) + content[1001:],
        lambda content: b"not a checkpoint at all" * 10,
    ],
)
def test_a_damaged_checkpoint_is_ignored_and_the_result_is_the_same(stopped, uninterrupted, damage):
    stopped.write_bytes(damage(stopped.read_bytes()))
    observation = train(training(), DATA, checkpoint=stopped)
    assert observation.message == "checkpoint state.pt ignored: damaged"
    assert record(replace(observation, message="")) == uninterrupted


def test_a_full_disk_leaves_the_older_checkpoint_and_names_the_file(stopped, monkeypatch):
    before = stopped.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    monkeypatch.setattr("trainer.proxy.CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(OSError, match="No space left on device.*state.pt"):
        train(training(), DATA, checkpoint=stopped)
    assert stopped.read_bytes() == before and list(stopped.parent.iterdir()) == [stopped]


def test_other_start_weights_are_another_training():
    one, other = {"a": torch.zeros(2)}, {"a": torch.ones(2)}
    identities = {identity_of(training(), "", "cpu", weights) for weights in (None, one, other)}
    assert len(identities) == 3


@pytest.mark.slow
def test_a_training_whose_worker_was_killed_goes_on_under_another_key(tmp_path):
    asked = replace(training(fidelity=Fidelity(30)), data=DataSpec("fractal:classes=2,train=40,validation=4", 40))
    checkpoints, epochs, ends = tmp_path / "checkpoints", {0: [], 7: []}, []
    jobs = [(0, asked), (7, asked)]
    with LocalEngine(tmp_path, checkpoints=checkpoints) as engine:
        for event in engine.run(lambda: jobs.pop(0) if jobs else None):
            if event.kind == "epoch":
                epochs[event.key].append(len(event.history))
                if event.key == 0 and len(event.history) == 3:
                    os.kill(engine.workers[0].process.pid, signal.SIGKILL)
            else:
                ends.append((event.kind, event.key))
    assert ends == [("died", 0), ("done", 7)]
    assert epochs[7][0] > 1 and epochs[7][-1] == 30
    assert list(checkpoints.iterdir()) == []  # the observation is safe
    assert len(Observation.from_json(observation_path(tmp_path, 7).read_text()).history) == 30


def test_a_checkpoints_name_is_of_what_was_asked_and_not_of_where_the_images_are_kept(tmp_path):
    asked = training()
    moved = replace(asked, data=replace(asked.data, cache="elsewhere"))
    names = [checkpoint_path(tmp_path, one) for one in (asked, moved, replace(asked, seed=9), training("rich"))]
    assert names[0] == names[1] and len(set(names)) == 3


@pytest.mark.parametrize(("cost", "most", "written"), [(0.1, 60.0, 6), (1.0, 60.0, 2), (100.0, 10.0, 3)])
def test_checkpoints_take_a_small_part_of_the_time_however_short_epochs_are(tmp_path, monkeypatch, cost, most, written):
    """By a clock on which an epoch takes 8 s and a checkpoint `cost`."""
    calls, clock = [], [1000.0]

    def write(*_):
        calls.append(1)
        clock[0] += cost

    def epoch(_):
        clock[0] += 8.0

    told = SimpleNamespace(monotonic=lambda: clock[0], perf_counter=time.perf_counter, process_time=time.process_time)
    monkeypatch.setattr("trainer.proxy.time", told)
    monkeypatch.setattr("trainer.proxy.write_checkpoint", write)
    monkeypatch.setattr("trainer.proxy.CHECKPOINT_SECONDS", most)
    train(training(fidelity=Fidelity(6)), DATA, on_epoch=epoch, checkpoint=tmp_path / "state.pt")
    assert len(calls) == written
