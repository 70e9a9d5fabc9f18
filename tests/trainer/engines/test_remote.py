"""What a training needs goes with it to another machine, and what it gives comes back."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sampler import Architecture
from trainer.engines.engine import observation_path
from trainer.engines.remote import SHARED_MARK, Desk, _images, perform
from trainer.engines.shipping import ShippedImages
from trainer.network import build
from trainer.observation import COMMAND, Command, DataSpec, Fidelity, Observation, Recipe, Training
from trainer.weights import load_trained, save_network

SMALL = Architecture("efficientnet_b0", 32, 8, (8, 8, 8, 8, 8, 8, 8), (1, 1, 1, 1, 1, 1, 1), 16)
DATA = DataSpec("fractal:classes=2,train=20,validation=4", 32)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "node"))
    _images.clear()
    yield Desk(tmp_path / "observations", tmp_path / "checkpoints", 1, "cpu")
    _images.clear()


def training(tmp_path, **other):
    return Training(SMALL, Fidelity(2), Recipe(batch_size=8), replace(DATA, cache=str(tmp_path / "cache")), **other)


def quiet(_):
    return False


def elsewhere(assignment):
    """The same assignment on a machine that sees none of the coordinator's files."""
    files = tuple(("/nowhere" + path, *facts) for path, *facts in assignment.images.files)
    one = assignment.images
    images = ShippedImages(files, one.classes, one.source, one.side, one.fingerprint)
    away = {name: "/nowhere" + getattr(assignment.training, name) for name in ("parent", "keep")}
    away = {name: path for name, path in away.items() if path != "/nowhere"}
    return replace(
        assignment,
        images=images,
        checkpoint="/nowhere" + assignment.checkpoint,
        training=replace(assignment.training, **away),
    )


def test_a_machine_that_sees_nothing_trains_the_same_and_its_network_comes_back(desk, tmp_path):
    first = desk.assignment(0, training(tmp_path, keep=str(tmp_path / "networks" / "0.safetensors")))
    assert perform(elsewhere(first), None, quiet).kind == "unseen"
    away = perform(elsewhere(first), lambda: desk.arrays(first), quiet)
    assert away.kind == "done" and away.network
    assert desk.filed(first, away).kind == "done"
    there = Observation.from_json(observation_path(tmp_path / "observations", 0).read_text())
    here = Observation.from_json(perform(first, None, quiet).text)
    assert (there.accuracy, there.loss, there.history) == (here.accuracy, here.loss, here.history)
    assert load_trained(Path(first.training.keep))[1] == SMALL

    # A training that inherits from it carries it along.
    second = desk.assignment(1, training(tmp_path, parent=first.training.keep))
    assert perform(elsewhere(second), lambda: desk.arrays(second), quiet).kind == "done"


def test_a_teacher_travels_and_teaches_the_same_there(desk, tmp_path):
    save_network(tmp_path / "teacher.safetensors", build(SMALL, 2), SMALL, 2)
    recipe = replace(training(tmp_path).recipe, teacher=str(tmp_path / "teacher.safetensors"))
    asked = training(tmp_path), replace(training(tmp_path), recipe=recipe)
    alone, taught = (perform(desk.assignment(0, one), None, quiet) for one in asked)
    sent = desk.assignment(1, replace(training(tmp_path), recipe=recipe))
    away = elsewhere(sent)
    lost = replace(recipe, teacher="/nowhere/teacher.safetensors")
    away = replace(away, training=replace(away.training, recipe=lost))
    there = perform(away, lambda: desk.arrays(sent), quiet)
    histories = [Observation.from_json(one.text).history for one in (alone, taught, there)]
    assert histories[0] != histories[1] == histories[2]


def test_a_checkpoint_is_used_only_in_the_coordinators_own_folder(desk, tmp_path):
    asked = desk.assignment(0, training(tmp_path))

    class LostError(Exception):
        pass

    def lost(_):
        raise LostError

    def epochs(assignment):
        seen = []
        outcome = perform(assignment, None, lambda history: seen.append(len(history)) or False)
        assert outcome.kind == "done"
        return seen

    other = replace(asked, token="another folder's")
    assert perform(other, None, lost).kind == "failed" and not Path(asked.checkpoint).exists()
    assert perform(asked, None, lost).kind == "failed" and Path(asked.checkpoint).exists()
    assert epochs(other) == [1, 2]
    assert epochs(asked) == [2]
    desk.filed(asked, perform(asked, None, quiet))
    assert [path.name for path in Path(asked.checkpoint).parent.iterdir()] == [SHARED_MARK]


def test_a_source_that_is_wrong_is_refused_where_the_coordinator_is(desk, tmp_path):
    from sampler import InputError

    with pytest.raises(InputError, match="nowhere.npz"):
        desk.assignment(0, replace(training(tmp_path), data=DataSpec("npz:nowhere.npz", 32)))


def test_a_program_is_run_where_the_training_goes_by_its_text_alone(desk, tmp_path):
    code = "import json, sys; print(json.dumps({'score': int(sys.argv[1]) / 100}))"
    line = shlex.join([sys.executable, "-I", "-S", "-c", code.replace("{", "{{").replace("}", "}}"), "{resolution}"])
    asked = training(tmp_path, trainer=COMMAND, classes=2, command=Command(line))
    assignment = desk.assignment(0, asked)
    assert assignment.images is None and assignment.trainer == b""
    outcome = perform(replace(assignment, checkpoint="/nowhere" + assignment.checkpoint), None, quiet)
    assert desk.filed(assignment, outcome).kind == "done", outcome
    found = Observation.from_json(observation_path(tmp_path / "observations", 0).read_text())
    assert found.accuracy == 0.32 and found.other_than(asked) is None
    other = replace(asked, command=Command(line + " --more"))
    assert found.other_than(other) == "command" and other.key() != asked.key()
