"""Choices among held-out rows, by their definition."""

import numpy as np

from planner.surrogates.optimism import choices


def test_choices_are_the_best_rows_by_definition():
    rng = np.random.default_rng(0)
    scores, cost = rng.random(9), rng.uniform(1, 100, 9)
    best = {
        max((row for row in range(9) if cost[row] <= budget * (1 + 1e-9)), key=lambda row: scores[row])
        for budget in np.geomspace(cost.min(), cost.max(), 10)
    }
    assert choices(scores, cost).tolist() == sorted(best)
