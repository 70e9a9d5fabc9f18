"""Curves from any points: no base network, and the refusals."""

import numpy as np
import pytest

from planner import PlannerError
from planner.fitting.curves import fit_curves
from planner.formulas.coefficients import EFFICIENTNET, coefficients
from planner.formulas.exponents import slope_of

C = np.geomspace(0.03, 30, 25)


@pytest.mark.parametrize(("a", "g"), [(0.3, 0.2), (0.1, 0.35), (0.0, 0.1), (-0.1, 0.25)])
def test_slopes_without_noise_are_alpha_beta_and_gamma_to_a_thousandth(a, g):
    fitted = fit_curves(C, C**g, C**a)
    slopes = [slope_of(one.curve, (C[0], C[-1])) for one in (fitted.r, fitted.d)]
    assert all(one.power_law and one.lower <= one.value <= one.upper for one in slopes)
    found = coefficients(slopes[0].value, slopes[1].value)
    # The ideal count is r^2 d w^2: twice the MACs by alpha, beta^2 and gamma^2 together.
    assert (found.alpha, found.gamma) == (pytest.approx(2**a, abs=1e-3), pytest.approx(2**g, abs=1e-3))
    assert found.beta == pytest.approx((2 / 2**a / 4**g) ** 0.5, abs=1e-3)
    assert found.cost == pytest.approx(2)


def test_efficientnets_constants_are_the_published_ones():
    assert EFFICIENTNET.as_dict() == {"alpha": 1.2, "beta": 1.1, "gamma": 1.15}
    assert EFFICIENTNET.cost == pytest.approx(1.92, abs=1e-3)


@pytest.mark.parametrize("kind", ["loglinear", "tinynet"])
def test_one_dimension_does_not_feel_the_other(kind):
    rng = np.random.default_rng(0)
    r, d = C**0.2 * np.exp(rng.normal(0, 0.05, 25)), C**0.3 * np.exp(rng.normal(0, 0.05, 25))
    both, swapped = fit_curves(C, r, d, kind), fit_curves(C, d, r, kind)
    assert both.r.curve(C).tolist() == swapped.d.curve(C).tolist()
    assert both.d.rmse == swapped.r.rmse


def test_the_order_of_the_points_does_not_matter():
    rng = np.random.default_rng(1)
    r, order = C**0.2 * np.exp(rng.normal(0, 0.05, 25)), rng.permutation(25)
    one, other = fit_curves(C, r, r), fit_curves(C[order], r[order], r[order])
    np.testing.assert_allclose(one.r.curve(C), other.r.curve(C), rtol=1e-4)


def test_impossible_points_are_refused():
    ones = np.ones(5)
    with pytest.raises(PlannerError, match="3 points are too few to fit; give at least 4"):
        fit_curves(ones[:3], ones[:3], ones[:3])
    with pytest.raises(PlannerError, match="5 points at 2 distinct c are too few to fit; give at least 4"):
        fit_curves([1, 1, 1.001, 1, 2], ones, ones)
    with pytest.raises(PlannerError, match="d must be finite and positive at every point"):
        fit_curves(ones, ones, [1, 1, 0, 1, 1])
    with pytest.raises(PlannerError, match="c must be finite and positive"):
        fit_curves([1, 2, np.nan, 3, 4], ones, ones)
    with pytest.raises(PlannerError, match="c, r and d have 5, 4 and 5 values"):
        fit_curves(ones, ones[:4], ones)
    with pytest.raises(PlannerError, match="kind 'compound' is unknown; known kinds: loglinear, tinynet"):
        fit_curves(ones, ones, ones, "compound")
