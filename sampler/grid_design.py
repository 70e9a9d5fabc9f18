"""Compound scaling's grid as a design: every way to share one budget between depth, width and resolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sampler.architecture import Architectures, FloatArray, IntArray, concatenate
from sampler.checks import checked_number, checked_whole
from sampler.complexity import count
from sampler.designs import TARGET_TOLERANCE
from sampler.errors import InputError
from sampler.limits import within
from sampler.scaling import rule_named, scale
from sampler.solve import width_brackets
from sampler.space import SearchSpace, check_space

SHARES = 20  # steps of the simplex a + 2 b + 2 g = 1; 231 rules where none is negative
_TIMES = 2.0  # phi = 1: twice the resources


@dataclass(frozen=True)
class Start:
    """What rules scale from.

    Attributes:
        macs: MACs of the network.
        r: Resolution over the base network's.
        d: Depth multiplier.
    """

    macs: float
    r: float = 1.0
    d: float = 1.0


def grid_design(
    space: SearchSpace,
    n: int,
    macs: float | None = None,
    start: Start | None = None,
    seen: Architectures | None = None,
    tolerance: float = TARGET_TOLERANCE,
) -> Architectures:
    """Networks of about equal cost, one for each way to share it: step 1 of Tan & Le 2019, section 3.3.

    At K times the MACs of the start, d = K^a, w = K^b and r = K^g times its own, for a, 2 b and 2 g of a simplex
    in twentieths: alpha = 2^a and so on, with alpha beta^2 gamma^2 = 2. The width is solved on the exact count. Of
    more than `n` rules those are taken that lie farthest apart, from the middle of the simplex on.

    Args:
        space: A uniform search space; of its bounds and its window nothing is asked.
        n: Architectures wanted; all distinct.
        macs: The MACs wanted; twice the start's by default.
        start: Network that is scaled; the base network by default.
        seen: Architectures not to be drawn again.
        tolerance: Largest distance from `macs`, as a share of it.

    Raises:
        InputError: If the space is per stage, or the grid holds too few.

    Example:
        >>> from sampler import SearchSpace
        >>> len(grid_design(SearchSpace("efficientnet_b0", 224, rule="efficientnet"), 8))
        8
    """
    check_space(space, seen)
    if space.knobs:
        raise InputError(
            f"a grid design solves one width; knobs follow their rules: leave {', '.join(space.knobs)} out"
        )
    if space.kind != "uniform":
        raise InputError("a grid design solves one width for all stages; it needs a uniform space")
    if checked_whole("n", n, -(2**62), 2**62) < 1:
        raise InputError(f"a design has at least one architecture, got {n}")
    start = start or Start(space.base_macs)
    wanted = _TIMES * start.macs if macs is None else checked_number("macs", macs)
    if not wanted > 0 or abs(wanted / start.macs - 1) <= tolerance:
        raise InputError(f"a grid at {wanted:,.0f} MACs from {start.macs:,.0f} scales nothing; give other MACs")
    points = simplex()
    networks, rules = _networks(space, points, wanted, start, tolerance, seen)
    if len(networks) < n:
        raise InputError(
            f"only {len(networks)} of {n} distinct architectures of the grid cost {wanted:,.0f} MACs within "
            f"{tolerance:.0%}; ask for fewer, or take other MACs"
        )
    return networks.take(_apart(points[rules] * (1, 2), n))


def simplex(least: float = 0.0) -> FloatArray:
    """`(m, 2)` exponents (a, g) with a + 2 b + 2 g = 1 in twentieths, none of a, 2 b and 2 g below `least`."""
    low, high = round(least * SHARES), round((1 - 2 * least) * SHARES)
    pairs = [(i, k) for i in range(low, high + 1) for k in range(low, high + 1) if SHARES - i - k >= low]
    return np.array(pairs, dtype=np.float64) / (SHARES, 2 * SHARES)


def _networks(
    space: SearchSpace, points: FloatArray, macs: float, start: Start, tolerance: float, seen: Architectures | None
) -> tuple[Architectures, IntArray]:
    """The distinct networks of rules, at their widths next to the MACs on both sides; and whose rule each is."""
    network, rule, times = space.network, rule_named(space.rule), macs / start.macs
    pixels = np.maximum(rule.pixels(space.resolution, start.r * times ** points[:, 1]), network.stride)
    d = start.d * times ** points[:, 0]
    parts, rules = [], []
    for w in width_brackets(network, rule, pixels, d, macs, space.classes):
        there = np.flatnonzero(np.isfinite(w))  # of others even the narrowest network costs more
        parts.append(scale(network, rule, pixels[there], d[there], w[there]))
        rules.append(there)
    every, whose = concatenate(parts), np.concatenate(rules)
    good = np.abs(count(every, space.classes).macs / macs - 1) <= tolerance
    good &= within(every, space.classes, space.limits)
    known = {row.tobytes() for row in seen.integers()} if seen is not None else set()
    kept = []
    for row in np.flatnonzero(good):
        if (key := every.integers()[row].tobytes()) not in known:
            known.add(key)
            kept.append(row)
    rows = np.array(kept, dtype=np.int64)
    return every.take(rows), whose[rows]


def _apart(points: FloatArray, n: int) -> IntArray:
    """`(n,)` of `(m, 2)` points, each the farthest from those before it; the first is nearest the middle of all."""
    middle = points.mean(axis=0)
    chosen = [int(np.argmin(((points - middle) ** 2).sum(axis=1)))]
    away = np.full(len(points), np.inf)
    while len(chosen) < n:
        away = np.minimum(away, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        away[chosen] = -1.0
        chosen.append(int(np.argmax(away)))
    return np.array(chosen, dtype=np.int64)
