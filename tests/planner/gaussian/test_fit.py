"""Priors of logs, and the search for what is most probable under them."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import norm

from planner.gaussian.fit import LogPrior, most_probable

PRIOR = LogPrior(np.array([0.5, -1.0]), np.array([1.0, 0.5]), np.array([[-2.0, 2.0], [-1.5, 0.0]]))


def test_the_penalty_is_the_negative_log_density_up_to_its_constant():
    one, two = np.array([0.0, 0.3]), np.array([1.0, -2.0])
    density = [norm(PRIOR.centres, PRIOR.deviations).logpdf(theta).sum() for theta in (one, two)]
    assert PRIOR.penalty(one)[0] - PRIOR.penalty(two)[0] == pytest.approx(density[1] - density[0])
    assert check_grad(lambda at: PRIOR.penalty(at)[0], lambda at: PRIOR.penalty(at)[1], two) < 1e-6


def test_the_most_probable_is_where_the_gradient_vanishes_or_at_a_bound():
    def objective(theta, target):
        return float(((theta - target) ** 2).sum()), 2 * (theta - target)

    found, value = most_probable(objective, np.array([0.0, -1.0]), (np.array([0.3, 9.0]),), PRIOR, 50)
    assert found == pytest.approx([0.3, 0.0], abs=1e-6) and value == pytest.approx(81.0)


def test_a_start_beyond_the_bounds_is_brought_within():
    starts = []

    def objective(theta):
        starts.append(theta.copy())
        return 0.0, np.zeros(2)

    most_probable(objective, np.array([5.0, -5.0]), (), PRIOR, 5)
    assert starts[0].tolist() == [2.0, -1.5]
