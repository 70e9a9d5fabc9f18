"""What trainings that were stopped early teach a surrogate: left out, expected by their curves, or trained to the end.

NAAP-440 (440 networks on CIFAR-10, the accuracy of each of 90 epochs): studies of random networks of one half of the
table are trained one after the other with `--stop-early`; the rest of the half is unseen. The form (a mean over the
last tenth of the epochs, the regression's own variance as noise) was chosen on the other half.
Results: results/studies/stopped/README.md.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

import planner
from planner.study.stopped import expected_end
from planner.study.trials import LearningCurve
from planner.training.stopping import cannot_reach_front

TABLE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tables" / "naap440_curves.csv.gz"
INPUTS = ["NumParams", "NumLayers", "NumStages", "FirstLayerWidth", "LastLayerWidth"]
EPOCHS, SEEDS, BUDGETS = 90, 10, 10
HALVES = {"chosen on": slice(None, 220), "reported": slice(220, None)}

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(not TABLE.is_file(), reason="the shared tables are not here"),
]


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(TABLE).rename(columns={"NumMACs": "macs"})


def curve(table, row, epochs=EPOCHS):
    values = table.loc[row, [f"e{epoch}Accuracy" for epoch in range(1, epochs + 1)]]
    return LearningCurve(int(table.loc[row, "macs"]), tuple(values.astype(float)))


def stopped_in(curves):
    """A study of curves in their order: those that ended, and the epoch at which each of the others was stopped."""
    ended, stopped = [], {}
    for row, whole in curves.items():
        finished = [curves[one] for one in ended]
        for epoch in range(1, EPOCHS):
            if cannot_reach_front(LearningCurve(whole.macs, whole.accuracies[:epoch]), finished, EPOCHS):
                stopped[row] = epoch
                break
        else:
            ended.append(row)
    return ended, stopped


def judged(seen, noise, unseen, pool, seed):
    surrogate = planner.fit_surrogate(seen, INPUTS, noise_variance=noise, seed=seed)
    found, truth = surrogate.predict(unseen), unseen["accuracy"]
    budgets = np.geomspace(1.3 * pool["macs"].min(), pool["macs"].max(), BUDGETS).tolist()
    answers = planner.answer(seen, pool, budgets, inputs=INPUTS, noise_variance=noise, seed=seed)
    best = [pool.loc[pool["macs"] <= budget, "accuracy"].max() for budget in budgets]
    return {
        "tau": kendalltau(found["mean"], truth).statistic,
        "rmse": 100 * np.sqrt(np.mean((found["mean"] - truth) ** 2)),
        "bias": 100 * np.mean(found["mean"] - truth),
        "covered": np.mean((truth >= found["lower"]) & (truth <= found["upper"])),
        "width": 100 * np.mean(found["upper"] - found["lower"]),
        "lost": 100 * np.mean(np.array(best) - pool.loc[answers, "accuracy"].to_numpy()),
    }


def study(table, part, networks, seed):
    half = np.random.default_rng(440).permutation(len(table))[HALVES[part]]
    order = np.random.default_rng(seed).permutation(half)
    pool = table.loc[order, [*INPUTS, "macs"]].assign(accuracy=table.loc[order, f"e{EPOCHS}Accuracy"])
    curves = {row: curve(table, row) for row in order[:networks]}
    ended, stopped = stopped_in(curves)
    finished = [curves[row] for row in ended]
    expected = {
        row: expected_end(LearningCurve(curves[row].macs, curves[row].accuracies[:epoch]), finished)
        for row, epoch in stopped.items()
    }
    means, variances = (np.array([one[part] for one in expected.values()]) for part in (0, 1))
    errors = means - pool.loc[list(expected), "accuracy"]
    imputed = pd.concat([pool.loc[ended], pool.loc[list(expected)].assign(accuracy=means)])
    rows = {
        "missing": (pool.loc[ended], None),
        "expected": (imputed, np.concatenate([np.zeros(len(ended)), variances])),
        "expected, said exact": (imputed, None),
        "all trained": (pool.iloc[:networks], None),
    }
    best = {row: max(curves[o].accuracies[-1] for o in ended if curves[o].macs <= curves[row].macs) for row in stopped}
    found = {name: judged(*what, pool.iloc[networks:], pool, seed) for name, what in rows.items()}
    facts = {
        "stopped": len(stopped),
        "epochs_saved": sum(EPOCHS - epoch for epoch in stopped.values()) / (EPOCHS * networks),
        "wrongly": np.mean([curves[row].accuracies[-1] > best[row] for row in stopped]),
        "expected_rmse": 100 * np.sqrt(np.mean(errors**2)),
        "expected_bias": 100 * np.mean(errors),
        "squared_z": np.mean(errors**2 / variances),
    }
    return found, facts


@pytest.mark.parametrize("networks", [30, 60, 100])
@pytest.mark.parametrize("part", HALVES)
def test_what_curves_lead_to_expect_teaches_more_than_leaving_the_stopped_out(table, part, networks):
    studies = [study(table, part, networks, seed) for seed in range(SEEDS)]
    print(f"\n{part}, {networks} networks, mean (standard error) of {SEEDS} seeds")
    means = {}
    for name in ("facts", *studies[0][0]):
        each = pd.DataFrame([facts if name == "facts" else found[name] for found, facts in studies])
        means[name] = each.mean().to_dict()
        error = each.std(ddof=1) / np.sqrt(SEEDS)
        print(f"{name:21s}", "  ".join(f"{one} {each[one].mean():.3f} ({error[one]:.3f})" for one in each))
    better = np.mean([found["expected"]["rmse"] < found["missing"]["rmse"] for found, _ in studies])
    print(json.dumps({"what": "stopped", "half": part, "networks": networks, "better_rmse": better, **means}))
    assert means["expected"]["rmse"] < means["missing"]["rmse"]
    assert means["expected"]["tau"] > means["missing"]["tau"]
    assert means["expected"]["covered"] > 0.8
