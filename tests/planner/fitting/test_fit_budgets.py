"""The joint view: whatever was fitted, a solved architecture costs its budget, within rounding of r and d."""

import numpy as np
import pandas as pd
import pytest

from planner.fitting.fit import fit
from sampler.complexity import architecture_complexity

B0_MACS = 385_814_752


def table(seed):
    """Random trainings about a random rule, with much scatter."""
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(8, 30))
    c = np.exp(rng.uniform(np.log(0.04), np.log(rng.choice([1.0, 4.0])), rows))
    a, g = rng.uniform(0.0, 0.4), rng.uniform(0.05, 0.3)
    r, d = (c**e * np.exp(rng.normal(0, 0.1, rows)) for e in (g, a))
    accuracy = np.clip(0.7 + 0.06 * np.log(c) + rng.normal(0, 0.01, rows), 0.1, 0.95)
    return pd.DataFrame({"base": "efficientnet_b0", "accuracy": accuracy, "macs": np.rint(c * B0_MACS), "r": r, "d": d})


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 10))])
def test_twenty_budgets_each_of_random_formulas_are_met(seed):
    formula = fit(table(seed), raw=True)
    low, high = formula.macs_range
    for budget in np.geomspace(low, high, 20):
        one = formula.predict(budget)
        assert abs(one.macs / budget - 1) <= 0.01
        assert architecture_complexity(one.architecture, formula.classes).macs == one.macs
        branch = formula.branch(budget / B0_MACS)
        wanted = 224 * branch.r(budget / B0_MACS)[0]
        # One rounding step of the resolution, unless the budget needed more, which is then said.
        assert abs(one.architecture.resolution - one.pixels_nudged - wanted) <= 1
        assert one.d == branch.d(budget / B0_MACS)[0]
