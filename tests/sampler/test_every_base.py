"""Every base network: timm's numbers at base size, its state dict, and random architectures as others count them."""

import numpy as np
import pytest
import timm
import torch
from fvcore.nn import FlopCountAnalysis
from torch.utils.flop_counter import FlopCounterMode

from sampler import architecture_complexity, base, base_names, rule_named
from sampler.complexity import count
from sampler.scaling import scale, scale_stages
from trainer.network import build

# Ours by timm's names, except where timm's name carries a prefix, or timm has no such network.
TIMM = {name: name for name in base_names() if "cifar" not in name and name != "s_ghostnet"}
TIMM.update({name: f"tf_{name}" for name in base_names() if name.startswith("efficientnetv2")})
TIMM.update({name: f"{name}_224" for name in base_names() if name.startswith("vit_")})
# By default one base or a few of every kind of block, and the smallest of them; the others are slow.
FEW = {
    *("efficientnet_b0", "efficientnet_lite0", "efficientnetv2_b0", "tinynet_e", "mobilenetv2_100"),
    *("mobilenetv3_large_100", "mobilenetv3_small_100", "mnasnet_100", "semnasnet_100", "regnetx_002", "regnety_008"),
    *("resnet18", "resnet50", "resnet20_cifar", "ghostnet_100", "s_ghostnet", "convnext_atto", "convnext_tiny"),
    *("vit_tiny_patch16", "vit_small_patch32"),
}
RANDOM = 3
CLASSES = 37


def few(names):
    """Parameters of the names, of which all but the few are slow."""
    return [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in names]


def on_meta(make):
    """A module without weights: no counter reads one."""
    with torch.device("meta"):
        return make().eval()


def counted(module, resolution):
    """MACs by torch's counter, and params."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, 3, resolution, resolution, device="meta"))
    return counter.get_total_flops() // 2, sum(p.numel() for p in module.parameters())


def test_the_few_are_of_every_family_and_have_every_kind_of_block():
    def kinds(names):
        return {(base(name).family, stage.block) for name in names for stage in base(name).stages}

    assert kinds(FEW) == kinds(base_names())


@pytest.mark.parametrize("name", few(TIMM))
def test_at_base_size_it_is_timms_network(name):
    network = base(name)
    theirs = on_meta(lambda: timm.create_model(TIMM[name], num_classes=1000))  # some have weights without a classifier
    cost = architecture_complexity(network.architecture())
    assert (cost.macs, cost.params) == counted(theirs, network.resolution)
    ours = on_meta(lambda: build(network.architecture()))
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)


def traced(module, resolution):
    """MACs by fvcore, which traces real tensors only, and params."""
    module = module.to_empty(device="cpu")
    for tensor in [*module.parameters(), *module.buffers()]:
        tensor.detach().zero_()
    for part in module.modules():
        if hasattr(part, "fused_attn"):
            part.fused_attn = False  # fvcore counts attention only as two products
    analysis = FlopCountAnalysis(module, torch.zeros(1, 3, resolution, resolution))
    operators = analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator()
    return operators["conv"] + operators["linear"] + operators["matmul"], sum(p.numel() for p in module.parameters())


def check_random(name, kind, n, seed, by=counted):
    network = base(name)
    rng = np.random.default_rng(seed)
    shape = (n,) if kind == "uniform" else (n, len(network.stages))
    pixels = rng.integers(network.stride, 4 * network.stride, n)
    d, w = rng.uniform(0.35, 2.0, shape), rng.uniform(0.35, 2.0, shape)
    rule = rule_named(network.rule)
    architectures = (scale if kind == "uniform" else scale_stages)(network, rule, pixels - pixels % rule.step, d, w)
    ours = count(architectures, CLASSES)
    for row, architecture in enumerate(architectures):
        module = on_meta(lambda one=architecture: build(one, CLASSES))
        assert (ours.macs[row], ours.params[row]) == by(module, architecture.resolution), architecture


@pytest.mark.parametrize("kind", ["uniform", "stage"])
@pytest.mark.parametrize("name", few(base_names()))
def test_random_architectures_are_counted_as_torch_counts_them(name, kind):
    check_random(name, kind, RANDOM, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uniform", "stage"])
@pytest.mark.parametrize("name", base_names())
def test_fifty_random_architectures_are_counted_as_fvcore_counts_them(name, kind):
    check_random(name, kind, 25, seed=1, by=traced)
