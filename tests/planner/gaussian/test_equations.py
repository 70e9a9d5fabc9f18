"""The equations of regression, against systems solved in full, rows really left out, and scipy's normal density."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from planner.gaussian.equations import (
    grown_whitener,
    inverse_by_cholesky,
    inverse_by_lu,
    left_out,
    negative_log_evidence,
    precision_diagonal,
    whitener_of,
)

# Three rows by hand: an RBF kernel of length scale 1, and a tenth of noise.
X = np.array([0.0, 1.0, 2.5])
Y = np.array([0.3, -0.2, 0.7])
INVERSIONS = pytest.mark.parametrize("inversion", [inverse_by_lu, inverse_by_cholesky])


def covariance(x, z, noise=0.0):
    """exp(-(x - z)^2 / 2), by loops."""
    near = np.array([[np.exp(-((a - b) ** 2) / 2) for b in z] for a in x])
    return near + (noise * np.eye(len(x)) if noise else 0.0)


def predicted(x, y, new):
    """Mean and variance of a measurement at one new place, by solving (Eqs. 2.25 and 2.26)."""
    k, across = covariance(x, x, 0.1), covariance(x, [new])[:, 0]
    return across @ np.linalg.solve(k, y), 1 + 0.1 - across @ np.linalg.solve(k, across)


@INVERSIONS
def test_an_inversion_gives_the_inverse_and_half_the_log_determinant(inversion):
    k = covariance(X, X, 0.1)
    inverse, half = inversion(k.copy())
    np.testing.assert_allclose(inverse @ k, np.eye(3), atol=1e-12)
    assert half == pytest.approx(0.5 * np.log(np.linalg.det(k)), abs=1e-12)


def test_what_is_not_positive_definite_is_no_covariance():
    with pytest.raises(np.linalg.LinAlgError):
        inverse_by_cholesky(np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(np.linalg.LinAlgError):
        whitener_of(np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(np.linalg.LinAlgError):
        inverse_by_lu(np.ones((2, 2)))


def test_a_whitener_gives_the_posterior_at_a_new_point():
    new, across = 1.7, covariance(X, [1.7])[:, 0]
    whitener = whitener_of(covariance(X, X, 0.1))
    mean, variance = predicted(X, Y, new)
    assert across @ (whitener.T @ (whitener @ Y)) == pytest.approx(mean, abs=1e-12)
    assert 1.1 - ((whitener @ across) ** 2).sum() == pytest.approx(variance, abs=1e-12)
    np.testing.assert_allclose(precision_diagonal(whitener), np.diag(np.linalg.inv(covariance(X, X, 0.1))), rtol=1e-12)


def test_leaving_a_row_out_is_predicting_it_from_the_others():
    precision = np.linalg.inv(covariance(X, X, 0.1))
    residuals, variances = left_out(precision @ Y, np.diag(precision))
    for row in range(3):
        others = np.arange(3) != row
        mean, variance = predicted(X[others], Y[others], X[row])
        assert (residuals[row], variances[row]) == pytest.approx((Y[row] - mean, variance), abs=1e-12)


@INVERSIONS
def test_the_evidence_is_the_density_of_the_rows_and_its_gradient_that_of_finite_differences(inversion):
    def kernel(theta):  # logs of variance, length scale and noise variance
        distance = (X[:, None] - X) / np.exp(theta[1])
        return np.exp(theta[0]) * np.exp(-(distance**2) / 2) + np.exp(theta[2]) * np.eye(3)

    def by_scipy(theta):
        return -multivariate_normal(np.zeros(3), kernel(theta)).logpdf(Y) - 1.5 * np.log(2 * np.pi)

    theta, step = np.log([0.7, 1.3, 0.2]), 1e-5
    value, slopes = negative_log_evidence(kernel(theta), Y, inversion)
    assert value == pytest.approx(by_scipy(theta), abs=1e-12)
    for place in np.eye(3):
        change = (kernel(theta + step * place) - kernel(theta - step * place)) / (2 * step)
        wanted = (by_scipy(theta + step * place) - by_scipy(theta - step * place)) / (2 * step)
        assert 0.5 * (slopes * change).sum() == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("first", [1, 40, 90])
def test_a_whitener_grows_by_more_rows(first):
    x = np.random.default_rng(0).normal(size=100)
    k = covariance(x, x, 0.1)
    grown = grown_whitener(whitener_of(k[:first, :first]), k[first:, :first], k[first:, first:])
    np.testing.assert_allclose(grown, whitener_of(k), atol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 200])
def test_a_whitener_is_the_inverse_of_the_cholesky_factor(n):
    factor = np.tril(np.random.default_rng(n).normal(size=(n, n))) / n + 2 * np.eye(n)
    whitener = whitener_of(factor @ factor.T)
    assert np.allclose(whitener @ factor, np.eye(n), atol=1e-12) and not np.triu(whitener, 1).any()
