"""Prints every table of the study of the claim from its records (`results/studies/claim`).

Run it as `python tests/benchmarks/claim_tables.py [FOLDER]`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from sampler import base
from sampler.moves import column_names

FOLDER = Path(__file__).resolve().parents[2] / "results" / "studies" / "claim"
BASE, CHANCE, HELD_OUT = "mobilenetv3_small_100", 0.05, (1.25e6, 2e6)
RIVALS = {"compound": 5.0, "compound-fitted": 1.5, "compound-anchored": 1.5, "formula": 1.0}  # points wanted
DRAWS, LEVEL = 10_000, 0.95
KEY = list(column_names(len(base(BASE).stages)))


def scores(folder: Path) -> pd.DataFrame:
    """One row for each study, method, budget and seed: `points`, the top-1 on the validation images in percent.

    What nobody's trainings taught stands in every study; random networks are averaged.
    """
    networks, finals = pd.read_csv(folder / "networks.csv"), pd.read_csv(folder / "finals.csv")
    finals["points"] = 100 * finals["accuracy"].where(finals["status"] == "ok", CHANCE)
    rows = networks.dropna(subset=["resolution"]).merge(finals[[*KEY, "seed", "points"]], on=KEY)
    studies = sorted(networks["study"].unique())
    copied = rows[rows["knowing"] == "none"]
    rows = pd.concat([rows[rows["knowing"] != "none"], *(copied.assign(study=one) for one in studies)])
    rows["method"] = rows["method"].str.replace(r"^random-\d$", "random", regex=True)
    keys = ["study", "knowing", "method", "budget", "seed"]
    return rows.groupby(keys, as_index=False).agg(points=("points", "mean"), macs=("macs", "mean"))


def cube(rows: pd.DataFrame, method: str) -> pd.DataFrame:
    """A method's points by (study, budget) and seed; of the full study where the method knows one."""
    chosen = rows[(rows["method"] == method) & rows["knowing"].isin(["all", "none", "confirmed"])]
    return chosen.pivot_table(index=["study", "budget"], columns="seed", values="points")


def interval(difference: pd.DataFrame, seed: int = 0) -> tuple[float, float, float]:
    """Mean over studies, budgets and seeds, and its 95 % interval by a bootstrap of studies, then budgets, then seeds.

    Args:
        difference: Points by (study, budget) and seed.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    by_study = [part.dropna(axis=1, how="any").to_numpy() for _, part in difference.groupby(level="study")]
    by_study = [one for one in by_study if one.size]
    means = np.empty(DRAWS)
    for draw in range(DRAWS):
        found = []
        for place in rng.integers(len(by_study), size=len(by_study)):
            values = by_study[place]
            budgets = rng.integers(len(values), size=len(values))
            seeds = rng.integers(values.shape[1], size=(len(values), values.shape[1]))
            found.append(np.take_along_axis(values[budgets], seeds, axis=1).mean())
        means[draw] = np.mean(found)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(np.mean([one.mean() for one in by_study])), float(low), float(high)


def against(rows: pd.DataFrame, rival: str, budgets: list[float] | None = None) -> pd.DataFrame:
    """The answer's points minus a rival's, where both have a network."""
    difference = (cube(rows, "answer") - cube(rows, rival)).dropna(how="all")
    return difference if budgets is None else difference[difference.index.isin(budgets, level="budget")]


def primary(rows: pd.DataFrame) -> None:
    """The primary endpoint, and the same at budgets with and without trainings nearby."""
    every = sorted(rows["budget"].unique())
    parts = {"all budgets": None, "held out": list(HELD_OUT), "not held out": [b for b in every if b not in HELD_OUT]}
    for name, budgets in parts.items():
        print(f"\nanswer minus .., points ({name}); mean [95 % interval], wanted")
        for rival, wanted in RIVALS.items():
            difference = against(rows, rival, budgets)
            if difference.empty:
                print(f"  {rival}: no trainings yet")
                continue
            mean, low, high = interval(difference)
            verdict = "met" if mean >= wanted and low > 0 else "missed"
            print(f"  {rival}: {mean:+.2f} [{low:+.2f}, {high:+.2f}], wanted {wanted:+.1f}: {verdict}")


def by_budget(rows: pd.DataFrame) -> None:
    """Every method at every budget: the mean over studies and seeds, and how far studies are apart."""
    known = rows[rows["knowing"].isin(["all", "none", "confirmed"])]
    means = known.groupby(["method", "budget", "study"])["points"].mean().unstack("budget")
    table = means.groupby("method").mean()
    print("\ntop-1 in percent, mean over studies and seeds; methods without a network at a budget have none there")
    print(table.loc[table.mean(axis=1).sort_values(ascending=False).index].round(1).to_string())
    each = known.groupby(["study", "budget", "method"])["points"].mean()
    regret = each.groupby(["study", "budget"]).transform("max") - each
    print("\nregret: points below the best of all methods at the budget, mean over budgets and studies")
    print(regret.groupby("method").mean().sort_values().round(2).to_string(header=False))


def buyers(rows: pd.DataFrame) -> None:
    """The first study's answers after 10, 20 and 40 trainings."""
    first = rows[(rows["study"] == rows["study"].min()) & (rows["method"] == "answer")]
    print("\nanswers after so many trainings (`all`: 40, held-out budgets apart)")
    print(first.pivot_table(index="knowing", columns="budget", values="points").round(1).to_string())


def longer(folder: Path, rows: pd.DataFrame) -> None:
    """Whether the order of methods holds in trainings of four times the epochs on all images."""
    path = folder / "long.csv"
    if not path.is_file():
        return
    long = pd.read_csv(path).assign(points=lambda one: 100 * one["accuracy"])
    networks = pd.read_csv(folder / "networks.csv").drop_duplicates(["method", "budget"])
    named = networks.merge(long.groupby(KEY, as_index=False)["points"].mean(), on=KEY)
    short = rows[rows["study"] == rows["study"].min()].groupby(["method", "budget"])["points"].mean()
    print("\nfour times the epochs on all images: points, beside those of the comparison")
    for row in named.itertuples():
        print(f"  {row.method} at {row.budget / 1e6:.2f}M: {row.points:.1f}, {short.get((row.method, row.budget)):.1f}")


def main() -> None:
    """Prints all of it."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    rows = scores(folder)
    trained = rows.groupby("study")["seed"].nunique()
    print(", ".join(f"{study}: {count} seeds" for study, count in trained.items()))
    primary(rows)
    by_budget(rows)
    buyers(rows)
    longer(folder, rows)


if __name__ == "__main__":
    main()
