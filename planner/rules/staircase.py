"""The scale at which a rule's rounded networks come nearest a budget: MACs over the scale are a staircase."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planner.rules.rays import Ray
from sampler import Architecture, Architectures, BaseNetwork, ScalingRule, scale
from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS, FloatArray
from sampler.complexity import count
from sampler.scaling import MAX_MULTIPLIER
from sampler.solve import WIDEST

# Scales (n,) in, those of them that give a network and the networks out.
Family = Callable[[FloatArray], tuple[FloatArray, Architectures]]

_POINTS, _ROUNDS = 401, 4  # each round looks between the neighbours of the last one's best: to 1e-7 of the scale
_REACH = 64.0  # fixed stems and heads and rounding put the scale this far from the share of the MACs, at most


def uniform_family(network: BaseNetwork, rule: ScalingRule, ray: Ray) -> Family:
    """The networks of a ray, as a rule rounds them; no dimension leaves what can be built."""
    deepest = min(MAX_MULTIPLIER, MAX_BLOCKS / max(network.depths))
    widest = min(WIDEST, MAX_CHANNELS / max(*network.widths, network.stem, network.head))

    def family(s: FloatArray) -> tuple[FloatArray, Architectures]:
        r, d, w = ray.at(s)
        pixels = np.clip(rule.pixels(network.resolution, np.minimum(r, MAX_MULTIPLIER)), network.stride, MAX_PIXELS)
        return s, scale(network, rule, pixels, np.minimum(d, deepest), np.minimum(w, widest))

    return family


def nearest(family: Family, budget: float, share: float, classes: int) -> tuple[float, Architecture, int]:
    """The scale whose network's MACs are nearest a budget, its network, and its MACs.

    Of scales that do equally well it is the one nearest the share: a step of the staircase is a range of scales. A
    rule for growing never shrinks, and the other way round.

    Args:
        family: The networks at given scales.
        budget: MACs.
        share: The budget over the base network's MACs.
        classes: Outputs of the classifier.
    """
    low, high = (1.0, _REACH * share) if share > 1 else (share / _REACH, 1.0)
    best: tuple[tuple[float, float], float, Architecture, int] | None = None
    for _ in range(_ROUNDS):
        known = [1.0, share] if best is None else [1.0, share, best[1]]
        grid = np.unique(np.append(np.geomspace(low, high, _POINTS), np.clip(known, low, high)))
        scales, architectures = family(grid)
        macs = count(architectures, classes).macs
        error, away = np.abs(macs / budget - 1), np.abs(np.log(scales / share))
        row = int(np.lexsort([away, error])[0])
        found = (float(error[row]), float(away[row]))
        if best is None or found < best[0]:
            best = found, float(scales[row]), architectures[row], int(macs[row])
        place = int(np.searchsorted(grid, best[1]))
        low, high = float(grid[max(place - 1, 0)]), float(grid[min(place + 1, len(grid) - 1)])
    assert best is not None
    return best[1:]
