"""Tables whose truth is known in closed form: a grid of depth, width and resolution."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

DIMS = ["depth", "width", "resolution"]


def grid_table():
    """3 x 5 x 6 rows; each dimension brings less the larger it is."""
    rows = [
        (depth, width, resolution, depth**0.9 * width**1.8 * (resolution / 64) ** 2)
        for depth, width, resolution in product((1, 2, 4), (8, 12, 16, 24, 32), (64, 96, 128, 160, 192, 256))
    ]
    frame = pd.DataFrame(rows, columns=[*DIMS, "ms"])
    lost = 0.2 * frame["depth"] ** -0.6 + 2.0 * frame["width"] ** -0.9 + 8.0 * frame["resolution"] ** -0.9
    return frame.assign(score=1 - lost)


def best_within(frame, budget):
    """The best score within a budget, by looking at every row."""
    return max(score for score, ms in zip(frame["score"], frame["ms"], strict=True) if ms <= budget)


@pytest.fixture(scope="session", name="grid")
def whole_grid():
    return grid_table()


@pytest.fixture(scope="session")
def some(grid):
    """45 of the 90 rows, by chance."""
    return grid.iloc[np.random.default_rng(0).permutation(len(grid))[:45]]
