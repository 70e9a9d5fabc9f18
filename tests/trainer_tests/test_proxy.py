"""A training is a pure function of architecture, fidelity, seed and data; failures are facts."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sampler import Architecture, architecture_complexity
from trainer.images import ImageData, ImageSplit
from trainer.observation import DataSpec, Fidelity, Observation, Recipe, Training
from trainer.proxy import averaged, schedule, splits, train

SMALL = Architecture("efficientnet_b0", 32, 8, (8, 8, 8, 8, 8, 8, 8), (1, 1, 1, 1, 1, 1, 1), 16)
OTHER = replace(SMALL, resolution=40, widths=(8, 8, 16, 8, 8, 8, 8))


def stripes(n, seed, side=40):
    """Two classes that a network can tell apart at once: horizontal and vertical stripes, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    ramp = (np.arange(side) // 4 % 2 * 200).astype(np.float64)
    images = np.where(labels[:, None, None] == 0, ramp[None, :, None], ramp[None, None, :])
    noisy = images[..., None] + rng.uniform(0, 55, (n, side, side, 3))
    return ImageSplit(noisy.astype(np.uint8), labels.astype(np.int64))


@pytest.fixture(scope="module")
def data():
    return ImageData(stripes(160, 0), stripes(40, 1), ("horizontal", "vertical"), "stripes", 40, "")


def training(architecture=SMALL, seed=0, epochs=2, **recipe):
    return Training(
        architecture,
        Fidelity(epochs=epochs),
        replace(Recipe(batch_size=16), **recipe),
        DataSpec("stripes", 40, holdout=0.2),
        seed,
    )


def numbers(observation):
    return observation.status, observation.accuracy, observation.loss


def test_the_same_training_gives_the_same_numbers_whatever_was_trained_before(data):
    first = train(training(), data)
    train(training(OTHER, seed=5), data)
    torch.rand(7)
    assert numbers(train(training(), data)) == numbers(first)


def test_another_seed_gives_another_loss(data):
    assert train(training(seed=1), data).loss != train(training(seed=0), data).loss


def test_a_training_learns_what_can_be_learned(data):
    observation = train(training(epochs=16), data)
    assert observation.status == "ok" and observation.accuracy >= 0.9


def test_the_observation_carries_the_exact_cost_and_where_it_ran(data):
    observation = train(training(), data)
    cost = architecture_complexity(SMALL, classes=2)
    assert (observation.macs, observation.params, observation.activations) == (cost.macs, cost.params, cost.activations)
    assert observation.device == "cpu" and observation.versions["torch"] == torch.__version__
    assert observation.seconds > 0


def test_a_diverged_training_is_a_fact_and_not_an_exception(data):
    observation = train(training(optimizer="sgd", learning_rate=1e30), data)
    assert observation.status == "diverged" and observation.accuracy is None
    assert "training loss is" in observation.message
    assert Observation.from_json(observation.to_json()) == observation


def test_a_device_out_of_memory_is_a_fact(data, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("tried to allocate 9 TiB\nand a second line")

    monkeypatch.setattr("trainer.proxy.build", full)
    observation = train(training(), data)
    assert observation.status == "out_of_memory" and observation.message == "tried to allocate 9 TiB"


def test_too_few_images_for_a_batch_are_refused_in_words(data):
    with pytest.raises(ValueError, match="128 training images make no batch of 500; raise the share"):
        train(training(batch_size=500), data)


def test_every_epoch_is_reported(data):
    seen = []
    train(training(epochs=3), data, on_epoch=lambda epoch, loss: seen.append((epoch, math.isfinite(loss))))
    assert seen == [(1, True), (2, True), (3, True)]


def test_the_images_that_score_are_training_images_held_out_and_never_fitted(data):
    fit, score = splits(training(), data)
    fitted, scored = ({image.tobytes() for image in split.images} for split in (fit, score))
    whole = {image.tobytes() for image in data.train.images}
    assert len(fit.labels) == 128 and len(score.labels) == 32
    assert not fitted & scored and fitted | scored == whole


def test_without_a_holdout_the_validation_images_score(data):
    asked = replace(training(), data=DataSpec("stripes", 40, holdout=0.0))
    assert splits(asked, data) == (data.train, data.validation)


def test_a_share_of_the_data_is_taken_from_every_class_and_does_not_depend_on_the_seed(data):
    asked = replace(training(), fidelity=Fidelity(1, data_share=0.25))
    fit, score = splits(asked, data)
    assert np.bincount(fit.labels).tolist() == [16, 16] and len(score.labels) == 32
    again, _ = splits(replace(asked, seed=9), data)
    assert (again.images == fit.images).all()


def test_the_learning_rate_warms_up_and_then_falls_to_nothing():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    recipe = replace(Recipe(), learning_rate=1.0, warmup=0.2)
    rates = []
    cosine = schedule(optimizer, recipe, Fidelity(epochs=2), steps=50)
    for step in range(100):
        cosine.step_update(step)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[:20] == sorted(rates[:20]) and rates[20:] == sorted(rates[20:], reverse=True)
    assert max(rates) == pytest.approx(1.0, abs=0.11) and rates[-1] < 0.001


def test_the_average_of_weights_spans_a_share_of_the_training():
    model = torch.nn.Linear(2, 2)
    assert averaged(model, replace(Recipe(), ema=0.1), 1000).decay == pytest.approx(0.99)
    assert averaged(model, replace(Recipe(), ema=0.1), 5).decay == 0.0
    assert averaged(model, replace(Recipe(), ema=0.0), 1000) is None
