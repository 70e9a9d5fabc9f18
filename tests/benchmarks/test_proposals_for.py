"""What `planner.propose(.., budgets=..)` is worth: points lost at the budgets asked for, on tables of trained networks.

From the same 20 random rows each way proposes 20 more in batches of five: for the answers at three budgets (the first
quarter, the middle and the last quarter of all costs), for the whole front, or at random. `hoping` is the first with
noise_share 0, the whole front's default. The noise of a measurement is known, as it is once some trainings were
repeated. The answer is the row of the highest expectation of a surrogate within the budget, rows that were measured by
what they reached; what it loses is the true score of the best row there less its own, in the table's points.

Seeds: PLANNER_BENCHMARK_SEEDS (default 8); tables: PLANNER_BENCHMARK_TABLES.
"""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planner

TABLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tables"
SEEDS = int(os.environ.get("PLANNER_BENCHMARK_SEEDS", "8"))
NAMES = os.environ.get("PLANNER_BENCHMARK_TABLES", "nats,macro,mcunet").split(",")
NOISE = {"nats": 0.3, "macro": 0.15, "mcunet": 0.2}  # points of a measurement, about as between seeds
INITIAL, BATCH, MARKS = 20, 5, (20, 30, 40)
SHARES = (0.25, 0.5, 0.75)  # of all rows, that cost no more than a budget
WAYS = ("for the answers", "whole front", "random", "hoping")

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(not TABLES.is_dir(), reason="the shared tables are not here"),
]


def table(name):
    """A table's rows with `score` and `cost`, and its inputs."""
    if name == "nats":
        frame, inputs = pd.read_csv(TABLES / "nats_sss_cifar10.csv.gz"), [f"c{i}" for i in range(1, 6)]
        return frame.assign(score=frame["cifar10_test_acc"], cost=frame["flops"]), inputs
    if name == "macro":
        frame = pd.read_csv(TABLES / "nasbench_macro_cifar10.csv.gz")
        return frame.assign(score=frame["mean_acc"], cost=frame["flops"]), [f"op{i}" for i in range(1, 9)]
    frame = pd.read_csv(TABLES / "mcunet_vww_rdw_50k.csv.gz", dtype={"ks": str, "e": str})
    digits = {column: np.array([list(map(int, row)) for row in frame[column]]) for column in ("ks", "e")}
    means = {f"mean_{column}": rows.mean(axis=1) for column, rows in digits.items()}
    inputs = ["image_size", "width_mult", *(f"n{i}" for i in range(1, 7)), *means]
    frame = frame.assign(score=frame["vww_top1"], cost=frame["macs"], **means)
    return frame.drop_duplicates([*inputs, "cost"]).reset_index(drop=True), inputs


def losses(frame, inputs, rows, measured, budgets, noise_variance):
    """Points that the answers lose at the budgets."""
    seen = frame.iloc[rows].assign(score=measured[rows])
    surrogate = planner.fit_surrogate(seen, inputs, "score", "cost", noise_variance, validate=False)
    mean, _ = surrogate.posterior(frame)
    mean[rows] = surrogate.reached(0.0)
    cost, truth = frame["cost"].to_numpy(), frame["score"].to_numpy()
    lost = []
    for budget in budgets:
        within = np.flatnonzero(cost <= budget)
        lost.append(truth[within].max() - truth[within[np.argmax(mean[within])]])
    return lost


def proposed(way, frame, inputs, rows, measured, budgets, noise_variance, seed):
    """The next batch of one way."""
    left = np.setdiff1d(np.arange(len(frame)), rows)
    if way == "random":
        return np.random.default_rng([seed, len(rows)]).choice(left, BATCH, replace=False).tolist()
    seen = frame.iloc[rows].assign(score=measured[rows])
    more = {} if way == "whole front" else {"budgets": budgets}
    more |= {"noise_share": 0.0} if way == "hoping" else {}
    columns = {"inputs": inputs, "target": "score", "cost": "cost", "noise_variance": noise_variance}
    return planner.propose(seen, frame.iloc[left], BATCH, **columns, seed=seed, **more)


@pytest.mark.parametrize("name", NAMES)
def test_proposals_for_budgets_improve_the_answers_there(name):
    frame, inputs = table(name)
    budgets = [float(budget) for budget in np.quantile(frame["cost"], SHARES)]
    found = {way: {mark: [] for mark in MARKS} for way in WAYS}
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        measured = frame["score"].to_numpy() + NOISE[name] * rng.normal(size=len(frame))
        initial = rng.permutation(len(frame))[:INITIAL].tolist()
        for way in WAYS:
            rows = list(initial)
            while True:
                if len(rows) in MARKS:
                    found[way][len(rows)].append(losses(frame, inputs, rows, measured, budgets, NOISE[name] ** 2))
                if len(rows) >= MARKS[-1]:
                    break
                rows += proposed(way, frame, inputs, rows, measured, budgets, NOISE[name] ** 2, seed)
            assert len(set(rows)) == MARKS[-1]
    report(name, found)
    means = {way: np.mean(found[way][MARKS[-1]]) for way in WAYS}
    assert means["for the answers"] <= means["random"]


def report(name, found):
    """Prints means over seeds and budgets with standard errors over seeds, and the paired difference of the two."""
    for way, marks in found.items():
        cells = [_mean_and_error(np.mean(values, axis=1)) for values in marks.values()]
        print(f"{name:8s} {way:16s}", *(f"{mean:.3f} ({error:.3f})" for mean, error in cells))
    apart = {}
    for mark in MARKS[1:]:
        ours, theirs = (np.mean(found[way][mark], axis=1) for way in WAYS[:2])
        apart[mark] = _mean_and_error(ours - theirs)
    means = {way: {mark: float(np.mean(values)) for mark, values in marks.items()} for way, marks in found.items()}
    print(json.dumps({"what": "points lost at three budgets", "table": name, "seeds": SEEDS, "lost": means}))
    print(json.dumps({"for less whole front": apart}))


def _mean_and_error(values):
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
