"""From r and d to the architecture that costs exactly a budget: the width is solved, never approximated.

TinyNet's w = sqrt(c / (r^2 d)) overshoots by up to 65 % on its own networks, because stem, head and rounding
do not scale with it; the width is found on the exact count instead. Where multiples of 8 leave too large a
step, the resolution moves by pixels, and then one stage by one divisor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sampler.architecture import Architecture, Architectures, BaseNetwork, FloatArray, IntArray, concatenate
from sampler.complexity import count
from sampler.scaling import ScalingRule, scale

HALVINGS = 40  # of the bracket of w: to 1e-12, far below one channel
MAX_NUDGE = 0.08  # of the resolution: beyond that a neighbouring staircase step is another answer
TOLERANCE = 0.01


@dataclass(frozen=True)
class SolvedWidth:
    """An architecture at a budget.

    Attributes:
        architecture: The architecture.
        macs: Its exact MACs.
        width_multiplier: The w that was solved, before any nudge.
        pixels_nudged: Pixels the resolution moved away from the one asked for.
        stage_nudged: Index of the stage whose width moved away from the rule's, or None.
        channels_nudged: Channels by which it moved.
    """

    architecture: Architecture
    macs: int
    width_multiplier: float
    pixels_nudged: int = 0
    stage_nudged: int | None = None
    channels_nudged: int = 0


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Architectures near a budget, and how far each moved from what was asked."""

    architectures: Architectures
    macs: IntArray
    pixels: IntArray
    stage: IntArray
    channels: IntArray

    def best(self, budget: float, tolerance: float) -> int | None:
        """The row within tolerance that moved least: at or below the budget before above it."""
        error = self.macs / budget - 1
        good = np.flatnonzero(np.abs(error) <= tolerance)
        if not len(good):
            return None
        order = np.lexsort(
            (np.abs(error[good]), np.abs(self.channels[good]), np.abs(self.pixels[good]), error[good] > 0)
        )
        return int(good[order[0]])


def width_brackets(
    network: BaseNetwork, rule: ScalingRule, resolution: ArrayLike, depth: ArrayLike, budget: float, classes: int
) -> tuple[FloatArray, FloatArray]:
    """Width multipliers on the two sides of the step at which MACs pass a budget.

    Args:
        network: The base network.
        rule: How multipliers become integers.
        resolution: `(n,)` pixels.
        depth: `(n,)` depth multipliers.
        budget: MACs.
        classes: Outputs of the classifier.

    Returns:
        `(n,)` largest w whose MACs are at most the budget (NaN where even the narrowest network costs more),
        and `(n,)` smallest w whose MACs are above it, to 1e-12.
    """
    pixels, d = np.broadcast_arrays(
        np.atleast_1d(np.asarray(resolution)), np.atleast_1d(np.asarray(depth, dtype=np.float64))
    )

    def macs(w: FloatArray) -> IntArray:
        return count(scale(network, rule, pixels, d, w), classes).macs

    low = np.full(len(pixels), 1e-3)
    affordable = macs(low) <= budget
    high = np.ones(len(pixels))
    while (macs(high) <= budget).any():
        high = np.where(macs(high) <= budget, 2 * high, high)
    for _ in range(HALVINGS):
        middle = np.sqrt(low * high)
        below = macs(middle) <= budget
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(affordable, low, np.nan), high


def solve_width(
    network: BaseNetwork,
    rule: ScalingRule,
    resolution: int,
    depth: float,
    budget: float,
    classes: int = 1000,
    tolerance: float = TOLERANCE,
) -> SolvedWidth:
    """The architecture of about this resolution and depth that costs the budget.

    Within the tolerance an architecture at or below the budget is taken before one above it; among those the
    one that moved the resolution least, then a single stage's width least.

    Args:
        network: The base network.
        rule: How multipliers become integers.
        resolution: Input side wanted, in pixels.
        depth: Depth multiplier.
        budget: MACs.
        classes: Outputs of the classifier.
        tolerance: Largest distance from the budget, as a share of it.

    Raises:
        ValueError: If nothing near comes within the tolerance; says what comes nearest.

    Example:
        >>> from sampler import base, rule_named
        >>> solve_width(base("efficientnet_b0"), rule_named("tinynet"), 188, 1.1, 201e6).macs
        200709360
    """
    reach = max(2, int(resolution * MAX_NUDGE))
    sides = np.arange(max(network.stride, resolution - reach), resolution + reach + 1)
    exact = _at_width_steps(network, rule, sides[sides == resolution], depth, budget, classes, resolution)
    tried = [exact]
    if exact.best(budget, tolerance) is None:
        near = _at_width_steps(network, rule, sides, depth, budget, classes, resolution)
        tried += [near, _one_stage_nudged(near, rule.divisor, classes)]
    for candidates in tried:
        row = candidates.best(budget, tolerance)
        if row is not None:
            return _solved(candidates, row)
    raise ValueError(_nothing_near(tried, resolution, depth, budget))


def _at_width_steps(
    network: BaseNetwork,
    rule: ScalingRule,
    sides: IntArray,
    depth: float,
    budget: float,
    classes: int,
    wanted: int,
) -> _Candidates:
    """The widths just below and just above the budget, at each resolution."""
    low, high = width_brackets(network, rule, sides, depth, budget, classes)
    w = np.concatenate([low[~np.isnan(low)], high])
    pixels = np.concatenate([sides[~np.isnan(low)], sides])
    architectures = scale(network, rule, pixels, depth, w)
    still = np.zeros(len(pixels), dtype=np.int64)
    return _Candidates(architectures, count(architectures, classes).macs, pixels - wanted, still - 1, still)


def _one_stage_nudged(near: _Candidates, divisor: int, classes: int) -> _Candidates:
    """Every candidate with one stage wider or narrower by one or two divisors."""
    parts, stages, channels = [], [], []
    plain = near.architectures
    for stage in range(plain.widths.shape[1]):
        for step in (-2 * divisor, -divisor, divisor, 2 * divisor):
            widths = plain.widths.copy()
            widths[:, stage] += step
            widths = np.maximum(widths, divisor if divisor > 1 else 3)
            parts.append(
                Architectures(
                    plain.base, plain.resolution, plain.stem, widths, plain.depths, plain.head, plain.multipliers
                )
            )
            stages.append(np.full(len(plain), stage))
            channels.append(widths[:, stage] - plain.widths[:, stage])
    moved = concatenate(parts)
    pixels = np.tile(near.pixels, len(parts))
    return _Candidates(
        moved, count(moved, classes).macs, pixels, np.concatenate(stages), np.concatenate(channels)
    )


def _solved(candidates: _Candidates, row: int) -> SolvedWidth:
    stage = int(candidates.stage[row])
    return SolvedWidth(
        architecture=candidates.architectures[row],
        macs=int(candidates.macs[row]),
        width_multiplier=float(candidates.architectures.multipliers[row, 2]),
        pixels_nudged=int(candidates.pixels[row]),
        stage_nudged=None if stage < 0 else stage,
        channels_nudged=int(candidates.channels[row]),
    )


def _nothing_near(tried: list[_Candidates], resolution: int, depth: float, budget: float) -> str:
    macs = np.concatenate([candidates.macs for candidates in tried])
    nearest = int(macs[np.argmin(np.abs(macs - budget))])
    return (
        f"no width at {resolution} px and depth x{depth:.3g} costs {budget:,.0f} MACs; the nearest is {nearest:,} "
        "MACs; take another budget or resolution"
    )
