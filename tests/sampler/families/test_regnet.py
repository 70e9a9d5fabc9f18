"""RegNets: the published parameters give timm's stages, the counts are pycls', and every scaled width divides."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.models.regnet import adjust_widths_groups_comp, generate_regnet, model_cfgs

from sampler import Architecture, InputError, architecture_complexity, base, base_names, rule_named
from sampler.complexity import complexity
from sampler.families.parts import projection
from sampler.families.regnet import REGNET, X_PARAMETERS, Y_PARAMETERS, quantised_linear, regnet_layers
from sampler.scaling import scale, scale_stages
from sampler.totals import layer_totals
from trainer.network import build

ZOO = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "tables" / "pycls_zoo.csv"
PARAMETERS = X_PARAMETERS | Y_PARAMETERS

# flops (with the adds of biases), params, acts: pycls' own, https://github.com/facebookresearch/pycls,
# dev/model_complexity.json.
PYCLS = {
    "regnetx_002": (199040872, 2684792, 2164056),
    "regnetx_004": (397678568, 5157512, 3143272),
    "regnetx_006": (600891112, 6196040, 3975096),
    "regnetx_008": (799700712, 7259656, 5148744),
    "regnetx_016": (1602850792, 9190136, 7933512),
    "regnetx_032": (3176622952, 15296552, 11367432),
    "regnetx_040": (3964499816, 22118248, 12201608),
    "regnetx_064": (6460292264, 26209256, 16369744),
    "regnetx_080": (7995133416, 39572648, 14059688),
    "regnetx_120": (12086679016, 46106056, 21366568),
    "regnetx_160": (15940756456, 54278536, 25515496),
    "regnetx_320": (31735930792, 107811560, 36302160),
    "regnety_002": (199519076, 3162996, 2168052),
    "regnety_004": (401849056, 4344144, 3892496),
    "regnety_006": (601227608, 6055160, 4334296),
    "regnety_008": (797183328, 6263168, 5249888),
    "regnety_016": (1612087326, 11202430, 8044814),
    "regnety_032": (3176496162, 19436338, 11263418),
    "regnety_040": (3973301344, 20646656, 12287200),
    "regnety_064": (6355221876, 30583252, 16407188),
    "regnety_080": (7963074196, 39180068, 17968916),
    "regnety_120": (12092395504, 51822544, 21384496),
    "regnety_160": (15911534044, 83590140, 23041228),
    "regnety_320": (32279583362, 145046770, 30261570),
}


def biases(name):
    """Bias adds of the classifier and of squeeze-excite, which pycls' flops hold."""
    network = base(name)
    total, c_in = 1000, network.stem
    for stage in network.stages:
        for _ in range(stage.depth if stage.se_ratio else 0):
            total += round(c_in / 4) + stage.width
            c_in = stage.width
    return total


def pycls_name(name):
    """`RegNetX-200MF` to `regnetx_002`, `RegNetY-12GF` to `regnety_120`."""
    letter, size = name.removeprefix("RegNet").split("-")
    hundreds = float(size[:-2]) * (10 if size.endswith("GF") else 0.01)
    return f"regnet{letter.lower()}_{round(hundreds):03d}"


def test_the_24_published_networks_are_there_in_four_stages():
    assert [name for name in base_names() if name.startswith("regnet")] == list(PARAMETERS) == list(PYCLS)
    assert all(len(base(name).stages) == 4 for name in PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_published_parameters_generate_timms_stages(name):
    cfg = model_cfgs[name]
    assert PARAMETERS[name] == (cfg.depth, cfg.w0, cfg.wa, cfg.wm, cfg.group_size)
    per_block, stages, groups = generate_regnet(cfg.wa, cfg.w0, cfg.wm, cfg.depth, cfg.group_size)
    widths = sorted(set(per_block))
    depths = tuple(per_block.count(width) for width in widths)
    assert quantised_linear(cfg.depth, cfg.w0, cfg.wa, cfg.wm) == (tuple(widths), depths)

    network = base(name)
    widths, groups = adjust_widths_groups_comp(widths, [1.0] * stages, groups)
    assert (list(network.widths), network.depths) == (widths, depths)
    assert [stage.group_width for stage in network.stages] == groups
    assert {stage.se_ratio for stage in network.stages} == {cfg.se_ratio}
    assert (network.stem, network.resolution, network.head) == (cfg.stem_width, 224, 0)


@pytest.mark.parametrize("name", PYCLS)
def test_base_networks_cost_what_pycls_counts(name):
    cost = architecture_complexity(base(name).architecture())
    assert (cost.macs + biases(name), cost.params, cost.activations) == PYCLS[name]


@pytest.mark.parametrize(
    ("name", "macs", "params"), [("regnetx_002", 199_039_872, 2_684_792), ("regnety_004", 401_842_848, 4_344_144)]
)
def test_reference_numbers(name, macs, params):
    cost = architecture_complexity(base(name).architecture())
    assert (cost.macs, cost.params) == (macs, params)


@pytest.mark.skipif(not ZOO.exists(), reason=f"{ZOO} is absent")
def test_the_published_table_agrees_to_its_decimals():
    with ZOO.open() as file:
        rows = {pycls_name(row["model"]): row for row in csv.DictReader(file) if row["model"].startswith("RegNet")}
    assert rows.keys() == PARAMETERS.keys()
    for name, row in rows.items():
        network = base(name)
        assert tuple(map(int, row["stage_widths"].split())) == network.widths
        assert tuple(map(int, row["stage_depths"].split())) == network.depths
        cost = complexity(name, resolution=int(float(row["train_im_size"])))
        assert (cost.macs + biases(name)) / 1e9 == pytest.approx(float(row["flops_g"]), abs=0.0501), name
        assert cost.params / 1e6 == pytest.approx(float(row["params_m"]), abs=0.0501), name
        assert cost.activations / 1e6 == pytest.approx(float(row["acts_m"]), abs=0.0501), name


def test_one_more_y_block_costs_what_a_hand_count_says():
    # Stage 3 of RegNetY-400MF at 224 px: 208 channels in groups of 8, 14 x 14 pixels, squeeze-excite 208 -> 52 -> 208.
    shallow = complexity("regnety_004", depths=[1, 3, 6, 6])
    deep = complexity("regnety_004", depths=[1, 3, 7, 6])
    assert deep.macs - shallow.macs == 208 * 208 * 196 + 9 * 8 * 208 * 196 + 208 * 208 * 196 + 2 * 208 * 52
    convolutions = 208 * 208 + 2 * 208 + 9 * 8 * 208 + 2 * 208 + 208 * 208 + 2 * 208  # each with a batch norm
    assert deep.params - shallow.params == convolutions + (208 * 52 + 52) + (52 * 208 + 208)
    assert deep.activations - shallow.activations == 3 * 208 * 196 + 52 + 208


def test_the_first_y_block_costs_what_a_hand_count_says():
    # Stage 1 of RegNetY-400MF: 32 -> 48 channels in 6 groups of 8, 112 -> 56 pixels, squeeze-excite 48 -> 8 -> 48.
    c_in, c_out, c_group, area_in, area_out = (np.array([one]) for one in (32, 48, 8, 12544, 3136))
    stage = base("regnety_004").stages[0]
    layers = regnet_layers(stage, c_in, c_out, c_group, area_in, area_out)
    cost = layer_totals([*layers, projection(stage, c_in, c_out, area_out)])
    assert cost.macs == 32 * 48 * 12544 + (48 * 8 * 9 + 48 * 48 + 32 * 48) * 3136 + 48 * 8 + 8 * 48
    assert cost.params == 32 * 48 + 48 * 8 * 9 + 48 * 48 + 32 * 48 + 4 * 2 * 48 + (48 * 8 + 8) + (8 * 48 + 48)
    assert cost.activations == 48 * 12544 + 3 * 48 * 3136 + 8 + 48


def by_definition(width, group_width):
    """pycls' adjust_block_compatibility at bottleneck ratio 1."""
    group = min(group_width, width)
    return max(group, round(width / group) * group)


@pytest.mark.parametrize("name", ["regnetx_002", "regnetx_016", "regnetx_080", "regnety_064", "regnety_320"])
def test_adjusted_widths_are_the_nearest_that_divide_into_groups(name):
    network = base(name)
    group_widths = [stage.group_width for stage in network.stages]
    widths = np.random.default_rng(0).integers(1, 8 * max(group_widths), (500, 4))
    adjusted = REGNET.widths(network, widths)
    assert adjusted.dtype == np.int64
    assert adjusted.tolist() == [list(map(by_definition, row, group_widths)) for row in widths.tolist()]
    compatible = (widths < group_widths) | (widths % group_widths == 0)
    assert compatible.any() and not compatible.all()
    assert (adjusted[compatible] == widths[compatible]).all()
    assert (REGNET.widths(network, adjusted) == adjusted).all()


@pytest.mark.parametrize("rule", ["pycls", "free"])
@pytest.mark.parametrize("name", ["regnetx_016", "regnety_160"])
def test_every_scaled_width_can_be_built_and_counted(name, rule):
    network = base(name)
    rng = np.random.default_rng(1)
    multipliers = rng.uniform(0.1, 2.0, (2, 100, 4))
    for scaled in (
        scale(network, rule_named(rule), np.full(100, 224), *multipliers[:, :, 0]),
        scale_stages(network, rule_named(rule), np.full(100, 224), *multipliers),
    ):
        cost = complexity(name, widths=scaled.widths, depths=scaled.depths)  # refuses what cannot be built
        assert len(cost.macs) == 100
        for width in np.unique(scaled.widths).tolist():
            group = min(network.stages[0].group_width, width)
            torch.nn.Conv2d(width, width, 3, groups=width // group, device="meta")
            assert width % group == 0


@pytest.mark.parametrize("name", PARAMETERS)
def test_multipliers_of_one_leave_the_base_network(name):
    network = base(name)
    for rule in ("pycls", "free"):
        assert scale(network, rule_named(rule), 224)[0] == network.architecture()


def test_the_pycls_rule_rounds_as_pycls_scaler_does():
    rule = rule_named("pycls")
    assert base("regnetx_002").rule == "pycls"
    r = np.random.default_rng(2).uniform(0.2, 3.0, 500)
    assert rule.pixels(224, r).tolist() == [round(224 * one / 4) * 4 for one in r.tolist()]
    # 1.1 * 7 = 7.7 blocks; 152 * 0.56 = 85.1 channels, and 24 * 0.4 = 9.6 stay at 8, which the guard would raise.
    scaled = scale(base("regnetx_002"), rule, 224, depth=1.1, width=[0.56, 0.4])
    assert (scaled[0].depths, scaled[0].widths[2], scaled[0].stem) == ((1, 1, 4, 8), 88, 16)
    assert scaled[1].widths[0] == 8


@pytest.mark.parametrize("wrong", [(0, 24, 36.0, 2.5), (13, 20, 36.0, 2.5), (13, 24, -1.0, 2.5), (13, 24, 36.0, 1.0)])
def test_parameters_outside_their_range_are_refused(wrong):
    depth, w0, wa, wm = wrong
    with pytest.raises(InputError, match=rf"got depth={depth}, w0={w0}, wa={wa:g}, wm={wm:g}$"):
        quantised_linear(*wrong)


# 63 would build, silently, as 7 groups of 9.
@pytest.mark.parametrize(("width", "nearest"), [(60, 64), (63, 64), (57, 56)])
def test_widths_that_do_not_divide_into_groups_are_refused(width, nearest):
    words = rf"width {width} of stage 2 of regnetx_002 is not a multiple of its group width 8; the nearest is {nearest}"
    with pytest.raises(InputError, match=words):
        complexity("regnetx_002", widths=[[24, 56, 152, 368], [24, width, 152, 368]])
    with pytest.raises(InputError, match=words):
        build(Architecture("regnetx_002", 224, 32, (24, width, 152, 368), (1, 1, 4, 7), 0))


def test_inputs_too_narrow_for_squeeze_excite_are_refused():
    with pytest.raises(InputError, match="2 input channels leave squeeze-excite none at ratio 0.25"):
        complexity("regnety_002", widths=[2, 56, 152, 368])
    assert complexity("regnetx_002", widths=[2, 56, 152, 368]).macs > 0
    assert complexity("regnety_002", widths=[3, 56, 152, 368]).macs > 0
