"""Distances from smooth curves, by their definition."""

import math

import numpy as np
import pytest

from planner.surrogates.smooth import SmoothCurves


def test_distances_from_curves_are_those_of_their_definition():
    curves = SmoothCurves(math.log(10), 2.0, np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 0.25]]))
    cost, x = np.array([10.0, 10 * math.exp(2)]), np.array([[1.0, 0.0], [2.0, 1.0]])
    assert curves.distances(x, cost) == pytest.approx([(0 + 1) / 2, (0.5**2 + 1.75**2) / 2])
    assert SmoothCurves().distances(np.empty((2, 0)), cost).tolist() == [0, 0]
