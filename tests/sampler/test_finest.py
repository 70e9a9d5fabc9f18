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
from sampler.solve import TOLERANCE, spent_near
from sampler.uniform import UniformGrid

NAMES = ("coarse_vit", "coarse_mlp_vit", "coarse_tokens", "coarse_two", "coarse_three")
CLASSES = 10
FAR = 7.9  # times what was asked, within which a network is to be found: a little less than `_FACTORS` go
DIVISORS = {
    "coarse_vit": (64,),
    "coarse_mlp_vit": (64,),
    "coarse_tokens": (96,),
    "coarse_two": (16, 24),
    "coarse_three": (8, 16, 24),
}


def every(macs_by_hand, name, resolutions, widths, depths, knobs=(None,)):
    """`(n, 3 + 2 s)` all networks of a grid, their knobs over what these follow to, their MACs counted by hand."""
    rows = []
    for r, w, d, k in product(resolutions, product(*widths), product(*depths), knobs):
        own = {} if k is None else {"mlp": (k,)} if isinstance(k, int) else {"kernel": k}
        times = k / (4 * w[0]) if isinstance(k, int) else max(k) / 3 if k else 1.0
        rows.append((r, *w, *d, times, macs_by_hand(name, r, w, d, own)))
    return np.array(rows)


@pytest.fixture(scope="module")
def grids(macs_by_hand):
    """All networks about each base network, by brute force."""
    stages = {
        "coarse_vit": (range(16, 449, 16), [range(64, 769, 64)], [range(1, 25)]),
        "coarse_mlp_vit": (range(64, 385, 16), [range(64, 513, 64)], [range(2, 13)], range(128, 2049, 128)),
        "coarse_tokens": (range(8, 225, 8), [range(96, 673, 96)], [range(1, 17)]),
        "coarse_two": (
            range(32, 129, 32),
            [range(16, 65, 16), range(24, 97, 24)],
            [range(1, 5)] * 2,
            list(product((1, 3, 5), repeat=2)),
        ),
        "coarse_three": (range(16, 129, 8), [(8, 16, 32), (16, 32, 64), (24, 48, 96)], [range(1, 5)] * 3),
    }
    return {name: every(macs_by_hand, name, *given) for name, given in stages.items()}


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_those_by_hand(coarse, macs_by_hand, name):
    network = coarse[name]
    for times in (0.5, 1, 2.3):
        one = scaled(name, width=times, depth=times)
        assert complexity(one, classes=CLASSES).macs == macs_by_hand(name, one.resolution, one.widths, one.depths, {})
    assert network.stem == 0


def asked(network, budget):
    """The side and the depth multiplier asked for at a budget, as a formula would."""
    rule, c = rule_named(network.rule), budget / int(complexity(network.name, classes=CLASSES).macs)
    return max(int(rule.pixels(network.resolution, c**0.2)[0]), network.stride), c**0.2


def spending(network, side, depths, budget, macs_by_hand):
    """The widest widths of one multiplier that the budget affords, and the next, by hand; half of these where none."""
    divisors, first = DIVISORS[network.name], min(DIVISORS[network.name])
    low, high, w = np.array(divisors) / 2, divisors, 0.02
    while macs_by_hand(network.name, side, high, depths, {}) <= budget:
        low, w = np.array(high), w * 1.01
        rounded = (max(int(width * w / first + 0.5), 1) * first for width in network.widths)
        high = tuple(max(round(width / k), 1) * k for width, k in zip(rounded, divisors, strict=True))
    return np.array([low, high], dtype=np.float64)


@pytest.mark.parametrize("budgets", [5, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_budgets_are_met_from_below_wherever_a_network_meets_them(
    coarse, grids, check_legal, macs_by_hand, name, budgets
):
    network, rows = coarse[name], grids[name]
    base, s = int(complexity(name, classes=CLASSES).macs), len(network.stages)
    for budget in np.geomspace(base / 20, 6 * base, budgets):
        side, d = asked(network, budget)
        depths = tuple(max(round(depth * d), 1) for depth in network.depths)
        solved = solve_width(network, rule_named(network.rule), side, d, budget, CLASSES)
        own = solved.architecture
        check_legal(stack([own]))
        assert solved.macs == macs_by_hand(name, own.resolution, own.widths, own.depths, own.knobs) <= budget
        low, high = spending(network, side, depths, budget, macs_by_hand)
        near = ((rows[:, 1 : 1 + s] >= high / FAR) & (rows[:, 1 : 1 + s] <= FAR * low)).all(axis=1)
        ratios = rows[:, [0, *range(1 + s, 2 + 2 * s)]] / np.array([side, *depths, 1])
        near &= ((ratios >= 1 / FAR) & (ratios <= FAR)).all(axis=1)
        if ((rows[near, -1] <= budget) & (rows[near, -1] >= (1 - TOLERANCE) * budget)).any():
            assert solved.macs >= (1 - TOLERANCE) * budget
        ratios = np.abs(np.log([own.resolution / side, *np.divide(own.depths, depths)]))
        steps = np.abs([(own.resolution - side) / rule_named(network.rule).step, *np.subtract(own.depths, depths)])
        assert ((ratios <= np.log(8)) | (steps <= 1)).all()


def test_where_no_network_meets_a_budget_a_near_one_leaves_little(coarse, grids, macs_by_hand):
    network, rows, missed = coarse["coarse_vit"], grids["coarse_vit"], 0
    base = int(complexity("coarse_vit", classes=CLASSES).macs)
    for budget in np.geomspace(base / 300, base / 20, 30):
        side, d = asked(network, budget)
        depth = max(round(6 * d), 1)
        solved = solve_width(network, rule_named(network.rule), side, d, budget, CLASSES)
        if solved.macs >= (1 - TOLERANCE) * budget:
            continue
        missed += 1
        low, high = spending(network, side, (depth,), budget, macs_by_hand)[:, 0]
        costs = [macs_by_hand("coarse_vit", side, (int(width),), (depth,), {}) for width in (low, high)]
        wanted = low * (high / low) ** (np.log(budget / costs[0]) / np.log(costs[1] / costs[0]))
        far = np.log(rows[:, :3] / [side, wanted, depth])
        inside = (np.abs(far[:, [0, 2]]) <= np.log(8)).all(axis=1) & (rows[:, -1] <= budget)
        loss = 1 - rows[:, -1] / budget + (far**2).sum(axis=1) / 2
        own = solved.architecture
        mine = np.log([own.resolution / side, own.widths[0] / wanted, own.depths[0] / depth])
        assert 1 - solved.macs / budget + (mine**2).sum() / 2 <= loss[inside].min() + 1e-9
        assert solved.macs > 0.7 * budget
    assert missed > 3


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


@settings(max_examples=12, deadline=None)
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


@pytest.mark.parametrize("pinned", [False, True])
def test_a_knob_that_follows_off_its_grid_is_never_kept_where_the_width_moves(coarse, check_legal, pinned):
    network = coarse["coarse_heads"]
    near = stack([replace(network.architecture(), widths=(192,))])  # three heads, of 1, 2, 4 or 8
    near = with_own_knobs(network, near, ["heads"]) if pinned else near
    macs, widths = int(count(near, CLASSES).macs[0]), set()
    for budget in np.geomspace(0.4 * macs, 3 * macs, 12):
        found = spent_near(network, rule_named(network.rule), near, budget, CLASSES)
        check_legal(stack([found.architecture]))
        assert found.macs <= budget
        widths.add(found.architecture.widths)
    assert len(widths) > 1
