"""Tables for asking a surrogate outside the rows it saw: trained networks, and laws of scaling that are made up."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

TABLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "tables"
BANDS = ((1.0, 2.0), (2.0, 5.0), (5.0, 10.0))  # times beyond the rows seen
AS_TEXT = {"ks": str, "e": str, "arch": str}


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
_READ: dict[str, pd.DataFrame] = {}


def table(name):
    if name not in _READ:
        file = next(TABLES.glob(f"{name}.csv*"))
        frame = pd.read_csv(file, dtype=AS_TEXT)
        if name == "yolobench_voc_pi4":
            frame = frame.dropna(subset=["depth", "width"])
        _READ[name] = frame.reset_index(drop=True)
    return _READ[name]


def real(name, rows, seed, up=True, reach=8.0, asked=400):
    """A table whose rows within `reach` times of its end are held out; as many inside are asked too."""
    inputs, target, cost, by, power = REAL[name]
    frame, rng = table(name), np.random.default_rng(seed)
    axis = frame[by or cost].to_numpy(float) ** power
    edge = axis.max() / reach if up else axis.min() * reach
    within = np.flatnonzero(axis <= edge if up else axis >= edge)
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


LAWS = ("loss_of_flops", "loss_of_params_and_tokens", "score_of_three")
