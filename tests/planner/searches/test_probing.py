"""The probe that trains: a whole adjustment on fractal images, replayed from the ledger and its records."""

import json
import math
from dataclasses import asdict, replace

import pytest
import torch

import trainer
from planner.errors import PlannerError
from planner.searches.adjust import AdjustOptions, adjust
from planner.searches.probing import UNITS_A_JOB, TrainedProbe
from planner.searches.trained import FineTune, TrainedScorer
from planner.searches.widths import width_vector
from planner.study.folder import cache_of
from planner.study.ledger import Ledger
from planner.study.options import StudyOptions, settings_of
from planner.training.resources import Resources
from sampler import LayeredArchitecture, base, scaled
from trainer.weights import load_trained

OPTIONS = AdjustOptions(iterations=1, times=2, tolerance=0.02)
LAYERED = LayeredArchitecture.of(base("resnet20_cifar"), [6] * 6 + [8] * 12, stem=6, resolution=16)


@pytest.fixture(autouse=True)
def _here(in_process):
    pass


def ledger_of(folder, name="resnet20_cifar", resolution=16, **recipe):
    options = {"base": name, "data": "fractal:classes=2,train=40,validation=4", "resolution": resolution}
    settings, _ = settings_of(folder, StudyOptions(**options, side=resolution, epochs=2, recipe="adjust"))
    recipe = replace(settings.recipe, **{"batch_size": 16, **recipe})
    return Ledger(folder, settings.model_copy(update={"recipe": recipe}))


def probe_of(vector, folder, silent, options=OPTIONS, ledger=None, **recipe):
    ledger = ledger or ledger_of(folder, **recipe)
    scorer = TrainedScorer(ledger, cache_of(folder), Resources(workers=1, device="cpu"), silent, "adjust", print)
    return TrainedProbe(scorer, vector.architecture_of, options)


@pytest.fixture(scope="module")
def vector():
    return width_vector(LAYERED, classes=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("probes")


@pytest.fixture
def found(vector, folder, silent):
    """Trained by the first test that asks for it, replayed by the others."""
    return adjust(vector, probe_of(vector, folder, silent), OPTIONS)


def refuse(*_, **__):
    raise AssertionError("nothing may be trained")


def test_an_adjustment_trains_every_network_layer_by_layer(found, vector, folder, silent):
    assert len(found.steps) == 2
    assert [note[:44] for note in found.notes] == ["chosen as the best of 2 single trainings, wh"]
    probe = probe_of(vector, folder, silent)
    assert probe.ledger.counts()["ok"] == 2
    for trial, step in enumerate(found.steps):
        assert 0 <= step.accuracy <= 1 and abs(step.macs / found.steps[0].macs - 1) <= 0.02
        assert isinstance(step.architecture, LayeredArchitecture)
        assert probe.ledger.accuracy_of(trial) == step.accuracy and probe.ledger.macs_of(trial) == step.macs
        _, kept, classes = load_trained(probe.ledger.network_path(trial))
        assert kept == step.architecture and classes == 2
        units = json.loads(probe.path(trial).read_text())["units"]
        assert [unit["name"] for unit in units] == list(vector.names)
        assert [unit["channels"] for unit in units] == list(step.architecture.layers)
    assert found.steps[0].architecture == LAYERED != found.steps[1].architecture


def test_the_same_search_again_is_replayed(found, vector, folder, silent, monkeypatch):
    monkeypatch.setattr("planner.searches.trained.train_queued", refuse)
    monkeypatch.setattr("planner.searches.probing.with_images", refuse)
    assert adjust(vector, probe_of(vector, folder, silent), OPTIONS) == found


def test_a_probe_that_ended_between_training_and_record_trains_nothing_again(
    found, vector, folder, silent, monkeypatch
):
    monkeypatch.setattr("planner.searches.trained.train_queued", refuse)
    probe = probe_of(vector, folder, silent)
    before = probe(vector.initial, "iteration 1")
    probe.path(0).unlink()
    assert probe(vector.initial, "iteration 1") == before and probe.path(0).is_file()


def test_what_was_measured_otherwise_is_not_taken_for_it(vector, folder, silent):
    one, other = (probe_of(vector, folder, silent, options) for options in (OPTIONS, AdjustOptions()))
    assert one.path(0) != other.path(0)


def test_a_diverged_training_is_recorded_once_and_has_no_accuracy(vector, tmp_path, silent, monkeypatch):
    probe = probe_of(vector, tmp_path, silent, learning_rate=1e30)
    assert probe(vector.initial, "iteration 1").accuracy is None
    monkeypatch.setattr("planner.searches.trained.train_queued", refuse)
    again = probe(vector.initial, "iteration 1")
    assert again.accuracy is None and again.increases == ()


def test_a_damaged_record_is_refused_in_words(found, vector, folder, silent):
    probe = probe_of(vector, folder, silent)
    whole = probe.path(0).read_text()
    probe.path(0).write_text('{"units":')
    with pytest.raises(PlannerError, match=r"\.json: not a record of utilisation file .*; remove it and run again"):
        probe(vector.initial, "iteration 1")
    probe.path(0).write_text(whole)


def test_a_utilisation_that_is_no_number_survives_the_record(found, vector, folder, silent, monkeypatch):
    from trainer import utilization as measured

    monkeypatch.setattr(measured, "_score", lambda *_: (math.nan, 0.0))
    probe = probe_of(vector, folder, silent, AdjustOptions(times=3))
    assert all(math.isnan(one) for one in probe(vector.initial, "iteration 1").increases)
    assert all(math.isnan(one) for one in probe(vector.initial, "iteration 1").increases)


def test_the_parts_of_a_network_measured_apart_are_the_whole(found, vector, folder, silent):
    """Each worker measures a few units, with the drop rates of all: as one process would, all at once."""
    from trainer.batches import DeviceImages
    from trainer.channel_units import units_of
    from trainer.images import load_images
    from trainer.scoring import splits
    from trainer.utilization import utilization

    probe = probe_of(vector, folder, silent)
    training = probe.ledger.training(0)
    model, architecture, classes = load_trained(probe.ledger.network_path(0))
    data = probe.ledger.settings.data
    images = load_images(data.source, data.side, cache=cache_of(folder))
    _, score = splits(training, images)
    units = units_of(model, architecture, classes)
    assert len(units) > UNITS_A_JOB
    whole = utilization(model, DeviceImages(score, architecture.resolution, torch.device("cpu")), units, times=2)
    kept = json.loads(probe.path(0).read_text())["units"]
    assert kept == json.loads(json.dumps([asdict(one) for one in whole]))


def test_what_was_measured_before_an_accident_is_not_measured_again(found, vector, folder, silent, monkeypatch):
    """The record of a network is gone, those of its parts are there, but for one."""
    measured = [
        path
        for path in sorted((folder / "measured").glob("*.json"))
        if (asked := json.loads(path.read_text())["asked"])["parent"] == "000000" and asked["measure"]["repeats"] == 2
    ]
    probe = probe_of(vector, folder, silent)
    before = probe.path(0).read_text()
    probe.path(0).unlink()
    measured[0].unlink()
    asked = []
    original = trainer.measured
    monkeypatch.setattr(
        "trainer.images_task.trainer.measured", lambda *a: asked.append(a) or original(*a), raising=False
    )
    probe(vector.initial, "iteration 1")
    assert probe.path(0).read_text() == before and len(asked) == 1


def test_a_utilisation_that_is_given_up_leaves_the_network_without_a_score(found, vector, folder, silent, monkeypatch):
    options = AdjustOptions(times=4)
    monkeypatch.setattr("trainer.measuring.utilization", _out_of_memory)
    told = []
    probe = probe_of(vector, folder, silent, options)
    probe.tell = told.append
    assert probe(vector.initial, "iteration 1").accuracy is None
    assert told == ["iteration 1: the utilisation of trial 0 could not be measured"]
    again = probe_of(vector, folder, silent, options)
    monkeypatch.setattr("trainer.measuring.utilization", refuse)
    assert again(vector.initial, "iteration 1").accuracy is None  # it was recorded


def _out_of_memory(*_, **__):
    raise MemoryError("no more")


def test_images_must_be_held_out(vector, tmp_path, silent):
    ledger = ledger_of(tmp_path)
    data = ledger.settings.data.model_copy(update={"holdout": 0.0})
    ledger.settings = ledger.settings.model_copy(update={"data": data})
    with pytest.raises(PlannerError, match="held out; make a study with --holdout"):
        probe_of(vector, tmp_path, silent, ledger=ledger)


def test_stages_of_another_family_are_adjusted_as_well(tmp_path, silent):
    small = scaled("mnasnet_100", resolution=32, width=0.25, depths=[1] * 7)
    vector = width_vector(small, classes=2, smallest=4)
    ledger = ledger_of(tmp_path, "mnasnet_100", 64, learning_rate=0.01)
    found = adjust(vector, probe_of(vector, tmp_path, silent, ledger=ledger), OPTIONS)
    assert len(found.steps) == 2 and abs(found.steps[1].macs / found.steps[0].macs - 1) <= 0.02
    units = json.loads(next(tmp_path.glob("networks/*.json")).read_text())["units"]
    assert [unit["name"] for unit in units] == list(vector.names)


def test_of_several_seeds_utilisation_is_the_mean(vector, tmp_path, silent):
    ledger = ledger_of(tmp_path)
    how = FineTune(seeds=2)
    scorer = TrainedScorer(ledger, cache_of(tmp_path), Resources(workers=1, device="cpu"), silent, "adjust", print, how)
    probed = TrainedProbe(scorer, vector.architecture_of, OPTIONS)(vector.initial, "iteration 1")
    each = [
        [unit["loss_increase"] for unit in json.loads(path.read_text())["units"]]
        for path in sorted(tmp_path.glob("networks/*.json"))
    ]
    assert len(each) == 2 and each[0] != each[1]
    assert probed.increases == pytest.approx([(one + other) / 2 for one, other in zip(*each, strict=True)])
    assert len(probed.each) == 2 and probed.accuracy == pytest.approx(sum(probed.each) / 2)
