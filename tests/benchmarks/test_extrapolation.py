"""How often measured values fall inside a surrogate's intervals, inside and outside the rows it saw, up to ten times.

Coverage of 50, 80 and 90 % intervals before they widened outside and after: means over 30, 60 and 120 rows seen, 2
seeds (10 of each law) and two places to cut; medians of the widths of 90 % intervals, in standard deviations of the
target seen. Rows are held out by parameters (hwgpt_s), resolution (yolobench) or MACs, at the large and at the small
end; a row lies so many `times` beyond those seen in that (in pixels for yolobench), and may lie outside in another
column where it is `inside` by that. Laws are known below 1e20 FLOPs and asked at 5e20 to 1e21. The constants of
`planner.gaussian.outside` and `.extremes` were chosen on tables with a star. On the others, intervals stay too
short towards small networks.

    table                 asked    times   before       after         width    now
    law: loss of FLOPs*   larger   inside  .50 .81 .90  .51 .81 .90    0.08   0.08
    law: loss of FLOPs*   larger   5-10    .08 .26 .45  .47 .90 .93    0.27   0.73
    law: loss of both*    larger   inside  .51 .81 .91  .54 .83 .93    0.10   0.11
    law: loss of both*    larger   5-10    .32 .57 .70  .66 .96 .98    0.50   0.85
    law: score of three*  larger   inside  .51 .81 .91  .53 .82 .91    0.10   0.11
    law: score of three*  larger   5-10    .33 .61 .72  .85 .98 1.0    0.14   0.60
    hwgpt_s*              larger   inside  .53 .83 .91  .54 .84 .91    0.73   0.75
    hwgpt_s*              larger   1-2     .59 .88 .96  .74 .96 .99    0.18   0.30
    hwgpt_s*              larger   2-5     .13 .44 .54  .34 .88 .98   16.09  20.54
    hwgpt_s*              smaller  inside  .50 .83 .92  .52 .83 .92    0.44   0.48
    hwgpt_s*              smaller  1-2     .61 .93 .96  .70 .96 .97    0.37   1.05
    hwgpt_s*              smaller  2-5     .18 .34 .40  .75 1.0 1.0    4.18  21.08
    yolobench*            larger   inside  .57 .88 .93  .57 .88 .93    0.96   0.97
    yolobench*            larger   1-2     .34 .45 .48  .41 .64 .83    1.11   2.41
    yolobench*            larger   2-5     .35 .46 .47  .47 .76 .98    1.35   5.31
    yolobench*            larger   5-10    .00 .00 .00  .01 .73 1.0    1.51   9.97
    yolobench*            smaller  inside  .50 .79 .89  .50 .79 .90    1.05   1.05
    yolobench*            smaller  1-2     .35 .57 .66  .78 .99 1.0    1.29   4.87
    yolobench*            smaller  2-5     .27 .39 .44  .72 1.0 1.0    2.03  13.77
    yolobench*            smaller  5-10    .00 .00 .00  .35 .89 .99    1.13  22.63
    mcunet*               larger   inside  .51 .79 .90  .52 .79 .90    1.49   1.50
    mcunet*               larger   1-2     .54 .75 .84  .63 .85 .93    1.34   2.95
    mcunet*               larger   2-5     .45 .56 .64  .56 .81 .92    1.49   4.72
    mcunet*               larger   5-10    .56 .67 .67  .66 .74 .85   11.36  15.32
    mcunet*               smaller  inside  .46 .79 .92  .46 .79 .92    1.03   1.03
    mcunet*               smaller  1-2     .24 .51 .72  .52 .85 .96    1.74   4.78
    mcunet*               smaller  2-5     .05 .21 .47  .34 .85 .98    2.85   8.76
    mcunet*               smaller  5-10    .00 .01 .27  .01 .69 .95    8.92  22.17
    nats_sss              larger   inside  .47 .79 .91  .47 .79 .91    0.84   0.84
    nats_sss              larger   1-2     .48 .78 .90  .59 .88 .95    0.81   1.36
    nats_sss              larger   2-5     .56 .82 .92  .80 .98 1.0    1.29   2.62
    nats_sss              larger   5-10    .57 .85 .93  .85 1.0 1.0    2.91   4.88
    nats_sss              smaller  inside  .51 .84 .93  .51 .84 .93    0.99   0.99
    nats_sss              smaller  1-2     .49 .79 .88  .56 .84 .91    1.58   1.94
    nats_sss              smaller  2-5     .29 .56 .67  .51 .72 .77    2.21   4.69
    nats_sss              smaller  5-10    .26 .54 .65  .59 .81 .92    4.67  11.00
    nasbench_macro        larger   inside  .42 .77 .90  .46 .79 .91    1.04   1.43
    nasbench_macro        larger   1-2     .45 .73 .83  .73 .96 .99    0.83   1.74
    nasbench_macro        larger   2-5     .25 .48 .56  .66 .96 .99    0.96   1.96
    nasbench_macro        smaller  inside  .47 .78 .89  .47 .78 .89    0.98   0.98
    nasbench_macro        smaller  1-2     .36 .64 .77  .50 .74 .83    3.64   5.41
    nasbench_macro        smaller  2-5     .11 .32 .52  .35 .74 .85   11.96  31.49
    pycls_zoo             larger   1-2     .56 .83 .94  .56 .83 .94    1.15   1.19
    pycls_zoo             larger   2-5     .07 .71 1.0  .14 .71 1.0    2.31   2.48
    pycls_zoo             smaller  1-2     .40 .50 .60  .40 .60 .60    1.94   2.17
    pycls_zoo             smaller  2-5     .67 1.0 1.0  .67 1.0 1.0    4.91   6.75
    naap440               larger   inside  .54 .86 .95  .54 .86 .95    1.80   1.80
    naap440               larger   1-2     .66 .96 1.0  .73 .98 1.0    3.00   3.72
    naap440               larger   2-5     .52 .76 .99  .69 .93 1.0    4.63   7.43
    naap440               smaller  inside  .55 .82 .88  .55 .82 .88    1.83   1.83
    naap440               smaller  1-2     .26 .44 .54  .34 .55 .71    2.74   3.98
    naap440               smaller  2-5     .03 .15 .31  .12 .38 .57    4.55   7.49
"""

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planner
from planner.gaussian.outside import Outside

TABLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tables"
BANDS = ((1.0, 2.0), (2.0, 5.0), (5.0, 10.0))  # times beyond the rows seen
AS_TEXT = {"ks": str, "e": str, "arch": str}
# File, inputs, target, cost, the column by which rows are held out, and its power that the cost grows with.
REAL = {
    "hwgpt_s": (["embed_dim", "layers", "mean_mlp_ratio", "mean_heads"], "perplexity", "params_non_embedding", None, 1),
    "yolobench_voc_pi4": (["depth", "width", "resolution"], "map5095", "latency_pi4_ms", "resolution", 2),
    "mcunet_vww_rdw_50k": (["image_size", "width_mult", *(f"n{i}" for i in range(1, 7))], "vww_top1", "macs", None, 1),
    "nats_sss_cifar10": ([f"c{i}" for i in range(1, 6)], "cifar10_test_acc", "flops", None, 1),
    "nasbench_macro_cifar10": ([f"op{i}" for i in range(1, 9)], "mean_acc", "flops", None, 1),
    "pycls_zoo": (["params_m", "acts_m"], "top1_err", "flops_g", None, 1),
    "naap440_curves": (
        ["NumParams", "NumLayers", "NumStages", "FirstLayerWidth", "LastLayerWidth"],
        "MaxAccuracy",
        "NumMACs",
        None,
        1,
    ),
}
LAWS = ("loss_of_flops", "loss_of_params_and_tokens", "score_of_three")
LEVELS = (0.5, 0.8, 0.9)
NOTHING = Outside(0.0, 0.0)  # as it was before: a surrogate is as sure outside as its members are
ROWS = (30, 60, 120)
SEEDS, INSTANCES = 2, 10  # of a table, and of a law, which each seed makes anew
REACHES = (3.0, 8.0)
CHOSEN_ON = {"hwgpt_s", "yolobench_voc_pi4", "mcunet_vww_rdw_50k", *LAWS}  # its constants; the others are reported
ENOUGH = 5  # rows in a band

pytestmark = pytest.mark.benchmark


@dataclass(frozen=True)
class Part:
    """Rows to learn from, and rows to ask, with how many times beyond the former each lies (1: inside)."""

    name: str
    seen: pd.DataFrame
    asked: pd.DataFrame
    times: np.ndarray
    inputs: list[str]
    target: str
    cost: str | None


@cache
def table(name):
    frame = pd.read_csv(next(TABLES.glob(f"{name}.csv*")), dtype=AS_TEXT)
    return frame.dropna(subset=["depth", "width"]) if name == "yolobench_voc_pi4" else frame


def real(name, rows, seed, up=True, reach=8.0, asked=400):
    """Rows within `reach` times of a table end are held out; of the rest some are seen, some asked. None without."""
    inputs, target, cost, by, power = REAL[name]
    frame, rng = table(name), np.random.default_rng(seed)
    axis = frame[by or cost].to_numpy(float) ** power
    edge = axis.max() / reach if up else axis.min() * reach
    within = np.flatnonzero(axis <= edge if up else axis >= edge)
    if not len(within):
        return None
    picked = rng.permutation(within)
    seen = picked[:rows]
    end = axis[seen].max() if up else axis[seen].min()
    times = np.maximum(axis / end if up else end / axis, 1.0)
    low, high = axis[seen].min(), axis[seen].max()
    inside = [i for i in picked[rows:] if low <= axis[i] <= high][:asked]
    outside = rng.permutation(np.flatnonzero(times > 1 + 1e-9))[: 3 * asked]
    chosen = np.concatenate([np.array(inside, dtype=int), outside])
    return Part(name, frame.iloc[seen], frame.iloc[chosen], times[chosen], inputs, target, cost)


def law(kind, rows, seed, asked=150):
    """A made-up law, known below 1e20 FLOPs and asked above 5e20 (and a little inside)."""
    rng = np.random.default_rng([seed, 77])
    total = rows + 3 * asked
    flops = 10 ** np.concatenate([rng.uniform(17, 20, rows + asked), rng.uniform(20.7, 21, 2 * asked)])
    noise = 10 ** rng.uniform(-3.5, -2)
    if kind == "loss_of_flops":
        limit, exponent = rng.uniform(1.2, 2.2), rng.uniform(0.04, 0.35)
        clean = limit + rng.uniform(0.8, 3) * (flops / 1e18) ** -exponent
        frame = pd.DataFrame({"flops": flops})
        inputs, target, cost = ["flops"], "loss", None
    elif kind == "loss_of_params_and_tokens":
        params = np.sqrt(flops / 6 / 20) * 10 ** rng.uniform(-0.6, 0.6, total)
        tokens = flops / 6 / params
        a, b = rng.uniform(0.2, 0.5, 2)
        clean = rng.uniform(1.2, 2.2) + rng.uniform(0.3, 2) * (params / 1e8) ** -a
        clean = clean + rng.uniform(0.3, 2) * (tokens / 2e9) ** -b
        frame = pd.DataFrame({"params": params, "tokens": tokens, "flops": flops})
        inputs, target, cost = ["params", "tokens"], "loss", "flops"
    else:
        depth, width = 10 ** rng.uniform(-0.4, 0.4, (2, total))
        pixels = np.sqrt(flops / 1e18 / depth / width**2)
        powers = rng.uniform(0.05, 0.5, 3)
        clean = rng.uniform(0.7, 0.95) - rng.uniform(0.1, 0.4) * depth ** -powers[0] * width ** -powers[1] * (
            flops / 1e18
        ) ** (-powers[2] / 2)
        frame = pd.DataFrame({"depth": depth, "width": width, "pixels": pixels, "flops": flops})
        inputs, target, cost = ["depth", "width", "pixels"], "score", "flops"
    spread = clean[:rows].std()
    frame[target] = clean + rng.normal(0, noise * 10 * spread, total)
    times = np.maximum(flops / flops[:rows].max(), 1.0)
    return Part(kind, frame.iloc[:rows], frame.iloc[rows:], times[rows:], inputs, target, cost)


def parts(name):
    """Every question to one table: seed, direction, and rows to learn from and to ask."""
    for rows in ROWS:
        if name in LAWS:
            yield from ((seed, "larger", law(name, rows, 1_000 + seed)) for seed in range(INSTANCES))
            continue
        for seed in range(SEEDS):
            for up, direction in ((True, "larger"), (False, "smaller")):
                for reach in REACHES:
                    part = real(name, rows, seed, up, reach)
                    if part is not None and len(part.seen) >= min(rows, 16):
                        yield seed, direction, part


def measured(part, seed):
    """A row for each band that holds enough: coverage before and after; mean width and RMSE in the targets' spread."""
    surrogate = planner.fit_surrogate(part.seen, part.inputs, part.target, part.cost, seed=seed)
    truth, spread = part.asked[part.target].to_numpy(float), part.seen[part.target].std()
    frames = {level: surrogate.predict(part.asked, level) for level in LEVELS}
    sure = replace(surrogate, outside=NOTHING)
    before = {level: sure.predict(part.asked, level) for level in LEVELS}
    bands = {"inside": part.times <= 1} | {f"{a:g}-{b:g}": (part.times > a) & (part.times <= b) for a, b in BANDS}
    for band, held in bands.items():
        if held.sum() < ENOUGH:
            continue
        row = {"band": band, "rows": int(held.sum())}
        for when, found in (("before", before), ("after", frames)):
            for level, one in found.items():
                inside = (truth >= one["lower"]) & (truth <= one["upper"])
                row[f"{when}_{round(100 * level)}"] = float(inside[held].mean())
            row[f"{when}_width"] = float((found[0.9]["upper"] - found[0.9]["lower"])[held].mean() / spread)
        row["rmse"] = float(np.sqrt(np.mean((frames[0.9]["mean"] - truth)[held] ** 2)) / spread)
        row["in_range"] = float(frames[0.9]["in_range"][held].mean())
        yield row


def summary(name):
    """Mean over the questions, by direction and band; of widths and RMSE the median, as some run away."""
    rows = [{"direction": direction, **row} for seed, direction, part in parts(name) for row in measured(part, seed)]
    means = {f"{when}_{round(100 * level)}": "mean" for when in ("before", "after") for level in LEVELS}
    others = {"before_width": "median", "after_width": "median", "rmse": "median", "in_range": "mean"}
    grouped = pd.DataFrame(rows).groupby(["direction", "band"], sort=False)
    return grouped.agg(means | others).assign(questions=grouped.size()).round(3).reset_index()


@pytest.mark.parametrize("name", [*LAWS, *REAL])
def test_intervals_hold_up_to_ten_times_outside(name):
    if name in REAL and not TABLES.is_dir():
        pytest.skip("the shared tables are not here")
    found = summary(name)
    print(f"\n{name}{' (constants were chosen on it)' * (name in CHOSEN_ON)}\n{found.to_string(index=False)}")
    print(json.dumps({"what": "extrapolation", "table": name, "bands": found.to_dict("records")}))
    inside = found[found["band"] == "inside"]
    outside = found[(found["band"] != "inside") & (found["direction"] == "larger")]
    assert (inside["after_90"] >= inside["before_90"]).all()
    assert (outside["after_90"] >= 0.8).all()
    assert (outside[outside["band"] != "1-2"]["in_range"] == 0).all()
