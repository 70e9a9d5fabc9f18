"""Networks with one width per layer are architectures: counted as torch counts them, and refused where they are not."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sampler import Architecture, InputError, LayeredArchitecture, architecture_complexity, architecture_from, base
from sampler.architecture import stack
from sampler.complexity import count_layers
from trainer.inherit import inherit
from trainer.network import build
from trainer.weights import load_trained, save_network

CIFAR = base("resnet20_cifar")
CLASSES = 7
UNEVEN = (12, 20, 9, 14, 30, 26, 11, 17, 40, 32, 24, 29, 50, 35, 44, 61, 39, 47)


def random_layered(name, padding, seed):
    rng, network = np.random.default_rng(seed), base(name)
    layers = rng.integers(1, 40, 2 * sum(network.depths)).tolist()
    return LayeredArchitecture.of(
        network, layers, padding, int(rng.integers(1, 20)), int(rng.integers(network.stride, 80))
    )


@pytest.mark.parametrize("padding", ["max", "local"])
@pytest.mark.parametrize(
    ("name", "seed"), [("resnet20_cifar", 0), ("resnet32_cifar", 2), ("resnet18", 0), ("resnet34", 1)]
)
def test_macs_and_params_are_what_torch_counts_in_the_built_network(name, padding, seed):
    one = random_layered(name, padding, seed)
    with torch.device("meta"):
        model = build(one, CLASSES).eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, one.resolution, one.resolution, device="meta"))
    cost = architecture_complexity(one, CLASSES)
    assert cost.macs == counter.get_total_flops() // 2
    assert cost.params == sum(parameter.numel() for parameter in model.parameters())


def test_many_are_counted_at_once_as_one_by_one():
    one = LayeredArchitecture.of(CIFAR, UNEVEN)
    rows = np.random.default_rng(0).integers(4, 90, (20, 18))
    each = [architecture_complexity(LayeredArchitecture.of(CIFAR, row.tolist()), CLASSES).macs for row in rows]
    assert count_layers(one, rows, CLASSES).macs.tolist() == each


def test_equal_layers_in_every_stage_cost_what_the_stages_cost():
    layered = LayeredArchitecture.of(CIFAR, [16] * 6 + [32] * 6 + [64] * 6)
    assert layered.widths == CIFAR.widths
    assert architecture_complexity(layered).macs == architecture_complexity(CIFAR.architecture()).macs
    assert layered != CIFAR.architecture() and len({layered, CIFAR.architecture()}) == 2


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_an_imagenet_resnet_by_layers_is_timms_network(name):
    network = base(name)
    layers = [width for width, depth in zip(network.widths, network.depths, strict=True) for _ in range(2 * depth)]
    layered, plain = LayeredArchitecture.of(network, layers), network.architecture()
    assert layered.projected and layered.widths == network.widths
    one, other = architecture_complexity(layered), architecture_complexity(plain)
    assert (one.macs, one.params, one.activations, one.memory) == (
        other.macs,
        other.params,
        other.activations,
        other.memory,
    )
    model, timms = build(layered, 1000), build(plain, 1000)
    model.load_state_dict(timms.state_dict())
    image = torch.randn(1, 3, 64, 64)
    assert torch.equal(model.eval()(image), timms.eval()(image))


def test_a_projection_gives_a_stage_its_second_convolutions_width_whatever_the_padding():
    narrowing = [64, 64, 64, 90, *[32] * 4, *[48] * 3, 20, *[16] * 4]
    for padding, first, third in (("max", 90, 48), ("local", 90, 20)):
        one = LayeredArchitecture.of(base("resnet18"), narrowing, padding)
        assert one.widths == (first, 32, third, 16)
        assert build(one, CLASSES).fc.in_features == 16


def test_the_stages_widths_are_what_they_leave_to_the_next():
    assert LayeredArchitecture.of(CIFAR, UNEVEN, "max").widths == (26, 32, 61)
    assert LayeredArchitecture.of(CIFAR, UNEVEN, "local").widths == (26, 29, 47)


def test_json_gives_it_back_and_records_of_stages_are_as_before():
    layered, staged = LayeredArchitecture.of(CIFAR, UNEVEN, "local", 12, 24), CIFAR.architecture()
    for one in (layered, staged):
        again = architecture_from(json.loads(json.dumps(asdict(one))))
        assert again == one and hash(again) == hash(one) and type(again) is type(one)
    assert set(asdict(staged)) == {"base", "resolution", "stem", "widths", "depths", "head"}


def test_a_network_in_a_file_keeps_its_layers(tmp_path):
    one = LayeredArchitecture.of(CIFAR, UNEVEN, stem=6)
    model = build(one, CLASSES).eval()
    save_network(tmp_path / "kept.safetensors", model, one, CLASSES)
    again, architecture, classes = load_trained(tmp_path / "kept.safetensors")
    image = torch.randn(2, 3, 16, 16)
    assert architecture == one and classes == CLASSES
    assert torch.equal(again.eval()(image), model(image))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layers": UNEVEN[:-1]}, "9 blocks have 18 layers, but 17 widths are given"),
        ({"layers": (0, *UNEVEN[1:])}, "layers must be between 1 and"),
        ({"padding": "zero"}, "zero padding 'zero' is unknown; known: max, local"),
        ({"widths": (16, 32, 64)}, "make stages of"),
    ],
)
def test_impossible_layers_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        replace(LayeredArchitecture.of(CIFAR, UNEVEN), **wrong)


def test_what_only_stages_have_is_refused():
    one = LayeredArchitecture.of(CIFAR, UNEVEN)
    with pytest.raises(InputError, match="one width per layer is no row of widths per stage"):
        stack([CIFAR.architecture(), one])
    with pytest.raises(InputError, match="do not inherit; train them from scratch"):
        inherit(build(one, CLASSES), one, one, CLASSES, seed=0)


def test_other_networks_have_no_layers_to_choose():
    network = base("resnet50")
    one = LayeredArchitecture.of(network, [64] * 32)
    for use in (build, architecture_complexity):
        with pytest.raises(InputError, match="resnet50 has no free widths per layer; resnet18, resnet34 and CIFAR's"):
            use(one, CLASSES)


def test_the_shortcuts_of_another_network_are_refused():
    one = replace(LayeredArchitecture.of(CIFAR, [16] * 18), projected=True)
    with pytest.raises(InputError, match="shortcuts of resnet20_cifar are not projected"):
        architecture_complexity(one)


def test_depths_other_than_the_base_networks_are_refused():
    one = LayeredArchitecture("resnet20_cifar", 32, 16, (16, 16, 16), (2, 4, 3), 0, (16,) * 18, "max")
    with pytest.raises(InputError, match="keeps the depths and the head of resnet20_cifar"):
        build(one, CLASSES)
    assert isinstance(one, Architecture)
