"""ResNets: published numbers, counts written out by hand, and what the built networks do."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from timm.models.resnet import ResNet
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sampler import Architecture, architecture_complexity, base, rule_named
from sampler.complexity import complexity, count
from sampler.errors import InputError
from sampler.families.residual import layer_blocks, residual_layers
from sampler.scaling import scale_stages
from sampler.totals import layer_totals, totals
from trainer.families.residual import build_layers, zero_padding
from trainer.network import build

RESNET20 = base("resnet20_cifar")
LAYERS = 18  # in the blocks of ResNet-20


def ints(*values):
    return np.array(values, dtype=np.int64)


def observed(module, resolution):
    """MACs, params and activations of a built network: by torch's counter, by counting, by hooks."""
    outputs = []
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda _, __, output: outputs.append(output.numel()))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, 3, resolution, resolution, device="meta"))
    return counter.get_total_flops() // 2, sum(p.numel() for p in module.parameters()), sum(outputs)


def on_meta(make):
    with torch.device("meta"):
        return make().eval()


@pytest.mark.parametrize(
    ("name", "macs", "params", "activations_with_max_pool"),
    [
        ("resnet50", 4_089_184_256, 25_557_032, 11_315_688),
        ("resnet101", 7_801_405_440, 44_549_160, 16_433_640),
        ("resnet152", 11_513_626_624, 60_192_808, 22_755_816),
    ],
)
def test_the_reference_numbers_at_224_px(name, macs, params, activations_with_max_pool):
    cost = complexity(name)
    assert (cost.macs, cost.params) == (macs, params)
    assert cost.activations == activations_with_max_pool - 64 * 56 * 56  # pycls counts the max pool's outputs too


@pytest.mark.parametrize(("name", "params"), [("resnet18", 11_689_512), ("resnet34", 21_797_672)])
def test_torchvisions_params_of_the_basic_networks(name, params):
    assert complexity(name).params == params


def test_a_basic_block_counted_by_hand():
    stage = base("resnet18").stages[1]  # 3x3 of stride 2
    cost = layer_totals(residual_layers(stage, ints(16), ints(32), ints(32), ints(81), ints(25)))
    assert cost.macs == 9 * 16 * 32 * 25 + 9 * 32 * 32 * 25
    assert cost.params == 9 * 16 * 32 + 2 * 32 + 9 * 32 * 32 + 2 * 32
    assert cost.activations == 32 * 25 + 32 * 25


def test_a_bottleneck_counted_by_hand():
    stage = base("resnet50").stages[1]  # 1x1 to a quarter of 64, 3x3 of stride 2, 1x1
    cost = layer_totals(residual_layers(stage, ints(32), ints(16), ints(64), ints(81), ints(25)))
    assert cost.macs == 32 * 16 * 81 + 9 * 16 * 16 * 25 + 16 * 64 * 25
    assert cost.params == 32 * 16 + 2 * 16 + 9 * 16 * 16 + 2 * 16 + 16 * 64 + 2 * 64
    assert cost.activations == 16 * 81 + 16 * 25 + 64 * 25


def basic(c_in, width, area_in, area_out):
    return 9 * c_in * width * area_out + 9 * width * width * area_out


def bottleneck(c_in, width, area_in, area_out):
    hidden = width // 4
    return c_in * hidden * area_in + 9 * hidden * hidden * area_out + hidden * width * area_out


@pytest.mark.parametrize(
    ("name", "block", "stem", "projected"),
    [
        ("resnet18", basic, 64, False),
        ("resnet18", basic, 56, True),
        ("resnet50", bottleneck, 256, False),
        ("resnet50", bottleneck, 64, True),
    ],
)
def test_a_projection_in_the_first_stage_exists_only_where_the_width_changes(name, block, stem, projected):
    widths = base(name).widths
    macs = 147 * stem * 16 * 16 + 1000 * widths[3]  # at 32 px: 16 after the stem, 8 after the pooling
    macs += block(stem, widths[0], 64, 64) + projected * stem * widths[0] * 64
    for c_in, width, area in zip(widths, widths[1:], (16, 4, 1), strict=False):
        macs += block(c_in, width, 4 * area, area) + c_in * width * area
    assert architecture_complexity(Architecture(name, 32, stem, widths, (1, 1, 1, 1), 0)).macs == macs


def test_resnet20_has_the_papers_size():
    macs, params, activations, c_in, side = 3 * 9 * 16 * 32 * 32, 3 * 9 * 16 + 32, 16 * 32 * 32, 16, 32
    for width in (16, 32, 64):
        for _ in range(3):
            side = side // 2 if width > c_in else side
            macs += 9 * (c_in * width + width * width) * side * side
            params += 9 * (c_in * width + width * width) + 4 * width
            activations += 2 * width * side * side
            c_in = width
    macs, params, activations = macs + 64 * 10, params + 64 * 10 + 10, activations + 10
    cost = complexity("resnet20_cifar", classes=10)
    assert (cost.macs, cost.params, cost.activations) == (macs, params, activations)
    assert (round(macs / 1e6), round(params / 1e6, 2)) == (41, 0.27)


@pytest.mark.parametrize(("layers", "millions"), [(32, 0.46), (56, 0.85), (110, 1.7)])
def test_the_papers_params_of_the_deeper_cifar_networks(layers, millions):
    params = complexity(f"resnet{layers}_cifar", classes=10).params
    assert round(params / 1e6, 2 if millions < 1 else 1) == millions
    assert sum(2 * depth for depth in base(f"resnet{layers}_cifar").depths) + 2 == layers


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20_cifar"])
def test_all_three_counts_of_odd_architectures_are_observed_in_the_built_network(name):
    network, rng = base(name), np.random.default_rng(3)
    shape = (4, len(network.stages))
    pixels, d, w = rng.integers(33, 99, 4), rng.uniform(0.3, 1.5, shape), rng.uniform(0.3, 1.5, shape)
    architectures = scale_stages(network, rule_named("free"), pixels, d, w)  # any integer, also narrower stages
    cost = count(architectures, classes=7)
    for row, architecture in enumerate(architectures):
        module = on_meta(partial(build, architecture, 7))
        ours = (cost.macs[row], cost.params[row], cost.activations[row])
        assert ours == observed(module, architecture.resolution), architecture


def test_another_stem_changes_nothing_else_of_timms_network():
    architecture = dataclasses.replace(base("resnet50").architecture(), stem=48)
    module = on_meta(lambda: build(architecture))
    theirs = on_meta(lambda: build(base("resnet50").architecture()))
    assert isinstance(module, ResNet)
    shapes, expected = ({k: tuple(v.shape) for k, v in one.state_dict().items()} for one in (module, theirs))
    assert shapes.keys() == expected.keys()
    assert {name for name in shapes if shapes[name] != expected[name]} == {
        "conv1.weight",
        *(f"bn1.{part}" for part in ("weight", "bias", "running_mean", "running_var")),
        "layer1.0.conv1.weight",
        "layer1.0.downsample.0.weight",
    }
    assert module.feature_info[0]["num_chs"] == 48


def test_another_stem_is_initialised_as_timm_initialises():
    torch.manual_seed(0)
    module = build(Architecture("resnet18", 32, 200, (208, 8, 8, 8), (1, 1, 1, 1), 0), classes=3)
    for conv in (module.conv1, module.layer1[0].conv1, module.layer1[0].downsample[0]):
        fan_out = conv.out_channels * conv.kernel_size[0] ** 2
        assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.03)
    assert not module.layer1[0].bn2.weight.any()  # timm starts every residual branch at zero


def test_a_cifar_network_is_initialised_as_timm_initialises_and_has_the_dropout_asked_for():
    torch.manual_seed(0)
    model = build(Architecture("resnet20_cifar", 32, 64, (64, 64, 128), (1, 1, 1), 0), classes=3, drop_rate=0.25)
    for conv in (model.conv1, model.layer1[0].conv1, model.layer3[0].conv1):
        assert conv.weight.std().item() == pytest.approx((2 / (9 * conv.out_channels)) ** 0.5, rel=0.03)
    assert model.drop.p == 0.25
    assert on_meta(lambda: build(base("resnet18").architecture(), 3, drop_rate=0.25)).drop_rate == 0.25


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20_cifar"])
def test_equal_widths_leave_the_projections_that_a_stride_needs(name):
    network = base(name)
    stages = len(network.stages)
    architecture = Architecture(name, 45, 24, (24,) * stages, (2,) * stages, 0)
    cost = architecture_complexity(architecture, classes=7)
    module = on_meta(lambda: build(architecture, 7))
    assert (cost.macs, cost.params, cost.activations) == observed(module, 45)


@pytest.mark.parametrize("stem", [8, 16, 24])
@pytest.mark.parametrize("widths", [(24, 40, 72), (40, 24, 8)])
def test_a_built_cifar_network_trains_with_any_widths(stem, widths):
    torch.manual_seed(0)
    model = build(Architecture("resnet20_cifar", 19, stem, widths, (1, 2, 3), 0), classes=10, drop_rate=0.1)
    logits = model(torch.randn(4, 3, 19, 19))
    assert logits.shape == (4, 10) and logits.isfinite().all()
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_zeros_are_padded_at_the_front_and_the_first_channels_are_kept():
    x = torch.arange(1.0, 2 * 9 + 1).reshape(1, 2, 3, 3)
    padded = zero_padding(2, 5)(x)
    assert not padded[:, :3].any() and padded[:, 3:].equal(x)
    assert zero_padding(2, 1)(x).equal(x[:, :1])


def test_a_cifar_shortcut_subsamples_and_one_per_layer_averages():
    x = torch.randn(2, 16, 7, 7)
    subsampled = build(RESNET20.architecture(), 10).layer2[0].downsample(x)
    assert not subsampled[:, :16].any() and subsampled[:, 16:].equal(x[:, :, ::2, ::2])
    averaged = build_layers(RESNET20, 16, [16] * 6 + [32] * 12, "max", 10).layer2[0].downsample(x)
    torch.testing.assert_close(averaged[:, 16:, 1, 2], x[:, :, 2:4, 4:6].mean((2, 3)))
    torch.testing.assert_close(averaged[:, 16:, 3, 3], x[:, :, 6, 6])  # an odd side's rest, not dimmed by padding


@pytest.mark.parametrize("padding", ["max", "local"])
def test_all_three_counts_of_free_widths_per_layer_are_observed_in_the_built_network(padding):
    widths = np.random.default_rng(5).integers(4, 90, (4, LAYERS))
    pixels, stem = ints(32, 33, 19, 4), ints(16, 5, 60, 16)
    cost, _ = totals(layer_blocks(RESNET20, pixels, stem, widths, padding, 7), size=4)
    for row in range(len(widths)):
        module = on_meta(partial(build_layers, RESNET20, int(stem[row]), widths[row].tolist(), padding, 7))
        ours = (cost.macs[row], cost.params[row], cost.activations[row])
        assert ours == observed(module, int(pixels[row]))


@pytest.mark.parametrize("padding", ["max", "local"])
def test_equal_widths_per_layer_are_the_plain_network(padding):
    widths = ints(*[16] * 6, *[32] * 6, *[64] * 6)[None]
    plain = complexity("resnet20_cifar", classes=10)
    cost, _ = totals(layer_blocks(RESNET20, ints(32), ints(16), widths, padding, 10), size=4)
    assert (cost.macs, cost.params, cost.activations) == (plain.macs, plain.params, plain.activations)
    ours, theirs = (
        {name: tuple(value.shape) for name, value in on_meta(make).state_dict().items()}
        for make in (
            lambda: build_layers(RESNET20, 16, widths[0].tolist(), padding, 10),
            lambda: build(RESNET20.architecture(), 10),
        )
    )
    assert ours == theirs


def test_max_keeps_a_wide_shortcut_and_local_drops_its_last_channels():
    widths = [16, 40, 16, 24, *[24] * 14]  # the second block's shortcut has 40 channels, its convolution 24
    x = torch.rand(2, 40, 6, 6)
    for padding, out in (("max", 40), ("local", 24)):
        block = build_layers(RESNET20, 16, widths, padding, 10).layer1[1].eval()
        nn.init.zeros_(block.bn2.weight)  # the convolutions say nothing, the shortcut alone is left
        assert block(x).equal(x[:, :out])
        nn.init.ones_(block.bn2.bias)  # they say 1 in each of their 24 channels, the last of the sum
        said = block(x) - x[:, :out]
        assert not said[:, : out - 24].any() and torch.allclose(said[:, out - 24 :], torch.ones(()))


@pytest.mark.parametrize("padding", ["max", "local"])
def test_a_network_of_free_widths_trains(padding):
    torch.manual_seed(0)
    widths = np.random.default_rng(6).integers(4, 40, LAYERS).tolist()
    model = build_layers(RESNET20, 16, widths, padding, 10)
    logits = model(torch.randn(4, 3, 32, 32))
    assert logits.shape == (4, 10)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def layers(**changes):
    given = dict(network=RESNET20, resolution=ints(32), stem=ints(16), padding="max", classes=10)
    return totals(layer_blocks(**{**given, "widths": np.full((1, LAYERS), 16), **changes}), size=4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(padding="both"), "zero padding 'both' is unknown; known: max, local"),
        (dict(widths=np.full((1, 17), 16)), "resnet20_cifar has 18 layers in its blocks, but widths give 17"),
        (dict(widths=np.zeros((1, LAYERS), dtype=int)), "widths must be between 1 and 131072, got 0"),
        (dict(resolution=ints(3)), "resolution must be between 4 and 16384, got 3"),
        (dict(stem=ints(0)), "stem must be between 1 and 131072, got 0"),
        (dict(classes=0), "classes must be between 1 and 131072, got 0"),
        (dict(network=base("resnet50")), "resnet50 has no free widths per layer"),
        (dict(resolution=ints(16384), widths=np.full((1, LAYERS), 131072)), r"needs more than 2\^62 MACs"),
    ],
)
def test_impossible_layers_are_refused_in_words(changes, words):
    with pytest.raises(InputError, match=words):
        layers(**changes)


def test_a_builder_of_layers_refuses_what_the_count_refuses():
    with pytest.raises(InputError, match="18 layers in its blocks, but widths give 2"):
        build_layers(RESNET20, 16, [16, 16], "max", 10)


def test_a_bottleneck_without_hidden_channels_is_refused_in_words():
    with pytest.raises(InputError, match="a width of 3 leaves a bottleneck no hidden channel at expansion 0.25"):
        complexity("resnet50", widths=[256, 3, 64, 64])


def test_a_head_convolution_is_refused_in_words():
    with pytest.raises(InputError, match="resnet50 has no head convolution; its head must be 0, not 64"):
        architecture_complexity(dataclasses.replace(base("resnet50").architecture(), head=64))


def test_the_largest_network_that_is_not_refused_is_counted_exactly():
    # Two full 3x3 convolutions a block cost more than any expansion: the bound must leave them room in int64.
    width, depth, side = 131_072, 4_096, 16
    while True:
        try:
            cost = complexity("resnet110_cifar", side + 1, widths=[width] * 3, depths=[depth] * 3)
        except InputError:
            break
        side += 1
    macs, c_in = 27 * 16 * side**2 + 1000 * width, 16
    cost = complexity("resnet110_cifar", side, widths=[width] * 3, depths=[depth] * 3)
    for index in range(3):
        area = ((side - 1) // 2**index + 1) ** 2
        macs += 9 * width * (c_in + (2 * depth - 1) * width) * area
        c_in = width
    assert cost.macs == macs
