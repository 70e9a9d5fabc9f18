"""From r and d to the architecture that costs exactly a budget: the width is solved, never approximated.

TinyNet's w = sqrt(c / (r^2 d)) overshoots by up to 65 % on its own networks, because stem, head and rounding
do not scale with it; the width is found on the exact count instead. Where multiples of 8 leave too large a
step, the resolution moves by pixels, and then one stage by one divisor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from sampler.architecture import (
    MAX_PIXELS,
    Architecture,
    Architectures,
    BaseNetwork,
    FloatArray,
    IntArray,
    concatenate,
)
from sampler.checks import checked_number, checked_whole, is_number, shown
from sampler.complexity import count
from sampler.errors import InputError
from sampler.finest import Nearby, finer_networks
from sampler.scaling import LEAST_MULTIPLIER, ScalingRule, buildable, one_multiplier, own_steps, scale

WIDEST = 64.0  # times the base width: 80,000 channels in EfficientNet's head
_HALVINGS = 40  # of the bracket of w: to 1e-12, far below one channel
# So many halvings at a time, by counting at all their middles, where a count's fixed price is above that of its rows.
_TOGETHER, _FEW = 4, 100
NEAR = 0.08  # of the resolution: a nudge that hardly changes the answer
STEP_PENALTY = 0.05  # as if the resolution had moved by this share
FAR = 0.5  # of the resolution: where r and d ask for more than the narrowest network affords
TOLERANCE = 0.01
_MOST_MACS = 1e300  # whole numbers beyond have no float


@dataclass(frozen=True)
class SolvedWidth:
    """An architecture at a budget.

    Attributes:
        architecture: The architecture.
        macs: Exact MACs of the architecture.
        width_multiplier: The w that was solved, before any nudge.
        pixels_nudged: Pixels the resolution moved away from the one asked for.
        stage_nudged: Index of the stage whose width moved away from the rule's, or None.
        channels_nudged: Channels by which it moved.
        finer: Words for what else moved, where a network's steps are too coarse for a width.
    """

    architecture: Architecture
    macs: int
    width_multiplier: float
    pixels_nudged: int = 0
    stage_nudged: int | None = None
    channels_nudged: int = 0
    finer: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Architectures near a budget, and how far each moved from what was asked."""

    architectures: Architectures
    macs: IntArray
    moved: FloatArray  # relative: pixels over the resolution asked for, channels over the stage's width
    pixels: IntArray
    stage: IntArray
    channels: IntArray

    def best(self, budget: float, lowest: float, highest: float) -> int | None:
        """The row that moved least, of those whose distance from the budget, as a share of it, is in a range."""
        error = self.macs / budget - 1
        good = np.flatnonzero((error >= lowest) & (error <= highest))
        if not len(good):
            return None
        return int(good[np.lexsort([np.abs(error[good]), self.moved[good]])[0]])


def width_brackets(
    network: BaseNetwork,
    rule: ScalingRule,
    resolution: ArrayLike,
    depth: ArrayLike,
    budget: float,
    classes: int,
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
        """Of `(n,)` or `(m, n)` widths."""
        sides, depths, widths = (part.ravel() for part in np.broadcast_arrays(pixels, d, w))
        counted: IntArray = count(scale(network, rule, sides, depths, widths), classes).macs
        return counted.reshape(w.shape)

    low = np.full(len(pixels), 1e-3)
    affordable = macs(low) <= budget
    high = np.ones(len(pixels))
    while (below := macs(high) <= budget).any():
        if high.max() >= WIDEST:
            raise InputError(f"a budget of {np.max(budget):.4g} MACs is beyond any width; give a smaller one")
        high = np.where(below, 2 * high, high)
    halvings = _TOGETHER if len(pixels) <= _FEW else 1
    for _ in range(0, _HALVINGS, halvings):
        w = _middles(low, high, halvings)
        below = np.array([*(macs(w[1:-1]) <= budget), np.zeros(len(pixels), dtype=bool)])
        first = below.argmin(axis=0)
        low, high = np.take_along_axis(w, first[None], axis=0)[0], np.take_along_axis(w, first[None] + 1, axis=0)[0]
    return np.where(affordable, low, np.nan), high


def _middles(low: FloatArray, high: FloatArray, halvings: int) -> FloatArray:
    """`(2^halvings + 1, n)` ends of the intervals that so many halvings of the logarithms between two ends make."""
    ends = np.array([low, high])
    for _ in range(halvings):
        between = np.sqrt(ends[:-1] * ends[1:])
        ends = np.insert(ends, np.arange(1, len(ends)), between, axis=0)
    return ends


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

    Within the tolerance an architecture at or below the budget is taken before one above it; among those the one
    that moved least: pixels and, rather, no step of the MACs' staircase over the resolution; one stage's width.

    A network that has steps of its own never costs more than the budget. Where no width comes within the tolerance,
    several stages' widths and depths, and knobs, move too; where nothing near does, it is the dearest of those near
    (`sampler.finest` says what is near).

    Args:
        network: The base network.
        rule: How multipliers become integers.
        resolution: Input side wanted, in pixels.
        depth: Depth multiplier.
        budget: MACs.
        classes: Outputs of the classifier.
        tolerance: Largest distance from the budget, as a share of it.

    Raises:
        InputError: If nothing near comes within the tolerance; says what comes nearest.

    Example:
        >>> from sampler import base, rule_named
        >>> solve_width(base("efficientnet_b0"), rule_named("tinynet"), 188, 1.1, 201e6).macs
        200709360
    """
    if not isinstance(network, BaseNetwork) or not isinstance(rule, ScalingRule):
        raise InputError("solve_width takes a base network and a scaling rule; give base(name) and rule_named(name)")
    if not is_number(budget) or not 0 < budget < np.inf or budget > _MOST_MACS:
        told = shown(budget) if not isinstance(budget, float) else f"{budget:g}"
        raise InputError(f"the budget must be a positive number of MACs, got {told}")
    checked_whole("resolution", resolution, 1, MAX_PIXELS)
    one_multiplier("depth", depth)
    checked_number("the tolerance", tolerance, 0, 1)
    if resolution < network.stride:
        raise InputError(f"{resolution} px is below {network.name}'s stride of {network.stride}; use at least that")
    if own_steps(network):
        return _in_steps(network, rule, resolution, depth, budget, classes, tolerance)
    tried: list[_Candidates] = []
    for reach in (NEAR, FAR):
        candidates = _within_reach(network, rule, resolution, reach, depth, budget, classes)
        tried += candidates
        for lowest, highest in ((-tolerance, 0.0), (0.0, tolerance)):
            rows = [
                (reached, row) for reached in candidates if (row := reached.best(budget, lowest, highest)) is not None
            ]
            if rows:
                return _solved(*min(rows, key=lambda pair: pair[0].moved[pair[1]]))
    raise InputError(_nothing_near(tried, resolution, depth, budget))


def _in_steps(
    network: BaseNetwork,
    rule: ScalingRule,
    resolution: int,
    depth: float,
    budget: float,
    classes: int,
    tolerance: float,
) -> SolvedWidth:
    """`solve_width` of a network that has steps of its own.

    Raises:
        InputError: If not even the smallest network costs so little.
    """
    try:
        candidates = _within_reach(network, rule, resolution, NEAR, depth, budget, classes)
    except InputError:  # no width costs so much; a depth, or a larger image, may
        candidates = []
    rows = [(one, row) for one in candidates if (row := one.best(budget, -tolerance, 0.0)) is not None]
    if rows:
        return _solved(*min(rows, key=lambda pair: pair[0].moved[pair[1]]))
    start = _start(network, rule, resolution, depth, budget, classes, candidates)
    finer = spent_near(network, rule, start, budget, classes, tolerance)
    if finer is not None:
        return replace(finer, pixels_nudged=finer.architecture.resolution - resolution)
    raise InputError(
        f"no network of {network.name} costs as little as {budget:,.0f} MACs; give a larger budget, or a smaller "
        "base network"
    )


def spent_near(
    network: BaseNetwork,
    rule: ScalingRule,
    near: Architectures,
    budget: float,
    classes: int,
    tolerance: float = TOLERANCE,
) -> SolvedWidth | None:
    """The network nearest to one, of those that cost at most the budget, and less by the tolerance at most.

    Args:
        network: The base network, which has steps of its own.
        rule: These steps.
        near: The one network, without knobs.
        budget: MACs.
        classes: Outputs of the classifier.
        tolerance: Largest distance below the budget, as a share of it.

    Returns:
        Where there is none, the one that is near it and leaves little (`sampler.finest`); None where everything costs
        more.
    """
    below: list[tuple[float, Nearby, int]] = []
    for nearby in finer_networks(network, rule, near, budget, classes):
        hits = []
        for one in nearby:
            good = np.flatnonzero(one.macs >= (1 - tolerance) * budget)
            if len(good):
                row = int(good[np.lexsort([-one.macs[good], one.moved[good]])[0]])
                hits.append((float(one.moved[row]), one, row))
            elif len(one.macs):
                loss = 1 - one.macs / budget + one.moved**2 / 2
                row = int(np.argmin(loss))
                below.append((float(loss[row]), one, row))
        if hits:
            return _moved(*min(hits, key=lambda hit: hit[0])[1:], near[0])
    return _moved(*min(below, key=lambda found: found[0])[1:], near[0]) if below else None


def _start(
    network: BaseNetwork,
    rule: ScalingRule,
    resolution: int,
    depth: float,
    budget: float,
    classes: int,
    known: list[_Candidates],
) -> Architectures:
    """The network of about this resolution and depth with the width that the budget allows, or the narrowest."""
    side = _legal(network, rule, resolution)
    for one in known[:1]:  # the widths at each resolution
        rows = np.flatnonzero((one.architectures.resolution == side) & (one.macs <= budget))
        if len(rows):
            return one.architectures.take(rows[:1])
    try:
        w = width_brackets(network, rule, side, depth, budget, classes)[0]
    except InputError:  # no width costs so much
        w = np.array([WIDEST])
    return scale(network, rule, side, depth, np.where(np.isnan(w), LEAST_MULTIPLIER, w))


def _legal(network: BaseNetwork, rule: ScalingRule, resolution: int) -> int:
    """The nearest resolution that the rule can give."""
    return max(round(resolution / rule.step) * rule.step, network.stride)


def _moved(nearby: Nearby, row: int, start: Architecture) -> SolvedWidth:
    """A network near the start, and what moved, in words."""
    one = nearby.architectures[row]
    pairs = zip(start.depths, one.depths, start.widths, one.widths, strict=True)
    words = []
    for stage, (blocks, deeper, channels, wider) in enumerate(pairs, start=1):
        words += [f"stage {stage} {deeper - blocks:+d} block{'s' * (abs(deeper - blocks) > 1)}"] * (deeper != blocks)
        words += [f"stage {stage} {wider - channels:+d} channels"] * (wider != channels)
    words += [f"{name} {' '.join(map(str, values))}" for name, values in one.knobs.items()]
    w = float(nearby.architectures.multipliers[row, 2])
    return SolvedWidth(one, int(nearby.macs[row]), w, one.resolution - start.resolution, finer=tuple(words))


def _within_reach(
    network: BaseNetwork,
    rule: ScalingRule,
    resolution: int,
    reach: float,
    depth: float,
    budget: float,
    classes: int,
) -> list[_Candidates]:
    """The widths nearest the budget at every resolution within reach, and the same with one stage nudged."""
    low, high = int(resolution * (1 - reach)), int(np.ceil(resolution * (1 + reach)))
    sides = np.arange(max(network.stride, low), min(high, MAX_PIXELS) + 1)
    if own_steps(network):
        sides = rule.sides(network, min(low, _legal(network, rule, resolution)), high)
    candidates = _at_width_steps(network, rule, sides, depth, budget, classes, resolution)
    return [candidates, _one_stage_nudged(network, candidates, rule, classes)]


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
    # MACs jump where the feature maps of the last two strides grow: pixels that pass such a step are ill spent.
    half = max(network.stride // 2, 1)
    passed = np.abs(-(-pixels // half) + wanted // -half) * (not own_steps(network))
    moved = np.abs(pixels - wanted) / wanted + STEP_PENALTY * passed
    return _Candidates(architectures, count(architectures, classes).macs, moved, pixels - wanted, still - 1, still)


def _one_stage_nudged(network: BaseNetwork, near: _Candidates, rule: ScalingRule, classes: int) -> _Candidates:
    """Every candidate with one stage wider or narrower by one or two divisors."""
    parts, stages, channels = [], [], []
    plain = near.architectures
    for index in range(plain.widths.shape[1]):
        for step in (-2 * rule.divisor, -rule.divisor, rule.divisor, 2 * rule.divisor):
            widths = plain.widths.copy()
            widths[:, index] += step
            widths = buildable(network, np.maximum(widths, rule.smallest))
            parts.append(replace(plain, widths=widths))
            stages.append(np.full(len(plain), index))
            channels.append(widths[:, index] - plain.widths[:, index])
    nudged = concatenate(parts)
    stage, change = np.concatenate(stages), np.concatenate(channels)
    share = np.abs(change) / np.concatenate([plain.widths[:, i] for i in stage[:: len(plain)]])
    pixels = np.tile(near.pixels, len(parts))
    moved = np.tile(near.moved, len(parts)) + share
    return _Candidates(nudged, count(nudged, classes).macs, moved, pixels, stage, change)


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
