"""How noisy a target is, by its repeated trainings, and what that leaves to a perfect proxy: the noise ceiling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.scores.bootstrap import Estimate, estimates
from planner.scores.ranks import codes_of, measures_in, tails_of
from sampler.architecture import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

SIMULATIONS = 200
DECONVOLUTIONS = 10


@dataclass(frozen=True)
class Noise:
    """What repeated trainings say about the target.

    Attributes:
        std: Standard deviation of one training among repeats, in the target's unit.
        trainings: Mean number of trainings behind one target.
        measures: Measures that a perfect proxy, the noise-free target, would reach; intervals are those of the
            simulations.
    """

    std: float
    trainings: float
    measures: dict[str, Estimate]


def measured_noise(target: FloatArray, spread: pd.DataFrame, z: IntArray | None, rng: np.random.Generator) -> Noise:
    """What a proxy would reach that knew the target without noise: simulated.

    The noise of one training is that of the repeats, averaged over rows of similar target (a twentieth of the rows,
    at least 50), because good and bad networks differ in it.

    Args:
        target: `(n,)` measured values, larger is better.
        spread: `n` rows: `variance` of one training, its degrees of `freedom`, `trainings` behind the target.
        z: `(n,)` codes of the MACs.
        rng: Generator of the simulations.
    """
    order = np.argsort(target, kind="stable")
    weight, squares = spread["freedom"].iloc[order], (spread["freedom"] * spread["variance"]).iloc[order]
    near = min(len(target), max(50, len(target) // 20))
    squares, weight = (one.rolling(near, min_periods=1, center=True).sum() for one in (squares, weight))
    pooled = float((spread["freedom"] * spread["variance"]).sum() / spread["freedom"].sum())
    local = (squares / weight).fillna(pooled).clip(lower=0)
    std = np.empty(len(target))
    std[order] = np.sqrt(local / spread["trainings"].iloc[order])
    truth = _noise_free(target, std, rng)
    drawn = []
    for _ in range(SIMULATIONS):
        values, y = np.unique(truth + std * rng.standard_normal(len(truth)), return_inverse=True)
        drawn.append(measures_in(np.arange(len(y)), tails_of(y), values, y, z)(codes_of(truth)))
    draws = {name: np.array([one[name] for one in drawn]) for name in drawn[0]}
    points = {name: float(values.mean()) for name, values in draws.items()}
    return Noise(math.sqrt(pooled), float(spread["trainings"].mean()), estimates(points, draws))


def _noise_free(target: FloatArray, std: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Targets moved together until noise spreads them again as they were measured.

    Measured values are spread wider than true ones. Their order is kept, and each quantile is corrected by what it
    would gain from the noise, towards quantile(truth + noise) = quantile(target). The rounds are few, because later
    ones follow the chances of single rows into clumps; so the ceiling is cautious, that is, rather too high: by 0.1
    within the top 5 % where the best crowd at a hard limit (and the regret of a perfect proxy there half of what it
    is), and 0.1 to 0.2 instead of 0 where there is nothing but noise.
    """
    order = np.argsort(target, kind="stable")
    wanted, std = target[order], std[order]
    truth = wanted.copy()
    for _ in range(DECONVOLUTIONS):
        noisy = np.sort(truth + std * rng.standard_normal((8, len(truth))), axis=1).mean(axis=0)
        truth = np.sort(truth + wanted - noisy)
    found = np.empty(len(truth))
    found[order] = truth
    return found
