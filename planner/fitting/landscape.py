"""What a formula would answer at many budgets for any r and d, and what that is expected to score.

Notation, for k budgets and the fitted range of one direction:

    x (k,)   log c of the budgets          scores (k, i, j)   of the network that a formula with r_i and d_j gives there
    u (i,)   log r, evenly spaced
    v (j,)   log d, evenly spaced

Several (r, d, w) give the same integers. All networks that one r, d and w give are counted and scored once. At a budget
those that spend it are left; a formula's d says the blocks, its r which of them is nearest, as `sampler.solve_width`
moves the resolution by some pixels until a width fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sampler import BaseNetwork
from sampler.architecture import Architectures, FloatArray, IntArray
from sampler.complexity import count
from sampler.moves import column_names
from sampler.scaling import ScalingRule, own_steps, scale
from sampler.solve import STEP_PENALTY

_Score = Callable[[Architectures], FloatArray]
ColumnRanges = Mapping[str, tuple[float, float]]

STEP = 0.02  # of u and v, in logs: about a pixel
SPENT = 0.98  # of a budget, by the networks that a formula may answer: near the 1 % of `solve_width`
# Multipliers at which roundings are read off: those that hold over less than 0.4 % are passed over.
READ_AT = np.exp(np.arange(np.log(0.02), np.log(20.0), 0.004))
WIDEST_STEP = 1.2  # of d, where no least one gives some blocks
MOST_PIXELS, MOST_WIDTHS = 120, 200  # levels looked at; more are thinned evenly


@dataclass(frozen=True, eq=False)
class ScoredNetworks:
    """All networks of a base network that one r, d and w give within some ranges, by rising MACs.

    Attributes:
        network: The base network, at the resolution that r multiplies.
        pixels: `(n,)` resolutions.
        cell: `(n,)` which blocks it has: a number of `depths`.
        macs: `(n,)` exact MACs.
        scores: `(n,)` scores.
        depths: `(m, 2)` ends of the range of log d that gives the blocks, by rising d.
    """

    network: BaseNetwork
    pixels: IntArray
    cell: IntArray
    macs: IntArray
    scores: FloatArray
    depths: FloatArray

    def best_within(self, budgets: FloatArray) -> FloatArray:
        """`(k,)` highest scores of those that cost at most the `(k,)` budgets; minus infinity where there are none."""
        highest = np.r_[-np.inf, np.maximum.accumulate(self.scores)]
        return np.asarray(highest[np.searchsorted(self.macs, budgets, side="right")])

    def landscape(self, budgets: FloatArray, base_macs: float) -> Landscape | None:
        """What formulas would answer at `(k,)` budgets; those that no network spends are left out, None if all are."""
        ends = np.searchsorted(self.macs, [SPENT * budgets, budgets], side="right")
        kept = np.flatnonzero(ends[1] > ends[0])
        if not len(kept):
            return None
        u = _axis(*np.log(np.array([self.pixels.min(), self.pixels.max()]) / self.network.resolution))
        v = _axis(self.depths[0, 0], self.depths[-1, 1])
        cell_of = np.minimum(np.searchsorted(self.depths[:, 1], v), len(self.depths) - 1)
        layers = [self._layer(slice(*ends[:, k]), u)[:, cell_of] for k in kept]
        return Landscape(np.log(budgets[kept] / base_macs), u, v, np.array(layers))

    def _layer(self, rows: slice, u: FloatArray) -> FloatArray:
        """`(i, m)` scores at one budget, by log r and blocks; blocks that cost too much count as the worst."""
        layer = np.full((len(u), len(self.depths)), self.scores[rows].min())
        wanted, half = self.network.resolution * np.exp(u)[:, None], max(self.network.stride // 2, 1)
        penalty = 0.0 if own_steps(self.network) else STEP_PENALTY
        for cell in np.unique(self.cell[rows]):
            mine = np.flatnonzero(self.cell[rows] == cell)
            pixels = self.pixels[rows][mine]
            passed = np.abs(np.ceil(pixels / half) - np.ceil(wanted / half))
            moved = np.abs(pixels - wanted) / wanted + penalty * passed
            layer[:, cell] = self.scores[rows][mine[moved.argmin(axis=1)]]
        return layer


@dataclass(frozen=True, eq=False)
class Landscape:
    """Expected scores of what formulas would answer; see the notation above.

    Attributes:
        x: `(k,)`.
        u: `(i,)`, at least two.
        v: `(j,)`, at least two.
        scores: `(k, i, j)`.
    """

    x: FloatArray
    u: FloatArray
    v: FloatArray
    scores: FloatArray

    def at(self, log_r: FloatArray, log_d: FloatArray) -> FloatArray:
        """`(n, k)` scores of `(n, k)` curves, between the places by their four neighbours."""
        (i, a), (j, b) = _places(self.u, log_r), _places(self.v, log_d)
        k, scores = np.arange(len(self.x)), self.scores
        low = (1 - b) * scores[k, i, j] + b * scores[k, i, j + 1]
        high = (1 - b) * scores[k, i + 1, j] + b * scores[k, i + 1, j + 1]
        result: FloatArray = (1 - a) * low + a * high
        return result

    def beyond(self, log_r: FloatArray, log_d: FloatArray) -> FloatArray:
        """`(n,)` how far `(n, k)` curves leave the range of the places, at most, in logs."""
        ends = ((self.u, log_r), (self.v, log_d))
        far = [np.maximum(axis[0] - values, values - axis[-1]).max(axis=1) for axis, values in ends]
        return np.asarray(np.maximum(np.maximum(*far), 0))

    def smoothed(self, deviations: tuple[float, float, float]) -> Landscape:
        """The same, blurred by so many budgets, places of u and places of v: what small changes still reach."""
        from scipy.ndimage import gaussian_filter1d

        scores = self.scores
        for axis, deviation in enumerate(deviations):
            scores = gaussian_filter1d(scores, deviation, axis=axis, mode="nearest")
        return replace(self, scores=scores)

    def without(self, budgets: IntArray) -> Landscape:
        """The same without the budgets of these numbers."""
        return replace(self, x=np.delete(self.x, budgets), scores=np.delete(self.scores, budgets, axis=0))


def networks_within(
    network: BaseNetwork,
    rule: ScalingRule,
    classes: int,
    score: _Score,
    ranges: ColumnRanges,
    macs: tuple[float, float],
) -> ScoredNetworks:
    """All networks between the lowest and the highest integers of the trainings, counted and scored.

    Args:
        network: The base network, at the resolution that r multiplies.
        rule: Rule by which multipliers become integers.
        classes: Outputs of the classifier.
        score: Gives the `(n,)` scores of architectures.
        ranges: Lowest and highest integer by column; a width or depth that is not there is
            free, a resolution the base network's.
        macs: Smallest and largest MACs; what costs less or more is left out.
    """
    low, high = ranges.get("resolution", (network.resolution, network.resolution))
    sides = np.arange(max(int(low), network.stride), int(high) + 1)
    if own_steps(network):
        sides = rule.sides(network, low, high)
    pixels = _thinned(sides.astype(np.float64), MOST_PIXELS)
    depths, d = _roundings(network, rule, ranges, "depth")
    _, w = _roundings(network, rule, ranges, "width")
    w = _thinned(w, MOST_WIDTHS)
    shape = len(pixels), len(d), len(w)
    p, cell, i = (one.ravel() for one in np.indices(shape))
    pool = scale(network, rule, pixels[p], d[cell], w[i])
    counted = count(pool, classes).macs
    order = np.argsort(counted, kind="stable")
    order = order[slice(*np.searchsorted(counted[order], macs))]
    pool = pool.take(order)
    scores = score(pool) if len(pool) else np.empty(0)
    return ScoredNetworks(network, pool.resolution, cell[order], counted[order], scores, depths)


def _roundings(
    network: BaseNetwork, rule: ScalingRule, ranges: ColumnRanges, which: str
) -> tuple[FloatArray, FloatArray]:
    """`(m, 2)` ends of log d (or w) that give the same integers within the ranges, and `(m,)` middles."""
    d, w = (READ_AT, np.ones(1)) if which == "depth" else (np.ones(1), READ_AT)
    rows = scale(network, rule, network.resolution, d, w).integers()
    named = ("depth",) if which == "depth" else ("width", "stem", "head")
    mine = {i: name for i, name in enumerate(column_names(len(network.stages))) if name.startswith(named)}
    rows = rows[:, list(mine)]
    starts = np.flatnonzero(np.r_[True, (rows[1:] != rows[:-1]).any(axis=1)])
    stops = np.r_[starts[1:], len(rows)] - 1
    lowest, highest = np.array([ranges.get(name, (0, np.inf)) for name in mine.values()]).T
    inside = np.flatnonzero(((rows[starts] >= lowest) & (rows[starts] <= highest)).all(axis=1))
    # Where the trainings' stages were scaled apart, no single d or w may give what they had: then all are looked at.
    kept = inside if len(inside) else np.arange(len(starts))
    high = READ_AT[stops[kept]]
    low = np.maximum(READ_AT[starts[kept]], high / WIDEST_STEP)
    return np.log(np.column_stack([low, high])), np.sqrt(low * high)


def _thinned(values: FloatArray, most: int) -> FloatArray:
    """At most so many of the values, evenly by their rank."""
    if len(values) <= most:
        return values
    return np.asarray(values[np.linspace(0, len(values) - 1, most).round().astype(int)])


def _axis(low: float, high: float) -> FloatArray:
    """Evenly spaced places between two logarithms, and a little beyond them where they are one."""
    if high - low < STEP:
        low, high = (low + high - STEP) / 2, (low + high + STEP) / 2
    return np.linspace(low, high, int(np.ceil((high - low) / STEP)) + 1)


def _places(axis: FloatArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """The place before each value, and how far it lies towards the next one, 0 to 1; the ends beyond them."""
    steps = np.clip((values - axis[0]) / (axis[1] - axis[0]), 0, len(axis) - 1)
    before = np.minimum(steps.astype(np.int64), len(axis) - 2)
    return before, steps - before
