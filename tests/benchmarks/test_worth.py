"""What a training is worth: by which of what was measured and what is expected the best within a budget is found.

Rows drawn from tables of trained networks, measured with the noise that seeds have there; ten budgets over log cost.
The regret is what the chosen row lacks truly to the best of the drawn rows within the budget, in points.

Measured (mean of 20 and 60 rows, 8 seeds): by what was measured .082 (NATS-Bench, sizes) and .019 (NAS-Bench-Macro), by
the surrogate's means .041 and .026, as `Surrogate.worth` has it .050 and .019; standard errors are about .01.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planner

TABLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tables"
ROWS, SEEDS, BUDGETS = (20, 60), 8, 10
# The table, its inputs, its target in points, and the standard deviation between seeds there.
KNOWN = {
    "nats_sss_cifar10": ([f"c{i}" for i in range(1, 6)], "cifar10_test_acc", 0.3),
    "nasbench_macro_cifar10": ([f"op{i}" for i in range(1, 9)], "mean_acc", 0.15),
}

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(not TABLES.is_dir(), reason="the shared tables are not here"),
]


def regret(values, truth, cost):
    """Mean loss of the row of the highest value within each budget against the truly best one within it."""
    found = []
    for budget in np.geomspace(*np.quantile(cost, [0.05, 0.95]), BUDGETS):
        within = np.flatnonzero(cost <= budget)
        if len(within):
            found.append(truth[within].max() - truth[within[values[within].argmax()]])
    return float(np.mean(found))


def drawn(frame, target, noise, rows, seed):
    """Some rows, spread over log cost, with what was measured of them."""
    rng = np.random.default_rng(seed)
    order = np.argsort(frame["flops"].to_numpy(), kind="stable")
    some = frame.iloc[[rng.choice(part) for part in np.array_split(order, rows)]]
    return some.assign(measured=some[target] + noise * rng.standard_normal(rows))


@pytest.mark.parametrize("name", KNOWN)
def test_the_best_within_a_budget_is_found_no_worse_than_by_measurements_or_means(name):
    inputs, target, noise = KNOWN[name]
    frame = pd.read_csv(TABLES / f"{name}.csv.gz", dtype={"arch": str})
    lost = {"measured": [], "means": [], "worth": []}
    for rows in ROWS:
        for seed in range(SEEDS):
            some = drawn(frame, target, noise, rows, seed)
            surrogate = planner.fit_surrogate(some, inputs, "measured", "flops", validate=False)
            values = {"measured": some["measured"].to_numpy(), "means": surrogate.reached(), "worth": surrogate.worth()}
            for one, value in values.items():
                lost[one].append(regret(value, some[target].to_numpy(), some["flops"].to_numpy()))
    print(json.dumps({"what": "worth", "table": name, "rows": ROWS, **{k: np.mean(v) for k, v in lost.items()}}))
    for other in ("measured", "means"):
        apart = np.array(lost["worth"]) - np.array(lost[other])
        assert apart.mean() <= apart.std() / np.sqrt(len(apart)), other
