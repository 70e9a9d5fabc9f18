"""The search space: which architectures may be drawn, and inside which window of cost.

A point of the space is a vector of the unit cube: resolution first, then d and w (uniform), or each stage's
depth and width multiplier (per stage). Between its bounds every factor is linear, as TinyNet draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from sampler.architecture import (
    MAX_CHANNELS,
    MAX_PIXELS,
    Architectures,
    BaseNetwork,
    FloatArray,
    IntArray,
)
from sampler.bases import base
from sampler.checks import checked_whole, is_number, shown
from sampler.complexity import base_macs, count
from sampler.errors import InputError
from sampler.families import family_of
from sampler.knobs import check_varied, drawn_values, knob_grids
from sampler.limits import Limit, within
from sampler.scaling import check_resolution, check_rule, own_steps, rule_named, scale, scale_stages

SpaceKind = Literal["uniform", "stage"]
SHRINK_WINDOW = (0.03, 1.05)  # TinyNet section 3.2, in base MACs
BOUNDS = (0.35, 2.8)  # TinyNet section 4.1, for each factor
BATCH = 4_096
MAX_DRAWS = 100 * BATCH


@dataclass(frozen=True)
class SearchSpace:
    """Scaled versions of a base network inside a window of MACs.

    Attributes:
        base: Name of the base network.
        resolution: The resolution that r multiplies, in pixels; the base network's own, or a proxy task's.
        classes: Outputs of the classifier.
        rule: Name of the scaling rule.
        kind: `"uniform"` (one d and one w for all stages) or `"stage"` (one each per stage).
        window: Lowest and highest MACs, as multiples of the base network's at `resolution` and `classes`.
        r: Lowest and highest resolution multiplier; equal ones hold it, those of d and w likewise.
        d: Lowest and highest depth multiplier.
        w: Lowest and highest width multiplier.
        limits: Further costs that an architecture may not pass.
        knobs: Names of the knobs that are drawn, too, from their values; others follow their rules.

    Raises:
        InputError: If bounds are not ordered and positive, or a name is unknown.
    """

    base: str
    resolution: int
    classes: int = 1000
    rule: str = "inverse"
    kind: SpaceKind = "uniform"
    window: tuple[float, float] = SHRINK_WINDOW
    r: tuple[float, float] = BOUNDS
    d: tuple[float, float] = BOUNDS
    w: tuple[float, float] = BOUNDS
    limits: tuple[Limit, ...] = ()
    knobs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        network = base(self.base)
        if own_steps(network) and self.rule == SearchSpace.rule:
            object.__setattr__(self, "rule", network.rule)
        check_rule(network, rule_named(self.rule))
        checked_whole("resolution", self.resolution, 1, MAX_PIXELS)
        checked_whole("classes", self.classes, 1, MAX_CHANNELS)
        if self.kind not in get_args(SpaceKind):
            raise InputError(f"kind {self.kind!r} is unknown; known kinds: {', '.join(get_args(SpaceKind))}")
        for name in ("window", "r", "d", "w"):
            ends = getattr(self, name)
            if not isinstance(ends, list | tuple) or [is_number(end) for end in ends] != [True, True]:
                raise InputError(f"{name} is {shown(ends)}; two rising positive numbers are wanted")
            low, high = ends
            held = low == high and name != "window"
            if not (0 < low < high < np.inf or (held and 0 < low < np.inf)):
                equal = "" if name == "window" else "; equal ones hold it"
                raise InputError(f"{name} must be two rising positive numbers, got {low:g} and {high:g}{equal}")
        check_resolution(network, self.resolution)
        check_varied(network, self.knobs)
        object.__setattr__(self, "knobs", tuple(sorted(self.knobs)))
        smallest = self.network.stride / self.resolution
        if self.r[1] < smallest:
            raise InputError(
                f"r up to {self.r[1]:g} of {self.resolution} px stays below {self.base}'s stride of "
                f"{self.network.stride} px; raise the resolution"
            )
        if self.r[0] < smallest:
            object.__setattr__(self, "r", (smallest, self.r[1]))

    @property
    def network(self) -> BaseNetwork:
        """The base network, at this space's resolution."""
        return replace(base(self.base), resolution=self.resolution)

    @property
    def base_macs(self) -> int:
        """MACs of the base network at this space's resolution and classes: what c is measured in."""
        return base_macs(self.base, self.resolution, self.classes)

    @property
    def macs_window(self) -> tuple[float, float]:
        """Lowest and highest MACs."""
        macs = self.base_macs
        return self.window[0] * macs, self.window[1] * macs

    @property
    def dimensions(self) -> int:
        """Length of a point: 3, or 1 and two per stage; and the numbers of the knobs that are drawn."""
        return self.shape_dimensions + sum(self.knob_columns.values())

    @property
    def shape_dimensions(self) -> int:
        """Length of a point without its knobs."""
        return 3 if self.kind == "uniform" else 1 + 2 * len(self.network.stages)

    @property
    def knob_columns(self) -> dict[str, int]:
        """How many numbers each knob that is drawn has; a uniform space draws one for all stages."""
        own = family_of(self.network).knobs(self.network) if self.knobs else {}
        return {name: 1 if self.kind == "uniform" else len(own[name]) for name in self.knobs}

    def decode(self, points: FloatArray) -> Architectures:
        """Architectures at `(n, dimensions)` points of the unit cube, whatever they cost."""
        stages = 1 if self.kind == "uniform" else len(self.network.stages)
        rule = rule_named(self.rule)
        pixels = np.maximum(rule.pixels(self.resolution, _between(self.r, points[:, 0])), self.network.stride)
        shape = points[:, : self.shape_dimensions]
        d, w = _between(self.d, shape[:, 1 : 1 + stages]), _between(self.w, shape[:, 1 + stages :])
        if self.kind == "uniform":
            found = scale(self.network, rule, pixels, d[:, 0], w[:, 0])
        else:
            found = scale_stages(self.network, rule, pixels, d, w)
        return replace(found, knobs=self._drawn_knobs(points)) if self.knobs else found

    def _drawn_knobs(self, points: FloatArray) -> dict[str, IntArray]:
        """`(n, k)` values of the knobs at points, whose last coordinates they are."""
        own, grids = family_of(self.network).knobs(self.network), knob_grids(self.network)
        knobs, start = {}, self.shape_dimensions
        for name, columns in self.knob_columns.items():
            drawn = drawn_values(points[:, start : start + columns], grids[name])
            knobs[name] = np.ascontiguousarray(np.broadcast_to(drawn, (len(points), len(own[name]))))
            start += columns
        return knobs

    def inside(self, architectures: Architectures) -> tuple[np.ndarray, IntArray]:
        """`(n,)` bools, whether each costs what the window and the limits allow, and the `(n,)` MACs."""
        macs = count(architectures, self.classes).macs
        low, high = self.macs_window
        return (macs >= low) & (macs <= high) & within(architectures, self.classes, self.limits), macs


def stream(
    space: SearchSpace, draw: Callable[[int], FloatArray], seen: Architectures | None = None
) -> Iterator[tuple[Architectures, IntArray]]:
    """Batches of distinct architectures that cost what the window allows, with their MACs.

    Args:
        space: The search space.
        draw: Gives the next `k` points of the unit cube, `(k, dimensions)`.
        seen: Architectures not to be given again.

    Yields:
        What `BATCH` points gave, possibly nothing; ends after `MAX_DRAWS` points: whoever still wants more asks
        for more than the space seems to hold.
    """
    known = {row.tobytes() for row in seen.integers()} if seen is not None else set()
    for _ in range(MAX_DRAWS // BATCH):
        batch = space.decode(draw(BATCH))
        mask, macs = space.inside(batch)
        rows = []
        for row, integers in zip(np.flatnonzero(mask), batch.integers()[mask], strict=True):
            if integers.tobytes() not in known:
                known.add(integers.tobytes())
                rows.append(row)
        index = np.array(rows, dtype=np.int64)
        yield batch.take(index), macs[index]


def too_few(space: SearchSpace) -> InputError:
    """The error for a stream that ended too early; says how far the limits are from what the window holds."""
    low, high = space.macs_window
    probe = space.decode(np.random.default_rng(0).random((BATCH, space.dimensions)))
    probe = probe.take(replace(space, limits=()).inside(probe)[0])
    reasons = []
    for limit in space.limits if len(probe) else ():
        smallest = float(limit.cost(probe, space.classes).min())
        if smallest > limit.largest:
            reasons.append(
                f" (the least {limit.name} found between them is {smallest:,.0f}, {smallest / limit.largest:.3g} times "
                f"the {limit.largest:,.0f} allowed)"
            )
    return InputError(
        f"too few distinct architectures between {low:,.0f} and {high:,.0f} MACs in {MAX_DRAWS:,} draws"
        f"{''.join(reasons)}; ask for fewer, or change the window, the bounds or the budgets"
    )


def _between(bounds: tuple[float, float], unit: FloatArray) -> FloatArray:
    return bounds[0] + (bounds[1] - bounds[0]) * unit


def check_space(space: object, seen: object = None) -> None:
    """Refuses what is no search space, or architectures that are none.

    Raises:
        InputError: With what is wanted.
    """
    if not isinstance(space, SearchSpace):
        raise InputError(f"{shown(space)} is no search space; give sampler.SearchSpace(base, resolution, ..)")
    if seen is not None and not isinstance(seen, Architectures):
        raise InputError(f"seen is {shown(seen)}; architectures, as a design or sampler.stack gives them, are wanted")
