"""The questions of the reference study's card, answered from its files.

Run it as `python tests/benchmarks/reference_questions.py`; `--replay` takes minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

import planner
from planner.answers.formula import Formula
from planner.front.pareto import as_losses, non_dominated_mask
from planner.tables.table import read_csv
from sampler import base, rule_named, scale

RESULTS = Path(__file__).resolve().parents[2] / "results"
HERE, TINYNETS = RESULTS / "reference", RESULTS / "published" / "efficientnet_b0.csv"
FIRST, SEEDS, STOPS = 12, 20, (20, 30, 40)  # of the replay: trainings to begin with, repeats, where it is looked at
LEVELS = (0.5, 0.8, 0.9)


def area(frame: pd.DataFrame, low: float, high: float, floor: float) -> float:
    """Area under the staircase of accuracies over log MACs, from `low` to `high`, above `floor`; in points."""
    total, best = 0.0, floor
    for macs, accuracy in frame.sort_values(["macs", "accuracy"])[["macs", "accuracy"]].to_numpy():
        if accuracy > best:
            total += (np.log(high) - np.log(max(macs, low))) * (accuracy - best)
            best = accuracy
    return float(100 * total / np.log(high / low))


def correlations(frame: pd.DataFrame) -> None:
    """Does resolution go with MACs on the front more than depth, and depth more than width?"""
    fronts = {"all random": frame, "observed front": frame[non_dominated_mask(as_losses(frame.accuracy, frame.macs))]}
    order = frame.assign(accuracy=planner.fit_surrogate(frame).worth())
    fronts["front of posterior means"] = order[non_dominated_mask(as_losses(order.accuracy, order.macs))]
    for name, front in fronts.items():
        found = {one: spearmanr(front[one], front.macs) for one in "rdw"}
        said = ", ".join(f"{one} {test.statistic:+.2f} (p {test.pvalue:.2g})" for one, test in found.items())
        print(f"Spearman with MACs, {name} ({len(front)}): {said}")


def published(formula: Formula) -> None:
    """How far is the learned formula from TinyNet's published networks?"""
    rows, branch = read_csv(TINYNETS).frame, formula.branches["shrink"]
    low, high = branch.c_range
    for row in rows[rows["trial"].str.startswith("tinynet")].itertuples():
        inside = "" if low <= row.c <= high else " (beyond the study's c)"
        ours = f"r {float(branch.r(row.c)[0]):.2f} d {float(branch.d(row.c)[0]):.2f}"
        print(f"{row.trial} c {row.c:.3f}: r {row.r:.2f} d {row.d:.2f} published, {ours} learned here{inside}")


def of_one_width(frame: pd.DataFrame) -> np.ndarray:
    """Whether each architecture is the base network scaled by one d and one w."""
    columns = (frame[name].to_numpy() for name in ("resolution", "d", "w"))
    scaled = scale(base("efficientnet_b0"), rule_named("inverse"), *columns)
    widths, depths = (frame[[f"{name}_{i}" for i in range(1, 8)]].to_numpy() for name in ("width", "depth"))
    return (scaled.widths == widths).all(axis=1) & (scaled.depths == depths).all(axis=1)


def covered(random: pd.DataFrame, later: pd.DataFrame) -> None:
    """How well did intervals, fitted to the random trainings alone, cover what was proposed and trained later?"""
    surrogate = planner.fit_surrogate(random)
    for name, rows in later.groupby("space"):
        inside = []
        for level in LEVELS:
            predicted = surrogate.predict(rows, level=level)
            inside.append(float(((rows.accuracy >= predicted.lower) & (rows.accuracy <= predicted.upper)).mean()))
        error = 100 * (rows.accuracy - predicted["mean"])
        errors = f"{error.mean():+.2f} +- {error.std():.2f}"
        shares = ", ".join(f"{share:.0%} of {level:.0%}" for share, level in zip(inside, LEVELS, strict=True))
        print(f"{len(rows)} proposed later ({name}): {shares} inside; error {errors} points")


def gained(random: pd.DataFrame, later: pd.DataFrame, low: float, high: float, floor: float) -> None:
    """What did proposals gain over as many random trainings?"""
    first, n = area(random, low, high, floor), len(later)
    together = area(pd.concat([random, later]), low, high, floor)
    rng = np.random.default_rng(0)
    kept = [area(random.sample(len(random) - n, random_state=rng), low, high, floor) for _ in range(1000)]
    print(
        f"area under the front: {first:.3f} points after {len(random)} random ones, {together:.3f} after {n} proposed"
    )
    print(f"  the last {n} of {len(random)} random ones, in any order, added {first - np.mean(kept):.3f} on average")


def replayed(random: pd.DataFrame, low: float, high: float, floor: float) -> None:
    """The same trainings again, chosen one by one by the proposer or at random: area missing, in points."""
    whole = area(random, low, high, floor)
    missing: dict[str, list[list[float]]] = {"proposed": [], "at random": []}
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(random)).tolist()
        rows = order[:FIRST]
        while len(rows) < STOPS[-1]:
            rows += planner.propose(random.iloc[rows], random, 1, inputs=["r", "d"], seed=seed)
        for name, chosen in (("proposed", rows), ("at random", order)):
            missing[name].append([whole - area(random.iloc[chosen[:stop]], low, high, floor) for stop in STOPS])
    for name, lost in missing.items():
        means, errors = np.mean(lost, axis=0), np.std(lost, axis=0, ddof=1) / np.sqrt(SEEDS)
        said = ", ".join(f"{m:.3f} +- {e:.3f} at {s}" for m, e, s in zip(means, errors, STOPS, strict=True))
        print(f"replay of {len(random)} trainings, {SEEDS} seeds, {name}: missing {said}")


def main() -> None:
    """Prints all answers."""
    frame = read_csv(HERE / "trials.csv").frame
    frame = frame.reset_index(drop=True)
    random = frame[frame.origin == "stratified"].reset_index(drop=True)
    later = frame[frame.origin != "stratified"].reset_index(drop=True)
    low, high, floor = random.macs.min(), frame.macs.max(), random.accuracy.min()
    correlations(random)
    published(Formula.load(HERE / "formula.json"))
    if len(later):
        covered(random, later.assign(space=np.where(of_one_width(later), "uniform", "stage")))
        gained(random, later, low, high, floor)
    if "--replay" in sys.argv:
        replayed(random, low, high, floor)


if __name__ == "__main__":
    main()
