"""Published sizes of the MBConv networks, reproduced by their rules; timm's networks on meta are the oracle."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import timm
import torch
from timm.models.efficientnet import _gen_mobilenet_v2
from torch.utils.flop_counter import FlopCounterMode

from sampler import Architecture, InputError, architecture_complexity, base, rule_named, scale
from sampler.architecture import stack
from sampler.complexity import blocks_of, complexity
from sampler.families.mbconv import mbconv_variant
from sampler.families.mbconv_bases import MBCONV_NETWORKS as NETWORKS
from sampler.families.mbconv_variants import MBCONV_VARIANTS
from sampler.totals import totals
from trainer.families.mbconv import MBConvFamily
from trainer.network import build

NAMES = [network.name for network in NETWORKS]
# Width multiplier, depth multiplier, pixels, as published.
EFFICIENTNETS = {
    "efficientnet_b1": (1.0, 1.1, 240),
    "efficientnet_b2": (1.1, 1.2, 260),
    "efficientnet_b3": (1.2, 1.4, 300),
    "efficientnet_b4": (1.4, 1.8, 380),
    "efficientnet_b5": (1.6, 2.2, 456),
    "efficientnet_b6": (1.8, 2.6, 528),
    "efficientnet_b7": (2.0, 3.1, 600),
    "efficientnet_b8": (2.2, 3.6, 672),
}
TINYNETS = {
    "tinynet_a": (1.0, 1.2, 192),
    "tinynet_b": (0.75, 1.1, 188),
    "tinynet_c": (0.54, 0.85, 184),
    "tinynet_d": (0.54, 0.695, 152),
    "tinynet_e": (0.51, 0.6, 106),
}
# The 22 of the MobileNetV2 paper: four widths at five resolutions, and two wider ones.
MOBILENETV2_SIZES = [(w, px) for w in (0.35, 0.5, 0.75, 1.0) for px in (96, 128, 160, 192, 224)]
MOBILENETV2_SIZES += [(1.3, 224), (1.4, 224)]


def timm_name(name):
    return f"tf_{name}" if name.startswith("efficientnetv2") else name


def on_meta(make):
    with torch.device("meta"):
        return make().eval()


@cache
def timms(name):
    return on_meta(lambda: timm.create_model(timm_name(name)))


@cache
def timms_mobilenetv2(width):
    return on_meta(lambda: _gen_mobilenet_v2("mobilenetv2_100", width))


def counted(module, resolution):
    """MACs by torch's counter, and params."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, 3, resolution, resolution, device="meta"))
    return counter.get_total_flops() // 2, sum(p.numel() for p in module.parameters())


def skips(module):
    return {name: part.has_skip for name, part in module.named_modules() if hasattr(part, "has_skip")}


def integers(one):
    return one.resolution, one.stem, one.widths, one.depths, one.head


def same_ends(name, depth):
    """Depths by the ceiling, except of the first and last stage, which keep theirs."""
    first, *inside, last = base(name).depths
    return [first, *(math.ceil(blocks * depth) for blocks in inside), last]


@pytest.mark.parametrize("name", NAMES)
def test_at_base_size_every_layer_and_skip_connection_is_timms(name):
    ours = on_meta(lambda: build(base(name).architecture()))
    assert str(ours) == str(timms(name))  # activations, paddings, epsilons: nothing that a count would show
    assert skips(ours) == skips(timms(name))


def test_every_variant_is_built_by_some_network():
    assert {network.variant for network in NETWORKS} == set(MBCONV_VARIANTS)


@pytest.mark.parametrize("name", EFFICIENTNETS)
def test_b1_to_b8_by_rule_from_b0_are_their_tables(name):
    width, depth, px = EFFICIENTNETS[name]
    one = scale(base("efficientnet_b0"), rule_named("efficientnet"), px, depth, width)[0]
    assert integers(one) == integers(base(name).architecture())


@pytest.mark.parametrize("name", TINYNETS)
def test_tinynets_by_rule_from_efficientnet_b0_are_their_tables(name):
    width, depth, px = TINYNETS[name]
    one = scale(base("efficientnet_b0"), rule_named("tinynet"), px, depth, width)[0]
    assert integers(one) == integers(base(name).architecture())


@pytest.mark.parametrize(("width", "px"), MOBILENETV2_SIZES)
def test_the_22_published_sizes_of_mobilenetv2_are_counted_exactly(width, px):
    cost = complexity("mobilenetv2_100", px, width=width)
    assert (cost.macs, cost.params) == counted(timms_mobilenetv2(width), px)


# Both share timm's rule for scaled lite networks: stem, head and the depths of the end stages stay.
@pytest.mark.parametrize(
    ("name", "from_base", "width", "depth", "px"),
    [
        ("efficientnet_lite1", "efficientnet_lite0", 1.0, 1.1, 240),
        ("efficientnet_lite2", "efficientnet_lite0", 1.1, 1.2, 260),
        ("efficientnet_lite3", "efficientnet_lite0", 1.2, 1.4, 280),
        ("efficientnet_lite4", "efficientnet_lite0", 1.4, 1.8, 300),
        ("mobilenetv2_110d", "mobilenetv2_100", 1.1, 1.2, 224),
        ("mobilenetv2_120d", "mobilenetv2_100", 1.2, 1.4, 224),
    ],
)
def test_networks_scaled_between_fixed_ends_are_counted_exactly(name, from_base, width, depth, px):
    cost = complexity(from_base, px, width=width, depths=same_ends(from_base, depth), rule="lite")
    assert (cost.macs, cost.params) == counted(timms(name), px)


@pytest.mark.parametrize(
    ("name", "from_base", "width", "depth", "px"),
    [
        ("efficientnetv2_b1", "efficientnetv2_b0", 1.0, 1.1, 240),
        ("efficientnetv2_b2", "efficientnetv2_b0", 1.1, 1.2, 260),
        ("efficientnetv2_b3", "efficientnetv2_b0", 1.2, 1.4, 300),
        ("mobilenetv2_050", "mobilenetv2_100", 0.5, 1.0, 224),
        ("mobilenetv2_140", "mobilenetv2_100", 1.4, 1.0, 224),
        ("mobilenetv3_large_075", "mobilenetv3_large_100", 0.75, 1.0, 224),
        ("mobilenetv3_small_075", "mobilenetv3_small_100", 0.75, 1.0, 224),
        ("mobilenetv3_small_050", "mobilenetv3_small_100", 0.5, 1.0, 224),
        ("mnasnet_050", "mnasnet_100", 0.5, 1.0, 224),
        ("mnasnet_075", "mnasnet_100", 0.75, 1.0, 224),
        ("mnasnet_140", "mnasnet_100", 1.4, 1.0, 224),
        ("semnasnet_050", "semnasnet_100", 0.5, 1.0, 224),
        ("semnasnet_075", "semnasnet_100", 0.75, 1.0, 224),
        ("semnasnet_140", "semnasnet_100", 1.4, 1.0, 224),
    ],
)
def test_scaled_networks_are_timms_layer_for_layer(name, from_base, width, depth, px):
    network = base(from_base)
    scaled = scale(network, rule_named(network.rule), px, depth, width)[0]
    cost = architecture_complexity(scaled)
    assert (cost.macs, cost.params) == counted(timms(name), px)
    ours = on_meta(lambda: build(scaled))
    assert str(ours) == str(timms(name))
    assert skips(ours) == skips(timms(name))


@pytest.mark.parametrize("name", list({network.variant: network.name for network in NETWORKS}.values()))
def test_activations_equal_the_output_elements_seen_by_hooks(name):
    network = base(name)
    seen = []
    module = on_meta(lambda: build(network.architecture()))
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(lambda _, __, output: seen.append(output.numel()))
    module(torch.zeros(1, 3, network.resolution, network.resolution, device="meta"))
    assert sum(seen) == architecture_complexity(network.architecture()).activations


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("name", ["mobilenetv3_large_100", "mobilenetv3_small_100"])
def test_stages_with_blocks_that_differ_keep_the_first_and_repeat_the_last(name, depth):
    network = base(name)
    architecture = Architecture(name, 64, network.stem, network.widths, (depth,) * len(network.stages), network.head)
    module = on_meta(lambda: build(architecture))
    for stage, blocks in zip(network.stages, module.blocks, strict=True):
        if stage.expansions:
            listed = [stage.expansions[min(i, len(stage.expansions) - 1)] for i in range(depth)]
            hidden = [block.conv_dw.out_channels / block.conv_pw.in_channels for block in blocks]
            assert hidden == pytest.approx(listed, rel=0.1)  # rounded to 8
    cost = architecture_complexity(architecture)
    assert (cost.macs, cost.params) == counted(module, 64)


def test_stages_may_list_squeeze_excite_ratios_too():
    network = base("semnasnet_100")
    stages = [replace(stage, se_ratios=(0.0, 0.25), expansions=(6.0, 3.0, 4.0)) for stage in network.stages[1:]]
    mixed = replace(network, stages=(network.stages[0], *stages))
    for depth in (1, 2, 3, 5):
        one = replace(network.architecture(), depths=(depth,) * len(network.stages))
        module = on_meta(lambda one=one: MBConvFamily().build(mixed, one, 1000, 0.0))
        total, _ = totals(blocks_of(mixed, stack([one]), 1000), size=4)
        assert (total.macs[0], total.params[0]) == counted(module, 224)


@pytest.mark.parametrize(
    ("name", "without"), [("mnasnet_100", {0, 6}), ("semnasnet_100", {0}), ("efficientnetv2_b0", set())]
)
def test_deeper_stages_skip_where_timms_table_lets_them(name, without):
    network = base(name)
    module = on_meta(lambda: build(replace(network.architecture(), depths=(2,) * len(network.stages))))
    assert {i for i, blocks in enumerate(module.blocks) if not blocks[1].has_skip} == without


@pytest.mark.parametrize("name", [name for name in NAMES if any(stage.se_ratio for stage in base(name).stages)])
def test_a_width_without_a_squeeze_excite_channel_is_refused_unless_it_is_rounded_up(name):
    network = base(name)
    widths = np.ones(len(network.stages), dtype=int)
    if mbconv_variant(network).squeeze_divisor == 8:  # eight channels at least
        assert complexity(name, widths=widths).macs > 0
    else:
        with pytest.raises(InputError, match="hidden channels leave squeeze-excite none at ratio .*; widen"):
            complexity(name, widths=widths)


@pytest.mark.parametrize("name", NAMES)
def test_an_input_smaller_than_one_pixel_of_the_last_map_is_refused(name):
    assert base(name).stride == 32
    with pytest.raises(InputError, match=f"31 px is below {name}'s stride of 32"):
        complexity(name, 31)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_without_its_head_or_a_stage_is_refused(name):
    network = base(name)
    one = network.architecture()
    with pytest.raises(InputError, match="head must be between 1 and"):
        architecture_complexity(Architecture(name, 224, one.stem, one.widths, one.depths, 0))
    with pytest.raises(
        InputError, match=rf"{name} has {len(one.widths)} stages, but widths gives {len(one.widths) - 1}"
    ):
        architecture_complexity(Architecture(name, 224, one.stem, one.widths[1:], one.depths[1:], one.head))
