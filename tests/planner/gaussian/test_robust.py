"""The robust process: its gradient, and what odd rows do to it."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from planner.gaussian.fit import LogPrior
from planner.gaussian.kernels import matern32
from planner.gaussian.robust import TURN, robust_deviation, robust_log_density, robust_process, robust_weights

CENTRES, DEVIATIONS = np.log([0.2, 1.5, 0.05]), np.array([1.0, 0.7, 1.0])
PRIOR = LogPrior(CENTRES, DEVIATIONS, np.column_stack([CENTRES - 2.5 * DEVIATIONS, CENTRES + 2.5 * DEVIATIONS]))


def test_the_gradient_is_that_of_the_posterior():
    rng = np.random.default_rng(0)
    inputs, y, weights = rng.normal(size=(12, 3)), rng.normal(size=12), rng.uniform(0.1, 1, 12)
    given = (np.linalg.norm(inputs[:, None] - inputs, axis=2), y, weights, PRIOR)
    for theta in rng.normal(np.log(0.5), 0.5, (5, 3)):
        error = check_grad(
            lambda at: robust_log_density(at, *given)[0], lambda at: robust_log_density(at, *given)[1], theta
        )
        assert error < 1e-4


def test_the_deviation_is_a_normal_s_and_half_of_the_rows_may_be_anything():
    residuals = np.random.default_rng(0).normal(0, 2, 10_001)
    assert robust_deviation(residuals, 0.0) == pytest.approx(2, rel=0.03)
    residuals[:2_000] *= 1e6
    assert robust_deviation(residuals, 0.0) < 3
    assert robust_deviation(np.zeros(5), 0.01) == 0.01


def test_weights_fall_beyond_the_turn_alone():
    residuals = np.array([0.0, 0.1, -0.1, 1.0, -1.0, 100.0])
    unit = TURN * robust_deviation(residuals, 0.0)
    once, twice = robust_weights(residuals, 0.0), robust_weights(residuals, 0.0, power=2)
    assert once[np.abs(residuals) <= unit].tolist() == [1.0] * (np.abs(residuals) <= unit).sum()
    assert once[-1] == pytest.approx(unit / 100) and twice[-1] == pytest.approx((unit / 100) ** 2)


def test_a_few_odd_rows_do_not_bend_the_rest():
    x = np.linspace(0, 6, 60)[:, None]
    truth = 0.2 * np.sin(x[:, 0])
    odd = truth.copy()
    odd[::10] += 1.1  # three times as slow

    def misses(y):
        alpha, variance, length = robust_process(x, y, PRIOR, 0.005)
        return np.abs(variance * matern32(np.abs(x - x.T) / length) @ alpha - truth)

    assert misses(truth).max() < 0.02
    assert np.median(misses(odd)) < 0.02
