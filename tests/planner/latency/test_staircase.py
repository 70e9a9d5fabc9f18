"""Jumps of exact MACs, and of synthetic latencies whose jumps are known."""

import numpy as np
import pytest

from planner.errors import PlannerError
from planner.latency.staircase import staircase
from sampler.complexity import complexity

GRID = np.arange(168, 337, 4)


def macs_staircase(name, low, high, step=4):
    sizes = np.arange(low, high + 1, step)
    return staircase(sizes, complexity(name, sizes).macs)


def measured(jumps, seed, noise=0.01, overhead=2.0):
    """A latency that grows with the side, jumps by 10 % after each of `jumps`, and is noisy to 1 % of its size."""
    rng = np.random.default_rng(seed)
    exact = overhead + 20 * (GRID / 224) ** 2 / 1.1 ** len(jumps)
    for one in jumps:
        exact = exact * np.where(GRID > one, 1.1, 1.0)
    error = noise * exact
    return exact + error * rng.standard_normal(len(GRID)), error


def test_the_candidates_of_efficientnet_b0_are_those_of_rbis():
    # The thesis found them by measuring on a Pixel 2 (RBIS, sections 4.1 and 5).
    found = macs_staircase("efficientnet_b0", 224, 304)
    assert set(found.candidates) == {240, 256, 272, 288}
    assert [jump.before for jump in found.jumps] == [224, 240, 256, 272, 288]  # 224 is an end of the range
    assert found.neighbours == (236, 244, 252, 260, 268, 276, 284, 292)


# A convolution with padding pays for a new row just after a multiple of its stride; ConvNeXt's patches are cut
# without padding, so it pays at the multiple itself, 4 pixels later.
@pytest.mark.parametrize(
    ("name", "first"),
    {
        "efficientnet_b0": 176,
        "resnet18": 176,
        "resnet50": 176,
        "regnety_016": 176,
        "ghostnet_100": 176,
        "mobilenetv2_100": 176,
        "mobilenetv3_large_100": 176,
        "efficientnetv2_b0": 176,
        "convnext_tiny": 172,
    }.items(),
)
@pytest.mark.parametrize("top", [288, 336, 512])
def test_exact_macs_jump_at_every_stride_of_16(name, first, top):
    assert macs_staircase(name, 168, top).candidates == tuple(range(first, top - 3, 16))


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet50", "mobilenetv3_large_100"])
def test_a_step_of_8_leaves_the_jumps_of_stride_32(name):
    assert macs_staircase(name, 168, 336, step=8).candidates == (192, 224, 256, 288, 320)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_the_unit_of_cost_has_no_influence(unit):
    cost = complexity("efficientnet_b0", GRID).macs * unit
    assert staircase(GRID, cost).candidates == macs_staircase("efficientnet_b0", 168, 336).candidates


@pytest.mark.parametrize("exponent", [0.5, 1, 2, 3])
def test_a_smooth_cost_has_no_jump(exponent):
    assert staircase(GRID, GRID**exponent).jumps == ()
    assert staircase(GRID, np.ones(len(GRID))).jumps == ()


def test_a_pure_staircase_jumps_at_every_step():
    # A width that the hardware pads to a multiple of 8: flat between the steps.
    sizes = np.arange(96, 130)
    assert staircase(sizes, 1.0 + np.ceil(sizes / 8)).candidates == (104, 112, 120, 128)


def test_a_width_that_a_wider_network_beats_is_not_cheap():
    sizes = np.arange(100, 125)
    cost = np.where(sizes <= 112, 10.0, 12.0) + np.where(sizes % 8 == 0, 0.0, 1.5)
    # 104 and 112 cost the same, so that 112 is the cheap one of the two; 120 is the next.
    assert staircase(sizes, cost).candidates == (112, 120)


@pytest.mark.parametrize("seed", range(20))
def test_jumps_are_found_in_noise(seed):
    known = (192, 224, 256, 288)
    cost, noise = measured(known, seed, noise=0.005)
    assert staircase(GRID, cost, noise).candidates == known


def test_noise_makes_hardly_a_false_jump():
    false = 0
    for seed in range(200):
        cost, noise = measured((), seed, noise=0.02)
        false += len(staircase(GRID, cost, noise).jumps)
    assert false <= 4  # of 8200 steps


def test_one_slow_median_is_no_jump():
    for row in range(len(GRID)):
        cost, noise = measured((), seed=0, noise=0.0)
        cost[row] *= 1.5
        assert staircase(GRID, cost, noise).jumps == ()


def test_a_median_of_unknown_error_shows_no_jump():
    cost, _ = measured((224,), seed=0, noise=0.001)
    assert staircase(GRID, cost, np.full(len(GRID), 0.01)).candidates == (224,)
    assert staircase(GRID, cost, np.full(len(GRID), np.inf)).jumps == ()


def test_the_ends_of_the_range_are_no_candidates():
    found = staircase(range(1, 7), [1.0, 5.0, 5.1, 5.2, 5.3, 11.0])
    assert [(jump.before, jump.after) for jump in found.jumps] == [(1, 2), (5, 6)]
    assert found.jumps[0].rise == pytest.approx(4)
    assert found.candidates == (5,)
    assert found.neighbours == (4, 6)


@pytest.mark.parametrize(
    ("sizes", "cost", "words"),
    [
        ([1, 2, 3], [1, 2, 3], "3 sizes are too few to find a jump; give at least 4"),
        ([1, 2, 2, 3], [1, 2, 3, 4], "sizes must rise"),
        ([1, 2, 3, 4], [1, 2, 3], "give one cost per size"),
        ([1, 2, 3, 4], [1, 0, 3, 4], "the cost at 2 is 0; a positive number is wanted"),
        ([1, 2, 3, 4], [1, 2, np.nan, 4], "the cost at 3 is nan"),
    ],
)
def test_what_is_no_sweep_is_refused(sizes, cost, words):
    with pytest.raises(PlannerError, match=words):
        staircase(sizes, cost)
