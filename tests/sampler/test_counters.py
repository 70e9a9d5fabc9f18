"""What other counters say, computed, compared with the counters themselves."""

import warnings

import numpy as np
import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch.utils.flop_counter import FlopCounterMode

from sampler import base, rule_named
from sampler.counters import others
from sampler.scaling import scale_stages
from trainer.network import build

NAMES = ["efficientnet_b0", "mobilenetv3_large_100", "efficientnetv2_b0", "mnasnet_100", "resnet18", "resnet50"]
NAMES += ["resnet20_cifar", "regnetx_002", "regnety_002", "ghostnet_100", "convnext_atto", "convnext_tiny"]
NAMES += ["vit_tiny_patch16"]


def architectures(name):
    """The base network at a small size, and a random one."""
    network = base(name)
    rng = np.random.default_rng(0)
    shape = (2, len(network.stages))
    pixels = rng.integers(network.stride, 3 * network.stride, 2)
    d, w = rng.uniform(0.35, 2, shape), rng.uniform(0.35, 2, shape)
    d[0] = w[0] = 1
    rule = rule_named(network.rule)
    return scale_stages(network, rule, pixels - pixels % rule.step, d, w)


def by_torch(module, image):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image)
    return counter.get_total_flops()


def by_fvcore(module, image):
    return FlopCountAnalysis(module, image).unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


def by_thop(module, image):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reads versions with the deprecated distutils
        thop = pytest.importorskip("thop")
    return thop.profile(module, (image,), verbose=False)[0]


def by_ptflops(module, image):
    ptflops = pytest.importorskip("ptflops")
    return ptflops.get_model_complexity_info(
        module, tuple(image.shape[1:]), as_strings=False, print_per_layer_stat=False, backend="aten"
    )[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("place", "measure"), list(enumerate([by_torch, by_fvcore, by_thop, by_ptflops])))
def test_every_other_counter_says_what_we_say_it_says(name, place, measure):
    for architecture in architectures(name):
        said = others(architecture, classes=37)[place]
        image = torch.zeros(1, 3, architecture.resolution, architecture.resolution)
        assert said.value == measure(build(architecture, 37).eval(), image), (said.tool, architecture)
