"""Blocks as plain data, so that a reader of the formula file can count MACs.

A block is a list of layers, each the product of a few numbers and sizes: `[9, "c_mid", "after"]` is a depthwise 3x3.
Sizes:

    c_in, c_out          channels of a block: input, output
    c_mid, c_se, c_group hidden channels, those of the squeeze-excite bottleneck, those of one group
    before, after        pixels of its input and output feature maps
    changed              1 where c_in and c_out differ, else 0

How a product becomes an integer is a record: base times a multiplier is rounded to a multiple of `divisor`; one
divisor more where that is below `guard` times the product; then kept between `least` and `most`; and at last, where it
is not below `group`, moved to the nearest multiple of that (halves to the even one). Roundings:

    up   to the next integer          even      to the nearest, halves to the even one
    down to the one before (+ 1e-9)   nearest   to the nearest, halves up
"""

from __future__ import annotations

from typing import Any, Literal

from sampler.architecture import MAX_CHANNELS

JsonObject = dict[str, Any]
Factors = list[Any]  # of a layer: numbers, and names of sizes
Rounding = Literal["up", "even", "down", "nearest"]
_GUARD = 0.9


def whole(
    base: float,
    rounding: Rounding,
    divisor: int = 1,
    guard: bool = False,
    least: int = 1,
    most: int = MAX_CHANNELS,
    group: int = 1,
) -> JsonObject:
    """How base times a multiplier becomes an integer."""
    bounds = {"guard": _GUARD if guard else 0, "least": least, "most": most, "group": group}
    return {"base": base, "divisor": divisor, "rounding": rounding, **bounds}


def block_terms(
    layers: list[Factors], channels: list[JsonObject] | None = None, stride: int = 1, padded: bool = True
) -> JsonObject:
    """One block; `padded` says that its output side is rounded up."""
    padding = stride - 1 if padded else 0
    return {"stride": stride, "padding": padding, "channels": channels or [], "layers": layers}


def channel_terms(name: str, of: str, how: JsonObject) -> JsonObject:
    """Channels that follow from others: their name, those they are a multiple of, and how that is rounded."""
    return {"name": name, "of": of, **how}


def stem_terms(stride: int, kernel: int = 3, padded: bool = True) -> list[JsonObject]:
    """A stem of one convolution."""
    return [block_terms([[kernel**2, "c_in", "c_out", "after"]], stride=stride, padded=padded)]


def classifier_terms(classes: int) -> list[JsonObject]:
    """A head of nothing but the classifier."""
    return [block_terms([["c_in", classes]])]
