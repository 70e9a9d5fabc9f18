"""The solved width costs the budget: compared with every architecture that any width gives."""

import itertools
from functools import cache

import numpy as np
import pytest

from sampler import RULES, InputError, architecture_complexity, base, rule_named, scale, solve_width
from sampler.complexity import complexity, count
from sampler.solve import width_brackets

B0 = base("efficientnet_b0")
WIDTHS = (16, 24, 40, 80, 112, 192, 320)
LAYERS = (32, *WIDTHS, 1280)
WIDEST = 4.0

# Resolution, depth multiplier, MACs, widths and rule: shared/reference/published_efficientnet.csv.
PUBLISHED = {
    "tinynet_a": (192, 1.2, 336867712, (16, 24, 40, 80, 112, 192, 320), "tinynet"),
    "tinynet_b": (188, 1.1, 200709360, (16, 24, 32, 64, 88, 144, 240), "tinynet"),
    "tinynet_c": (184, 0.85, 99536432, (8, 16, 24, 40, 64, 104, 176), "tinynet"),
    "tinynet_d": (152, 0.695, 51580656, (8, 16, 24, 40, 64, 104, 176), "tinynet"),
    "tinynet_e": (106, 0.6, 24356848, (8, 16, 24, 40, 56, 96, 160), "tinynet"),
    "efficientnet_b-1": (192, 0.8, 199729792, (16, 24, 40, 72, 96, 168, 288), "inverse"),
    "efficientnet_b0": (224, 1.0, 385814752, (16, 24, 40, 80, 112, 192, 320), "efficientnet"),
    "efficientnet_b1": (240, 1.1, 686802832, (16, 24, 40, 80, 112, 192, 320), "efficientnet"),
    "efficientnet_b2": (260, 1.2, 993561872, (16, 24, 48, 88, 120, 208, 352), "efficientnet"),
    "efficientnet_b3": (300, 1.4, 1827141392, (24, 32, 48, 96, 136, 232, 384), "efficientnet"),
    "efficientnet_b4": (380, 1.8, 4393771024, (24, 32, 56, 112, 160, 272, 448), "efficientnet"),
    "efficientnet_b5": (456, 2.2, 10266384752, (24, 40, 64, 128, 176, 304, 512), "efficientnet"),
    "efficientnet_b6": (528, 2.6, 19067593536, (32, 40, 72, 144, 200, 344, 576), "efficientnet"),
    "efficientnet_b7": (600, 3.1, 37745884192, (32, 48, 80, 160, 224, 384, 640), "efficientnet"),
}


@cache
def width_steps(rule):
    """One width multiplier between every two at which some layer's channels change: all architectures there are."""
    steps = set()
    for layer in LAYERS:
        if rule == "free":
            steps |= {(channels + 0.5) / layer for channels in range(int(WIDEST * layer) + 1)}
        else:
            unit = 4 if rule == "ghost" else 8
            channels = range(0, int(WIDEST * layer) + unit, unit)
            steps |= {(one + unit / 2) / layer for one in channels} | {one / 0.9 / layer for one in channels}
    steps = np.array(sorted({1e-3, *(step for step in steps if 1e-3 < step < WIDEST)}))
    middles = (steps[1:] + steps[:-1]) / 2
    return middles[np.diff(steps) > 1e-9]


def all_macs(rule, sides, depth):
    """`(len(sides), k)` MACs of every architecture that any width up to `WIDEST` gives at each side."""
    w = width_steps(rule)
    grid = np.array(list(itertools.product(sides, w)))
    scaled = scale(B0, rule_named(rule), grid[:, 0].astype(int), depth, grid[:, 1])
    return count(scaled).macs.reshape(len(sides), len(w))


@cache
def answers(rule, n=8):
    """Random questions and what is answered: an architecture, or the words of the refusal."""
    rng = np.random.default_rng(len(rule))
    asked = []
    for _ in range(n):
        resolution, depth = int(rng.integers(48, 360)), float(rng.uniform(0.35, 2.8))
        budget = float(np.exp(rng.uniform(np.log(2e7), np.log(2e9))))
        try:
            answer = solve_width(B0, rule_named(rule), resolution, depth, budget)
        except InputError as error:
            answer = str(error)
        asked.append((resolution, depth, budget, answer))
    return asked


@pytest.mark.parametrize("rule", RULES)
def test_the_solved_architecture_is_within_a_percent_and_below_the_budget_wherever_it_can_be(rule):
    solved = 0
    for resolution, depth, budget, answer in answers(rule):
        # The free rule has thousands of widths at each resolution: every seventh resolution will do.
        step = 7 if rule == "free" else 2
        near = [
            side
            for move in range(0, int(0.08 * resolution) + 1, step)
            for side in (resolution + move, resolution - move)
        ]
        ratios = all_macs(rule, [side for side in near if side >= 32], depth) / budget
        if isinstance(answer, str):
            assert f"no width at {resolution} px and depth x" in answer
            assert not (abs(ratios - 1) <= 0.01).any()
            continue
        solved += 1
        assert answer.macs == architecture_complexity(answer.architecture).macs
        assert abs(answer.macs / budget - 1) <= 0.01
        below = (ratios <= 1) & (ratios >= 0.99)
        assert answer.macs <= budget or not below.any(), (resolution, depth, budget)
        if below[0].any():
            assert (answer.pixels_nudged, answer.stage_nudged) == (0, None)
    assert solved >= 5


@pytest.mark.parametrize("rule", RULES)
def test_the_solved_architecture_differs_from_the_rules_only_where_it_says(rule):
    nudged = 0
    for resolution, depth, _, answer in answers(rule):
        if isinstance(answer, str):
            continue
        one = answer.architecture
        assert one.resolution == resolution + answer.pixels_nudged
        assert abs(answer.pixels_nudged) <= 0.5 * resolution + 1
        plain = scale(B0, rule_named(rule), one.resolution, depth, answer.width_multiplier)[0]
        widths = list(plain.widths)
        if answer.stage_nudged is None:
            assert answer.channels_nudged == 0
        else:
            widths[answer.stage_nudged] += answer.channels_nudged
        assert one.widths == tuple(widths)
        assert (one.stem, one.depths, one.head) == (plain.stem, plain.depths, plain.head)
        nudged += (answer.pixels_nudged, answer.stage_nudged) != (0, None)
    assert nudged > 0 or rule == "free"  # whose steps are too fine to need one


@pytest.mark.parametrize("rule", RULES)
def test_a_plain_answer_is_the_largest_network_within_the_budget(rule):
    plain = 0
    for resolution, depth, budget, answer in answers(rule):
        macs = all_macs(rule, [resolution], depth)[0]
        low, high = width_brackets(B0, rule_named(rule), resolution, depth, budget, 1000)
        if macs.max() <= budget:
            assert high[0] >= WIDEST
            continue
        above = count(scale(B0, rule_named(rule), resolution, depth, high)).macs[0]
        assert above == macs[macs > budget].min()
        if macs.min() > budget:
            assert np.isnan(low[0])
            continue
        below = count(scale(B0, rule_named(rule), resolution, depth, low)).macs[0]
        assert below == macs[macs <= budget].max()
        if below >= 0.99 * budget:
            assert (answer.pixels_nudged, answer.stage_nudged, answer.macs) == (0, None, below)
            plain += 1
    assert plain >= 1


def test_brackets_of_many_resolutions_and_depths_are_those_of_each():
    rng = np.random.default_rng(3)
    sides, depths = rng.integers(32, 300, 8), rng.uniform(0.35, 2.8, 8)
    low, high = width_brackets(B0, rule_named("inverse"), sides, depths, 1e8, 1000)
    for row in range(8):
        alone = width_brackets(B0, rule_named("inverse"), int(sides[row]), float(depths[row]), 1e8, 1000)
        assert np.array_equal([low[row], high[row]], np.ravel(alone), equal_nan=True)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_are_recovered_from_their_resolution_depth_and_macs(name):
    # MACs rise strictly from one architecture to the next wider, so that there is only one such answer.
    resolution, depth, macs, widths, rule = PUBLISHED[name]
    answer = solve_width(B0, rule_named(rule), resolution, depth, macs)
    assert answer.macs == macs
    assert answer.architecture.resolution == resolution
    assert answer.architecture.widths == widths
    assert (answer.pixels_nudged, answer.stage_nudged, answer.channels_nudged) == (0, None, 0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_one_mac_less_buys_a_narrower_network(name):
    resolution, depth, macs, _, rule = PUBLISHED[name]
    low, high = width_brackets(B0, rule_named(rule), resolution, depth, macs - 1, 1000)
    counts = count(scale(B0, rule_named(rule), resolution, depth, np.concatenate([low, high]))).macs
    assert counts[0] < macs == counts[1]


def test_the_classes_are_paid_for():
    few, many = (solve_width(B0, rule_named("free"), 64, 0.5, 1e7, classes) for classes in (2, 5_000))
    assert architecture_complexity(few.architecture, 2).macs == few.macs
    assert architecture_complexity(many.architecture, 5_000).macs == many.macs
    assert sum(many.architecture.widths) < sum(few.architecture.widths)


def test_a_tighter_tolerance_is_kept():
    answer = solve_width(B0, rule_named("free"), 224, 1.0, 3e8, tolerance=1e-4)
    assert abs(answer.macs / 3e8 - 1) <= 1e-4


def test_a_budget_below_the_narrowest_network_is_refused_with_the_nearest():
    narrowest = complexity("efficientnet_b0", resolution=224, width=1e-3, depth=1.0, rule="tinynet").macs
    with pytest.raises(InputError, match=r"no width at 224 px and depth x1 costs 1 MACs; the nearest is") as refused:
        solve_width(B0, rule_named("tinynet"), 224, 1.0, 1)
    nearest = int(str(refused.value).split("nearest is ")[1].split(" MACs")[0].replace(",", ""))
    assert 1 < nearest <= narrowest


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"budget": 0}, "the budget must be a positive number of MACs, got 0$"),
        ({"budget": -5e6}, r"the budget must be a positive number of MACs, got -5e\+06$"),
        ({"budget": np.nan}, "the budget must be a positive number of MACs, got nan$"),
        ({"budget": np.inf}, "the budget must be a positive number of MACs, got inf$"),
        ({"budget": 1e30}, r"a budget of 1e\+30 MACs is beyond any width; give a smaller one"),
        ({"resolution": 10}, "10 px is below efficientnet_b0's stride of 32; use at least that"),
        ({"resolution": 0}, "resolution must be between 1 and 16384, got 0$"),
        ({"resolution": 10**30}, f"resolution must be between 1 and 16384, got {10**30}$"),
        ({"resolution": 224.5}, "resolution must be whole numbers, got 224.5$"),
        ({"depth": 0}, r"the depth multiplier must lie in \(0, 1000\], got 0$"),
        ({"depth": np.nan}, r"the depth multiplier must lie in \(0, 1000\], got nan$"),
        ({"depth": 1e30}, r"the depth multiplier must lie in \(0, 1000\], got 1e\+30$"),
        ({"classes": 0}, "classes must be between 1 and 131072, got 0$"),
        ({"tolerance": 0.0}, "no width at 224 px and depth x1 costs 100,000,000 MACs; the nearest is"),
    ],
)
def test_an_impossible_question_is_refused_in_words(arguments, refusal):
    with pytest.raises(InputError, match=refusal):
        solve_width(B0, rule_named("tinynet"), **{"resolution": 224, "depth": 1.0, "budget": 1e8, **arguments})
