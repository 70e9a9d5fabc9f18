"""Weights of members, against a search over a grid."""

import numpy as np
import pytest
from scipy.stats import norm

from planner.gaussian.weights import stacked


def test_stacking_finds_the_weights_that_a_grid_finds():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(400) < 0.7, rng.normal(0, 1, 400), rng.normal(3, 0.5, 400))
    densities = np.array([norm.logpdf(values, 0, 1), norm.logpdf(values, 3, 0.5)])
    grid = np.linspace(0.001, 0.999, 999)
    scores = np.log(grid[:, None] * np.exp(densities[0]) + (1 - grid[:, None]) * np.exp(densities[1])).sum(1)
    assert stacked(densities, strength=0.0)[0] == pytest.approx(grid[scores.argmax()], abs=2e-3)


def test_weights_are_drawn_to_equal_ones_and_survive_impossible_rows():
    equal = stacked(np.zeros((4, 30)))
    assert np.allclose(equal, 0.25)
    found = stacked(np.array([np.full(30, -1e6), np.zeros(30)]))
    assert 0 < found[0] < 0.15 and found.sum() == pytest.approx(1)
