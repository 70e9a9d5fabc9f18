"""The formula distilled from answers beside the answers, on tables of trained networks in r, d and w.

What a rule lacks to the best network of the table within the budget, in points, on average over ten budgets between
the 5 % and the 95 % quantile of the costs. Rows are drawn by chance; the mean and standard error are over seeds.

    mcunet      mcunet_vww_rdw_50k: a network is all rows of one (r, d, w) within 2 % of the budget, at their mean
                accuracy (kernels and expansions differ); `best (r, d, w)` is what none of them can fall below
    yolobench   yolobench_voc_pi4, seven families of 132 detectors, the cost is latency: the best of those that cost at
                most the budget. A formula answers with the nearest (r, d) that spends at least 90 % of the budget
                (networks lie 3 % apart), as `solve_width` spends it: `spending 90 %` is the best answer that does.

`formula` is fitted to the front of posterior means, as `fit` did before; `distilled` to the answers at 40 budgets;
`ladder` is a table of the answers at budgets 2 % apart, of which the last that the budget affords is taken.

Measured (4 seeds, mean +- standard error over seeds):

    table, rows      best (r, d, w) or
                     spending 90 %    answer        ladder        formula        distilled
    mcunet 30        .60 +- .01       .53 +- .02    .58 +- .01    1.00 +- .09    .59 +- .02
    mcunet 60        .59 +- .00       .53 +- .02    .58 +- .00    1.01 +- .04    .58 +- .01
    mcunet 100       .59 +- .00       .55 +- .02    .57 +- .01     .96 +- .04    .58 +- .01
    yolobench 30     .79 +- .08       .20 +- .03    .27 +- .02    1.37 +- .16    .93 +- .04
    yolobench 60     .82 +- .01       .10 +- .01    .16 +- .02    1.03 +- .03    .92 +- .03
    yolobench 100    .82 +- .00       .08 +- .01    .16 +- .01     .97 +- .03    .89 +- .01

On mcunet the distilled formula loses 1.1 times what the answer does (the formula through the front 1.9 times). The
detectors have three depths and four widths: there the best network often leaves a tenth of the budget, and the best
that does not loses .8 points, so no rule that spends its budget comes near the answer; the ladder does.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planner.fitting.curves import fit_curves
from planner.fitting.distil import DISTILLED_BUDGETS, distilled
from planner.fitting.landscape import STEP, Landscape
from planner.front import pareto
from planner.surrogates.answer_model import answer_model

TABLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tables"
ROWS, SEEDS, ASKED, WITHIN, RUNG, SPENT, CROWD = (30, 60, 100), 4, 10, 0.02, 0.02, 0.9, 5
COLUMNS = ["r", "d", "w"]


def mcunet():
    frame = pd.read_csv(TABLES / "mcunet_vww_rdw_50k.csv.gz", dtype={"ks": str, "e": str})
    multipliers = {"r": frame["image_size"] / 128, "d": frame["blocks"] / 15, "w": frame["width_mult"] / 0.5}
    table = pd.DataFrame({**multipliers, "cost": frame["macs"].astype(float), "accuracy": frame["vww_top1"] / 100})
    middle = (table[COLUMNS] == 1).all(axis=1)
    return [(table, float(table.loc[middle, "cost"].median()), Cells)]


def yolobench():
    frame = pd.read_csv(TABLES / "yolobench_voc_pi4.csv.gz").dropna(subset=["depth", "width", "resolution"])
    names = {"depth": "d", "width": "w", "latency_pi4_ms": "cost", "map5095": "accuracy"}
    frame = frame.assign(r=frame["resolution"] / 320).rename(columns=names)
    families = [one[[*COLUMNS, "cost", "accuracy"]].reset_index(drop=True) for _, one in frame.groupby("family")]
    return [(one, float(one["cost"].median()), Grid) for one in families if len(one) == 132]


class Networks:
    """Networks of a table at budgets, what a model expects of them and what they reached."""

    def __init__(self, table, one, model):
        self.table, self.one, self.model, self.known = table, one, model, {}

    def at(self, budget):
        """The networks that a formula may answer: log r, log d, log w, score, truth; and all that an answer may."""
        if budget not in self.known:
            self.known[budget] = self.found(budget)
        return self.known[budget]

    def chosen(self, budget, log_r, log_d):
        """Numbers of the networks that curves answer at `(n,)` places."""
        places, w = self.at(budget)["places"], (np.log(budget / self.one) - 2 * log_r - log_d) / 2
        wanted = np.column_stack([log_r, log_d, w])[:, : self.read]
        return ((wanted[:, None] - places[None, :, : self.read]) ** 2).sum(axis=2).argmin(axis=1)


class Cells(Networks):
    read = 3

    def found(self, budget):
        near = self.table[np.abs(self.table["cost"] / budget - 1) <= WITHIN]
        cells = near.groupby(COLUMNS)["accuracy"].agg(["mean", "size"]).reset_index()
        scores = self.model.scores(np.column_stack([cells[COLUMNS].to_numpy(), np.full(len(cells), budget)]))
        truth, best = cells["mean"].to_numpy(), float(near["accuracy"].max())
        shown = {"best (r, d, w)": best - truth[cells["size"] >= CROWD].max()}
        shown["answer"] = best - truth[scores.argmax()]
        return {
            "places": np.log(cells[COLUMNS].to_numpy()),
            "scores": scores,
            "truth": truth,
            "best": best,
            "shown": shown,
            "answer": cells.loc[scores.argmax(), COLUMNS].to_numpy(dtype=float),
        }

    def rung(self, rungs, budget):
        """What the last affordable answer of a table of answers reached: the mean of its (r, d, w) there."""
        knot = rungs[rungs <= budget].max()
        near = self.table[np.abs(self.table["cost"] / knot - 1) <= WITHIN]
        return near.loc[(near[COLUMNS] == self.at(knot)["answer"]).all(axis=1), "accuracy"].mean()


class Grid(Networks):
    read = 2

    def found(self, budget):
        cost, truth = self.table["cost"].to_numpy(), self.table["accuracy"].to_numpy()
        scores = self.model.scores(self.table[[*COLUMNS, "cost"]].to_numpy())
        inside = np.flatnonzero(cost <= budget)
        spent = inside[cost[inside] >= SPENT * budget]
        spent = spent if len(spent) else inside[cost[inside].argmax()][None]
        answer = inside[scores[inside].argmax()]
        best = truth[inside].max()
        shown = {"answer": best - truth[answer], "spending 90 %": best - truth[spent[scores[spent].argmax()]]}
        return {
            "places": np.log(self.table[COLUMNS].to_numpy()[spent]),
            "scores": scores[spent],
            "truth": truth[spent],
            "best": best,
            "shown": shown,
            "answer": answer,
        }

    def rung(self, rungs, budget):
        return self.table["accuracy"][self.at(rungs[rungs <= budget].max())["answer"]]


def places_between(values):
    ends = np.log([values.min(), values.max()])
    return np.linspace(*ends, int(np.ceil((ends[1] - ends[0]) / STEP)) + 1)


def landscape_of(networks, knots, rows):
    """What curves would answer at budgets, and what it is expected to reach."""
    u, v = places_between(rows["r"]), places_between(rows["d"])
    r, d = (one.ravel() for one in np.meshgrid(u, v, indexing="ij"))
    layers = [networks.at(one)["scores"][networks.chosen(one, r, d)].reshape(len(u), -1) for one in knots]
    return Landscape(np.log(knots / networks.one), u, v, np.array(layers))


def gaps_of(table, one, kind, n, seed):
    """Mean gap to the best, in points, of every rule with one sample of rows."""
    rows = table.sample(n, random_state=seed)
    model = answer_model(rows, COLUMNS, "accuracy", "cost", seed=seed)
    networks, x = kind(table, one, model), rows[[*COLUMNS, "cost"]].to_numpy()
    low, high = np.clip(table["cost"].quantile([0.01, 0.99]), rows["cost"].min(), rows["cost"].max())
    asked = np.geomspace(*np.clip(table["cost"].quantile([0.05, 0.95]), low, high), ASKED)
    knots = np.geomspace(low, high, DISTILLED_BUDGETS)
    rungs = np.geomspace(low, high, int(np.log(high / low) / RUNG) + 1)
    mean, std = model.surrogate.posterior_of(x[:, :-1], x[:, -1])
    drawn = distilled(landscape_of(networks, knots, rows), float(np.median(std)))
    front = rows.iloc[pareto.nsga3_rows(mean, rows["cost"], seed=seed)]
    c = front["cost"] / one
    before = fit_curves(c, front["r"], front["d"], seed=seed, c_range=(low / one, high / one))
    gaps = []
    for budget in asked:
        found = networks.at(budget)
        gap = dict(found["shown"], ladder=found["best"] - networks.rung(rungs, budget))
        for name, curves in (("formula", (before.r.curve, before.d.curve)), ("distilled", (drawn.r, drawn.d))):
            place = networks.chosen(budget, *(curve.mean(budget / one) for curve in curves))[0]
            gap[name] = found["best"] - found["truth"][place]
        gaps.append(gap)
    return 100 * pd.DataFrame(gaps).mean()


@pytest.mark.benchmark
@pytest.mark.parametrize("n", ROWS)
@pytest.mark.parametrize("tables", [mcunet, yolobench])
def test_the_distilled_formula_beside_the_answers(tables, n):
    if not TABLES.is_dir():
        pytest.skip("the open tables are not here")
    given = tables()
    gaps = pd.DataFrame([pd.DataFrame([gaps_of(*one, n, seed) for one in given]).mean() for seed in range(SEEDS)])
    error = gaps.std(ddof=1) / np.sqrt(SEEDS)
    print(f"\n| {tables.__name__} | {n} | " + " | ".join(f"{k} {gaps[k].mean():.2f} +- {error[k]:.2f}" for k in gaps))
    told = {name: round(float(value), 3) for name, value in gaps.mean().items()}
    print(json.dumps({"what": "distilled_formula", "table": tables.__name__, "rows": n, "seeds": SEEDS, "gap": told}))
    gain = gaps["formula"] - gaps["distilled"]
    assert gain.mean() > -2 * gain.std(ddof=1) / np.sqrt(SEEDS)  # never worse than through the front
    if tables is mcunet:
        assert gaps["distilled"].mean() < 1.5 * gaps["answer"].mean()
