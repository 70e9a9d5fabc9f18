"""Weights of others in our networks: all of them, or a classifier of our own."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from sampler import InputError, base, scaled
from trainer.pretrained import pretrained_network
from trainer.weights import save_network

RESNET = base("resnet18").architecture()


@pytest.fixture(scope="module")
def timms():
    """timm's own network, with weights that nobody else drew."""
    torch.manual_seed(5)
    return timm.create_model("resnet18", num_classes=12)


def outputs(model, seed=0):
    return model.eval()(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("form", ["safetensors", "pth", "checkpoint"])
def test_timms_weights_give_timms_outputs(tmp_path, timms, form):
    path, weights = tmp_path / f"timms.{'safetensors' if form == 'safetensors' else 'pth'}", timms.state_dict()
    if form == "safetensors":
        save_file(weights, path)
    else:
        torch.save(weights if form == "pth" else {"state_dict": weights, "epoch": 3}, path)
    model = pretrained_network(path, RESNET, 12, 0)
    assert torch.equal(outputs(model), outputs(timms))


def test_a_classifier_of_other_classes_is_drawn_anew_and_nothing_else(tmp_path, timms):
    save_file(timms.state_dict(), tmp_path / "timms.safetensors")
    first, again = (pretrained_network(tmp_path / "timms.safetensors", RESNET, 4, 3) for _ in range(2))
    assert outputs(first).shape == (2, 4) and torch.equal(outputs(first), outputs(again))
    weights = timms.state_dict()
    same = {name for name, value in first.state_dict().items() if torch.equal(value, weights[name])}
    assert set(weights) - same == {"fc.weight", "fc.bias"}


def test_a_network_that_a_training_kept_will_do(tmp_path, timms):
    save_network(tmp_path / "kept.safetensors", timms, RESNET, 12)
    assert torch.equal(outputs(pretrained_network(tmp_path / "kept.safetensors", RESNET, 12, 0)), outputs(timms))


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (scaled("resnet18", 64, width=0.5), "conv1.weight is 64 x 3 x 7 x 7, not 32 x 3 x 7 x 7"),
        (scaled("resnet18", 64, depth=2.0), "layer1.2.conv1.weight is missing, not 64 x 64 x 3 x 3"),
    ],
)
def test_weights_of_another_network_are_refused_by_the_first_that_differs(tmp_path, timms, architecture, words):
    save_file(timms.state_dict(), tmp_path / "timms.safetensors")
    with pytest.raises(InputError) as refused:
        pretrained_network(tmp_path / "timms.safetensors", architecture, 12, 0)
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_what_holds_no_weights_is_refused_in_one_line(tmp_path, content):
    for name in ("one.safetensors", "one.pth"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="name a file of timm's weights") as refused:
            pretrained_network(tmp_path / name, RESNET, 12, 0)
        assert "\n" not in str(refused.value)
