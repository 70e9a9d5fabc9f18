"""The mixture of members, against draws of it."""

import numpy as np
import pytest

from planner.gaussian.features import Features
from planner.gaussian.mixture import Mixture
from planner.gaussian.posterior import Member
from planner.gaussian.warps import Warp


def test_a_mixture_has_the_moments_of_its_members(rows, hyperparameters, kernels):
    seen = rows()
    members = tuple(Member(kernel, hyperparameters(kernel), seen) for kernel in kernels[:3])
    shares = np.array([0.2, 0.3, 0.5])
    warp = Warp("identity", 0.0, 0.0, 1.0)
    plain = Features(("a", "b", "c"), ("raw",) * 3, np.ones(3), np.zeros(3), np.ones(3))
    x = np.random.default_rng(1).normal(size=(4, 3))
    mean, variance = Mixture(plain, warp, members, shares).at(x)
    rng = np.random.default_rng(2)
    for row in range(4):
        which = rng.choice(3, 200_000, p=shares)
        each = np.array([[found[row] for found in member.predict(x)] for member in members])
        draws = rng.normal(each[which, 0], np.sqrt(each[which, 1]))
        assert mean[row] == pytest.approx(draws.mean(), abs=0.02)
        assert variance[row] == pytest.approx(draws.var(), rel=0.02)
