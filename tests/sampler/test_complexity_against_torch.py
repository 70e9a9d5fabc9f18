"""The count equals what independent counters see in the built network."""

import numpy as np
import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch.utils.flop_counter import FlopCounterMode

from sampler import base, rule_named
from sampler.complexity import complexity, count
from sampler.scaling import scale, scale_stages
from trainer.network import build

CLASSES = 37


def on_meta(architecture):
    """The module without weights: none of the counters reads one."""
    with torch.device("meta"):
        return build(architecture, classes=CLASSES).eval()


def macs_by_torch(module, resolution):
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 3, resolution, resolution, device="meta"))
    return counter.get_total_flops() // 2


def macs_by_fvcore(module, resolution):
    module = module.to_empty(device="cpu")
    analysis = FlopCountAnalysis(module, torch.zeros(1, 3, resolution, resolution))
    operators = analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator()
    return operators["conv"] + operators["linear"]


def random_architectures(name, rule, kind, n, seed):
    rng = np.random.default_rng(seed)
    network = base(name)
    pixels = rng.integers(network.stride, 150, n)
    shape = (n,) if kind == "uniform" else (n, len(network.stages))
    d, w = rng.uniform(0.35, 2.0, shape), rng.uniform(0.35, 2.0, shape)
    return (scale if kind == "uniform" else scale_stages)(network, rule_named(rule), pixels, d, w)


def check(counted_by, name, rule, kind, n):
    architectures = random_architectures(name, rule, kind, n, seed=len(rule))
    ours = count(architectures, CLASSES)
    for row, architecture in enumerate(architectures):
        module = on_meta(architecture)
        assert ours.params[row] == sum(p.numel() for p in module.parameters()), architecture
        assert ours.macs[row] == counted_by(module, architecture.resolution), architecture


@pytest.mark.parametrize("kind", ["uniform", "stage"])
@pytest.mark.parametrize("rule", ["efficientnet", "inverse", "tinynet", "free"])
@pytest.mark.parametrize("name", ["efficientnet_b0"])
@pytest.mark.parametrize("n", [4, pytest.param(25, marks=pytest.mark.slow)])
def test_macs_and_params_of_random_architectures_equal_half_of_torchs_counter(name, rule, kind, n):
    check(macs_by_torch, name, rule, kind, n)


@pytest.mark.parametrize("kind", ["uniform", "stage"])
@pytest.mark.parametrize("name", ["efficientnet_b0"])
def test_macs_equal_fvcores_conv_and_linear(name, kind):
    check(macs_by_fvcore, name, "free", kind, n=2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uniform", "stage"])
@pytest.mark.parametrize("rule", ["efficientnet", "inverse", "tinynet", "free"])
@pytest.mark.parametrize("name", ["efficientnet_b0"])
def test_macs_of_two_hundred_random_architectures_equal_fvcores(name, rule, kind):
    check(macs_by_fvcore, name, rule, kind, n=25)


def test_activations_equal_the_output_elements_seen_by_hooks():
    with torch.device("meta"):
        module = build(base("efficientnet_b0").architecture()).eval()
    seen = []
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(lambda _, __, output: seen.append(output.numel()))
    module(torch.zeros(1, 3, 224, 224, device="meta"))
    assert sum(seen) == complexity("efficientnet_b0").activations == 6_748_036
