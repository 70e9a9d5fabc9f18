"""The scale at which a rule's rounded networks come nearest a budget: MACs over the scale are a staircase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from planner.rules.quantised import scaled_group_widths
from planner.rules.rays import Ray
from sampler import Architecture, Architectures, BaseNetwork, ScalingRule, scale
from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS, FloatArray, IntArray
from sampler.complexity import count
from sampler.families import family_of
from sampler.families.regnet import GROUP_WIDTH
from sampler.scaling import MAX_MULTIPLIER
from sampler.solve import WIDEST

# Scales (n,) in, those of them that give a network and the networks out.
ScaledNetworks = Callable[[FloatArray], tuple[FloatArray, Architectures]]

_POINTS, _ROUNDS = 401, 4  # each round looks between the neighbours of the last one's best: to 1e-7 of the scale
_REACH = 64.0  # fixed stems and heads and rounding put the scale this far from the share of the MACs, at most


def uniform_family(network: BaseNetwork, rule: ScalingRule, ray: Ray) -> ScaledNetworks:
    """The networks of a ray, as a rule rounds them; no dimension leaves what can be built.

    Where the ray has an exponent for group widths and the network has some, they are scaled, too.
    """
    deepest = min(MAX_MULTIPLIER, MAX_BLOCKS / max(network.depths))
    grouped = ray.group > 0 and GROUP_WIDTH in family_of(network).knobs(network)
    widest = min(WIDEST, MAX_CHANNELS / max(*network.widths, network.stem, network.head))

    def family(s: FloatArray) -> tuple[FloatArray, Architectures]:
        r, d, w = ray.at(s)
        pixels = np.clip(rule.pixels(network.resolution, np.minimum(r, MAX_MULTIPLIER)), network.stride, MAX_PIXELS)
        d, w = np.minimum(d, deepest), np.minimum(w, widest)
        if not grouped:
            return s, scale(network, rule, pixels, d, w)
        return s, _regrouped(network, rule, s**ray.group, pixels, d, w)

    return family


def _regrouped(
    network: BaseNetwork, rule: ScalingRule, factors: FloatArray, pixels: IntArray, d: FloatArray, w: FloatArray
) -> Architectures:
    """`(n,)` networks whose group widths are multiplied by `(n,)` factors; widths move to multiples of those."""
    scaled = scale(network, rule, pixels, d, w)
    groups = np.array([scaled_group_widths(network, float(factor)) for factor in factors], dtype=np.int64)
    widths = scaled.widths.copy()
    for group in np.unique(groups, axis=0):
        rows = (groups == group).all(axis=1)
        regrouped = family_of(network).with_knobs(network, {GROUP_WIDTH: tuple(group.tolist())})
        widths[rows] = scale(regrouped, rule, pixels[rows], d[rows], w[rows]).widths
    return replace(scaled, widths=widths, knobs={GROUP_WIDTH: groups})


def nearest(family: ScaledNetworks, budget: float, share: float, classes: int) -> tuple[float, Architecture, int]:
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
