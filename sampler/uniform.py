"""All networks that one r, one d and one w give: the different roundings of each, and their products.

A rounding is a step function of its multiplier that no column of integers falls along, so that all its steps are found
by bisection, down to neighbouring floating-point numbers: there is no multiplier whose network is missing here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, Architectures, BaseNetwork, FloatArray, IntArray
from sampler.families import family_of
from sampler.knobs import knob_grids, knobs_among
from sampler.moves import stage_columns
from sampler.scaling import MAX_MULTIPLIER, ScalingRule, depth_ranges, rule_named, scale, width_ranges
from sampler.space import BOUNDS, SearchSpace

Ranges = Mapping[str, tuple[float, float]]
# Of the span of a factor: roundings of which narrower ranges of it give are left to chance in a space.
_NARROWEST = 1e-6
_BELOW = 0.9  # of the end of the lowest rounding, where that has no other beginning than 0
_SLACK = 1e-6  # by which ends of multipliers are widened before the integers decide


@dataclass(frozen=True, eq=False)
class UniformGrid:
    """The different roundings of r, of d and of w; their products are networks, numbered from 0 to `size`.

    Attributes:
        network: The base network, at the resolution that r multiplies.
        pixels: `(a,)` input sides.
        depths: `(b, s)` blocks.
        channels: `(c, s + 2)` channels of the stem, the stages and the head.
        d: `(b,)` a depth multiplier of each row of blocks.
        w: `(c,)` a width multiplier of each row of channels.
        knobs: `(e, k)` values of the knobs that vary, by name; one value of a row for all stages. `e` is the same for
            all; without any, networks are no more than the products above.
    """

    network: BaseNetwork
    pixels: IntArray
    depths: IntArray
    channels: IntArray
    d: FloatArray
    w: FloatArray
    knobs: Mapping[str, IntArray] = field(default_factory=dict)

    @classmethod
    def of(cls, space: SearchSpace) -> UniformGrid:
        """What a space's bounds of r, d and w hold, and its knobs' values, whatever it costs."""
        found = _between(space.network, rule_named(space.rule), space.r, space.d, space.w, _NARROWEST)
        return replace(found, knobs=_knob_rows(space.network, space.knobs, {}))

    @classmethod
    def between(cls, network: BaseNetwork, rule: ScalingRule, ranges: Ranges) -> UniformGrid:
        """What has all its integers within ranges.

        Args:
            network: The base network.
            rule: How products become integers.
            ranges: Lowest and highest integer by the column's name (`sampler.moves.column_names`), both included; a
                multiplier none of whose columns is named has the bounds of a usual space, and other names are ignored.
                A knob varies where its columns are named.

        Returns:
            The grid; of size 0 where there is nothing.
        """
        depths, widths = (_ends(ranges, stage_columns(kind, len(network.stages))) for kind in ("depth", "width"))
        low, high = ranges.get("resolution", tuple(network.resolution * bound for bound in BOUNDS))
        far = max(4, rule.step)  # rules round to 4 at most, but for those with a step
        r = max(low - far, 1) / network.resolution, max(high + far, 1) / network.resolution
        d = _multipliers(depth_ranges, network, rule, *depths, MAX_BLOCKS)
        w = _multipliers(width_ranges, network, rule, *widths, MAX_CHANNELS)
        grid = _between(network, rule, r, d, w)
        pixels = (grid.pixels >= low) & (grid.pixels <= high)
        blocks = _inside(grid.depths, *depths)
        ends = (_ends(ranges, [name]) for name in ("stem", "head"))
        stem, head = (_inside(grid.channels[:, [at]], *end) for at, end in zip((0, -1), ends, strict=True))
        channels = stem & head & _inside(grid.channels[:, 1:-1], *widths)
        knobs = _knob_rows(network, list(knobs_among(network, ranges)), ranges)
        channels_of, w_of = grid.channels[channels], grid.w[channels]
        return cls(network, grid.pixels[pixels], grid.depths[blocks], channels_of, grid.d[blocks], w_of, knobs)

    @property
    def size(self) -> int:
        """How many networks there are."""
        return len(self.pixels) * len(self.depths) * len(self.channels) * self.choices

    @property
    def choices(self) -> int:
        """How many choices of the knobs' values there are."""
        return len(next(iter(self.knobs.values()))) if self.knobs else 1

    def take(self, numbers: IntArray) -> Architectures:
        """The `(n,)` networks of these numbers; their multipliers are of the roundings."""
        shape = len(self.pixels), len(self.depths), len(self.channels), self.choices
        i, j, k, choice = np.unravel_index(numbers, shape)
        pixels, channels = self.pixels[i], self.channels[k]
        return Architectures(
            self.network.name,
            pixels,
            channels[:, 0],
            channels[:, 1:-1],
            self.depths[j],
            channels[:, -1],
            np.column_stack([pixels / self.network.resolution, self.d[j], self.w[k]]),
            {name: values[choice] for name, values in self.knobs.items()},
        )


def _knob_rows(network: BaseNetwork, names: Sequence[str], ranges: Ranges) -> dict[str, IntArray]:
    """`(e, k)` all choices of values of knobs within ranges, the same in all of a knob's columns."""
    own, grids = family_of(network).knobs(network), knob_grids(network)
    levels = []
    for name in names:
        low, high = _ends(ranges, stage_columns(name, len(own[name])))
        levels.append([value for value in grids[name] if low.max() <= value <= high.min()])
    many = np.array(list(product(*levels)), dtype=np.int64).reshape(-1, max(len(names), 1))
    return {name: np.repeat(many[:, [i]], len(own[name]), axis=1) for i, name in enumerate(names)}


def roundings(
    integers: Callable[[FloatArray], IntArray], low: float, high: float, narrowest: float = 0.0
) -> tuple[FloatArray, IntArray]:
    """All different rows of integers that multipliers between two give.

    Args:
        integers: Gives the `(n, k)` integers of `(n,)` multipliers; every column rises, or stays.
        low: Lowest multiplier.
        high: Highest.
        narrowest: Rows that a range of multipliers narrower than this share of the span gives are left out.

    Returns:
        `(m,)` multipliers in the middle of their ranges, where no other rounding is near, and the `(m, k)` rows.

    Example:
        >>> roundings(lambda d: np.rint(np.outer(d, [1, 3])).astype(int), 0.9, 1.6)[1].tolist()
        [[1, 3], [1, 4], [2, 4], [2, 5]]
    """
    points = _beside_steps(integers, low, high)
    rows = integers(points)
    starts = np.flatnonzero(np.r_[True, (rows[1:] != rows[:-1]).any(axis=1)])
    first, last = points[starts], points[np.r_[starts[1:], len(points)] - 1]
    kept = last - first >= narrowest * (high - low)
    return ((first + last) / 2)[kept], rows[starts][kept]


def _beside_steps(integers: Callable[[FloatArray], IntArray], low: float, high: float) -> FloatArray:
    """Both ends, and the last number before and the first after every step between them; ascending."""
    points = [np.array([low, high])]
    left, right = np.array([low]), np.array([high])
    while len(left):
        steps = (integers(left) != integers(right)).any(axis=1)
        left, right = left[steps], right[steps]
        middle = (left + right) / 2
        apart = (left < middle) & (middle < right)
        points += [left[~apart], right[~apart]]
        left, right, middle = left[apart], right[apart], middle[apart]
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
    return np.unique(np.concatenate(points))


def _between(
    network: BaseNetwork,
    rule: ScalingRule,
    r: tuple[float, float],
    d: tuple[float, float],
    w: tuple[float, float],
    narrowest: float = 0.0,
) -> UniformGrid:
    """The grid of all multipliers between ends; a pair of ends that do not rise holds nothing."""

    def pixels(values: FloatArray) -> IntArray:
        return np.maximum(rule.pixels(network.resolution, values), network.stride)[:, None]

    def blocks(values: FloatArray) -> IntArray:
        return scale(network, rule, network.resolution, values, 1.0).depths

    def channels(values: FloatArray) -> IntArray:
        rows = scale(network, rule, network.resolution, 1.0, values)
        return np.column_stack([rows.stem, rows.widths, rows.head])

    factors = []
    for integers, ends in ((pixels, r), (blocks, d), (channels, w)):
        multipliers, rows = roundings(integers, *ends, narrowest) if ends[0] <= ends[1] else roundings(integers, 1, 1)
        kept = slice(None) if ends[0] <= ends[1] else slice(0)
        factors.append((multipliers[kept], rows[kept]))
    (_, sides), (depths, rows_of_depths), (widths, rows_of_widths) = factors
    return UniformGrid(network, sides[:, 0], rows_of_depths, rows_of_widths, depths, widths)


def _ends(ranges: Ranges, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """`(k,)` lowest and highest values of columns; infinite where nothing is said of one."""
    pairs = [ranges.get(name, (-np.inf, np.inf)) for name in names]
    return np.array([low for low, _ in pairs], dtype=np.float64), np.array([high for _, high in pairs])


def _inside(rows: IntArray, low: FloatArray, high: FloatArray) -> NDArray[np.bool_]:
    """`(n,)` bools: whether all columns of a row lie within their ends."""
    inside: NDArray[np.bool_] = np.all((rows >= low) & (rows <= high), axis=1)
    return inside


def _multipliers(
    ranges_of: Callable[[BaseNetwork, ScalingRule, IntArray], tuple[FloatArray, FloatArray]],
    network: BaseNetwork,
    rule: ScalingRule,
    low: FloatArray,
    high: FloatArray,
    most: int,
) -> tuple[float, float]:
    """Ends of the multipliers whose integers lie between others, a little widened; the usual where none is said."""
    if not (np.isfinite(low) | np.isfinite(high)).any():
        return BOUNDS
    lowest, highest = (np.clip(end, 1, most)[None].astype(np.int64) for end in (np.ceil(low), np.floor(high)))
    (first,), (still,) = ranges_of(network, rule, lowest)
    (last,) = ranges_of(network, rule, highest)[1]
    # All multipliers below `still` give the lowest integers or less: one near it stands for them.
    return max(float(first) * (1 - _SLACK), _BELOW * float(still)), min(float(last) * (1 + _SLACK), MAX_MULTIPLIER)


def uniform_rows(network: BaseNetwork, rule: ScalingRule, architectures: Architectures) -> NDArray[np.bool_]:
    """`(n,)` bools: whether one depth and one width multiplier for all stages give these integers by the rule."""
    narrow, wide = width_ranges(network, rule, architectures.widths)
    shallow, deep = depth_ranges(network, rule, architectures.depths)
    uniform: NDArray[np.bool_] = (narrow <= wide) & (shallow <= deep)
    return uniform
