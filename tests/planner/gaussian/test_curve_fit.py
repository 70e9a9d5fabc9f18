"""The fit of a curve: its posterior and leave-one-out residuals at scikit-learn's hyper-parameters."""

import numpy as np
import pytest

from planner.gaussian.curve import precision_of
from planner.gaussian.curve_fit import LOGLINEAR, MANY, NOISE_BOUNDS, TINYNET, fit_process


def points(form, m=12, seed=0):
    """x and y of a bent law, on the form's scales."""
    rng = np.random.default_rng(seed)
    c = np.exp(np.sort(rng.uniform(-3, 1, m)))
    quantity = c**0.3 * np.exp(0.1 * np.sin(2 * np.log(c)) + rng.normal(0, 0.03, m))
    return form.input(c), form.output(quantity)


@pytest.mark.parametrize("form", [LOGLINEAR, TINYNET], ids=["loglinear", "tinynet"])
def test_residuals_are_those_of_leaving_each_point_out_at_the_same_hyper_parameters(form):
    x, y = points(form)
    fitted = fit_process(x, y, form, 0, offset=0.1)
    curve = fitted.curve
    kernel = (curve.slope_variance, curve.variance, curve.length_scale)
    for row in range(len(x)):
        others = np.arange(len(x)) != row
        near = np.exp(-0.5 * ((x[row] - x[others]) / curve.length_scale) ** 2)
        across = curve.slope_variance * x[row] * x[others] + curve.variance * near
        alpha = precision_of(x[others], *kernel, curve.noise_variance) @ (y[others] - 0.1)
        assert fitted.residuals[row] == pytest.approx(y[row] - 0.1 - across @ alpha, abs=1e-8)
    assert fitted.rmse == pytest.approx(np.sqrt(np.mean(fitted.residuals**2)))


def test_a_power_law_is_recovered_from_its_own_points():
    c = np.geomspace(0.05, 2, 20)
    curve = fit_process(np.log(c), 0.4 * np.log(c), LOGLINEAR, 0).curve
    np.testing.assert_allclose(curve(c), c**0.4, rtol=2e-3)
    assert curve.noise_variance == pytest.approx(NOISE_BOUNDS[0], rel=1e-3)


def test_without_a_shortest_length_scale_a_power_law_is_left():
    x, y = points(LOGLINEAR)
    curve = fit_process(x, y, LOGLINEAR, 0, shortest=np.inf).curve
    assert curve.variance == 0
    mean = curve.mean(np.exp(x))
    np.testing.assert_allclose(mean, curve.slope * x, atol=1e-12)


def test_the_noise_is_no_less_than_was_asked_for():
    x, y = points(LOGLINEAR)
    assert fit_process(x, y, LOGLINEAR, 0, least_noise=0.05).curve.noise_variance >= 0.05 * (1 - 1e-9)


def test_with_many_points_the_seed_says_nothing_and_with_few_little():
    x, y = points(LOGLINEAR, MANY + 1)
    assert fit_process(x, y, LOGLINEAR, 0).curve.alpha.tolist() == fit_process(x, y, LOGLINEAR, 1).curve.alpha.tolist()
    x, y = points(LOGLINEAR)
    means = [fit_process(x, y, LOGLINEAR, seed).curve.mean(np.exp(x)) for seed in (0, 1)]
    np.testing.assert_allclose(*means, atol=1e-3)
