"""A curve's mean, variance and interval, against the textbook's Gaussian process."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from planner.gaussian.curve import Curve, power_law


def covariance(a, b, slope_variance, variance, length_scale):
    """Rasmussen & Williams 2006, Eq. 4.9 and section 4.2.2: squared exponential plus a linear kernel, by loops."""
    return np.array(
        [[slope_variance * s * t + variance * math.exp(-((s - t) ** 2) / (2 * length_scale**2)) for t in b] for s in a]
    )


def textbook(x, y, new, noise, **kernel):
    """Rasmussen & Williams 2006, Eqs. 2.25 and 2.26, and the noise of a new point: mean and variance."""
    k = covariance(x, x, **kernel) + noise * np.eye(len(x))
    cross = covariance(x, new, **kernel)
    mean = cross.T @ np.linalg.solve(k, y)
    variance = np.diag(covariance(new, new, **kernel) - cross.T @ np.linalg.solve(k, cross)) + noise
    return mean, variance


def fitted(seed, input_scale="log", output_scale="log", slope_variance=0.3):
    """Random data, the curve that they give, and the kernel."""
    rng = np.random.default_rng(seed)
    kernel = {"slope_variance": slope_variance, "variance": 0.2, "length_scale": 0.9}
    c = np.exp(np.sort(rng.uniform(-3, 1, 7)))
    x, y, offset, noise = (np.log(c) if input_scale == "log" else c), rng.normal(size=7), 0.4, 0.01
    precision = np.linalg.inv(covariance(x, x, **kernel) + noise * np.eye(7))
    alpha = precision @ (y - offset)
    slope = slope_variance * float(x @ alpha)
    curve = Curve(
        input_scale=input_scale,
        output_scale=output_scale,
        offset=offset,
        slope=slope,
        noise_variance=noise,
        inputs=x,
        alpha=alpha,
        **kernel,
    )
    return curve, x, y, kernel


@pytest.mark.parametrize("input_scale", ["log", "identity"])
@pytest.mark.parametrize("slope_variance", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_mean_and_variance_are_the_textbooks(seed, slope_variance, input_scale):
    curve, x, y, kernel = fitted(seed, input_scale, slope_variance=slope_variance)
    c = np.geomspace(0.01, 5, 40)
    mean, variance = textbook(x, y - 0.4, np.log(c) if input_scale == "log" else c, 0.01, **kernel)
    np.testing.assert_allclose(curve.mean(c), 0.4 + mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(curve.posterior_variance(c), variance, rtol=1e-6, atol=1e-9)


def test_the_quantity_is_the_exponential_of_the_mean_where_the_output_is_a_logarithm():
    curve, *_ = fitted(0)
    plain, *_ = fitted(0, output_scale="identity")
    np.testing.assert_allclose(curve([0.1, 1.0]), [math.exp(value) for value in plain([0.1, 1.0])])
    np.testing.assert_allclose(plain([0.1, 1.0]), plain.mean([0.1, 1.0]))


@pytest.mark.parametrize("output_scale", ["log", "identity"])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_the_interval_holds_its_share_of_the_normal_distribution(level, output_scale):
    curve, *_ = fitted(1, output_scale=output_scale)
    mean, deviation = float(curve.mean(0.3)[0]), math.sqrt(float(curve.posterior_variance(0.3)[0]))
    low, high = norm.interval(level, mean, deviation)
    expected = (math.exp(low), math.exp(high)) if output_scale == "log" else (low, high)
    assert curve.interval(0.3, level) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scales", [("log", "log"), ("identity", "identity"), ("log", "identity")])
def test_beyond_the_range_of_the_fit_intervals_are_wider_the_farther_and_inside_they_are_not(scales):
    curve, *_ = fitted(1, input_scale=scales[0], output_scale=scales[1])
    seen = (0.5, 1.0)
    for c in (0.5, 0.7, 1.0):
        assert curve.interval(c, seen=seen) == curve.interval(c)
    ratios = []
    for c in (1.1, 2.0, 4.0):
        (low, high), (wide_low, wide_high) = curve.interval(c), curve.interval(c, seen=seen)
        assert wide_low < low < high < wide_high
        ratios.append((wide_high - wide_low) / (high - low))
    assert ratios[0] < ratios[1]
    assert curve.interval(0.2, seen=seen)[1] > curve.interval(0.2)[1]


def test_the_variance_is_never_below_the_noise():
    curve, x, *_ = fitted(2)
    assert (curve.posterior_variance(np.exp(x)) >= 0.01).all()


def test_far_from_the_data_a_power_law_is_left():
    curve, *_ = fitted(3)
    for c in (1e-30, 1e30):
        assert curve.mean(c)[0] == pytest.approx(0.4 + curve.slope * math.log(c), abs=1e-12)


def test_far_from_the_data_the_variance_is_the_priors_where_there_is_no_slope():
    curve, *_ = fitted(3, slope_variance=0.0)
    assert curve.posterior_variance(1e30)[0] == pytest.approx(0.2 + 0.01, abs=1e-12)


@pytest.mark.parametrize("exponent", [0.0, 0.21, -0.5, 2.0])
def test_a_power_law_is_a_power(exponent):
    c = np.array([1e-6, 0.5, 1.0, 7.0, 1e6])
    np.testing.assert_allclose(power_law(exponent)(c), [value**exponent for value in c], rtol=1e-12)
    assert power_law(exponent).interval(2.0) == pytest.approx((2.0**exponent, 2.0**exponent))


def test_a_scalar_and_an_array_of_it_give_the_same():
    curve, *_ = fitted(4)
    assert curve(0.3).shape == (1,)
    assert curve(0.3)[0] == pytest.approx(curve([0.2, 0.3])[1], rel=1e-12)
