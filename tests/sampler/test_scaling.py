"""Every rule turns multipliers into the integers its definition says."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from sampler import RULES, InputError, base, rule_named, scale
from sampler.scaling import effective_multipliers, scale_stages

B0 = base("efficientnet_b0")
WIDTHS = (16, 24, 40, 80, 112, 192, 320)
DEPTHS = (1, 2, 2, 3, 3, 4, 1)
STEM, HEAD = 32, 1280


def make_divisible(v):
    """TensorFlow's: the nearest multiple of 8, at least 8, and one up when that loses more than a tenth."""
    new = max(8, int(v + 4) // 8 * 8)
    return new + 8 if new < 0.9 * v else new


def nearest_integer(v):
    """The free rule's: halves up, and three channels at least."""
    return max(3, int(v + 0.5))


def nearest_eight(v):
    """Without the guard against losing more than a tenth."""
    return max(8, int(v + 4) // 8 * 8)


def nearest_four(v):
    """GhostNet's: TensorFlow's with 4."""
    new = max(4, int(v + 2) // 4 * 4)
    return new + 4 if new < 0.9 * v else new


CHANNELS = {
    "efficientnet": make_divisible,
    "inverse": make_divisible,
    "tinynet": make_divisible,
    "lite": make_divisible,
    "efficientnetv2": nearest_eight,
    "mobilenetv2": make_divisible,
    "mobilenetv3": make_divisible,
    "mnasnet": make_divisible,
    "pycls": nearest_eight,
    "anynet": nearest_eight,
    "ghost": nearest_four,
    "free": nearest_integer,
}
UP = ("efficientnet", "lite", "efficientnetv2", "mobilenetv2", "mobilenetv3", "mnasnet")
BLOCKS = {rule: math.ceil if rule in UP else round for rule in CHANNELS}
FIXED_STEM = ("tinynet", "lite", "anynet")
FIXED_HEAD = ("lite", "mobilenetv3", "mnasnet")
HEAD_NEVER_BELOW = ("tinynet", "mobilenetv2")


def by_definition(rule, d, w):
    """Stem, widths, depths and head of a scaled EfficientNet-B0, in plain Python."""
    channels = CHANNELS[rule]
    head = HEAD if rule in FIXED_HEAD else channels(HEAD * w)
    stem = STEM if rule in FIXED_STEM else channels(STEM * w)
    blocks = [max(1, BLOCKS[rule](depth * d)) for depth in DEPTHS]
    if rule == "lite":  # the released code leaves the first and the last stage alone
        blocks[0], blocks[-1] = DEPTHS[0], DEPTHS[-1]
    return (
        max(STEM, stem) if rule == "mobilenetv3" else stem,
        tuple(channels(width * w) for width in WIDTHS),
        tuple(blocks),
        max(HEAD, head) if rule in HEAD_NEVER_BELOW else head,
    )


def multipliers(seed, n):
    """Half spread over orders of magnitude, half with two decimals, as papers print them (and so with halves)."""
    rng = np.random.default_rng(seed)
    spread = np.exp(rng.uniform(np.log(0.01), np.log(50.0), (n // 2, 2)))
    return np.concatenate([spread, rng.integers(1, 400, (n - n // 2, 2)) / 100])


def test_the_rules_are_those_that_are_defined_here():
    assert set(RULES) == set(CHANNELS)
    assert all(rule_named(name).name == name for name in CHANNELS)


@pytest.mark.parametrize("rule", CHANNELS)
def test_scaled_integers_agree_with_the_definition_for_random_multipliers(rule):
    d, w = multipliers(seed=1, n=2000).T
    scaled = scale(B0, rule_named(rule), 224, depth=d, width=w)
    for row, one in enumerate(scaled):
        got = (one.stem, one.widths, one.depths, one.head)
        assert got == by_definition(rule, float(d[row]), float(w[row])), (d[row], w[row])
        assert (one.base, one.resolution) == ("efficientnet_b0", 224)


@pytest.mark.parametrize("rule", CHANNELS)
def test_stages_scaled_one_by_one_agree_with_the_definition(rule):
    rng = np.random.default_rng(2)
    d, w = rng.integers(5, 400, (2, 300, 7)) / 100
    scaled = scale_stages(B0, rule_named(rule), np.full(300, 224), d, w)
    for row, one in enumerate(scaled):
        alone = [by_definition(rule, float(d[row, i]), float(w[row, i])) for i in range(7)]
        assert one.stem == alone[0][0]
        assert one.widths == tuple(alone[i][1][i] for i in range(7))
        assert one.depths == tuple(alone[i][2][i] for i in range(7))
        assert one.head == alone[6][3]


@pytest.mark.parametrize("rule", CHANNELS)
def test_stages_scaled_alike_are_the_uniform_architecture(rule):
    d, w = multipliers(seed=3, n=200).T
    uniform = scale(B0, rule_named(rule), 224, d, w)
    stages = scale_stages(B0, rule_named(rule), np.full(200, 224), np.tile(d, (7, 1)).T, np.tile(w, (7, 1)).T)
    assert stages.integers().tolist() == uniform.integers().tolist()


@pytest.mark.parametrize("rule", CHANNELS)
def test_multipliers_of_one_give_the_base_network_itself(rule):
    assert scale(B0, rule_named(rule), 224)[0] == B0.architecture()


@pytest.mark.parametrize("rule", ["efficientnet", "inverse", "tinynet"])
def test_widths_of_eights_never_lose_more_than_a_tenth(rule):
    w = np.linspace(0.5, 5.0, 4000)
    for width in WIDTHS:
        channels = RULES[rule].channels(width, w)
        assert (channels % 8 == 0).all()
        assert (channels >= 0.9 * width * w).all()
        assert (np.diff(channels) >= 0).all()


def test_the_guard_lifts_a_width_that_rounding_cut_by_more_than_a_tenth():
    guarded, plain = rule_named("efficientnet"), replace(rule_named("efficientnet"), guard=False)
    w = np.array([8.8, 8.95, 11.9]) / 16
    assert plain.channels(16, w).tolist() == [8, 8, 8]
    assert guarded.channels(16, w).tolist() == [8, 16, 16]


def test_depth_is_ceiled_by_efficientnet_and_rounded_half_to_even_by_the_others():
    d = np.array([0.01, 0.5, 0.75, 1.0, 1.25, 1.5, 1.01])
    assert rule_named("efficientnet").blocks(2, d).tolist() == [1, 1, 2, 2, 3, 3, 3]
    for name in ("inverse", "tinynet", "free"):
        assert rule_named(name).blocks(2, d).tolist() == [1, 1, 2, 2, 2, 3, 2]


@pytest.mark.parametrize(
    ("rule", "stem", "head"),
    [
        ("efficientnet", [16, 32, 64], [640, 1280, 2560]),
        ("inverse", [16, 32, 64], [640, 1280, 2560]),
        ("free", [16, 32, 64], [640, 1280, 2560]),
        ("tinynet", [32, 32, 32], [1280, 1280, 2560]),
    ],
)
def test_stem_and_head_follow_the_width_or_stay_as_the_rule_says(rule, stem, head):
    scaled = scale(B0, rule_named(rule), 224, width=[0.5, 1.0, 2.0])
    assert scaled.stem.tolist() == stem
    assert scaled.head.tolist() == head


def test_a_fixed_head_stays_at_its_base_size():
    fixed = replace(rule_named("efficientnet"), head="fixed")
    assert scale(B0, fixed, 224, width=[0.5, 1.0, 2.0]).head.tolist() == [1280, 1280, 1280]


@pytest.mark.parametrize("base_resolution", [192, 224])
def test_resolution_multipliers_give_the_floor_or_the_nearest_of_the_decimal_product(base_resolution):
    # Exact decimal arithmetic, so that 0.86 * 50 is 43 and not 42.999..; no product here is a half.
    thousandths = [k for k in range(100, 4000) if (k * base_resolution * 2) % 2000 != 1000]
    exact = [Fraction(k, 1000) * base_resolution for k in thousandths]
    r = np.array(thousandths) / 1000
    assert rule_named("tinynet").pixels(base_resolution, r).tolist() == [math.floor(one) for one in exact]
    for name in ("efficientnet", "inverse", "free"):
        assert rule_named(name).pixels(base_resolution, r).tolist() == [round(one) for one in exact]


def test_a_product_that_is_whole_on_paper_loses_no_pixel_to_the_floor():
    assert 0.29 * 100 < 29
    assert rule_named("tinynet").pixels(100, [0.29, 0.57, 0.58]).tolist() == [29, 57, 58]


def test_arguments_are_broadcast_and_multipliers_kept_as_given():
    scaled = scale(B0, rule_named("tinynet"), [112, 224, 448], depth=1.1, width=[0.5, 0.75, 1.0])
    assert scaled.multipliers.tolist() == [[0.5, 1.1, 0.5], [1.0, 1.1, 0.75], [2.0, 1.1, 1.0]]
    assert [one.resolution for one in scaled] == [112, 224, 448]
    assert len(scale(B0, rule_named("tinynet"), 224, width=[0.5, 0.75])) == 2


def test_effective_multipliers_are_total_blocks_and_the_geometric_mean_of_widths():
    doubled = tuple(2 * width for width in WIDTHS[:6]) + (320 * 16,)
    r, d, w = effective_multipliers(B0, np.array([112]), np.array([[2, 4, 4, 6, 6, 8, 2]]), np.array([doubled]))[0]
    assert (r, d) == (0.5, 2.0)
    assert w == pytest.approx(2 ** (6 / 7) * 16 ** (1 / 7), rel=1e-12)


def test_an_unknown_rule_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"scaling rule 'efficentnet' is unknown; known rules: efficientnet, inverse"):
        rule_named("efficentnet")


BAD = {"nan": np.nan, "0": 0.0, "-1": -1.0, "inf": np.inf, "-inf": -np.inf, r"1e\+30": 1e30, "1000.1": 1000.1}


@pytest.mark.parametrize("words", BAD)
@pytest.mark.parametrize("name", ["depth", "width"])
def test_an_impossible_multiplier_is_refused_by_name_and_value(name, words):
    refusal = rf"the {name} multiplier must lie in \(0, 1000\], got {words}$"
    for values in (BAD[words], [1.0, BAD[words], 2.0]):
        with pytest.raises(InputError, match=refusal):
            scale(B0, rule_named("efficientnet"), 224, **{name: values})
    with pytest.raises(InputError, match=refusal):
        stages = {"depths": np.ones((2, 7)), "widths": np.ones((2, 7))}
        stages[name + "s"][1, 4] = BAD[words]
        scale_stages(B0, rule_named("efficientnet"), [224, 224], **stages)


@pytest.mark.parametrize("words", BAD)
def test_an_impossible_resolution_multiplier_is_refused_by_name_and_value(words):
    with pytest.raises(InputError, match=rf"the resolution multiplier must lie in \(0, 1000\], got {words}$"):
        rule_named("tinynet").pixels(224, [1.0, BAD[words]])
