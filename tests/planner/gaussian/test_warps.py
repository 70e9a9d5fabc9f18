"""Warps of the target, against finite differences and scipy's log-normal distribution."""

import numpy as np
import pytest
from scipy.stats import lognorm

from planner.gaussian.warps import Warp, standardised_warp


@pytest.mark.parametrize("kind", ["identity", "above", "below"])
def test_warps_rise_and_go_back(kind):
    target = np.random.default_rng(0).uniform(0.2, 0.7, 50)
    warp = standardised_warp(kind, {"identity": 0.0, "above": 0.75, "below": 0.1}[kind], target)
    warped = warp.forward(target)
    assert np.allclose(warp.back(warped), target)
    assert (np.diff(warped[np.argsort(target)]) > 0).all()
    assert warped.mean() == pytest.approx(0, abs=1e-12) and warped.std() == pytest.approx(1)
    step = 1e-6
    slopes = (warp.forward(target + step) - warp.forward(target - step)) / (2 * step)
    assert np.allclose(warp.slope(target), slopes, rtol=1e-5)


def test_moments_of_warps_are_log_normal_ones():
    above = Warp("above", 0.8, 1.0, 0.5)
    mean, deviation = above.moments(np.array([0.3]), np.array([0.4]))
    distance = lognorm(s=0.5 * np.sqrt(0.4), scale=np.exp(-(1.0 + 0.5 * 0.3)))
    assert mean[0] == pytest.approx(0.8 - distance.mean())
    assert deviation[0] == pytest.approx(distance.std())
    below = Warp("below", 0.1, 1.0, 0.5).moments(np.array([-0.3]), np.array([0.4]))
    distance = lognorm(s=0.5 * np.sqrt(0.4), scale=np.exp(1.0 - 0.5 * 0.3))
    assert below[0][0] == pytest.approx(0.1 + distance.mean()) and below[1][0] == pytest.approx(distance.std())
