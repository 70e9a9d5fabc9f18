"""Scaling rules: how multipliers of a base network become integers.

The rounding is part of every published result, so it is data. Notation: r, d, w are the multipliers
of resolution, depth and width; a rule never changes the number of stages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from sampler.architecture import (
    MAX_BLOCKS,
    MAX_CHANNELS,
    MAX_PIXELS,
    Architecture,
    Architectures,
    BaseNetwork,
    FloatArray,
    IntArray,
    check_range,
)
from sampler.bases import base
from sampler.checks import checked_whole, shown
from sampler.errors import InputError
from sampler.families import family_of
from sampler.families.registry import own_knobs

# The rules of networks that say their own steps: the divisor of widths, the step of resolutions.
_OWN_STEPS = "multiples:"
_MULTIPLES = re.compile(rf"{_OWN_STEPS}([1-9]\d{{0,4}}):([1-9]\d{{0,4}})")
MAX_MULTIPLIER = 1000.0
# Where ranges of multipliers begin, and how often they are halved: to 1e-11.
LEAST_MULTIPLIER, _HALVINGS = 1e-3, 40


@dataclass(frozen=True)
class ScalingRule:
    """How multipliers become integers.

    Attributes:
        name: The rule's name.
        depth: `"ceil"` or `"round"` (halves to even, as Python rounds) of base depth times d; at least 1.
            `"ceil_inside"` leaves the first and the last stage as they are.
        divisor: Widths are multiples of it.
        guard: Whether a width rounded below 90 % of the exact product goes up by one divisor.
        stem: `"scaled"` with w, `"fixed"`, or `"never_below"` its base size.
        head: `"scaled"` with w, `"fixed"`, or `"never_below"` its base size.
        resolution: `"nearest"` integer of base resolution times r, `"floor"`, or nearest `"multiple_of_4"`.
        smallest: The fewest channels of a stage, stem or head.
        step: Resolutions are multiples of it.
    """

    name: str
    depth: Literal["ceil", "round", "ceil_inside"]
    divisor: int
    guard: bool
    stem: Literal["scaled", "fixed", "never_below"]
    head: Literal["scaled", "fixed", "never_below"]
    resolution: Literal["nearest", "floor", "multiple_of_4"]
    smallest: int = 8
    step: int = 1

    def pixels(self, base_resolution: int, r: ArrayLike) -> IntArray:
        """`(n,)` input sides for `(n,)` resolution multipliers."""
        exact = base_resolution * checked_multiplier("resolution", r)
        if self.resolution == "floor":
            # 0.86 * 50 is 42.999..: without the slack a product that is whole on paper loses a pixel.
            return np.floor(exact + 1e-9).astype(np.int64)
        if self.resolution == "multiple_of_4":
            return 4 * np.rint(exact / 4).astype(np.int64)
        if self.step > 1:
            return self.step * np.clip(np.rint(exact / self.step), 1, MAX_PIXELS // self.step).astype(np.int64)
        return np.rint(exact).astype(np.int64)

    @property
    def stepped(self) -> bool:
        """Whether these are the steps of one network, which no other rule keeps (`multiples:8:16`)."""
        return self.name.startswith(_OWN_STEPS)

    def sides(self, network: BaseNetwork, low: float, high: float) -> IntArray:
        """`(n,)` resolutions between two, both included, that the rule can give for a network, ascending."""
        step = 4 if self.resolution == "multiple_of_4" else self.step
        first, last = max(int(np.ceil(low)), network.stride), min(int(np.floor(high)), MAX_PIXELS)
        return np.arange(-(-first // step) * step, last + 1, step, dtype=np.int64)

    def blocks(self, depth: int, d: FloatArray, end: bool = False) -> IntArray:
        """`(n,)` depths of one stage; `end` says that it is the network's first or last."""
        if end and self.depth == "ceil_inside":
            return np.full(len(d), depth, dtype=np.int64)
        exact = depth * d
        rounded = np.rint(exact) if self.depth == "round" else np.ceil(exact)
        return np.maximum(rounded, 1.0).astype(np.int64)

    def channels(self, width: int, w: FloatArray) -> IntArray:
        """`(n,)` widths of one stage, stem or head: multiples of the divisor, at least `smallest`."""
        exact = width * w
        rounded = np.floor((exact + self.divisor / 2) / self.divisor) * self.divisor
        np.maximum(rounded, float(self.smallest), out=rounded)
        if self.guard:
            rounded += self.divisor * (rounded < 0.9 * exact)
        return rounded.astype(np.int64)

    def stem_channels(self, network: BaseNetwork, w: FloatArray) -> IntArray:
        """`(n,)` channels of the first convolution."""
        if self.stem == "fixed" or not network.stem:
            return np.full(len(w), network.stem, dtype=np.int64)
        scaled = self.channels(network.stem, w)
        return np.maximum(scaled, network.stem) if self.stem == "never_below" else scaled

    def head_channels(self, network: BaseNetwork, w: FloatArray) -> IntArray:
        """`(n,)` channels of the last 1x1 convolution."""
        if self.head == "fixed" or not network.head:
            return np.full(len(w), network.head, dtype=np.int64)
        scaled = self.channels(network.head, w)
        return np.maximum(scaled, network.head) if self.head == "never_below" else scaled


RULES: dict[str, ScalingRule] = {
    rule.name: rule
    for rule in (
        ScalingRule("efficientnet", "ceil", 8, True, "scaled", "scaled", "nearest"),
        ScalingRule("inverse", "round", 8, True, "scaled", "scaled", "nearest"),
        ScalingRule("tinynet", "round", 8, True, "fixed", "never_below", "floor"),
        ScalingRule("lite", "ceil_inside", 8, True, "fixed", "fixed", "nearest"),
        ScalingRule("efficientnetv2", "ceil", 8, False, "scaled", "scaled", "nearest"),
        ScalingRule("mobilenetv2", "ceil", 8, True, "scaled", "never_below", "nearest"),
        ScalingRule("mobilenetv3", "ceil", 8, True, "never_below", "fixed", "nearest"),
        ScalingRule("mnasnet", "ceil", 8, True, "scaled", "fixed", "nearest"),
        # Dollar et al. 2021, https://arxiv.org/abs/2103.06877: pycls' EfficientNets, and its networks without a head
        # ("anynet"), whose stem stays.
        # (A width halfway between two multiples goes up here, as in every rule, and in pycls to the even one.)
        ScalingRule("pycls", "round", 8, False, "scaled", "scaled", "multiple_of_4"),
        ScalingRule("anynet", "round", 8, False, "fixed", "scaled", "multiple_of_4"),
        ScalingRule("ghost", "round", 4, True, "scaled", "scaled", "nearest", smallest=4),
        # Three channels are the fewest that leave EfficientNet's squeeze-excite one.
        ScalingRule("free", "round", 1, False, "scaled", "scaled", "nearest", smallest=3),
    )
}


def rule_named(name: str) -> ScalingRule:
    """The scaling rule of that name; `multiples:8:16` has widths of multiples of 8, and resolutions of 16.

    Raises:
        InputError: If there is none; names them all.
    """
    if isinstance(name, str) and (steps := _MULTIPLES.fullmatch(name)):
        divisor, step = int(steps[1]), int(steps[2])
        return ScalingRule(name, "round", divisor, False, "fixed", "fixed", "nearest", smallest=divisor, step=step)
    if not isinstance(name, str) or name not in RULES:
        raise InputError(f"scaling rule {shown(name)} is unknown; known rules: {', '.join(RULES)}")
    return RULES[name]


def rules_of(network: BaseNetwork) -> Mapping[str, ScalingRule]:
    """The rules by which versions of a network may have been made, by name: all, or its own steps where it has some."""
    return RULES if network.rule in RULES else {network.rule: rule_named(network.rule)}


def known_rule(name: Any) -> bool:
    """Whether there is a scaling rule of that name."""
    return isinstance(name, str) and (name in RULES or _MULTIPLES.fullmatch(name) is not None)


def check_rule(network: BaseNetwork, rule: ScalingRule) -> None:
    """Refuses a rule whose widths or resolutions a network with steps of its own does not have.

    Raises:
        InputError: Naming the network's own rule.
    """
    if network.rule == rule.name or not own_steps(network):
        return
    own = rule_named(network.rule)
    if not rule.stepped or rule.step % own.step or rule.divisor % own.divisor:
        raise InputError(
            f"{network.name} keeps its own steps (widths of {own.divisor}, resolutions of {own.step}); "
            f"rule {rule.name} has others: leave it out, or say {own.name}"
        )


def own_steps(network: BaseNetwork) -> bool:
    """Whether a network says itself of what its widths and resolutions are multiples."""
    return network.rule.startswith(_OWN_STEPS)


def check_resolution(network: BaseNetwork, resolution: ArrayLike) -> None:
    """Refuses resolutions between the steps of a network that has its own.

    Raises:
        InputError: Naming the first, and the nearest that it has.
    """
    if not own_steps(network):
        return
    step, sides = rule_named(network.rule).step, np.atleast_1d(np.asarray(resolution))
    if (wrong := sides[sides % step != 0]).size:
        near = max(round(int(wrong[0]) / step) * step, network.stride)
        raise InputError(f"{network.name} takes resolutions of multiples of {step}, not {wrong[0]}; take {near}")


def checked_multiplier(name: str, values: ArrayLike) -> FloatArray:
    """The values as float64, all finite and within (0, 1000].

    Raises:
        InputError: With the first value outside.
    """
    try:
        if np.iscomplexobj(values):
            raise TypeError("complex")
        numbers = np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"the {name} multiplier is {shown(values)}; a number is wanted, or as many as rows") from error
    wrong = ~((numbers > 0) & (numbers <= MAX_MULTIPLIER))  # also true for NaN
    if wrong.any():
        raise InputError(f"the {name} multiplier must lie in (0, {MAX_MULTIPLIER:g}], got {numbers[wrong].flat[0]:g}")
    return numbers


def one_multiplier(name: str, value: Any) -> float:
    """A single multiplier.

    Raises:
        InputError: If it is something else, or out of range.
    """
    if np.ndim(value):
        raise InputError(f"the {name} multiplier is {shown(value)}; one number is wanted")
    return float(checked_multiplier(name, value)[0])


def scale(
    network: BaseNetwork,
    rule: ScalingRule,
    resolution: ArrayLike,
    depth: ArrayLike = 1.0,
    width: ArrayLike = 1.0,
) -> Architectures:
    """Scales a base network uniformly: one depth and one width multiplier for all stages.

    Args:
        network: The base network.
        rule: How products become integers.
        resolution: `(n,)` input sides, in pixels (not multipliers).
        depth: `(n,)` depth multipliers, or one for all.
        width: `(n,)` width multipliers, or one for all.

    Returns:
        The `n` architectures; `multipliers` holds r over the network's own resolution, and d, w as given.

    Raises:
        InputError: If a multiplier is not finite and positive.

    Example:
        >>> from sampler import base
        >>> scale(base("efficientnet_b0"), rule_named("efficientnet"), 240, depth=1.1)[0].depths
        (2, 3, 3, 4, 4, 5, 2)
    """
    check_rule(network, rule)
    pixels, d, w = np.broadcast_arrays(
        np.atleast_1d(np.asarray(resolution, dtype=np.int64)),
        checked_multiplier("depth", depth),
        checked_multiplier("width", width),
    )
    shape = len(pixels), len(network.stages)
    return Architectures(
        network.name,
        pixels,
        rule.stem_channels(network, w),
        _channels(network, rule, np.broadcast_to(w[:, None], shape)),
        _blocks(network, rule, np.broadcast_to(d[:, None], shape)),
        rule.head_channels(network, w),
        np.column_stack([pixels / network.resolution, d, w]),
        _knobs(network, len(pixels)),
    )


def scale_stages(
    network: BaseNetwork, rule: ScalingRule, resolution: ArrayLike, depths: ArrayLike, widths: ArrayLike
) -> Architectures:
    """Scales each stage by its own multipliers; the stem follows the first stage, the head the last.

    Args:
        network: The base network, of `s` stages.
        rule: How products become integers.
        resolution: `(n,)` input sides, in pixels.
        depths: `(n, s)` depth multipliers.
        widths: `(n, s)` width multipliers.

    Returns:
        The `n` architectures; their effective multipliers are total blocks over the base's, and the
        geometric mean of the width ratios.
    """
    check_rule(network, rule)
    d = np.atleast_2d(checked_multiplier("depth", depths))
    w = np.atleast_2d(checked_multiplier("width", widths))
    pixels = np.atleast_1d(np.asarray(resolution, dtype=np.int64))
    blocks, channels = _blocks(network, rule, d), _channels(network, rule, w)
    return Architectures(
        network.name,
        pixels,
        rule.stem_channels(network, w[:, 0]),
        channels,
        blocks,
        rule.head_channels(network, w[:, -1]),
        effective_multipliers(network, pixels, blocks, channels),
        _knobs(network, len(pixels)),
    )


def _blocks(network: BaseNetwork, rule: ScalingRule, d: FloatArray) -> IntArray:
    """`(n, s)` blocks of `(n, s)` depth multipliers."""
    ends = (0, len(network.stages) - 1)
    return np.stack([rule.blocks(stage.depth, d[:, i], i in ends) for i, stage in enumerate(network.stages)]).T


def _knobs(network: BaseNetwork, n: int) -> dict[str, IntArray]:
    """`(n, k)` knobs of the table, where they are not those of the base network of its name."""
    return {name: np.tile(np.array(values, dtype=np.int64), (n, 1)) for name, values in own_knobs(network).items()}


def _channels(network: BaseNetwork, rule: ScalingRule, w: FloatArray) -> IntArray:
    """`(n, s)` channels of `(n, s)` width multipliers."""
    return buildable(
        network, np.stack([rule.channels(stage.width, w[:, i]) for i, stage in enumerate(network.stages)]).T
    )


def depth_ranges(network: BaseNetwork, rule: ScalingRule, depths: IntArray) -> tuple[FloatArray, FloatArray]:
    """`(n,)` ends of the range (low, high] of one d that gives `(n, s)` blocks; low > high where none does.

    Example:
        >>> from sampler import base
        >>> b1 = np.array([[2, 3, 3, 4, 4, 5, 2]])
        >>> low, high = depth_ranges(base("efficientnet_b0"), rule_named("efficientnet"), b1)
        >>> print(f"{low[0]:.3f} {high[0]:.3f}")
        1.000 1.250
    """
    return _one_for_all(lambda d: _blocks(network, rule, d), depths)


def width_ranges(network: BaseNetwork, rule: ScalingRule, widths: IntArray) -> tuple[FloatArray, FloatArray]:
    """`(n,)` ends of the range (low, high] of one w that gives `(n, s)` channels; low > high where none does."""
    return _one_for_all(lambda w: _channels(network, rule, w), widths)


def _one_for_all(integers: Callable[[FloatArray], IntArray], wanted: IntArray) -> tuple[FloatArray, FloatArray]:
    """The numbers that, the same in every column, give the wanted integers; each column rises with its own."""
    low, high = np.full(wanted.shape, LEAST_MULTIPLIER), np.full(wanted.shape, MAX_MULTIPLIER)
    first, last = (low.copy(), high.copy()), (low.copy(), high.copy())
    for _ in range(_HALVINGS):
        for ends, strict in ((first, False), (last, True)):
            middle = np.sqrt(ends[0] * ends[1])
            values = integers(middle)
            above = values > wanted if strict else values >= wanted
            ends[1][above], ends[0][~above] = middle[above], middle[~above]
    return first[1].max(axis=1), last[0].min(axis=1)


def buildable(network: BaseNetwork, widths: IntArray) -> IntArray:
    """`(n, s)` widths, moved to the nearest that the family's blocks can have (multiples of a group's width)."""
    return family_of(network).widths(network, widths)


def effective_multipliers(network: BaseNetwork, resolution: IntArray, depths: IntArray, widths: IntArray) -> FloatArray:
    """`(n, 3)` r, d, w that a non-uniform architecture amounts to: pixels, total blocks, mean log width."""
    d = depths.sum(axis=1) / sum(network.depths)
    w = np.exp(np.log(widths / np.array(network.widths)).mean(axis=1))
    return np.column_stack([resolution / network.resolution, d, w])


def scaled(
    name: str,
    resolution: int | None = None,
    width: float = 1.0,
    depth: float = 1.0,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
    rule: str | None = None,
) -> Architecture:
    """One scaled version of a base network.

    Args:
        name: The base network.
        resolution: Pixels; the base network's own by default.
        width: Width multiplier.
        depth: Depth multiplier.
        widths: Channels of each stage, instead of what `width` gives.
        depths: Blocks of each stage, instead of what `depth` gives.
        rule: Scaling rule; the base network's own by default.

    Raises:
        InputError: If a name is unknown or a value impossible.

    Example:
        >>> scaled("efficientnet_b0", width=0.5).widths
        (8, 16, 24, 40, 56, 96, 160)
    """
    network = base(name)
    pixels = network.resolution if resolution is None else checked_whole("resolution", resolution, 1, MAX_PIXELS)
    d, w = one_multiplier("depth", depth), one_multiplier("width", width)
    architecture = scale(network, rule_named(network.rule if rule is None else rule), pixels, d, w)[0]
    for key, values, largest in (("widths", widths, MAX_CHANNELS), ("depths", depths, MAX_BLOCKS)):
        if values is not None:
            check_range(key, values, largest)
            if np.ndim(values) != 1 or len(values) != len(network.stages):
                raise InputError(f"{name} has {len(network.stages)} stages, but {key} gives {np.size(values)}")
            architecture = replace(architecture, **{key: tuple(values)})  # type: ignore[arg-type]
    return architecture
