"""What the data say of warps and logarithms."""

import numpy as np

from planner.surrogates.choose import IDENTITY, LADDER, Problem, chosen_transforms, warp_at


def test_the_ladder_rises_to_the_left_and_right_of_no_warp():
    target = np.random.default_rng(0).uniform(0.2, 0.7, 50)
    limits = [warp_at(rung, target).limit for rung in range(len(LADDER))]
    assert all(limit < target.min() for limit in limits[:IDENTITY])
    assert all(limit > target.max() for limit in limits[IDENTITY + 1 :])


def problem_of(target_of, n=60):
    rng = np.random.default_rng(0)
    inputs = np.column_stack([rng.integers(1, 9, n) * 8.0, rng.uniform(1, 100, n)])
    target = target_of(inputs, rng.normal(size=n))
    return Problem(("c1", "size"), inputs, target, np.zeros(n))


def test_a_straight_line_in_logs_is_left_unwarped_and_a_power_law_is_warped():
    straight = problem_of(lambda x, noise: 0.3 + 0.1 * np.log(x[:, 0]) + 0.02 * np.log(x[:, 1]) + 0.01 * noise)
    assert chosen_transforms(straight, ("log", "log"))[0] == IDENTITY
    law = problem_of(lambda x, noise: 0.8 - 2 * x[:, 0] ** -0.8 * x[:, 1] ** -0.3 * np.exp(0.1 * noise))
    rung, scales = chosen_transforms(law, ("log", "log"))
    assert LADDER[rung][0] == "above" and scales == ("log", "log")


def test_what_is_straight_without_a_logarithm_loses_it():
    raw = problem_of(lambda x, noise: 0.3 + 0.01 * x[:, 0] + 0.02 * np.log(x[:, 1]) + 0.01 * noise)
    assert chosen_transforms(raw, ("log", "log"))[1] == ("raw", "log")


def test_noise_alone_gives_neither_warp_nor_surprise():
    kept = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        inputs = rng.uniform(1, 10, (40, 2))
        rung, _ = chosen_transforms(Problem(("a", "b"), inputs, rng.normal(size=40), np.zeros(40)), ("log", "log"))
        kept += rung == IDENTITY
    assert kept >= 16
