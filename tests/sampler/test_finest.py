"""Networks with steps of their own: every number legal, and budgets met wherever a network meets them."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampler import InputError, SearchSpace, random_design, rule_named, scaled, solve_width, stack, stratified_design
from sampler.complexity import complexity, count
from sampler.knobs import knob_grids, with_own_knobs
from sampler.moves import Grid, just_before_jumps, moved, moves_of, neighbours
from sampler.scaling import scale
from sampler.solve import TOLERANCE
from sampler.uniform import UniformGrid

NAMES = ("coarse_vit", "coarse_mlp_vit", "coarse_tokens", "coarse_two", "coarse_three")
CLASSES = 10


def every_macs(macs_by_hand, name, resolutions, widths, depths, knobs=None):
    """Sorted MACs of all networks of a grid, each counted by hand."""
    numbers = product(resolutions, product(*widths), product(*depths), *(knobs or [[None]]))
    found = (
        macs_by_hand(name, r, w, d, {} if k is None else {"mlp": (k,)} if isinstance(k, int) else {"kernel": k})
        for r, w, d, k in numbers
    )
    return np.sort(np.fromiter(found, dtype=np.int64))


@pytest.fixture(scope="module")
def grids(macs_by_hand):
    """MACs of all networks about each base network, by brute force."""
    pairs = list(product((1, 3, 5, 7), repeat=2))

    def every(*given):
        return every_macs(macs_by_hand, *given)

    return {
        "coarse_vit": every("coarse_vit", range(16, 449, 16), [range(64, 769, 64)], [range(1, 25)]),
        "coarse_mlp_vit": every_macs(
            macs_by_hand,
            "coarse_mlp_vit",
            range(16, 449, 16),
            [range(64, 769, 64)],
            [range(1, 13)],
            [range(128, 3073, 128)],
        ),
        "coarse_tokens": every("coarse_tokens", range(8, 225, 8), [range(96, 673, 96)], [range(1, 17)]),
        "coarse_two": every_macs(
            macs_by_hand,
            "coarse_two",
            range(32, 129, 32),
            [range(16, 65, 16), range(24, 97, 24)],
            [range(1, 5)] * 2,
            [pairs],
        ),
        "coarse_three": every_macs(
            macs_by_hand,
            "coarse_three",
            range(16, 129, 8),
            [(8, 16, 32), (16, 32, 64), (24, 48, 96)],
            [range(1, 5)] * 3,
        ),
    }


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_those_by_hand(coarse, macs_by_hand, name):
    network = coarse[name]
    for times in (0.5, 1, 2.3):
        one = scaled(name, width=times, depth=times)
        assert complexity(one, classes=CLASSES).macs == macs_by_hand(name, one.resolution, one.widths, one.depths, {})
    assert network.stem == 0


@pytest.mark.parametrize("budgets", [7, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_budgets_are_met_from_below_wherever_a_network_meets_them(
    coarse, grids, check_legal, macs_by_hand, name, budgets
):
    network, every = coarse[name], grids[name]
    rule, base = rule_named(network.rule), int(complexity(name, classes=CLASSES).macs)
    missed = 0
    for budget in np.geomspace(max(base / 40, 1.02 * every[0]), min(8 * base, every[-1]), budgets):
        c = budget / base
        side = max(int(rule.pixels(network.resolution, c**0.2)[0]), network.stride)
        solved = solve_width(network, rule, side, c**0.2, budget, CLASSES)
        one = stack([solved.architecture])
        check_legal(one)
        own = solved.architecture
        assert solved.macs == macs_by_hand(name, own.resolution, own.widths, own.depths, own.knobs) <= budget
        best = every[np.searchsorted(every, budget, side="right") - 1]
        if best >= (1 - TOLERANCE) * budget:
            assert solved.macs >= (1 - TOLERANCE) * budget
        else:  # nothing does, and then it is at least as near as anything of the grid
            missed += solved.macs < (1 - TOLERANCE) * budget
            assert solved.macs >= best
    assert missed <= 4


def test_where_nothing_is_so_cheap_it_is_said(coarse):
    network = coarse["coarse_vit"]
    with pytest.raises(InputError, match="no network of coarse_vit costs as little as 1,000 MACs"):
        solve_width(network, rule_named(network.rule), 224, 1.0, 1000, CLASSES)


def test_a_finer_number_moves_only_where_no_width_meets_the_budget(coarse):
    network = coarse["coarse_mlp_vit"]
    own = network.architecture()
    exact = solve_width(network, rule_named(network.rule), 224, 1.0, complexity(own, classes=CLASSES).macs, CLASSES)
    assert exact.architecture == own and exact.finer == () and exact.pixels_nudged == 0
    between = 0.82 * exact.macs
    finer = solve_width(network, rule_named(network.rule), 224, 1.0, between, CLASSES)
    assert finer.architecture != own and (finer.finer or finer.pixels_nudged)
    assert 0.99 * between <= finer.macs <= between


@pytest.mark.parametrize("rule", ["inverse", "pycls", "multiples:8:1"])
def test_rules_with_other_steps_are_refused_in_one_line(coarse, rule):
    network = coarse["coarse_vit"]
    message = "coarse_vit keeps its own steps .widths of 64, resolutions of 16.; rule .* has others"
    calls = (
        lambda: scaled("coarse_vit", rule=rule),
        lambda: scale(network, rule_named(rule), 224),
        lambda: Grid.between(network, rule_named(rule), [16, 0, 64, 1, 0], [224, 0, 128, 2, 0]),
        lambda: complexity("coarse_vit", rule=rule),
    )
    for call in calls:
        with pytest.raises(InputError, match=message):
            call()


def test_a_coarser_rule_of_the_same_kind_is_fine(coarse):
    assert scaled("coarse_vit", rule="multiples:128:32", width=0.5).widths == (128,)


def test_numbers_between_the_steps_are_refused_by_name(coarse):
    with pytest.raises(InputError, match="coarse_vit: resolution is 100, no multiple of 16; take 96 or 112"):
        complexity("coarse_vit", resolution=100)
    with pytest.raises(InputError, match="coarse_vit: width of stage 1 is 100, no multiple of 64; take 64 or 128"):
        complexity("coarse_vit", widths=(100,))
    with pytest.raises(InputError, match="coarse_vit takes resolutions of multiples of 16, not 100; take 96"):
        SearchSpace("coarse_vit", 100)


def test_a_space_takes_the_rule_of_its_network(coarse):
    assert SearchSpace("coarse_three", 64).rule == "multiples:8:8"
    with pytest.raises(InputError, match="coarse_three keeps its own steps"):
        SearchSpace("coarse_three", 64, rule="tinynet")


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    seed=st.integers(0, 2**20),
    kind=st.sampled_from(["uniform", "stage"]),
    steps=st.integers(-2, 2),
    vary=st.booleans(),
    r=st.tuples(st.floats(0.2, 0.9), st.floats(1.0, 3.0)),
)
def test_everything_drawn_or_moved_is_legal(coarse, check_legal, name, seed, kind, steps, vary, r):
    network, knobs = coarse[name], tuple(knob_grids(coarse[name])) if vary else ()
    resolution = max(network.resolution + steps * rule_named(network.rule).step, network.stride)
    space = SearchSpace(name, resolution, CLASSES, kind=kind, r=r, window=(0.001, 1000), knobs=knobs)
    drawn = space.decode(np.random.default_rng(seed).random((50, space.dimensions)))
    check_legal(drawn)
    assert set(drawn.knobs) == set(knobs)
    grid = Grid.of(space)
    rows = grid.nearest(drawn.integers() * 1.03)
    check_legal(grid.networks(rows))
    check_legal(grid.networks(moved(grid, rows[:5], moves_of(grid))[0]))
    check_legal(neighbours(drawn.take([0]), grid, pairs=True))
    uniform = UniformGrid.of(space)
    check_legal(uniform.take(np.random.default_rng(seed).integers(uniform.size, size=50)))
    w = np.random.default_rng(seed).uniform(0.05, 5, 30)
    check_legal(scale(space.network, rule_named(network.rule), drawn.resolution[:30], 1.0, w))


@pytest.mark.parametrize("kind", ["uniform", "stage"])
def test_designs_draw_knobs_that_vary(coarse, check_legal, kind):
    space = SearchSpace("coarse_two", 64, CLASSES, kind=kind, window=(0.05, 20), knobs=("kernel",))
    for design in (random_design(space, 40, 0), stratified_design(space, 40, 0)):
        check_legal(design)
        kernels = design.knobs["kernel"]
        assert {1, 3, 5, 7} == set(kernels.ravel().tolist())
        assert (kernels[:, 0] == kernels[:, 1]).all() == (kind == "uniform")
        assert len({row.tobytes() for row in design.integers()}) == 40


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (("heads",), "coarse_two has no knob 'heads' that may vary; those with several values: kernel"),
        (("kernel", "kernel"), "knobs kernel, kernel: each is named once"),
        ("kernel", "knobs are 'kernel'; a list of names is wanted"),
    ],
)
def test_knobs_that_cannot_vary_are_refused(coarse, knobs, message):
    with pytest.raises(InputError, match=message):
        SearchSpace("coarse_two", 64, knobs=knobs)


def test_a_knob_that_nobody_says_is_what_it_follows_to(coarse):
    network = coarse["coarse_mlp_vit"]
    plain = stack([replace(network.architecture(), widths=(width,)) for width in (64, 192, 320)])
    told = with_own_knobs(network, plain, ["mlp"])
    assert told.knobs["mlp"].ravel().tolist() == [256, 768, 1280]
    assert (count(told, CLASSES).macs == count(plain, CLASSES).macs).all()


def test_nobody_knows_where_the_costs_of_a_declared_network_jump(coarse):
    assert not len(just_before_jumps(coarse["coarse_three"], 32, 128))
