"""First designs hold what was asked for: distinct, inside the window and the bounds, the same for the same seed."""

import math

import numpy as np
import pytest

from sampler import (
    InputError,
    SearchSpace,
    random_design,
    sobol_design,
    stratified_design,
    target_design,
)
from sampler.architecture import concatenate
from sampler.complexity import complexity, count

B0_MACS = 385_814_752
DESIGNS = {"random": random_design, "sobol": sobol_design, "stratified": stratified_design}
SPACES = {
    "tinynet": SearchSpace("efficientnet_b0", 224, rule="tinynet"),
    "inverse": SearchSpace("efficientnet_b0", 224),
    "enlarge": SearchSpace("efficientnet_b0", 224, rule="efficientnet", window=(1.0, 8.0)),
    # Higher windows: stages drawn apart are hardly ever all small, and 32 px are the least a proxy can go down to.
    "stage": SearchSpace("efficientnet_b0", 224, kind="stage", rule="free", window=(0.2, 1.05)),
    "proxy": SearchSpace("efficientnet_b0", 40, classes=10, window=(0.1, 1.05)),
}
every_design = pytest.mark.parametrize("design", DESIGNS)
every_space = pytest.mark.parametrize("space", SPACES)


def rows(architectures):
    """Each architecture as a plain tuple, so that equality and sets need nothing of ours."""
    return [(one.resolution, one.stem, one.widths, one.depths, one.head) for one in architectures]


@every_design
@every_space
def test_a_design_holds_n_distinct_architectures_inside_the_window(design, space):
    chosen = SPACES[space]
    drawn = DESIGNS[design](chosen, n=60, seed=0)
    assert len(drawn) == len(set(rows(drawn))) == 60
    macs = count(drawn, chosen.classes).macs / chosen.base_macs
    assert chosen.window[0] <= macs.min() and macs.max() <= chosen.window[1]


@every_design
def test_macs_are_measured_in_those_of_the_base_network(design):
    for space, low, high in (("tinynet", 0.03, 1.05), ("enlarge", 1.0, 8.0)):
        macs = count(DESIGNS[design](SPACES[space], n=40, seed=1)).macs
        assert low * B0_MACS <= macs.min() and macs.max() <= high * B0_MACS


@every_design
@pytest.mark.parametrize("space", ["tinynet", "inverse", "enlarge", "proxy"])
def test_uniform_designs_keep_every_multiplier_between_its_bounds(design, space):
    chosen = SPACES[space]
    drawn = DESIGNS[design](chosen, n=60, seed=2)
    half_a_pixel = 1 / chosen.resolution
    for column, (low, high) in enumerate((chosen.r, chosen.d, chosen.w)):
        slack = half_a_pixel if column == 0 else 0.0
        assert low - slack <= drawn.multipliers[:, column].min()
        assert drawn.multipliers[:, column].max() <= high + slack


@every_design
def test_stage_designs_keep_every_stage_between_its_bounds(design):
    drawn = DESIGNS[design](SPACES["stage"], n=60, seed=3)
    widths, depths = np.array([16, 24, 40, 80, 112, 192, 320]), np.array([1, 2, 2, 3, 3, 4, 1])
    assert (abs(drawn.widths - widths * (0.35 + 2.8) / 2) <= widths * (2.8 - 0.35) / 2 + 0.5).all()
    assert (drawn.depths >= np.maximum(1, np.rint(0.35 * depths))).all()
    assert (drawn.depths <= np.rint(2.8 * depths)).all()
    ratios = drawn.widths / widths
    assert np.median(ratios.max(axis=1) / ratios.min(axis=1)) > 1.3  # the stages are drawn apart


@every_design
@every_space
def test_the_same_seed_gives_the_same_architectures_and_another_seed_others(design, space):
    first, again, other = (DESIGNS[design](SPACES[space], n=30, seed=seed) for seed in (5, 5, 6))
    assert rows(first) == rows(again)
    assert first.multipliers.tolist() == again.multipliers.tolist()
    assert len(set(rows(first)) & set(rows(other))) < 10


@every_design
@every_space
def test_architectures_already_seen_are_never_given_again(design, space):
    first = DESIGNS[design](SPACES[space], n=40, seed=7)
    second = DESIGNS[design](SPACES[space], n=40, seed=7, seen=first)
    third = DESIGNS[design](SPACES[space], n=40, seed=7, seen=concatenate([first, second]))
    assert len(set(rows(first)) | set(rows(second)) | set(rows(third))) == 120


@pytest.mark.parametrize("n", [1, 3, 10, 97, 100])
@pytest.mark.parametrize("space", ["tinynet", "enlarge", "stage"])
@pytest.mark.parametrize("bins", [None, 4])
def test_stratified_counts_per_bin_of_log_macs_differ_by_one_at_most(n, space, bins):
    chosen = SPACES[space]
    macs = count(stratified_design(chosen, n=n, seed=8, bins=bins)).macs
    wanted = bins or min(10, n)
    low, high = (math.log(B0_MACS * bound) for bound in chosen.window)
    held = [0] * wanted
    for one in macs.tolist():
        held[int((math.log(one) - low) / (high - low) * wanted)] += 1
    assert sum(held) == n
    assert max(held) - min(held) <= 1


def test_stratified_designs_are_shuffled_over_cost():
    macs = count(stratified_design(SPACES["tinynet"], n=100, seed=9)).macs
    assert abs(np.corrcoef(np.arange(100), np.log(macs))[0, 1]) < 0.3


def test_random_and_sobol_designs_lean_to_large_networks_as_the_stratified_does_not():
    def small(design):
        return (count(design(SPACES["tinynet"], n=200, seed=10)).macs < 0.2 * B0_MACS).mean()

    assert small(stratified_design) > 0.4
    assert small(random_design) < 0.3 and small(sobol_design) < 0.3


def test_the_share_of_r_squared_d_w_squared_inside_tinynets_window_is_its_analytic_value():
    cells = 0.35 + 2.45 * (np.arange(400) + 0.5) / 400
    area = np.outer(cells**2, cells**2)
    room = np.clip(1.05 / area, 0.35, 2.8) - np.clip(0.03 / area, 0.35, 2.8)
    analytic = (room / 2.45).mean()  # METHODS: 17.1 %
    assert analytic == pytest.approx(0.171, abs=0.001)
    points = np.random.default_rng(11).random((40_000, 3))
    r, d, w = SPACES["tinynet"].decode(points).multipliers.T
    cost = r**2 * d * w**2
    # Four standard errors of a share of 40,000 draws.
    assert ((cost >= 0.03) & (cost <= 1.05)).mean() == pytest.approx(analytic, abs=0.0076)


@pytest.mark.parametrize("space", ["tinynet", "inverse"])
def test_the_share_of_exact_counts_inside_tinynets_window_is_somewhat_lower(space):
    points = np.random.default_rng(12).random((10_000, 3))
    mask, macs = SPACES[space].inside(SPACES[space].decode(points))
    assert 0.12 < mask.mean() < 0.18
    assert (mask == ((macs >= 0.03 * B0_MACS) & (macs <= 1.05 * B0_MACS))).all()


@pytest.mark.parametrize("rule", ["tinynet", "inverse", "efficientnet", "free"])
def test_the_corners_of_the_cube_decode_to_the_bounds(rule):
    space = SearchSpace("efficientnet_b0", 200, rule=rule, r=(0.5, 2.0), d=(1.0, 3.0), w=(0.5, 1.5))
    low, high = space.decode(np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
    assert (low.resolution, low.depths) == (100, (1, 2, 2, 3, 3, 4, 1))
    assert (high.resolution, high.depths) == (400, (3, 6, 6, 9, 9, 12, 3))
    assert (low.widths[-1], high.widths[-1]) == (160, 480)


@pytest.mark.parametrize("rule", ["tinynet", "inverse", "free"])
@pytest.mark.parametrize("share", [0.1, 0.5, 2.0])
def test_a_target_design_costs_what_was_asked_within_three_percent(rule, share):
    space = SearchSpace("efficientnet_b0", 224, rule=rule)
    drawn = target_design(space, share * B0_MACS, n=40, seed=13)
    assert len(drawn) == len(set(rows(drawn))) == 40
    assert (abs(count(drawn).macs / (share * B0_MACS) - 1) <= 0.03).all()
    assert (drawn.multipliers >= 0.35 - 1 / 224).all() and (drawn.multipliers <= 2.8 + 1 / 224).all()
    assert np.ptp(drawn.multipliers, axis=0).min() > 0.2  # r, d and w all vary


def test_a_target_design_is_deterministic_by_seed_and_keeps_a_tighter_tolerance():
    draw = [target_design(SPACES["tinynet"], 2e8, n=20, seed=seed, tolerance=0.005) for seed in (1, 1, 2)]
    assert rows(draw[0]) == rows(draw[1]) != rows(draw[2])
    assert (abs(count(draw[0]).macs / 2e8 - 1) <= 0.005).all()


def test_no_resolution_falls_below_the_stride():
    space = SPACES["proxy"]
    assert space.r == (0.8, 2.8)
    points = np.random.default_rng(14).random((2_000, 3))
    points[:500, 0] = 0.0
    assert space.decode(points).resolution.min() == 32
    floored = SearchSpace("efficientnet_b0", 45, rule="tinynet")
    assert floored.decode(np.zeros((1, 3))).resolution.tolist() == [32]


def test_a_proxys_window_is_measured_at_its_own_resolution_and_classes():
    space = SearchSpace("efficientnet_b0", 64, classes=10)
    assert space.base_macs == complexity("efficientnet_b0", resolution=64, classes=10).macs
    assert space.macs_window == (0.03 * space.base_macs, 1.05 * space.base_macs)
    assert SPACES["inverse"].base_macs == B0_MACS


def test_a_space_has_three_dimensions_or_one_and_two_per_stage():
    assert (SPACES["tinynet"].dimensions, SPACES["stage"].dimensions) == (3, 15)


@every_design
@pytest.mark.parametrize("kind", ["uniform", "stage"])
def test_a_window_without_architectures_is_refused_in_words(design, kind, monkeypatch):
    monkeypatch.setattr("sampler.space.MAX_DRAWS", 8_192)
    space = SearchSpace("efficientnet_b0", 224, kind=kind, window=(1e-7, 2e-7))
    refusal = "too few distinct architectures between 39 and 77 MACs in 8,192 draws; ask for fewer, or change"
    with pytest.raises(InputError, match=refusal):
        DESIGNS[design](space, n=1, seed=0)


def per_stratum(space, drawn, strata):
    """How many architectures lie in each of the strata, equally wide in log MACs."""
    low, high = np.log(space.macs_window)
    return np.histogram(np.log(space.inside(drawn)[1]), strata, (low, high))[0]


def test_a_stratum_that_cannot_be_filled_gives_its_places_to_the_nearest_that_can(monkeypatch):
    monkeypatch.setattr("sampler.space.MAX_DRAWS", 40_960)
    space = SearchSpace("efficientnet_b0", 40, classes=10, window=(1e-3, 1.05))
    drawn = stratified_design(space, n=20, seed=0)
    counts = per_stratum(space, drawn, 10)
    assert len(drawn) == counts.sum() == 20
    # The cheapest strata hold nothing that can be built; the dear ones keep their two each.
    assert counts[0] == 0 and (counts[-3:] == 2).all()


@every_design
def test_more_architectures_than_a_space_holds_are_refused_in_words(design, monkeypatch):
    monkeypatch.setattr("sampler.space.MAX_DRAWS", 8_192)
    space = SearchSpace("efficientnet_b0", 224, r=(0.5, 0.51), d=(0.5, 0.51), w=(0.5, 0.51))
    with pytest.raises(InputError, match="too few distinct architectures between .* ask for fewer, or change the"):
        DESIGNS[design](space, n=100, seed=0)


def test_a_target_beyond_the_bounds_is_refused_with_what_was_found():
    with pytest.raises(InputError, match="only 0 of 5 distinct architectures cost 1,000 MACs within 3%; widen"):
        target_design(SPACES["proxy"], 1e3, n=5, seed=0)


def test_a_target_design_of_a_stage_space_is_refused():
    with pytest.raises(InputError, match="a target design solves one width for all stages; it needs a uniform space"):
        target_design(SPACES["stage"], 1e8, n=5, seed=0)


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"window": (1.0, 1.0)}, "window must be two rising positive numbers, got 1 and 1"),
        ({"window": (2.0, 1.0)}, "window must be two rising positive numbers, got 2 and 1"),
        ({"r": (0.0, 1.0)}, "r must be two rising positive numbers, got 0 and 1"),
        ({"d": (np.nan, 1.0)}, "d must be two rising positive numbers, got nan and 1"),
        ({"w": (1.0, np.inf)}, "w must be two rising positive numbers, got 1 and inf"),
        ({"rule": "x"}, "scaling rule 'x' is unknown; known rules: efficientnet, inverse, tinynet"),
        ({"kind": "stages"}, "kind 'stages' is unknown; known kinds: uniform, stage"),
        ({"classes": 0}, "classes must be between 1 and 131072, got 0"),
        ({"resolution": 0}, "resolution must be between 1 and 16384, got 0"),
        ({"resolution": 224.5}, "resolution must be whole numbers, got 224.5"),
        (
            {"resolution": 10},
            "r up to 2.8 of 10 px stays below efficientnet_b0's stride of 32 px; raise the resolution",
        ),
        ({"base": "efficientnet"}, "base network 'efficientnet' is unknown; nearest: efficientnet_b0"),
    ],
)
def test_an_impossible_space_is_refused_in_words(arguments, refusal):
    with pytest.raises(InputError, match=refusal):
        SearchSpace(**{"base": "efficientnet_b0", "resolution": 224, **arguments})


@pytest.mark.parametrize("kind", ["uniform", "stage"])
@pytest.mark.parametrize("held", ["r", "d", "w"])
@every_design
def test_a_dimension_whose_bounds_are_equal_is_held(design, held, kind):
    space = SearchSpace("efficientnet_b0", 64, classes=10, kind=kind, window=(0.01, 1.4), **{held: (0.75, 0.75)})
    drawn = DESIGNS[design](space, 6, 0)
    part = {"r": drawn.resolution, "d": drawn.depths, "w": drawn.widths}[held]
    assert len(np.unique(part, axis=0)) == 1 and len(set(rows(drawn))) == 6


@pytest.mark.parametrize("seed", [-1, 2**32, 1_700_000_000_000, 1.5, "7", None])
@every_design
def test_a_seed_out_of_range_is_refused(design, seed):
    with pytest.raises(InputError, match="seed (is|must be)"):
        DESIGNS[design](SPACES["proxy"], 2, seed)
