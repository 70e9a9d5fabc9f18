"""FLOPs utilisation: the published example, exact costs, equal discarded MACs, and masks where they belong."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from timm.models import regnet, resnet
from timm.models._efficientnet_blocks import ConvBnAct, DepthwiseSeparableConv, EdgeResidual, InvertedResidual
from timm.models.convnext import ConvNeXtBlock
from timm.models.ghostnet import GhostBottleneck
from torch import nn

from sampler import InputError, architecture_complexity, base
from sampler.families.residual import layer_blocks
from sampler.totals import totals
from trainer.batches import DeviceImages
from trainer.channel_units import Site, Unit, layer_units, stage_channel_macs, stage_units
from trainer.families.residual import build_layers
from trainer.fractal import fractal_images
from trainer.images import ImageSplit
from trainer.network import build
from trainer.utilization import discarding, drop_rates, utilization

CIFAR = base("resnet20_cifar")
CLASSES = 4
# Strictly rising, so that every second convolution decides its block's width; then in any order.
RISING = tuple(range(8, 8 + 2 * 18, 2))
UNEVEN = (12, 20, 9, 14, 30, 26, 11, 17, 40, 32, 24, 29, 50, 35, 44, 61, 39, 47)
FAMILIES = (
    "efficientnet_b0",
    "efficientnetv2_b0",
    "mobilenetv3_small_100",
    "resnet18",
    "resnet50",
    "resnet20_cifar",
    "regnety_002",
    "ghostnet_100",
    "convnext_atto",
    "convnext_tiny",
)


def pictures(images, part="validation", side=16):
    """Fractals of four classes, in an order that mixes them."""
    split = fractal_images(classes=CLASSES, images=images, side=side, seed=0, part=part)
    labels = np.arange(len(split)) // images
    order = np.random.default_rng(0).permutation(len(labels))
    return DeviceImages(ImageSplit(split[order], labels[order]), side, torch.device("cpu"))


@pytest.fixture(scope="module")
def scoring():
    return pictures(images=8)


@pytest.fixture
def narrow():
    """An untrained ResNet-20 of 8 channels, its batch norms as after a training."""
    torch.manual_seed(0)
    model = build_layers(CIFAR, 8, [8] * 18, "max", CLASSES)
    model(torch.randn(64, 3, 16, 16))
    return model


def narrow_units():
    return layer_units(CIFAR, 8, [8] * 18, "max", CLASSES, resolution=16)


def hooks(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


# --- costs ---


def test_the_example_of_resnet20_on_cifar_100_comes_out_exactly():
    units = layer_units(CIFAR, 16, [16] * 6 + [32] * 6 + [64] * 6, "max", classes=100)
    pairs = [[4.719, 2.359]] * 3 + [[3.539, 8.258]] + [[4.719, 2.359]] * 2 + [[3.539, 7.084]] + [[4.719, 2.359]] * 2
    assert [round(unit.macs / 1e6, 3) for unit in units] == sum(pairs, [])
    rates = dict(zip(sum(pairs, []), drop_rates(units, base_rate=0.05, cap=0.5), strict=True))
    expected = {4.719: 0.0424, 2.359: 0.0847, 3.539: 0.0565, 8.258: 0.0242, 7.084: 0.0282}
    assert {mmacs: round(rate, 4) for mmacs, rate in rates.items()} == expected
    assert Counter(unit.stage for unit in units) == {1: 6, 2: 6, 3: 6}
    assert [unit.name for unit in units[:3]] == ["layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1"]


def layer_macs(widths, padding, network=CIFAR):
    pixels = np.array([network.resolution])
    blocks = layer_blocks(network, pixels, np.array([6]), np.array([widths]), padding, CLASSES)
    total, _ = totals(blocks, size=4)
    return int(total.macs.item())


@pytest.mark.parametrize("padding", ["max", "local"])
@pytest.mark.parametrize("widths", [RISING, UNEVEN])
def test_a_channel_of_a_layer_costs_what_the_exact_count_loses_without_it(widths, padding):
    for index, unit in enumerate(layer_units(CIFAR, 6, widths, padding, CLASSES)):
        without = [width - (place == index) for place, width in enumerate(widths)]
        assert unit.macs_per_channel == layer_macs(widths, padding) - layer_macs(without, padding), unit.name
        assert unit.channels == widths[index]


@pytest.mark.parametrize("padding", ["max", "local"])
@pytest.mark.parametrize("widths", [RISING[:16], UNEVEN[:16]])
def test_a_channel_of_an_imagenet_resnets_layer_pays_for_its_projection(widths, padding):
    network = base("resnet18")
    for index, unit in enumerate(layer_units(network, 6, widths, padding, CLASSES)):
        without = [width - (place == index) for place, width in enumerate(widths)]
        lost = layer_macs(widths, padding, network) - layer_macs(without, padding, network)
        assert unit.macs_per_channel == lost, unit.name


def count_at(architecture, stage, width):
    widths = tuple(width if index == stage else one for index, one in enumerate(architecture.widths))
    return architecture_complexity(replace(architecture, widths=widths), CLASSES).macs


# Steps that keep hidden channels exact multiples. Tolerances are for squeeze-excite's inner channels, which the exact
# count changes and no mask discards.
@pytest.mark.parametrize(
    ("name", "step", "tolerance"),
    [
        ("efficientnet_lite0", 8, 0),
        ("mobilenetv2_100", 8, 0),
        ("efficientnet_b0", 8, 0.01),
        ("efficientnetv2_b0", 8, 0.01),
        ("resnet18", 8, 0),
        ("resnet50", 8, 0),
        ("resnet20_cifar", 8, 0),
    ],
)
def test_a_stage_costs_the_derivative_of_the_exact_count(name, step, tolerance):
    """The count is quadratic in a width, and so its central difference is its derivative."""
    network = base(name)
    architecture = replace(network.architecture(), stem=20)  # not the first width, beside which shortcuts come and go
    for stage, macs in enumerate(stage_channel_macs(network, architecture, CLASSES)):
        width = architecture.widths[stage]
        change = count_at(architecture, stage, width + step) - count_at(architecture, stage, width - step)
        assert macs == pytest.approx(width * change / (2 * step), rel=tolerance, abs=0), stage + 1


def test_a_convnext_stage_costs_the_derivative_with_its_stem_where_the_stem_leads_straight_into_it():
    network = base("convnext_atto")
    architecture = network.architecture()
    macs = stage_channel_macs(network, architecture, CLASSES)

    def counted(stage, width):
        stem = width if stage == 0 else architecture.stem
        return count_at(replace(architecture, stem=stem), stage, width)

    for stage, width in enumerate(architecture.widths):
        change = counted(stage, width + 8) - counted(stage, width - 8)
        assert macs[stage] == width * change // 16


def test_a_grouped_convolution_counts_for_both_its_hidden_maps():
    """The exact count drops whole groups, masks drop channels on either side of the convolution."""
    network = base("regnetx_002")
    architecture = network.architecture()
    macs, side = stage_channel_macs(network, architecture, CLASSES), network.resolution // network.stem_stride
    for stage, width in enumerate(architecture.widths):
        side //= 2
        group = network.stages[stage].group_width
        change = count_at(architecture, stage, width + group) - count_at(architecture, stage, width - group)
        grouped = architecture.depths[stage] * 9 * group * width * side * side
        assert macs[stage] == width * change / (2 * group) + grouped


def test_a_ghost_stage_costs_about_the_derivative_of_the_exact_count():
    """Half and one and a half times a width scale its hidden channels alike; other stages keep theirs."""
    network = base("ghostnet_100")
    architecture = replace(network.architecture(), stem=20)
    for stage, macs in enumerate(stage_channel_macs(network, architecture, CLASSES)):
        width = architecture.widths[stage]
        change = count_at(architecture, stage, width * 3 // 2) - count_at(architecture, stage, width // 2)
        assert macs == pytest.approx(change, rel=0.02)


# --- drop rates ---


def test_every_layer_is_expected_to_lose_the_same_macs_up_to_the_cap():
    units = layer_units(CIFAR, 6, RISING, "max", CLASSES)
    rates = drop_rates(units, base_rate=0.3, cap=0.5)
    whole = layer_macs(RISING, "max")
    lost = []
    for index, (unit, rate) in enumerate(zip(units, rates, strict=True)):
        without = [width - (place == index) for place, width in enumerate(RISING)]
        lost.append(rate * unit.channels * (whole - layer_macs(without, "max")))
    capped = [rate == 0.5 for rate in rates]
    assert any(capped) and not all(capped)
    equal = 0.3 * np.mean([unit.macs for unit in units])
    assert [one for one, cap in zip(lost, capped, strict=True) if not cap] == pytest.approx(
        [equal] * capped.count(False)
    )
    assert all(one < equal for one, cap in zip(lost, capped, strict=True) if cap)


def test_a_cheap_unit_is_capped_and_says_so(narrow, scoring):
    unit = narrow_units()[0]
    cheap = replace(unit, name="cheap", macs=unit.macs // 100)
    first, second = utilization(narrow, scoring, [unit, cheap], base_rate=0.2, cap=0.4, times=2)
    assert (second.drop_rate, second.capped) == (0.4, True)
    assert first.drop_rate == pytest.approx(0.2 * 1.01 / 2, rel=1e-3) and not first.capped


# --- masks ---


def test_masks_are_drawn_per_image_and_channel_and_keep_the_mean():
    model = nn.Sequential(nn.Identity())
    unit = Unit("all", 1, 50, 1, (Site("0"),))
    with discarding(model, unit, 0.2, torch.Generator().manual_seed(0)):
        first, second = model(torch.ones(200, 50, 2, 3)), model(torch.ones(200, 50, 2, 3))
    assert {round(value, 4) for value in first.unique().tolist()} == {0.0, 1.25}
    assert (first == first[:, :, :1, :1]).all()
    assert (first[:, :, 0, 0] == 0).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert len(first[:, :, 0, 0].unique(dim=0)) == 200
    assert not torch.equal(first, second)


def test_the_sites_of_a_map_share_a_mask_within_a_pass_and_have_another_in_the_next():
    model = nn.Sequential(nn.Identity(), nn.Identity())
    unit = Unit("map", 1, 50, 1, (Site("0", shared=True), Site("1", shared=True)))
    with discarding(model, unit, 0.5, torch.Generator().manual_seed(0)):
        first, second = model(torch.ones(4, 50, 2, 2)), model(torch.ones(4, 50, 2, 2))
    assert {round(value, 4) for value in first.unique().tolist()} == {0.0, 4.0}
    assert not torch.equal(first, second)


# By hand, for two blocks in every stage: where the second stage's own map is masked, and hidden channels.
@pytest.mark.parametrize(
    ("name", "maps", "hidden"),
    [
        ("efficientnet_b0", ["blocks.1.0", "blocks.1.1.bn3"], ["blocks.1.1.bn2", "blocks.2.0.bn2"]),
        ("efficientnetv2_b0", ["blocks.1.0", "blocks.1.1.bn2"], ["blocks.1.1.bn1", "blocks.2.0.bn1"]),
        ("resnet18", ["layer2.0", "layer2.1.bn2"], ["layer2.0.act1", "layer2.1.act1"]),
        (
            "resnet50",
            ["layer2.0", "layer2.1.bn3"],
            ["layer2.0.act1", "layer2.0.act2", "layer2.1.act1", "layer2.1.act2"],
        ),
        ("regnety_002", ["s2.b1", "s2.b2.conv3"], ["s2.b1.conv1", "s2.b1.conv2", "s2.b2.conv1", "s2.b2.conv2"]),
        ("ghostnet_100", ["blocks.1.0", "blocks.2.0.ghost2"], ["blocks.1.0.bn_dw", "blocks.2.0.ghost1"]),
        (
            "convnext_tiny",
            ["stages.1.downsample", "stages.1.blocks.0.drop_path", "stages.1.blocks.1.drop_path"],
            ["stages.1.blocks.0.mlp.act", "stages.1.blocks.1.mlp.act"],
        ),
    ],
)
def test_a_stage_loses_channels_at_these_sites(name, maps, hidden):
    network = base(name)
    architecture = replace(network.architecture(), depths=(2,) * len(network.stages))
    sites = stage_units(build(architecture, CLASSES), architecture, CLASSES)[1].sites
    assert [site.module for site in sites if site.shared] == maps
    assert [site.module for site in sites if not site.shared] == hidden
    assert {site.axis for site in sites if not site.shared} == {-1 if name == "convnext_tiny" else 1}


def test_a_layer_loses_channels_after_its_norm_and_a_first_one_after_its_activation():
    sites = [site.module for unit in narrow_units()[6:8] for site in unit.sites]
    assert sites == ["layer2.0.act1", "layer2.0.bn2"]


def without_zeros(model):
    """Gives a network activations that are zero for zero only, so that all other zeros are masks."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU | nn.ReLU6 | nn.Hardswish):
                setattr(parent, name, nn.LeakyReLU())


def gone_everywhere(model, unit, blocks, images):
    """`(n, c)`: the channels that are zero in what all of these blocks return while the unit is discarded."""
    seen = []
    with torch.no_grad(), discarding(model, unit, 0.5, torch.Generator().manual_seed(0)):
        for block in blocks:  # after the hooks that discard, so that it sees what they made
            block.register_forward_hook(lambda _, __, output: seen.append((output == 0).all(dim=(2, 3))))
        model(images)
    for block in blocks:
        block._forward_hooks.clear()
    return torch.stack(seen).all(dim=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_stage_loses_the_same_channels_of_its_map_in_all_its_blocks_and_no_other_stage_does(name):
    network = base(name)
    architecture = replace(network.architecture(), resolution=64, depths=(2,) * len(network.stages))
    model = build(architecture, CLASSES).eval()
    without_zeros(model)
    images = torch.randn(4, 3, 64, 64)
    kinds = (InvertedResidual, EdgeResidual, DepthwiseSeparableConv, ConvBnAct, GhostBottleneck, ConvNeXtBlock)
    kinds += (resnet.BasicBlock, resnet.Bottleneck, regnet.Bottleneck)
    blocks = [module for module in model.modules() if isinstance(module, kinds)]
    units = stage_units(model, architecture, CLASSES)
    for stage, unit in enumerate(units):
        own = blocks[2 * stage : 2 * stage + 2]
        gone = gone_everywhere(model, unit, own, images)
        assert gone.shape == (4, unit.channels) and len(gone.unique(dim=0)) == 4
        assert gone.float().mean().item() == pytest.approx(0.5, abs=0.2)
        assert not gone_everywhere(model, units[stage - 1], own, images).any()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_site_of_every_stage_is_passed_once_in_a_forward_pass_and_has_the_width_it_should(name):
    network = base(name)
    architecture = replace(network.architecture(), resolution=64)
    model = build(architecture, CLASSES).eval()
    passed = []
    for unit in stage_units(model, architecture, CLASSES):
        assert len(set(unit.sites)) == len(unit.sites)
        for site in unit.sites:
            model.get_submodule(site.module).register_forward_hook(
                lambda _, __, output, unit=unit, site=site: passed.append((unit, site, output.shape[site.axis]))
            )
    with torch.no_grad():
        model(torch.randn(1, 3, 64, 64))
    counted = Counter((unit.name, site.module) for unit, site, _ in passed)
    assert set(counted.values()) == {1}
    assert len(counted) == sum(len(unit.sites) for unit in stage_units(model, architecture, CLASSES))
    assert all(channels == unit.channels for unit, site, channels in passed if site.shared)


# --- losses ---


def test_a_layer_whose_outputs_nobody_uses_costs_nothing(narrow, scoring):
    nn.init.zeros_(narrow.layer2[1].conv2.weight)
    units = {unit.name: unit for unit in narrow_units()}
    first, second = utilization(narrow, scoring, [units["layer2.1.conv1"], units["layer2.0.conv1"]], times=2)
    assert (first.loss_increase, first.loss_increase_std, first.accuracy_drop) == (0, 0, 0)
    assert second.loss_increase != 0


@pytest.fixture(scope="module")
def learned():
    """A narrow ResNet-20 after a short training on other fractals of the same classes."""
    torch.manual_seed(0)
    model = build_layers(CIFAR, 8, [8] * 18, "max", CLASSES)
    data = pictures(images=64, part="train")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    for _ in range(4):
        for images, labels in data.in_order(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
    return model


def test_a_trained_network_gives_finite_and_reproducible_utilisations(learned, scoring):
    units = narrow_units()
    state = torch.get_rng_state()
    first = utilization(learned, scoring, units, base_rate=0.2, times=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert utilization(learned, scoring, units, base_rate=0.2, times=3) == first
    assert utilization(learned, scoring, units, base_rate=0.2, times=3, seed=1) != first
    assert all(math.isfinite(one.loss_increase) and one.loss_increase_std > 0 for one in first)
    assert sum(one.loss_increase for one in first) > 0 and sum(one.accuracy_drop for one in first) > 0


def test_a_stage_made_useless_ranks_last(learned, scoring):
    saved = {name: value.clone() for name, value in learned.state_dict().items()}
    for block in learned.layer2:
        nn.init.zeros_(block.bn2.weight)
        nn.init.zeros_(block.bn2.bias)
    scores = utilization(learned, scoring, narrow_units(), base_rate=0.2, times=2)
    learned.load_state_dict(saved)
    ranked = sorted(scores, key=lambda one: abs(one.loss_increase), reverse=True)
    assert {one.stage for one in ranked[-6:]} == {2} and all(one.loss_increase == 0 for one in ranked[-6:])


def test_a_units_numbers_do_not_depend_on_what_was_measured_before_it(learned, scoring):
    same = [replace(unit, macs=1000) for unit in narrow_units()[:3]]
    assert utilization(learned, scoring, same[::-1], times=2)[::-1] == utilization(learned, scoring, same, times=2)


def test_the_increase_is_that_of_the_mean_loss_over_the_repeats(narrow, scoring):
    """By hand: the masks of one site, drawn in order from the seed, on a linear layer's input."""
    model = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, CLASSES)).eval()
    unit = Unit("pixels", 1, 3, 1000, (Site("0"),))
    (result,) = utilization(model, scoring, [unit], base_rate=0.25, times=2, seed=9)
    (images, labels), *_ = scoring.in_order(len(scoring))
    draws = torch.Generator().manual_seed(9)
    pooled = nn.functional.adaptive_avg_pool2d(images, 4)
    with torch.no_grad():
        whole = nn.functional.cross_entropy(model[2](pooled.flatten(1)), labels).item()
        losses = []
        for _ in range(2):
            kept = torch.rand(len(labels), 3, generator=draws) >= 0.25
            dropped = pooled * kept[:, :, None, None] / 0.75
            losses.append(nn.functional.cross_entropy(model[2](dropped.flatten(1)), labels).item())
    assert result.loss_increase == pytest.approx(np.mean(losses) - whole, abs=1e-6)
    assert result.loss_increase_std == pytest.approx(np.std(losses, ddof=1), abs=1e-6)


@pytest.mark.parametrize("name", ["efficientnet_b0", "ghostnet_100", "regnety_002", "convnext_tiny"])
def test_stages_of_any_family_are_measured(name):
    architecture = replace(base(name).architecture(), resolution=32)
    torch.manual_seed(0)
    model = build(architecture, CLASSES)
    images = pictures(images=2, side=32)
    scores = utilization(model, images, stage_units(model, architecture, CLASSES), times=2)
    assert [one.stage for one in scores] == [stage + 1 for stage in range(len(architecture.widths))]
    assert all(math.isfinite(one.loss_increase) for one in scores)


# --- what is left behind, and what is refused ---


def test_no_hook_stays_behind_even_when_a_pass_fails(narrow, scoring):
    units = narrow_units()
    utilization(narrow, scoring, units[:2], times=2)
    assert hooks(narrow) == 0
    with pytest.raises(RuntimeError), discarding(narrow, units[0], 0.1, torch.Generator()):
        narrow(torch.randn(2, 5, 16, 16))
    assert hooks(narrow) == 0
    stranger = replace(units[0], sites=(*units[0].sites, Site("layer9.0.bn2")))
    with pytest.raises(InputError, match=r"no 'layer9.0.bn2', where channels of layer1.0.conv1"):
        utilization(narrow, scoring, [stranger], times=2)
    assert hooks(narrow) == 0


def test_a_network_is_not_changed_by_being_measured(narrow, scoring):
    before = {name: value.clone() for name, value in narrow.state_dict().items()}
    utilization(narrow, scoring, narrow_units()[:2], times=2)
    assert all(torch.equal(value, before[name]) for name, value in narrow.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"times": 1}, "times must be between 2"),
        ({"base_rate": 0.0}, "base_rate is a drop rate, between 0 and 1, not 0"),
        ({"cap": 1.0}, "cap is a drop rate, between 0 and 1, not 1"),
        ({"units": []}, "none is given"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(narrow, scoring, arguments, words):
    with pytest.raises(InputError, match=words) as error:
        utilization(narrow, scoring, **{"units": narrow_units(), **arguments})
    assert "\n" not in str(error.value)


def test_the_wrong_architecture_is_refused():
    network = base("resnet18").architecture()
    with pytest.raises(InputError, match="network given has 8 blocks, but this resnet18 has 16"):
        stage_units(build(network, CLASSES), replace(network, depths=(4, 4, 4, 4)), CLASSES)
