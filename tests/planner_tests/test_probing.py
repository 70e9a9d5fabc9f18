"""The probe that trains: a whole adjustment on fractal images, replayed from its records, resumed where it ended."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from planner.errors import PlannerError
from planner.searches.adjust import AdjustOptions, adjust
from planner.searches.probing import TrainingProbe
from planner.searches.widths import width_vector
from sampler import LayeredArchitecture, base, scaled
from trainer import proxy
from trainer.observation import DataSpec, Fidelity
from trainer.recipe import recipe_named
from trainer.weights import load_network

DATA = DataSpec("fractal:classes=2,train=40,validation=4", 16, holdout=0.2)
RECIPE = replace(recipe_named("adjust"), batch_size=16)
OPTIONS = AdjustOptions(iterations=1, times=2, tolerance=0.02)
LAYERED = LayeredArchitecture.of(base("resnet20_cifar"), [6] * 6 + [8] * 12, stem=6, resolution=16)


def probe_of(vector, folder, **changed):
    asked = {"data": DATA, "fidelity": Fidelity(2), "recipe": RECIPE, "seed": 0, "options": OPTIONS}
    return TrainingProbe(vector.architecture_of, folder=folder, **{**asked, **changed})


@pytest.fixture(scope="module")
def vector():
    return width_vector(LAYERED, classes=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("probes")


@pytest.fixture(scope="module")
def found(vector, folder):
    return adjust(vector, probe_of(vector, folder), OPTIONS)


def refuse(*_, **__):
    raise AssertionError("nothing may be trained")


def test_an_adjustment_trains_every_network_layer_by_layer(found, vector, folder):
    assert len(found.steps) == 2 and not found.notes
    for step in found.steps:
        assert 0 <= step.accuracy <= 1 and abs(step.macs / found.steps[0].macs - 1) <= 0.02
        assert isinstance(step.architecture, LayeredArchitecture)
        path = probe_of(vector, folder).path(probe_of(vector, folder).training(step.architecture.layers))
        record = json.loads(path.read_text())
        assert record["observation"]["macs"] == step.macs and record["accuracy"] == step.accuracy
        assert [unit["name"] for unit in record["utilization"]] == list(vector.names)
        assert [unit["channels"] for unit in record["utilization"]] == list(step.architecture.layers)
        _, kept, classes = load_network(path.with_suffix(".safetensors"))
        assert kept == step.architecture and classes == 2
    assert found.steps[0].architecture == LAYERED != found.steps[1].architecture
    assert not list(folder.glob("*.pt")) and len(list(folder.glob("*.json"))) == 2


def test_the_same_search_again_is_replayed(found, vector, folder, monkeypatch):
    monkeypatch.setattr(proxy, "train", refuse)
    assert adjust(vector, probe_of(vector, folder), OPTIONS) == found


@pytest.mark.slow
def test_the_same_search_elsewhere_gives_the_same(found, vector, tmp_path):
    assert adjust(vector, probe_of(vector, tmp_path), OPTIONS) == found


@pytest.mark.parametrize(
    "changed",
    [{"seed": 1}, {"fidelity": Fidelity(3)}, {"recipe": replace(RECIPE, flip=0.0)}, {"options": AdjustOptions()}],
)
def test_what_was_asked_otherwise_is_not_taken_for_it(changed, vector, folder):
    one, other = probe_of(vector, folder), probe_of(vector, folder, **changed)
    assert one.path(one.training(vector.initial)) != other.path(other.training(vector.initial))


def test_where_decoded_images_are_cached_does_not_matter(vector, folder):
    one, other = probe_of(vector, folder), probe_of(vector, folder, data=replace(DATA, cache="elsewhere"))
    assert one.path(one.training(vector.initial)) == other.path(other.training(vector.initial))


def test_a_probe_that_ended_between_training_and_record_trains_no_step_again(found, vector, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    probe = probe_of(vector, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("planner.searches.probing.write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            probe(vector.initial, "iteration 1")
    assert not list(tmp_path.glob("*.json"))
    monkeypatch.setattr(proxy, "accumulated", refuse)
    assert probe(vector.initial, "iteration 1").accuracy == found.steps[0].accuracy


def test_a_diverged_training_is_recorded_once_and_has_no_accuracy(vector, tmp_path, monkeypatch):
    probe = probe_of(vector, tmp_path, recipe=replace(RECIPE, learning_rate=1e30))
    assert probe(vector.initial, "iteration 1").accuracy is None
    monkeypatch.setattr(proxy, "train", refuse)
    again = probe(vector.initial, "iteration 1")
    assert again.accuracy is None and again.increases == ()


def test_a_device_out_of_memory_is_told_and_not_recorded(vector, tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError("no more")

    monkeypatch.setattr(proxy, "build", full)
    with pytest.raises(PlannerError, match="iteration 1: the training ended as out_of_memory"):
        probe_of(vector, tmp_path)(vector.initial, "iteration 1")
    assert not list(tmp_path.glob("*.json"))


def test_a_damaged_record_is_refused_in_words(vector, tmp_path):
    probe = probe_of(vector, tmp_path)
    probe.path(probe.training(vector.initial)).write_text('{"asked":')
    with pytest.raises(PlannerError, match=r"\.json: not the record of a probe .*; remove it and run again"):
        probe(vector.initial, "iteration 1")


def test_a_utilisation_that_is_no_number_survives_the_record(vector, tmp_path, monkeypatch):
    from trainer import utilization as measured

    scores = iter([(1.0, 0.5)])
    monkeypatch.setattr(measured, "_score", lambda *_: next(scores, (math.nan, 0.0)))
    probe = probe_of(vector, tmp_path)
    assert all(math.isnan(one) for one in probe(vector.initial, "iteration 1").increases)
    assert all(math.isnan(one) for one in probe(vector.initial, "iteration 1").increases)


def test_images_must_be_held_out(vector, tmp_path):
    with pytest.raises(PlannerError, match="held out; set holdout above 0"):
        probe_of(vector, tmp_path, data=replace(DATA, holdout=0.0))


def test_stages_of_another_family_are_adjusted_as_well(tmp_path):
    small = scaled("mnasnet_100", resolution=32, width=0.25, depths=[1] * 7)
    vector = width_vector(small, classes=2, smallest=4)
    probe = probe_of(vector, tmp_path, recipe=replace(RECIPE, learning_rate=0.01), options=OPTIONS)
    found = adjust(vector, probe, OPTIONS)
    assert len(found.steps) == 2 and abs(found.steps[1].macs / found.steps[0].macs - 1) <= 0.02
    records = [json.loads(Path(path).read_text()) for path in sorted(tmp_path.glob("*.json"))]
    assert {unit["name"] for record in records for unit in record["utilization"]} == set(vector.names)
