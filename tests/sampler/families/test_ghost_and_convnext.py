"""Ghost and ConvNeXt: published numbers, timm's other sizes, blocks counted by hand, activations by hooks."""

import numpy as np
import pytest
import timm
import torch
from timm.models.ghostnet import GhostBottleneck, GhostModule, _create_ghostnet
from torch import nn

from sampler import Architecture, InputError, architecture_complexity, base, rule_named, scale
from sampler.architecture import stack
from sampler.complexity import complexity, count
from sampler.families import convnext, ghost
from sampler.scaling import scale_stages
from sampler.totals import layer_totals
from trainer.network import build

GHOST = ("ghostnet_100", "s_ghostnet")
CONVNEXT = tuple(f"convnext_{size}" for size in ("atto", "femto", "pico", "nano", "tiny", "small", "base"))


def on_meta(make):
    with torch.device("meta"):
        return make().eval()


def seen_by_hooks(module, channels, height):
    """MACs and activations from what each convolution and linear layer puts out, and params."""
    macs, activations = [], []

    def look(layer, _, output):
        activations.append(output.numel())
        macs.append(output.numel() * layer.weight[0].numel())

    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(look)
    with torch.no_grad():
        module(torch.zeros(1, channels, height, height, device="meta"))
    return sum(macs), sum(p.numel() for p in module.parameters()), sum(activations)


def numbers(cost):
    return cost.macs, cost.params, cost.activations


def summed(layers):
    """MACs, params and activations of the layers of one block of one architecture."""
    total = layer_totals(layers)
    return tuple(int(one[0]) for one in (total.macs, total.params, total.activations))


def ints(*values):
    return [np.array([value], dtype=np.int64) for value in values]


@pytest.mark.parametrize(
    ("name", "macs", "params"),
    [
        ("ghostnet_100", 141_150_512, 5_182_508),
        # By torch's counter on timm's models; the paper prints 4.5, 8.7 and 15.4 G for the last three.
        ("convnext_atto", 547_332_480, 3_695_520),
        ("convnext_femto", 779_629_824, 5_217_784),
        ("convnext_pico", 1_367_055_360, 9_045_672),
        ("convnext_nano", 2_445_528_320, 15_593_560),
        ("convnext_tiny", 4_455_531_264, 28_589_128),
        ("convnext_small", 8_683_712_256, 50_223_688),
        ("convnext_base", 15_354_729_472, 88_591_464),
    ],
)
def test_the_published_networks_cost_exactly_this(name, macs, params):
    cost = architecture_complexity(base(name).architecture())
    assert (cost.macs, cost.params) == (macs, params)


def test_s_ghostnet_is_ghostnet_with_squeeze_excite_in_every_block():
    ours = on_meta(lambda: build(base("s_ghostnet").architecture()))
    blocks = [module for module in ours.modules() if isinstance(module, GhostBottleneck)]
    assert len(blocks) == 16
    # timm's hidden channels, and a quarter of them rounded to 4 and at least 90 % of it.
    hidden = [16, 48, 72, 72, 120, 240, 200, 184, 184, 480, 672, 672, 960, 960, 960, 960]
    squeezed = [4, 12, 20, 20, 32, 60, 52, 48, 48, 120, 168, 168, 240, 240, 240, 240]
    assert [block.se.conv_reduce.in_channels for block in blocks] == hidden
    assert [block.se.conv_reduce.out_channels for block in blocks] == squeezed
    plain = architecture_complexity(base("ghostnet_100").architecture())
    added = [
        (h, s)
        for h, s, block in zip(
            hidden,
            squeezed,
            [m for m in on_meta(lambda: timm.create_model("ghostnet_100")).modules() if isinstance(m, GhostBottleneck)],
            strict=True,
        )
        if block.se is None
    ]
    cost = architecture_complexity(base("s_ghostnet").architecture())
    assert len(added) == 9
    assert cost.macs - plain.macs == sum(2 * h * s for h, s in added)
    assert cost.params - plain.params == sum(2 * h * s + h + s for h, s in added)
    assert cost.activations - plain.activations == sum(h + s for h, s in added)


@pytest.mark.parametrize(("name", "width"), [("ghostnet_050", 0.5), ("ghostnet_100", 1.0), ("ghostnet_130", 1.3)])
def test_published_multipliers_give_timms_ghostnets(name, width):
    theirs = on_meta(lambda: timm.create_model(name))
    architecture = scale(base("ghostnet_100"), rule_named("ghost"), 224, width=width)[0]
    on_meta(lambda: build(architecture)).load_state_dict(theirs.state_dict(), strict=True, assign=True)
    assert numbers(architecture_complexity(architecture)) == seen_by_hooks(theirs, 3, 224)


def test_a_stages_own_ratio_alone_would_not_give_timms_hidden_channels():
    # 1.3 makes 24 channels 32, whose ratio of 4 / 3 would make the 72 hidden ones 96.
    widths = np.array([[20, 32, 52, 104, 144, 208]])
    network = base("ghostnet_100")
    uniform = ghost.width_multipliers(network, widths, np.array([1248]))
    assert [float(one[0]) for one in uniform] == [1.3] * 6
    theirs = on_meta(lambda: timm.create_model("ghostnet_130"))
    assert theirs.blocks[2][0].ghost1.out_chs == 92
    other = ghost.width_multipliers(network, widths, np.array([960]))
    assert [float(one[0]) for one in other] == [20 / 16, 32 / 24, 52 / 40, 104 / 80, 144 / 112, 208 / 160]


@pytest.mark.parametrize("step", [60, 84, 97, 131, 173, 199, 251, 307, 388, 480])
def test_multipliers_of_whole_240ths_give_timms_params(step):
    theirs = on_meta(lambda: _create_ghostnet("ghostnet_100", width=step / 240))
    ours = complexity("ghostnet_100", width=step / 240)
    assert ours.params == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("name", GHOST)
def test_a_wider_ghost_network_never_costs_less(name):
    # Solving a width for a budget rests on this.
    cost = complexity(name, resolution=64, width=np.linspace(0.05, 6, 60_001))
    for numbers_by_width in (cost.macs, cost.params, cost.activations):
        assert (np.diff(numbers_by_width) >= 0).all()


def test_between_whole_240ths_params_are_timms_to_half_a_percent():
    for width in np.random.default_rng(0).uniform(0.3, 2.5, 12):
        theirs = sum(p.numel() for p in on_meta(lambda w=width: _create_ghostnet("ghostnet_100", width=w)).parameters())
        assert abs(complexity("ghostnet_100", width=width).params / theirs - 1) < 0.005


@pytest.mark.parametrize("stage", range(6))
@pytest.mark.parametrize("step", [-4, -2, 2, 4, 8])
def test_a_small_step_of_one_stage_is_its_own_ratio(stage, step):
    network = base("ghostnet_100")
    widths = np.array([network.widths])
    widths[0, stage] += step
    ratios = ghost.width_multipliers(network, widths, np.array([960]))
    expected = [(width + step * (i == stage)) / width for i, width in enumerate(network.widths)]
    assert [float(one[0]) for one in ratios] == expected


def test_growing_one_stage_leaves_the_hidden_channels_of_the_others():
    network = base("s_ghostnet")
    for grown in range(6):
        widths = np.ones((1, 6))
        widths[0, grown] = 1.7
        architectures = scale_stages(network, rule_named("ghost"), 224, np.ones((1, 6)), widths)
        ratios = ghost.width_multipliers(network, architectures.widths, architectures.head)
        expected = [architectures.widths[0, grown] / network.widths[grown] if i == grown else 1.0 for i in range(6)]
        assert [float(one[0]) for one in ratios] == expected


@pytest.mark.parametrize("out_channels", [24, 25])
def test_a_ghost_module_by_hand(out_channels):
    # Primary: 16 -> 12 or 13 channels by 1x1; cheap: a 3x3 kernel for each of those; two batch norms.
    half = {24: 12, 25: 13}[out_channels]
    by_hand = (half * 16 * 64 + half * 9 * 64, half * 16 + half * 9 + 4 * half, 2 * half * 64)
    assert seen_by_hooks(on_meta(lambda: GhostModule(16, out_channels)), 16, 8) == by_hand
    assert summed(ghost.module_layers("expand", *ints(16, out_channels, 64))) == by_hand


@pytest.mark.parametrize(
    ("block", "c_in", "c_out"),
    [(0, 16, 16), (0, 12, 16), (1, 16, 24), (2, 23, 41), (4, 81, 111), (4, 112, 112)],
)
def test_one_ghost_block_counts_as_hooks_see_it(block, c_in, c_out):
    stage = base("ghostnet_100").stages[block]
    hidden = {0: 16, 1: 48, 2: 72, 4: 480}[block]
    ratio = {0: 0.0, 1: 0.0, 2: 0.25, 4: 0.25}[block]
    module = on_meta(lambda: GhostBottleneck(c_in, hidden, c_out, stage.kernel, stage.stride, se_ratio=ratio))
    area_out = {1: 49, 2: 16}[stage.stride]
    channels_and_areas = ints(c_in, hidden, c_out, 49, area_out)
    layers, _ = ghost.ghost_layers(stage.kernel, stage.stride, ratio, *channels_and_areas)
    assert summed(layers) == seen_by_hooks(module, c_in, 7)
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    total = layer_totals(layers)
    assert (total.norms, total.normed) == (len(norms), sum(norm.num_features for norm in norms))


def test_blocks_beyond_the_base_depth_are_like_the_last():
    network = base("ghostnet_100")
    costs = [
        architecture_complexity(Architecture(network.name, 64, 16, network.widths, (1, 2, 2, 4, 2, depth), 960))
        for depth in range(1, 9)
    ]
    steps = np.diff([numbers(cost) for cost in costs], axis=0).tolist()
    squeeze = [2 * 960 * 240, 2 * 960 * 240 + 960 + 240, 960 + 240]
    plain, last = steps[0], steps[3]
    assert [b - a for a, b in zip(plain, last, strict=True)] == squeeze
    assert steps == [plain, last, plain, last, last, last, last]


def test_names_keep_their_place_at_every_depth():
    network = base("ghostnet_100")
    deeper = on_meta(lambda: build(Architecture(network.name, 64, 16, network.widths, (2, 3, 1, 1, 3, 7), 960)))
    lengths = [len(group) for group in deeper.blocks]
    assert lengths == [2, 1, 2, 1, 0, 1, 3, 1, 6, 1]
    names = deeper.state_dict()
    assert names["blocks.6.0.ghost2.primary_conv.0.weight"].shape[0] == 56
    assert [info["num_chs"] for info in deeper.feature_info] == [16, 24, 40, 80, 160]
    with torch.no_grad():
        features = deeper.forward_intermediates(torch.zeros(1, 3, 64, 64, device="meta"), intermediates_only=True)
    assert [tuple(one.shape[1:]) for one in features] == [
        (16, 32, 32), (24, 16, 16), (40, 8, 8), (80, 4, 4), (160, 2, 2)
    ]  # fmt: skip


def test_a_convnext_block_by_hand():
    # 49 weights a channel, two matrices of 4 c^2; three biases (c, 4c, c), a norm's 2c, layer scale c.
    stage = base("convnext_tiny").stages[1]
    layers, _ = convnext.convnext_layers(stage, *ints(10, 36))
    assert summed(layers) == ((490 + 800) * 36, 490 + 800 + 60 + 20 + 10, 60 * 36)
    for variant in ("convnext_tiny", "convnext_atto"):
        architecture = Architecture(variant, 32, 10, (10, 10, 10, 10), (1, 1, 1, 1), 0)
        block = on_meta(lambda one=architecture: build(one)).stages[1].blocks[0]
        assert seen_by_hooks(block, 10, 6) == summed(layers)


@pytest.mark.parametrize("rule", ["free", "tinynet"])  # odd widths; a stem that stays
@pytest.mark.parametrize("name", [*GHOST, "convnext_atto", "convnext_tiny"])
def test_macs_params_and_activations_are_what_hooks_see_under_any_rule(name, rule):
    network = base(name)
    rng = np.random.default_rng(len(rule))
    shape = (2, len(network.stages))
    pixels = rng.integers(network.stride, 150, 2)
    d, w = rng.uniform(0.35, 1.6, shape), rng.uniform(0.35, 1.6, shape)
    architectures = scale_stages(network, rule_named(rule), pixels, d, w)
    ours = count(architectures, 11)
    for row, architecture in enumerate(architectures):
        module = on_meta(lambda one=architecture: build(one, 11))
        seen = seen_by_hooks(module, 3, architecture.resolution)
        assert (ours.macs[row], ours.params[row], ours.activations[row]) == seen, architecture


@pytest.mark.parametrize("name", ["convnext_atto", "convnext_tiny"])
def test_a_stem_of_another_width_than_the_first_stage_is_counted_as_built(name):
    architecture = Architecture(name, 70, 24, (40, 48, 56, 56), (2, 1, 3, 1), 0)
    module = on_meta(lambda: build(architecture, 11))
    assert numbers(architecture_complexity(architecture, 11)) == seen_by_hooks(module, 3, 70)
    tied = architecture_complexity(Architecture(name, 70, 40, (40, 48, 56, 56), (2, 1, 3, 1), 0), 11)
    # Stem: 48 weights, a bias, a norm's two per channel. Between: a norm, a 1x1 convolution and its bias.
    assert architecture_complexity(architecture, 11).params - tied.params == 51 * (24 - 40) + 2 * 24 + 24 * 40 + 40


def test_a_replaced_stem_and_stage_are_initialised_as_timm_initialises_them():
    model = build(Architecture("convnext_tiny", 32, 8, (16, 16, 16, 16), (1, 1, 1, 1), 0), 3)
    for layer in (model.stem[0], model.stages[0].downsample[1], model.stages[0].blocks[0].mlp.fc1):
        assert 0.015 < layer.weight.detach().std().item() < 0.025
        assert not layer.bias.any()
    assert torch.equal(model.stages[0].blocks[0].gamma, model.stages[1].blocks[0].gamma)


@pytest.mark.parametrize("name", [*GHOST, *CONVNEXT])
def test_their_rule_gives_the_base_back_at_one(name):
    network = base(name)
    assert scale(network, rule_named(network.rule), 224)[0] == network.architecture()


@pytest.mark.parametrize("name", ["ghostnet_100", "convnext_tiny"])
def test_the_stem_follows_the_first_stage(name):
    network = base(name)
    shape = (50, len(network.stages))
    w = np.random.default_rng(0).uniform(0.2, 3.0, shape)
    architectures = scale_stages(network, rule_named(network.rule), np.full(50, 224), np.ones(shape), w)
    assert (architectures.stem == architectures.widths[:, 0]).all()


@pytest.mark.parametrize("name", [*GHOST, *CONVNEXT])
def test_an_image_below_the_stride_is_refused_and_one_at_it_is_counted(name):
    with pytest.raises(InputError, match=rf"31 px is below {name}'s stride of 32"):
        complexity(name, resolution=31)
    assert complexity(name, resolution=32).macs > 0


def test_a_head_is_refused_where_there_is_none_and_wanted_where_there_is_one():
    tiny, plain = base("convnext_tiny"), base("ghostnet_100")
    with pytest.raises(InputError, match="convnext_tiny has no head convolution; its head must be 0, not 768"):
        count(stack([Architecture("convnext_tiny", 224, 96, tiny.widths, tiny.depths, 768)]))
    with pytest.raises(InputError, match="head must be between 1 and 131072, got 0"):
        count(stack([Architecture("ghostnet_100", 224, 16, plain.widths, plain.depths, 0)]))


@pytest.mark.parametrize(("name", "stages"), [("s_ghostnet", 6), ("convnext_nano", 4)])
def test_a_wrong_number_of_stages_is_refused(name, stages):
    with pytest.raises(InputError, match=f"{name} has {stages} stages, but widths gives 5"):
        complexity(name, widths=[16, 24, 40, 80, 112])
