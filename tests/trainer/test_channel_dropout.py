"""Channel dropout in training: its ramps, where it is on, and that a training with it stays a pure function."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sampler import LayeredArchitecture, base
from trainer.channel_dropout import ChannelDropout
from trainer.channel_units import units_of
from trainer.images import ImageData, ImageSplit
from trainer.network import build
from trainer.observation import DataSpec, Fidelity, Observation, Training
from trainer.proxy import train
from trainer.recipe import RECIPES

CIFAR = base("resnet20_cifar")
LAYERED = LayeredArchitecture.of(CIFAR, [4, 6] * 9, stem=6, resolution=16)
RECIPE = replace(RECIPES["adjust"], batch_size=16)


def noise(n, seed):
    images = np.random.default_rng(seed).integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)
    return ImageSplit(images, np.arange(n, dtype=np.int64) % 2)


DATA = ImageData(noise(80, 0), noise(20, 1), ("even", "odd"), "noise", 16, "noise")


def training(recipe=RECIPE, architecture=LAYERED, epochs=2):
    return Training(architecture, Fidelity(epochs), recipe, DataSpec("noise", 16, holdout=0.2), 0)


def test_the_rate_grows_with_the_unit_and_the_epoch():
    model = build(LAYERED, 2)
    dropout = ChannelDropout(model, units_of(model, LAYERED, 2), 0.05)
    assert dropout.rates() == [0.0] * 18
    dropout.begin_epoch(3, 10)
    assert dropout.rates() == pytest.approx([0.05 * 0.3 * place / 18 for place in range(1, 19)])


def test_without_the_ramp_all_units_have_the_last_ones_rate():
    model = build(LAYERED, 2)
    dropout = ChannelDropout(model, units_of(model, LAYERED, 2), 0.05, ramp=False)
    dropout.begin_epoch(3, 10)
    assert dropout.rates() == pytest.approx([0.05 * 0.3] * 18)


def test_the_ramp_of_the_recipe_reaches_the_training():
    one = training(replace(RECIPE, channel_ramp=False))
    with_ramp, without = (train(each, DATA) for each in (training(), one))
    assert with_ramp.history != without.history


def outputs(model, site, image):
    """What the next module gets from a site: hooks of the same module run in order."""
    seen = []
    with model.get_submodule(site).register_forward_hook(lambda _, __, output: seen.append(output.clone())):
        model(image)
    return seen[0]


def test_channels_are_dropped_whole_at_the_rate_while_training_and_never_in_evaluation():
    torch.manual_seed(0)
    model, image = build(LAYERED, 2), torch.rand(512, 3, 16, 16)
    units = units_of(model, LAYERED, 2)
    ChannelDropout(model, units, 0.5).begin_epoch(9, 10)
    site = units[-1].sites[0].module
    model.train()
    channels = outputs(model, site, image).flatten(2)
    gone = (channels == 0).all(dim=2)
    assert gone.float().mean().item() == pytest.approx(0.45, abs=0.03)
    assert (channels[~gone] != 0).any(dim=1).all()
    model.eval()
    assert not (outputs(model, site, image).flatten(2) == 0).all(dim=2).any()


def test_one_mask_serves_a_whole_stage_and_is_drawn_anew_in_every_pass():
    torch.manual_seed(0)
    staged = replace(CIFAR.architecture(), resolution=16)
    model, image = build(staged, 2).train(), torch.rand(64, 3, 16, 16)
    units = units_of(model, staged, 2)
    ChannelDropout(model, units, 0.5).begin_epoch(9, 10)
    added = [site.module for site in units[2].sites if site.shared][1:]
    first = [(outputs(model, site, image).flatten(2) == 0).all(dim=2) for site in added[:1]][0]
    seen = {}
    for site in added:
        model.get_submodule(site).register_forward_hook(lambda _, __, out, site=site: seen.update({site: out.clone()}))
    model(image)
    masks = [(seen[site].flatten(2) == 0).all(dim=2) for site in added]
    assert len(masks) == 2 and torch.equal(*masks) and not torch.equal(masks[0], first)


def numbers(observation):
    return observation.accuracy, observation.loss, observation.history[-1].training_loss


def test_a_training_with_it_is_a_pure_function_and_differs_from_one_without():
    first = train(training(), DATA)
    torch.rand(5)
    assert numbers(train(training(), DATA)) == numbers(first)
    without = train(training(replace(RECIPE, channel_dropout=0.0)), DATA)
    assert numbers(without) != numbers(first)
    # The first epoch's rate is zero.
    assert without.history[0].training_loss == first.history[0].training_loss
    assert Observation.from_json(first.to_json()) == first


def test_a_training_that_stopped_after_an_epoch_goes_on_to_the_same_numbers(tmp_path):
    whole, path = train(training(epochs=3), DATA), tmp_path / "state.pt"

    class StopError(Exception):
        pass

    def stop(history):
        if len(history) == 2:
            raise StopError

    with pytest.raises(StopError):
        train(training(epochs=3), DATA, on_epoch=stop, checkpoint=path)
    assert path.exists()
    assert numbers(train(training(epochs=3), DATA, checkpoint=path)) == numbers(whole)


@pytest.mark.parametrize("zero_init", [False, True])
@pytest.mark.parametrize("padding", ["max", "local"])
def test_networks_of_layers_train_with_every_start(zero_init, padding):
    one = LayeredArchitecture.of(CIFAR, [4, 6, 5] * 6, padding, stem=6, resolution=16)
    found = train(training(replace(RECIPE, zero_init=zero_init), one, epochs=1), DATA)
    assert found.status == "ok" and found.macs > 0


@pytest.mark.parametrize("name", ["efficientnet_b0", "mnasnet_100", "regnety_002", "ghostnet_100", "convnext_atto"])
def test_every_family_trains_with_it(name):
    network = base(name)
    one = replace(network.architecture(), resolution=32, depths=(1,) * len(network.depths))
    found = train(training(replace(RECIPE, learning_rate=1e-3, channel_dropout=0.2), one), DATA)
    assert found.status == "ok"
