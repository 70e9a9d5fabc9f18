"""`planner.answer` beside other ways to answer a budget, on tables of networks that were really trained.

Rows are drawn at random, evenly over log cost (`random`), three fifths so and the rest proposed by `planner.propose`
(`proposed`), or at random without all rows within 15 % of the budget (`gap`). Ten budgets between the 5 % and the 95 %
quantile of the costs (`gap`: three). The loss of an answer is what it lacks to the best row within the budget, in
points (hwgpt: 100 x log perplexity); of 0.1 to 0.3 points of noise that measurements have, or of one of three real
seeds (macro). Optimism is what was expected of the answers less what is true; `inside`, the share of fresh measurements
of the answers in their 90 % intervals.

Measured (8 seeds; yolo 2 of each of seven families, hwgpt 4), mean loss (standard error over the draws), optimism and
inside; columns: formula, best training, surrogate's best, answer, cautious answer:

    nats    random    30   0.80 (0.07)  1.15 (0.11)  0.29 (0.02)  0.29 (0.02)  0.34 (0.04)  -0.07  0.96
    nats    random    60   0.62 (0.06)  0.89 (0.07)  0.31 (0.03)  0.30 (0.03)  0.34 (0.03)  -0.04  0.96
    nats    random   100   0.56 (0.03)  0.84 (0.08)  0.29 (0.02)  0.28 (0.02)  0.32 (0.02)  -0.08  0.93
    nats    proposed  30   0.43 (0.04)  0.61 (0.06)  0.34 (0.03)  0.34 (0.03)  0.36 (0.04)  +0.01  0.81
    nats    proposed  60   0.36 (0.02)  0.43 (0.02)  0.31 (0.01)  0.29 (0.01)  0.30 (0.02)  +0.01  0.94
    nats    proposed 100   0.37 (0.02)  0.37 (0.02)  0.27 (0.02)  0.28 (0.02)  0.29 (0.02)  -0.05  0.93
    nats    gap       60   0.55 (0.03)  1.00 (0.06)  0.35 (0.05)  0.36 (0.05)  0.33 (0.04)  +0.09  0.92
    macro   random    30   0.64 (0.06)  1.45 (0.13)  0.46 (0.04)  0.45 (0.02)  0.45 (0.04)  +0.09  0.90
    macro   random    60   0.60 (0.08)  0.96 (0.06)  0.34 (0.02)  0.36 (0.02)  0.37 (0.01)  +0.10  0.96
    macro   random   100   0.50 (0.05)  0.77 (0.05)  0.25 (0.02)  0.26 (0.01)  0.29 (0.01)  +0.06  0.93
    macro   proposed  30   0.51 (0.05)  0.69 (0.05)  0.37 (0.03)  0.39 (0.02)  0.45 (0.03)  -0.10  0.95
    macro   proposed  60   0.41 (0.03)  0.34 (0.04)  0.25 (0.04)  0.26 (0.03)  0.27 (0.04)  -0.05  0.82
    macro   proposed 100   0.35 (0.02)  0.20 (0.04)  0.16 (0.02)  0.16 (0.02)  0.14 (0.02)  +0.03  0.88
    macro   gap       60   0.39 (0.04)  1.58 (0.11)  0.33 (0.07)  0.34 (0.07)  0.30 (0.07)  +0.12  0.88
    mcunet  random    30   1.22 (0.05)  1.49 (0.06)  0.75 (0.04)  0.74 (0.04)  0.72 (0.03)  +0.35  0.88
    mcunet  random    60   1.11 (0.03)  1.21 (0.06)  0.64 (0.05)  0.65 (0.04)  0.60 (0.03)  +0.15  0.92
    mcunet  random   100   1.14 (0.03)  1.02 (0.04)  0.61 (0.03)  0.61 (0.03)  0.60 (0.03)  +0.13  0.84
    mcunet  proposed  30   0.96 (0.06)  0.85 (0.10)  0.63 (0.04)  0.62 (0.05)  0.63 (0.05)  -0.13  0.90
    mcunet  proposed  60   0.84 (0.03)  0.64 (0.02)  0.57 (0.03)  0.55 (0.03)  0.56 (0.02)  -0.17  0.93
    mcunet  proposed 100   0.87 (0.04)  0.55 (0.03)  0.50 (0.02)  0.49 (0.03)  0.51 (0.03)  -0.12  0.86
    mcunet  gap       60   1.07 (0.06)  1.17 (0.07)  0.75 (0.06)  0.73 (0.06)  0.70 (0.03)  +0.20  0.79
    yolo    random    30   2.15 (0.38)  1.79 (0.19)  0.15 (0.03)  0.15 (0.03)  0.20 (0.04)  +0.08  0.90
    yolo    random    60   2.11 (0.38)  0.71 (0.07)  0.11 (0.03)  0.11 (0.03)  0.12 (0.04)  +0.06  0.91
    yolo    proposed  30   2.07 (0.38)  0.55 (0.07)  0.16 (0.04)  0.16 (0.04)  0.15 (0.04)  +0.04  0.96
    yolo    proposed  60   2.06 (0.38)  0.05 (0.02)  0.11 (0.04)  0.09 (0.03)  0.08 (0.02)  +0.03  0.96
    yolo    gap       60   2.49 (0.57)  1.13 (0.17)  0.12 (0.04)  0.12 (0.04)  0.12 (0.04)  -0.02  0.95
    hwgpt   random    30   1.37 (0.20)  4.62 (0.48)  0.40 (0.13)  0.38 (0.11)  0.46 (0.14)  +0.31  0.93
    hwgpt   random    60   1.40 (0.15)  3.84 (0.51)  0.40 (0.09)  0.37 (0.09)  0.33 (0.08)  +0.15  0.97
    hwgpt   proposed  30   1.26 (0.19)  0.86 (0.16)  0.30 (0.11)  0.30 (0.09)  0.21 (0.05)  -0.10  1.00
    hwgpt   proposed  60   0.74 (0.05)  0.46 (0.08)  0.21 (0.06)  0.20 (0.03)  0.15 (0.03)  -0.03  0.95
    hwgpt   gap       60   0.94 (0.12)  6.95 (0.17)  0.61 (0.07)  0.66 (0.07)  0.52 (0.12)  +1.02  0.75

The answer is within one standard error of the surrogate's best row in all of these cells but macro's random 60, where
it is .02 behind. Where nothing was measured near the budget (gap) hwgpt's answers are promised 1 point too much.
The pull, the shares and the guess of the optimism were chosen on draws from these tables; each table's optimism is
foretold to .06 points by a guess made on the other four.

More seeds: PLANNER_ANSWER_SEEDS=8 pytest -m benchmark -s tests/benchmarks/test_answers.py
"""

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planner
from planner.front import pareto
from planner.gaussian.curve_fit import LOGLINEAR, fit_process
from planner.surrogates.answer import best_within
from planner.surrogates.answer_model import answer_model

TABLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tables"
SEEDS = int(os.environ.get("PLANNER_ANSWER_SEEDS", "4"))
ROWS = (30, 60, 100)
BUDGETS, GAP = 10, 0.15
WITHIN = 0.02  # below the budget, where the formula's network is looked for
FAMILIES = ("yolo3", "yolo4", "yolo5", "yolo6s", "yolo6m", "yolo6l", "yolo8")
METHODS = ("formula", "best training", "surrogate's best", "answer", "answer, cautious")

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(not TABLES.is_dir(), reason="the shared tables are not here"),
]


class Problem:
    """A pool of networks: `(n, k)` inputs, and by row the cost, the truth in points and what measuring gives."""

    def __init__(self, name, frame, inputs, cost, truth, noise):
        self.name, self.inputs, self.noise = name, list(inputs), noise
        self.frame = frame[self.inputs].reset_index(drop=True).assign(cost=np.asarray(frame[cost], dtype=float))
        self.cost, self.truth = self.frame["cost"].to_numpy(), np.asarray(truth, dtype=float)
        self.matrix = self.frame[[*self.inputs, "cost"]].to_numpy(dtype=float)
        self.budgets = np.geomspace(*np.quantile(self.cost, [0.05, 0.95]), BUDGETS)

    def measured(self, seed):
        """One measurement of every row; a float is the noise's deviation, an array holds real repeats."""
        if isinstance(self.noise, float):
            return self.truth + self.noise * np.random.default_rng(10_000 + seed).standard_normal(len(self.truth))
        return self.noise[:, seed % self.noise.shape[1]]

    def losses(self, rows, budgets):
        best = np.array([self.truth[self.cost <= budget].max() for budget in budgets])
        return best - self.truth[rows]


def nats():
    frame = pd.read_csv(TABLES / "nats_sss_cifar10.csv.gz")
    yield Problem("nats", frame, [f"c{i}" for i in range(1, 6)], "flops", frame["cifar10_test_acc"], 0.3)


def macro():
    frame = pd.read_csv(TABLES / "nasbench_macro_cifar10.csv.gz", dtype={"arch": str})
    runs = frame[["acc_run1", "acc_run2", "acc_run3"]].to_numpy()
    yield Problem("macro", frame, [f"op{i}" for i in range(1, 9)], "flops", frame["mean_acc"], runs)


def mcunet():
    """Resolution, width, and of each stage the depth and the means of its blocks' kernels and expansions."""
    frame = pd.read_csv(TABLES / "mcunet_vww_rdw_50k.csv.gz", dtype={"ks": str, "e": str, "arch": str})
    inputs = ["image_size", "width_mult", *(f"n{i}" for i in range(1, 7))]
    starts = np.cumsum([0, 3, 4, 4, 4, 4])  # of each stage's digits; of those the first n count
    for column, short in (("ks", "k"), ("e", "x")):
        digits = np.array([[int(one) for one in text] for text in frame[column]])
        for stage, start in enumerate(starts, 1):
            depth = frame[f"n{stage}"].to_numpy()
            sums = np.concatenate([np.zeros((len(digits), 1)), digits.cumsum(axis=1)], axis=1)
            row = np.arange(len(digits))
            frame[f"{short}{stage}"] = (sums[row, start + depth] - sums[row, start]) / depth
            inputs.append(f"{short}{stage}")
    inputs = [name for name in inputs if frame[name].nunique() > 1]
    yield Problem("mcunet", frame, inputs, "macs", frame["vww_top1"], 0.2)


def yolo():
    frame = pd.read_csv(TABLES / "yolobench_voc_pi4.csv.gz")
    for family in FAMILIES:
        part = frame[frame["family"] == family]
        yield Problem(family, part, ["depth", "width", "resolution"], "latency_pi4_ms", 100 * part["map5095"], 0.2)


def hwgpt():
    """Width, depth, and the mean heads and MLP ratios of each third of the layers."""
    frame = pd.read_csv(TABLES / "hwgpt_s.csv.gz")
    inputs = ["embed_dim", "layers"]
    for column in ("heads", "mlp_ratio"):
        layers = [np.array(text.split(), dtype=float) for text in frame[column]]
        for third in range(3):
            frame[f"{column}_{third + 1}"] = [np.array_split(one, 3)[third].mean() for one in layers]
            inputs.append(f"{column}_{third + 1}")
    yield Problem("hwgpt", frame, inputs, "params_non_embedding", -100 * np.log(frame["perplexity"]), 0.1)


PROBLEMS = {"nats": nats, "macro": macro, "mcunet": mcunet, "yolo": yolo, "hwgpt": hwgpt}


def spread(problem, n, seed, allowed=True):
    """Rows drawn at random, evenly from ten bins of log cost."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(np.broadcast_to(allowed, len(problem.cost))))
    edges = np.geomspace(problem.cost[rows].min(), problem.cost[rows].max(), 11)[1:-1]
    bins = pd.Series(np.searchsorted(edges, problem.cost[rows]))
    return rows[np.argsort(bins.groupby(bins).cumcount().to_numpy(), kind="stable")[:n]]


def table_of(problem, rows, measured):
    return problem.frame.iloc[rows].assign(score=measured[rows])


def proposed(problem, n, seed):
    """Three fifths at random, then three batches of proposals."""
    rows, measured = list(spread(problem, round(0.6 * n), seed)), problem.measured(seed)
    columns = {"inputs": problem.inputs, "target": "score", "cost": "cost", "seed": seed}
    for batch in np.array_split(np.arange(n - len(rows)), 3):
        rows += planner.propose(table_of(problem, rows, measured), problem.frame, len(batch), **columns)
    return np.array(rows)


def logs(matrix):
    """Logarithms of columns, of x + 1 where there are zeros."""
    return np.log(matrix + (matrix.min(axis=0) <= 0))


def formula(problem, rows, believed, budgets, seed):
    """The product's smooth curves of every input through the front; the nearest row within 2 % below each budget."""
    front = rows[pareto.nsga3_rows(believed, problem.cost[rows], seed=seed)]
    middle = np.exp(np.log(problem.cost[front]).mean())
    inputs = logs(problem.matrix[:, :-1])
    centre, scale = inputs[front].mean(axis=0), inputs.std(axis=0)
    x, wanted = np.log(problem.cost[front] / middle), []
    for j in range(inputs.shape[1]):
        fitted = fit_process(x, inputs[front, j] - centre[j], LOGLINEAR, seed)
        wanted.append(fitted.curve.mean(budgets / middle) + centre[j])
    answers = []
    for budget, place in zip(budgets, np.array(wanted).T, strict=True):
        most = problem.cost[problem.cost <= budget].max()
        near = np.flatnonzero((problem.cost <= most) & (problem.cost >= (1 - WITHIN) * most))
        answers.append(near[np.argmin((((inputs[near] - place) / scale) ** 2).sum(axis=1))])
    return np.array(answers)


def asked(problem, rows, seed, budgets):
    """Rows by method and budget, and what was expected of the answers."""
    measured = problem.measured(seed)
    model = answer_model(table_of(problem, rows, measured), problem.inputs, "score", "cost", seed=seed)
    mean = model.surrogate.posterior_of(problem.matrix[:, :-1], problem.cost)[0]
    trained = np.full(len(mean), -np.inf)
    trained[rows] = measured[rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of values at their bounds
        smooth = formula(problem, rows, model.surrogate.reached(), budgets, seed)
    scores = {
        "best training": trained,
        "surrogate's best": mean,
        "answer": model.scores(problem.matrix),
        "answer, cautious": model.scores(problem.matrix, cautious=True),
    }
    found = {"formula": smooth} | {name: best_within(one, problem.cost, budgets) for name, one in scores.items()}
    return found, model.expected(problem.matrix[found["answer"]])


def results(problem, rows, seed, budgets):
    """For one draw: mean loss by method, optimism and coverage."""
    found, (mean, lower, upper) = asked(problem, rows, seed, budgets)
    for chosen in found.values():
        assert (problem.cost[chosen] <= budgets).all()
    answers = found["answer"]
    fresh = problem.measured(seed + 1 if not isinstance(problem.noise, float) else seed + 5_000)[answers]
    losses = {name: float(problem.losses(chosen, budgets).mean()) for name, chosen in found.items()}
    optimism = float((mean - problem.truth[answers]).mean())
    return losses | {"optimism": optimism, "inside": float(((lower <= fresh) & (fresh <= upper)).mean())}


def with_gaps(problem, n, seed):
    """As `results`, of three budgets near which nothing was measured."""
    found = []
    for budget in problem.budgets[[2, 5, 8]]:
        allowed = np.abs(np.log(problem.cost / budget)) > np.log(1 + GAP)
        rows = spread(problem, n, seed, allowed)
        found.append(results(problem, rows, seed, np.array([budget])))
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def cell(problems, kind, n):
    """One row for each seed; where a table has families, for each of them and a quarter of the seeds."""
    found = []
    for problem in problems:
        for seed in range(SEEDS if len(problems) == 1 else max(1, SEEDS // 4)):
            if kind == "gap":
                found.append(with_gaps(problem, n, seed))
            else:
                rows = proposed(problem, n, seed) if kind == "proposed" else spread(problem, n, seed)
                found.append(results(problem, rows, seed, problem.budgets))
    return pd.DataFrame(found)


def cells_of(name):
    """What is run of a table: a family of detectors has 132 networks, too few to draw 100 of them."""
    rows = ROWS if SEEDS > 4 else ROWS[:2]
    kinds = [("random", n) for n in rows] + [("proposed", n) for n in rows] + [("gap", 60)]
    return [(kind, n) for kind, n in kinds if name != "yolo" or n < 100]


@pytest.mark.parametrize("name", PROBLEMS)
def test_answers_lose_no_more_than_the_surrogates_best_row(name):
    problems, report, worse = list(PROBLEMS[name]()), [], []
    for kind, n in cells_of(name):
        found = cell(problems, kind, n)
        mean, error = found.mean(), found.sem()
        report.append({"table": name, "kind": kind, "rows": n, **mean.round(3)})
        shown = "  ".join(f"{mean[one]:.2f} ({error[one]:.2f})" for one in METHODS)
        print(f"{name:7s} {kind:8s} {n:3d}  {shown}  {mean['optimism']:+.2f}  {mean['inside']:.2f}", flush=True)
        if mean["answer"] > mean["surrogate's best"] + error["surrogate's best"]:
            worse.append((kind, n))
        if kind != "proposed":  # among proposals the best training is itself a strong answer
            assert mean["answer"] < min(mean["formula"], mean["best training"])
    print(json.dumps({"what": "answers", "seeds": SEEDS, "methods": METHODS, "cells": report}))
    assert not worse


def test_the_public_function_answers_as_the_model_does():
    (problem,) = nats()
    rows = spread(problem, 40, 0)
    measured = problem.measured(0)
    found, _ = asked(problem, rows, 0, problem.budgets)
    columns = {"inputs": problem.inputs, "target": "score", "cost": "cost"}
    for name, cautious in (("answer", False), ("answer, cautious", True)):
        table = table_of(problem, rows, measured)
        labels = planner.answer(table, problem.frame, list(problem.budgets), cautious=cautious, **columns)
        assert labels == found[name].tolist()
