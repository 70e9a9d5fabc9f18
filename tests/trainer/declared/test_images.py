"""The image trainer and declared networks: what it feeds them, and which it refuses."""

import json
from dataclasses import replace

import pytest
import torch

from sampler import InputError, base
from trainer.conformance import SMALL_NETWORK
from trainer.declared.images import check_images
from trainer.declared.loading import forget_network, know_shipped, load_network, shipped_network
from trainer.network import build
from trainer.observation import DataSpec, Fidelity, Training
from trainer.proxy import prepared
from trainer.recipe import Recipe


def test_a_network_of_one_channel_sees_the_mean_of_the_colours(plain):
    network = load_network(f"{plain}:plain")
    training = Training(network.architecture(), Fidelity(), Recipe(), DataSpec())
    model, raw = prepared(training, 10, 5, None).eval(), build(network.architecture(), 10).eval()
    raw.load_state_dict(model.state_dict())
    images = torch.randn(3, 3, 8, 8)
    assert torch.equal(model(images), raw(images.mean(1, keepdim=True)))


def test_networks_of_ours_see_the_colours():
    model = prepared(Training(SMALL_NETWORK, Fidelity(), Recipe(), DataSpec()), 10, 5, None)
    assert not model._forward_pre_hooks
    check_images(SMALL_NETWORK.base)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"channels": 4}, "its images have 4 channels, and those of data sets 3; "),
        ({"images": False, "derived": {"outputs": [[1, 8, 8], [1, 10]]}}, "10 classes is (1, 8, 8) and (1, 10); "),
        ({"images": False, "derived": {"outputs": [[1, 10]]}}, "and its input is its own; "),
        ({"images": False}, "10 classes is something else; "),
    ],
)
def test_what_the_image_trainer_cannot_train_is_told_with_the_way_out(plain, facts, told):
    load_network(f"{plain}:plain")
    sent = shipped_network("plain")
    forget_network("plain")
    know_shipped(replace(sent, description=json.dumps({**json.loads(sent.description), **facts})))
    with pytest.raises(InputError) as error:
        check_images("plain")
    assert str(error.value).startswith("plain: ") and told in str(error.value) and "--trainer" in str(error.value)
    assert base("plain").family == "declared/plain"
