"""Pools of proposals: distinct, buildable, inside the window and the limits, none of them tried."""

from dataclasses import replace

import numpy as np
import pytest

from planner import PlannerError
from planner.proposers.pool import architectures_frame, make_pool
from sampler import SearchSpace, architecture_complexity, base, exact_limit, random_design, stack, stratified_design
from sampler.complexity import count

SPACE = SearchSpace("efficientnet_b0", 64, classes=10, r=(0.5, 1.4))
STAGE = replace(SPACE, kind="stage")
# So small that draws find every architecture: 3 resolutions, few depths and widths.
SMALL = replace(SPACE, r=(0.5, 0.53), d=(0.8, 1.2), w=(0.5, 0.7), window=(0.01, 2.0))


def as_set(architectures):
    return {tuple(row) for row in architectures.integers()}


@pytest.fixture(scope="module", params=[SPACE, STAGE], ids=["uniform", "stage"])
def space(request):
    return replace(request.param, limits=(exact_limit("params", 2e6),))


def test_a_pool_is_distinct_untried_and_allowed(space):
    tried = random_design(space, 40, seed=3)
    pool = make_pool(space, 2_000, seed=0, tried=tried, front=tried.take(range(5)))
    assert len(as_set(pool)) == len(pool) == 2_000
    assert not as_set(pool) & as_set(tried)
    low, high = space.macs_window
    for row in range(0, 2_000, 97):
        cost = architecture_complexity(pool[row], 10)
        assert low <= cost.macs <= high and cost.params <= 2e6


def test_a_pool_is_the_same_for_the_same_seed_and_another_for_another(space):
    front = random_design(space, 5, seed=3)
    one, again, other = (make_pool(space, 500, seed, front=front).integers() for seed in (1, 1, 2))
    assert (one == again).all()
    assert {tuple(row) for row in one} != {tuple(row) for row in other}


def test_a_uniform_space_is_enumerated():
    pool = make_pool(SMALL, 20_000)
    drawn = SMALL.decode(np.random.default_rng(0).random((100_000, 3)))
    assert as_set(pool) == as_set(drawn)  # the window of SMALL holds all of it
    assert len(pool) == len(as_set(pool)) > 20


def test_the_multipliers_of_a_uniform_pool_give_its_integers_back():
    pool = make_pool(SPACE, 300, seed=1)
    place = np.column_stack(
        [(pool.multipliers[:, i] - low) / (high - low) for i, (low, high) in enumerate((SPACE.r, SPACE.d, SPACE.w))]
    )
    again = SPACE.decode(np.clip(place, 0, 1))
    assert (again.integers() == pool.integers()).all()


def test_a_pool_larger_than_its_space_holds_what_is_left_of_it():
    everything = make_pool(SMALL, 20_000)
    left = make_pool(SMALL, 20_000, tried=everything.take(slice(3, None)))
    assert as_set(left) == as_set(everything.take([0, 1, 2]))
    with pytest.raises(PlannerError, match="no architecture inside the window .* is left to try; widen them"):
        make_pool(SMALL, 10, tried=everything)


def test_cheap_networks_are_as_common_in_a_pool_as_dear_ones():
    for space in (SPACE, STAGE):
        macs = count(make_pool(space, 4_000, front=stratified_design(SPACE, 5, 0)), 10).macs
        tenths = np.histogram(np.log(macs), bins=np.log(np.geomspace(*space.macs_window, 5)))[0]
        assert tenths.min() > 500, tenths  # a random design puts 1 % of its networks into the lowest quarter


def test_a_stage_pool_holds_what_is_one_move_from_the_front():
    middle = stack([base("efficientnet_b0").architecture()])
    front = replace(middle, resolution=np.array([48]))
    pool = as_set(make_pool(STAGE, 4_000, front=front))
    deeper, wider = (front.integers()[0].copy() for _ in range(2))
    deeper[2 + 7 + 3] += 1  # a block more in the fourth stage
    wider[2 + 3] += 8  # eight channels more there
    assert {tuple(deeper), tuple(wider)} <= pool


def test_a_stage_pool_holds_uniform_architectures_too():
    uniform = as_set(make_pool(SPACE, 1_000_000))
    assert len(as_set(make_pool(STAGE, 2_000)) & uniform) >= 400


def test_the_table_of_a_pool_holds_exact_costs():
    pool = make_pool(SPACE, 50, seed=2)
    frame = architectures_frame(pool, SPACE)
    for row in (0, 17, 49):
        cost = architecture_complexity(pool[row], 10)
        assert (frame["macs"][row], frame["params"][row], frame["memory"][row]) == (cost.macs, cost.params, cost.memory)
        assert frame["width_3"][row] == pool[row].widths[2] and frame["depth_7"][row] == pool[row].depths[6]
        assert frame["r"][row] == pool[row].resolution / 64
        assert frame["c"][row] == pytest.approx(cost.macs / SPACE.base_macs)


@pytest.mark.parametrize("n", [0, 1_000_001])
def test_a_pool_of_an_impossible_size_is_refused(n):
    with pytest.raises(PlannerError, match="between 1 and 1,000,000 are possible"):
        make_pool(SPACE, n)


@pytest.mark.slow
def test_a_million_of_a_stage_space():
    pool = make_pool(STAGE, 1_000_000, front=stratified_design(SPACE, 8, 0))
    assert len(as_set(pool)) == len(pool) == 1_000_000
