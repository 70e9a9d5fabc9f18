"""Correlations, against scikit-learn's kernels and finite differences."""

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process.kernels import RBF, DotProduct, Matern

from planner.gaussian.kernels import (
    curve_covariance,
    length_gradient,
    matern32,
    matern32_length_slope,
    matern52,
    matern52_with_slope,
    rbf,
)

X, Z = np.linspace(-2, 2, 9), np.linspace(-1, 3, 6)
DISTANCES = np.abs(X[:, None] - Z)


def test_rbf_is_scikit_learn_s():
    np.testing.assert_allclose(rbf(X, Z, 0.7), RBF(0.7)(X[:, None], Z[:, None]), rtol=1e-12)


@pytest.mark.parametrize(("nu", "correlations"), [(1.5, matern32), (2.5, lambda r: matern52(r**2))])
def test_matern_is_scikit_learn_s(nu, correlations):
    np.testing.assert_allclose(correlations(DISTANCES / 0.7), Matern(0.7, nu=nu)(X[:, None], Z[:, None]), rtol=1e-12)


def test_a_curve_s_covariance_is_a_line_and_an_rbf():
    wanted = 0.3 * DotProduct(sigma_0=0.0)(X[:, None], Z[:, None]) + 0.2 * RBF(0.9)(X[:, None], Z[:, None])
    np.testing.assert_allclose(curve_covariance(X, Z, 0.3, 0.2, 0.9), wanted, rtol=1e-12, atol=1e-15)


def test_matern_5_2_in_its_place_is_that_beside_its_slope():
    squared = DISTANCES**2
    alone, (beside, slope) = matern52(squared.copy()), matern52_with_slope(squared)
    np.testing.assert_allclose(alone, beside, rtol=1e-14)
    inside, step = squared[squared > 1e-3], 1e-6
    change = (matern52_with_slope(inside + step)[0] - matern52_with_slope(inside - step)[0]) / (2 * step)
    np.testing.assert_allclose(-2 * change, slope[squared > 1e-3], rtol=1e-6)


def test_the_slope_by_the_length_scale_is_that_of_finite_differences():
    distances, step = DISTANCES[DISTANCES > 0], 1e-6
    change = [matern32(distances / math.exp(sign * step)) for sign in (1, -1)]
    found = matern32_length_slope(math.sqrt(3) * distances, matern32(distances))
    np.testing.assert_allclose(found, (change[0] - change[1]) / (2 * step), rtol=1e-6)


def test_the_gradient_by_lengths_is_half_a_sum_over_pairs():
    rng = np.random.default_rng(0)
    x, sides = rng.normal(size=(7, 3)), rng.normal(size=(7, 7))
    sides += sides.T
    wanted = [0.5 * sum(sides[i, k] * (x[i, j] - x[k, j]) ** 2 for i in range(7) for k in range(7)) for j in range(3)]
    np.testing.assert_allclose(length_gradient(sides, x), wanted)


def test_a_kernel_s_variance_and_departure_are_those_of_its_covariance(kernel, hyperparameters):
    theta, (x, z) = hyperparameters(kernel), np.random.default_rng(0).normal(size=(2, 5, 3))
    own, others = (np.diag(kernel.covariance(theta, one, one)) for one in (x, z))
    np.testing.assert_allclose(kernel.variance(theta, x), own)
    np.testing.assert_allclose(
        kernel.departure(theta, x, z), own + others - 2 * np.diag(kernel.covariance(theta, x, z)), atol=1e-12
    )


def test_the_covariance_rises_with_every_variance(kernel, hyperparameters, rows):
    """The derivative of k(x, x) by the log of a variance is that variance's part."""
    theta, x = hyperparameters(kernel), rows(2).x
    places = [0, 2] if kernel.form != "linear" else [0]
    slopes = approx_fprime(theta, lambda at: kernel.variance(at, x)[0], 1e-7)
    assert all(slopes[place] > 0 for place in places)
    assert slopes[places].sum() + 1 == pytest.approx(kernel.variance(theta, x)[0], rel=1e-6)
