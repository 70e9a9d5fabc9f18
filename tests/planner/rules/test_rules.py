"""Published rules give published networks, come as near a budget as rounding lets them, and within 1 % when nudged."""

import math

import numpy as np
import pytest

from planner.answers.formula import Formula
from planner.errors import PlannerError
from planner.formulas.coefficients import EFFICIENTNET, Coefficients, coefficients
from planner.rules import METHODS, at_budget, by_factor, compound
from planner.rules.quantised import DEPTH_EXPONENT, published, quantised_family, scaled_group_widths, scaled_parameters
from planner.rules.rays import FAST_SCALING, SLOW_RESOLUTION, compound_ray, pycls_ray, resnet_rs_ray
from planner.rules.rule import rule_of
from planner.rules.staircase import nearest, uniform_family
from sampler import InputError, architecture_complexity, base, rule_named
from sampler.complexity import base_macs, complexity, count
from sampler.counters import others
from sampler.families.regnet import X_PARAMETERS, Y_PARAMETERS

B0_MACS = 385_814_752
REGNETS = [*X_PARAMETERS, *Y_PARAMETERS]
# GFLOPs (two per MAC) and pixels of ResNet-RS-152, 200, 270, 350, 350 and 420: Bello et al. 2021, the largest six.
RESNET_RS = ((31, 256), (41, 256), (54, 256), (69, 256), (107, 320), (128, 320))


def slope(x, y):
    return np.polyfit(np.log(x), np.log(y), 1)[0]


def test_fast_scaling_of_b0_by_two_is_pycls_network():
    found = by_factor("fast", "efficientnet_b0", 2)
    one = found.architecture
    assert (one.stem, one.head, one.resolution) == (40, 1688, 232)
    assert one.depths == (1, 2, 2, 3, 3, 4, 1)
    assert one.widths == (24, 32, 56, 104, 144, 256, 424)
    # pycls also counts the adds of biases, of squeeze-excite's layers and of the classifier, as ptflops does.
    squeeze_excite = sum(
        times * (round(hidden * 0.25 / expansion) + hidden) for times, hidden, expansion in squeezed(one)
    )
    assert found.macs == 781_816_464
    assert found.macs + squeeze_excite + 1000 == 781_829_814
    assert {said.tool: said.value for said in others(one)}["ptflops (backend aten)"] == 781_829_814


def squeezed(one):
    """How often there is a block of so many hidden channels and such an expansion, in an EfficientNet."""
    for index, (stage, width, depth) in enumerate(zip(base(one.base).stages, one.widths, one.depths, strict=True)):
        before = one.widths[index - 1] if index else one.stem
        yield 1, int(before * stage.expansion), stage.expansion
        yield depth - 1, int(width * stage.expansion), stage.expansion


@pytest.mark.parametrize(("scale", "quoted"), [(1.8, (1.06, 1.27, 1.03)), (2.3, (1.09, 1.40, 1.04))])
def test_fast_scaling_has_the_multipliers_that_rbis_quotes(scale, quoted):
    r, d, w = pycls_ray(FAST_SCALING).at(np.array([scale]))
    assert tuple(round(float(one[0]), 2) for one in (d, w, r)) == quoted


def test_a_pycls_string_can_be_spelled_in_several_ways():
    assert pycls_ray("d1w8g8r1") == pycls_ray("d1_w8_g8_r1") == pycls_ray("r2_d2_g16_w16")
    assert pycls_ray("dwr") == pycls_ray("d1_w1_r1_g0")
    assert by_factor("dWr", "efficientnet_b0", 3).architecture == by_factor("fast", "efficientnet_b0", 3).architecture
    assert pycls_ray("width") is None and pycls_ray("d1_x2") is None and pycls_ray("") is None


@pytest.mark.parametrize("method", ["d1_w8_g8_r1", "d1_w2_r3", "dw", "r", "d0.5_w4"])
@pytest.mark.parametrize("scale", [0.27, 0.61, 1.7, 5.3])
def test_a_pycls_string_scales_and_rounds_as_pycls_does(method, scale):
    e = dict.fromkeys("dwr", 0.0)
    e |= {"d1_w8_g8_r1": {"d": 0.1, "w": 0.8, "r": 0.1}, "d1_w2_r3": {"d": 1 / 6, "w": 1 / 3, "r": 1 / 2}}.get(
        method, {"dw": {"d": 0.5, "w": 0.5}, "r": {"r": 1.0}, "d0.5_w4": {"d": 1 / 9, "w": 8 / 9}}.get(method)
    )
    d, w, r = scale ** e["d"], scale ** (e["w"] / 2), scale ** (e["r"] / 2)
    network, one = base("efficientnet_b0"), by_factor(method, "efficientnet_b0", scale).architecture
    assert one.depths == tuple(max(1, round(depth * d)) for depth in network.depths)
    assert one.widths == tuple(max(1, round(width * w / 8)) * 8 for width in network.widths)
    assert (one.stem, one.head) == tuple(max(1, round(width * w / 8)) * 8 for width in (network.stem, network.head))
    assert one.resolution == round(224 * r / 4) * 4


def test_a_pycls_string_leaves_the_stem_of_a_network_without_head_convolution_alone():
    found = by_factor("fast", "regnety_016", 2)
    assert (found.rule, found.architecture.stem) == ("anynet", 32)


def test_fast_scaling_of_a_regnet_scales_its_group_widths_as_pycls_does():
    found = by_factor("fast", "regnety_040", 4)
    one = found.architecture
    assert (one.depths, one.widths) == ((2, 7, 14, 2), (224, 336, 896, 1904))  # pycls' scaler, at 4 times
    assert one.knob("group_width") == (112,) * 4 and one.resolution == 240
    assert found.notes == ("group widths are 112 112 112 112 instead of 64 64 64 64",)
    assert found.as_dict()["knobs"] == {"group_width": [112] * 4}
    assert scaled_group_widths(base("regnety_016"), 2**0.4) == [32] * 4
    plain = by_factor("d1_w8_r1", "regnety_040", 4)
    assert plain.notes == () and not plain.architecture.knobs and "knobs" not in plain.as_dict()
    assert not by_factor("fast", "efficientnet_b0", 4).architecture.knobs


@pytest.mark.parametrize("name", ["regnetx_002", "regnety_320"])
def test_fast_scaling_of_a_regnet_meets_budgets_with_whole_groups_and_its_own_budget_with_itself(name):
    assert at_budget("fast", name, base_macs(name, 224, 1000)).architecture == base(name).architecture()
    for share in (0.3, 1.1, 2.3):
        found = at_budget("fast", name, share * base_macs(name, 224, 1000))
        one = found.architecture
        groups = one.knob("group_width") or tuple(stage.group_width for stage in base(name).stages)
        assert all(width % min(width, group) == 0 for width, group in zip(one.widths, groups, strict=True))
        assert abs(found.error) <= 0.01 and found.macs == architecture_complexity(one).macs
        if found.pure is not None:
            assert found.pure.architecture.knobs == one.knobs


def test_compound_scaling_by_one_and_two_phi_has_the_stages_of_b2_and_b3():
    one, two, three = (by_factor("compound", "efficientnet_b0", 2.0**phi) for phi in (1, 2, 3))
    for found, name in ((one, "efficientnet_b2"), (two, "efficientnet_b3")):
        assert (found.architecture.widths, found.architecture.depths) == (base(name).widths, base(name).depths)
    # The published resolutions are a table, not gamma^phi: B2 has 260 px where gamma gives 257.6.
    assert [found.architecture.resolution for found in (one, two, three)] == [258, 296, 341]
    assert complexity("efficientnet_b0", resolution=260, width=1.1, depth=1.2, rule="efficientnet").macs == 993_561_872
    assert [round(found.macs / B0_MACS, 2) for found in (one, two, three)] == [2.57, 4.69, 8.43]
    assert [found.parameters["phi"] for found in (one, two, three)] == pytest.approx([1, 2, 3])


def test_compound_scaling_by_half_is_its_inverse_with_depths_to_nearest():
    found = by_factor("compound", "efficientnet_b0", 0.5)
    assert (found.r, found.d, found.w) == (pytest.approx(195 / 224), pytest.approx(1 / 1.2), pytest.approx(1 / 1.1))
    assert (found.rule, found.parameters["phi"]) == ("inverse", pytest.approx(-1))
    assert found.architecture.depths == tuple(max(1, round(depth / 1.2)) for depth in base("efficientnet_b0").depths)


def test_compound_scaling_of_fused_blocks_grows_to_the_published_stages():
    # EfficientNetV2-B2 has width 1.1, depth 1.2 (and 260 px).
    found = by_factor("compound", "efficientnetv2_b0", 2)
    assert found.rule == "efficientnetv2"
    assert found.architecture.widths == (16, 32, 56, 104, 120, 208)
    assert found.architecture.depths == (2, 3, 3, 4, 6, 10)
    assert (found.architecture.stem, found.architecture.head) == (32, 1408)


@pytest.mark.parametrize("method", [*METHODS, FAST_SCALING, "dr", "d3w1"])
@pytest.mark.parametrize(("name", "share"), [("efficientnet_b0", 0.3), ("regnety_008", 2.2), ("resnet18", 4.0)])
def test_every_method_meets_a_budget_and_keeps_its_own_answer(method, name, share):
    if method == "regnet" and not name.startswith("regnet"):
        return
    budget = share * base_macs(name, base(name).resolution, 1000)
    found = at_budget(method, name, budget)
    cost = architecture_complexity(found.architecture)
    assert (found.macs, found.params) == (cost.macs, cost.params)
    assert found.error == pytest.approx(cost.macs / budget - 1) and abs(found.error) <= 0.01
    own = at_budget(method, name, budget, exact=False)
    assert own.pure is None and not own.nudges()
    if found.pure is None:
        assert found == own
    elif method == "compound":  # resolution and depth at the budget's share, whatever its own rounded network costs
        assert found.pure == own and found.architecture != own.architecture
    else:
        assert found.pure == own and abs(own.error) > 0.01
        assert found.nudges()[0] == f"width x {found.w:.3f} instead of {own.w:.3f}"
        assert found.architecture.depths == own.architecture.depths


@pytest.mark.parametrize("method", [one for one in METHODS if one not in ("tinynet", "regnet")])
def test_the_scale_is_the_one_whose_rounded_network_is_nearest_the_budget(method):
    for share in (0.4, 1.7):
        rule = rule_of(method, base("efficientnet_b0"), share)
        budget = share * B0_MACS
        s, one, macs = nearest(rule.family, budget, share, 1000)
        every = count(rule.family(np.geomspace(*sorted((1, 64 * share if share > 1 else share / 64)), 40_000))[1]).macs
        assert abs(macs / budget - 1) <= np.abs(every / budget - 1).min() + 1e-12
        assert rule.family(np.array([s]))[1][0] == one


def test_the_budget_of_a_rules_own_network_gives_that_network_back():
    for factor in (0.4, 2.0, 3.3):
        own = by_factor("fast", "efficientnet_b0", factor)
        found = at_budget("fast", "efficientnet_b0", own.macs)
        assert (found.architecture, found.error, found.pure) == (own.architecture, 0.0, None)


@pytest.mark.parametrize(
    ("name", "share", "resolution", "classes"),
    [
        *(("efficientnet_b0", share, 90, 20) for share in (0.0216, 0.0431, 0.0862)),  # the reference study's budgets
        ("efficientnet_b0", 4.0, None, 1000),
        ("resnet50", 0.3, None, 1000),
        ("regnety_008", 0.4, None, 1000),
        ("mobilenetv3_large_100", 0.5, None, 1000),
    ],
)
def test_there_is_one_compound_scaling_at_a_budget(name, share, resolution, classes):
    """What `predict` puts beside a formula is what `compare`, `scale` and the report call compound."""
    formula = compound(name, resolution, classes)
    budget = share * formula.base_macs
    found, beside = at_budget("compound", name, budget, resolution, classes), formula.predict(budget, extrapolate=True)
    assert found.architecture == beside.architecture
    assert (found.r, found.d, found.w) == (beside.r, beside.d, beside.w)
    exact = share**0.2143 * formula.resolution  # ln 1.15 / ln 1.92
    assert found.architecture.resolution == pytest.approx(exact, rel=0.06)


@pytest.mark.parametrize("method", ["compound", "fast", "resnet-rs", "width", "depth", "resolution"])
def test_the_base_networks_own_budget_gives_the_base_network(method):
    found = at_budget(method, "efficientnet_b0", B0_MACS)
    assert found.architecture == base("efficientnet_b0").architecture()
    assert (found.r, found.d, found.w, found.error) == (1.0, 1.0, 1.0, 0.0)


@pytest.mark.parametrize(("method", "moves"), [("width", "w"), ("depth", "d"), ("resolution", "r")])
def test_a_rule_of_one_dimension_moves_nothing_else(method, moves):
    found = by_factor(method, "efficientnet_b0", 2)
    assert {name for name in "rdw" if getattr(found, name) != 1} == {moves}
    assert getattr(found, moves) == pytest.approx(2.0 if moves == "d" else math.sqrt(2), rel=0.005)


def test_depth_alone_ends_at_one_block_per_stage_and_width_does_the_rest():
    found = at_budget("depth", "efficientnet_b0", 100e6)
    assert found.pure.architecture.depths == found.architecture.depths == (1,) * 7
    assert found.pure.error > 0.5 and found.w < 1 == found.pure.w and abs(found.error) <= 0.01


def test_resnet_rs_deepens_for_long_schedules_and_widens_for_short_ones():
    long, short = (by_factor("resnet-rs", "resnet50", 4, epochs=epochs) for epochs in (100, 99))
    assert (long.w, short.d) == (1.0, 1.0) and long.d > 2 and short.w > 1.5
    assert long.r == short.r < compound_ray(EFFICIENTNET).at(np.array([4.0]))[0][0]
    assert by_factor("resnet-rs", "resnet50", 4).architecture == long.architecture
    assert slope(*zip(*RESNET_RS, strict=True)) == pytest.approx(SLOW_RESOLUTION, abs=0.005)


@pytest.mark.parametrize(
    "ray", [compound_ray(EFFICIENTNET), resnet_rs_ray(10), resnet_rs_ray(350), pycls_ray(FAST_SCALING)]
)
def test_a_rays_ideal_cost_is_its_scale(ray):
    r, d, w = ray.at(np.array([0.2, 7.0]))
    assert r**2 * d * w**2 == pytest.approx([0.2, 7.0])


@pytest.mark.parametrize("name", REGNETS)
def test_a_regnet_at_scale_one_is_the_published_network(name):
    scales, found = quantised_family(base(name), np.array([1.0]))
    assert scales.tolist() == [1.0] and found[0] == base(name).architecture()


def test_scaled_regnets_keep_the_linear_rule_and_grow_as_the_published_ones_did():
    start, bigger = published(base("regnety_016")), scaled_parameters(published(base("regnety_016")), 6.0)
    w = 6.0 ** ((1 - DEPTH_EXPONENT) / 2)
    assert (bigger.depth, bigger.wm) == (round(27 * 6**DEPTH_EXPONENT), start.wm)
    assert bigger.w0 == round(48 * w / 8) * 8
    assert bigger.wa * (bigger.depth - 1) == pytest.approx(start.wa * (start.depth - 1) * w)
    macs = [complexity(name).macs for name in REGNETS]
    parameters = [published(base(name)) for name in REGNETS]
    assert slope(macs, [one.depth for one in parameters]) == pytest.approx(DEPTH_EXPONENT, abs=0.005)
    assert slope(macs, [one.w0 for one in parameters]) == pytest.approx((1 - DEPTH_EXPONENT) / 2, abs=0.005)


def test_a_regnet_at_a_budget_has_whole_groups_and_its_stages():
    network = base("regnety_016")
    for share in (0.4, 0.7, 2.5, 6.0):
        found = at_budget("regnet", "regnety_016", share * base_macs("regnety_016", 224, 1000))
        one = found.architecture
        assert len(one.widths) == 4 and all(width % min(24, width) == 0 for width in one.widths)
        assert list(one.widths) == sorted(one.widths) and (one.stem, one.head) == (network.stem, 0)
        own = one if found.pure is None else found.pure.architecture
        assert sum(own.depths) == found.parameters["depth"] == round(27 * found.d)


def test_tinynet_is_the_shipped_formula_beside_its_closed_form(shipped):
    found = at_budget("tinynet", "efficientnet_b0", 50e6)
    assert found.architecture == shipped.predict(50e6).architecture
    c = 50e6 / B0_MACS
    pure = found.pure
    assert pure.w == pytest.approx(math.sqrt(c / (float(shipped.branch(c).r(c)[0]) ** 2 * pure.d)))
    assert pure.error > 0.2  # the paper's eq. 5 overshoots small budgets: stem and head do not shrink
    assert at_budget("tinynet", "efficientnet_b0", 50e6, exact=False).architecture == pure.architecture
    assert by_factor("tinynet", "efficientnet_b0", c).architecture == found.architecture


def test_a_formula_of_another_network_is_copied_only_where_it_ships():
    found = at_budget("tinynet", "resnet50", 1e9)
    assert found.notes == ("learned on efficientnet_b0; resnet50 copies its r and d, as one copies compound scaling",)
    with pytest.raises(PlannerError, match="for efficientnet_b0, not for resnet50"):
        at_budget("tinynet", "resnet50", 1e9, formula=compound("efficientnet_b0"))
    assert "outside" in at_budget("tinynet", "efficientnet_b0", 5e6).notes[0]


def test_any_formula_file_answers_for_its_own_network(tmp_path):
    Formula.of(compound("resnet18")).save(tmp_path / "f.json")
    formula = Formula.load(tmp_path / "f.json")
    found = at_budget("tinynet", "resnet18", 1e9, 160, 10, formula=formula)
    assert found.architecture == formula.at(160, 10).predict(1e9).architecture and found.classes == 10


def test_a_compound_formula_gives_its_constants(shipped):
    formula = compound("efficientnet_b0")
    found = by_factor("compound", "resnet50", 2, formula=formula)
    known = coefficients(formula.branches["enlarge"].r.far_exponent, formula.branches["enlarge"].d.far_exponent)
    assert (found.d, found.w) == (pytest.approx(known.alpha), pytest.approx(known.beta))
    assert found.parameters == pytest.approx({**known.as_dict(), "phi": 1.0})
    with pytest.raises(PlannerError, match=f"of kind {shipped.kind}.*--kind compound"):
        by_factor("compound", "resnet50", 2, formula=shipped)


def test_resolution_classes_and_rounding_are_the_callers():
    found = at_budget("compound", "efficientnet_b0", 20e6, 96, 10, rule="free")
    assert found.rule == "free" and found.r == found.architecture.resolution / 96
    assert found.macs == architecture_complexity(found.architecture, 10).macs
    own = at_budget("compound", "efficientnet_b0", 20e6, 96, 10, exact=False)
    assert own.architecture.resolution == rule_named("inverse").pixels(96, 1.15 ** own.parameters["phi"])[0]


def test_a_family_never_leaves_what_can_be_built():
    for method in (FAST_SCALING, "d", "w", "r"):
        family = uniform_family(base("regnety_320"), rule_named("anynet"), pycls_ray(method))
        tiny = count(family(np.array([1e-9, 1e-3]))[1]).macs
        assert (tiny > 0).all()
        assert family(np.array([1e9]))[1].integers().min() >= 0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("other", "efficientnet_b0", 2e8), {}, "method 'other' is unknown; known: compound, fast"),
        (("d1_d2", "efficientnet_b0", 2e8), {}, "names a dimension twice"),
        (("g", "efficientnet_b0", 2e8), {}, "scales nothing"),
        (("d0", "efficientnet_b0", 2e8), {}, "scales nothing"),
        (("regnet", "resnet50", 1e9), {}, "resnet50 is none"),
        (("depth", "efficientnet_b0", 2e8), {"epochs": 9}, "depth does not take a number of epochs"),
        (("fast", "efficientnet_b0", 2e8), {"factors": EFFICIENTNET}, "fast does not take alpha, beta and gamma"),
        (("regnet", "regnetx_002", 2e8), {"rule": "free"}, "leave the rule out"),
        (("compound", "efficientnet_b0", 2e8), {"factors": Coefficients(0.9, 1.1, 1.1)}, "alpha must be at least 1"),
        (("compound", "efficientnet_b0", 2e8), {"factors": Coefficients(1, 1, 1)}, "scales nothing"),
        (("fast", "efficientnet_b0", 1e13), {}, "times efficientnet_b0's at 224 px"),
        (("fast", "nonsense", 2e8), {}, "base network 'nonsense' is unknown"),
        (("fast", "efficientnet_b0", 2e8, 16), {}, "below efficientnet_b0's stride"),
    ],
)
def test_what_cannot_be_scaled_is_refused_in_one_line(arguments, options, message):
    with pytest.raises(InputError, match=message) as error:
        at_budget(*arguments, **options)
    assert "\n" not in str(error.value)
