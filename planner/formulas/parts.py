"""Base networks under one scaling rule as plain data, so that a reader of the formula file can count MACs.

A network is a list of parts: the stem, the stages, the head. A part is a run of blocks at one width, and a block is a
list of layers, each the product of a few numbers and sizes: `[9, "c_mid", "after"]` is a depthwise 3x3. Sizes:

    c_in, c_out          channels of a block: input, output
    c_mid, c_se, c_group hidden channels, those of the squeeze-excite bottleneck, those of one group
    before, after        pixels of its input and output feature maps
    changed              1 where c_in and c_out differ, else 0

How a product becomes an integer is a record: base times a multiplier is rounded to a multiple of `divisor`; one
divisor more where that is below `guard` times the product; then kept between `least` and `most`; and at last, where it
is not below `group`, moved to the nearest multiple of that (halves to the even one). Roundings:

    up   to the next integer          even      to the nearest, halves to the even one
    down to the one before (+ 1e-9)   nearest   to the nearest, halves up

GhostNet's hidden channels follow from all widths together (`sampler.families.ghost.width_multipliers`), which is no
product: a Ghost network has no parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS, BaseNetwork, Stage
from sampler.families.mbconv import MOBILENETV3
from sampler.families.parts import block_ratios
from sampler.scaling import ScalingRule

Document = dict[str, Any]
Rounding = Literal["up", "even", "down", "nearest"]
RESOLUTIONS: dict[str, tuple[Rounding, int]] = {
    "nearest": ("even", 1),
    "floor": ("down", 1),
    "multiple_of_4": ("even", 4),
}
GUARD = 0.9


def whole(
    base: float,
    rounding: Rounding,
    divisor: int = 1,
    guard: bool = False,
    least: int = 1,
    most: int = MAX_CHANNELS,
    group: int = 1,
) -> Document:
    """How base times a multiplier becomes an integer."""
    bounds = {"guard": GUARD if guard else 0, "least": least, "most": most, "group": group}
    return {"base": base, "divisor": divisor, "rounding": rounding, **bounds}


def resolution_of(network: BaseNetwork, rule: ScalingRule) -> Document:
    """How r becomes pixels."""
    rounding, divisor = RESOLUTIONS[rule.resolution]
    return whole(network.resolution, rounding, divisor, least=network.stride, most=MAX_PIXELS)


def parts_of(network: BaseNetwork, rule: ScalingRule, classes: int) -> list[Document]:
    """The parts of a base network under a scaling rule, input side first; none for a Ghost network."""
    if network.family not in FAMILIES:
        return []
    stem, stage_blocks, head = FAMILIES[network.family]
    last = len(network.stages) - 1
    stages = [
        {
            "width": whole(
                stage.width, "nearest", rule.divisor, rule.guard, rule.smallest, group=stage.group_width or 1
            ),
            "depth": _depth(stage.depth, rule, index in (0, last)),
            "blocks": stage_blocks(network, stage),
        }
        for index, stage in enumerate(network.stages)
    ]
    ends = (
        _end(network.stem, rule, rule.stem, stem(network)),
        _end(network.head, rule, rule.head, head(network, classes)),
    )
    return [ends[0], *stages, ends[1]]


def _depth(depth: int, rule: ScalingRule, end: bool) -> Document:
    if end and rule.depth == "ceil_inside":
        return whole(depth, "up", least=depth, most=depth)
    return whole(depth, "even" if rule.depth == "round" else "up", most=MAX_BLOCKS)


def _end(channels: int, rule: ScalingRule, how: str, blocks: list[Document]) -> Document:
    """The stem or the head; a head of 0 channels stays one."""
    fixed = how == "fixed" or not channels
    least = channels if fixed or how == "never_below" else rule.smallest
    most = channels if fixed else MAX_CHANNELS
    width = whole(channels, "nearest", rule.divisor, rule.guard, least, most)
    count = len(blocks)
    return {"width": width, "depth": whole(count, "even", least=count, most=count), "blocks": blocks}


def _block(
    layers: list[list[Any]], channels: list[Document] | None = None, stride: int = 1, padded: bool = True
) -> Document:
    """One block; `padded` says that its output side is rounded up."""
    padding = stride - 1 if padded else 0
    return {"stride": stride, "padding": padding, "channels": channels or [], "layers": layers}


def _channels(name: str, of: str, how: Document) -> Document:
    return {"name": name, "of": of, **how}


def _classifier(network: BaseNetwork, classes: int) -> list[Document]:
    return [_block([["c_in", classes]])]


def _mbconv_stem(network: BaseNetwork) -> list[Document]:
    return [_block([[9, "c_in", "c_out", "after"]], stride=network.stem_stride)]


def _mbconv_stage(network: BaseNetwork, stage: Stage) -> list[Document]:
    listed = max(len(stage.expansions), len(stage.se_ratios), 2)
    return [_mbconv_block(network, stage, position) for position in range(listed)]


def _mbconv_block(network: BaseNetwork, stage: Stage, position: int) -> Document:
    """See `sampler.families.mbconv.block_layers`."""
    expansion, se_ratio = block_ratios(stage, position)
    area, stride = stage.kernel**2, stage.stride if position == 0 else 1
    if stage.block == "cn":
        return _block([[area, "c_in", "c_out", "after"]], stride=stride)
    hidden = whole(1, "even") if stage.block == "ds" else whole(expansion, "nearest", 8, True, 8)
    channels = [_channels("c_mid", "c_in", hidden)]
    layers: list[list[Any]] = [["c_mid", "c_out", "after"]]
    if stage.block == "mb":
        layers.append(["c_in", "c_mid", "before"])
    layers.append([area, "c_in", "c_mid", "after"] if stage.block == "er" else [area, "c_mid", "after"])
    if se_ratio:
        by_8, ratio = network.variant in MOBILENETV3, se_ratio / expansion
        squeeze = whole(se_ratio, "nearest", 8, True, 8) if by_8 else whole(ratio, "even")
        channels.append(_channels("c_se", "c_mid", squeeze))
        layers.append([2, "c_mid", "c_se"])
    return _block(layers, channels, stride)


def _mbconv_head(network: BaseNetwork, classes: int) -> list[Document]:
    pooled = network.variant in MOBILENETV3
    return [_block([["c_in", "c_out"] if pooled else ["c_in", "c_out", "after"], ["c_out", classes]])]


def _regnet_stage(network: BaseNetwork, stage: Stage) -> list[Document]:
    """See `sampler.families.regnet.block_layers`."""
    channels = [_channels("c_group", "c_out", whole(1, "even", most=stage.group_width))]
    layers: list[list[Any]] = [
        ["c_in", "c_out", "before"],
        [9, "c_group", "c_out", "after"],
        ["c_out", "c_out", "after"],
    ]
    if stage.se_ratio:
        channels.append(_channels("c_se", "c_in", whole(stage.se_ratio, "even")))
        layers.append([2, "c_out", "c_se"])
    shortcut = ["c_in", "c_out", "after"]
    return [_block([*layers, shortcut], channels, stage.stride), _block(layers, channels)]


def _residual_stem(network: BaseNetwork) -> list[Document]:
    if network.variant == "cifar":
        return [_block([[9, "c_in", "c_out", "after"]])]
    return [_block([[49, "c_in", "c_out", "after"]], stride=2), _block([], stride=2)]  # the second is a max pool


def _residual_stage(network: BaseNetwork, stage: Stage) -> list[Document]:
    """See `sampler.families.residual.block_layers`."""
    channels, area = [_channels("c_mid", "c_out", whole(stage.expansion, "down"))], stage.kernel**2
    basic: list[list[Any]] = [[area, "c_in", "c_mid", "after"], [area, "c_mid", "c_out", "after"]]
    bottleneck: list[list[Any]] = [
        ["c_in", "c_mid", "before"],
        [area, "c_mid", "c_mid", "after"],
        ["c_mid", "c_out", "after"],
    ]
    layers: list[list[Any]] = basic if stage.block == "basic" else bottleneck
    shortcuts: list[list[Any]] = [["c_in", "c_out", "after", *([] if stage.stride > 1 else ["changed"])]]
    first = layers if network.variant == "cifar" else layers + shortcuts
    return [_block(first, channels, stage.stride), _block(layers, channels)]


def _convnext_stem(network: BaseNetwork) -> list[Document]:
    patch = network.stem_stride
    return [_block([[patch**2, "c_in", "c_out", "after"]], stride=patch, padded=False)]


def _convnext_stage(network: BaseNetwork, stage: Stage) -> list[Document]:
    """See `sampler.families.convnext.block_layers`."""
    layers: list[list[Any]] = [
        [stage.kernel**2, "c_out", "after"],
        [2 * int(stage.expansion), "c_out", "c_out", "after"],
    ]
    downsampling = [stage.stride**2, "c_in", "c_out", "after", *([] if stage.stride > 1 else ["changed"])]
    return [_block([downsampling, *layers], stride=stage.stride, padded=False), _block(layers)]


Stem = Callable[[BaseNetwork], list[Document]]
Stages = Callable[[BaseNetwork, Stage], list[Document]]
Head = Callable[[BaseNetwork, int], list[Document]]
FAMILIES: dict[str, tuple[Stem, Stages, Head]] = {
    "mbconv": (_mbconv_stem, _mbconv_stage, _mbconv_head),
    "regnet": (_mbconv_stem, _regnet_stage, _classifier),
    "residual": (_residual_stem, _residual_stage, _classifier),
    "convnext": (_convnext_stem, _convnext_stage, _classifier),
}
