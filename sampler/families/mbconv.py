"""MBConv networks (MobileNetV2 to EfficientNetV2) as blocks of layers, over arrays of architectures.

As timm builds them: padding that halves odd sides upwards, hidden channels rounded to 8 by timm's blocks,
squeeze-excite reduced from a block's input channels (in MobileNetV3 from the hidden ones, rounded to 8). What else
differs from network to network is its variant (`sampler.families.mbconv_variants`). Blocks:

    ds   depthwise, project                       mb   expand, depthwise, project
    er   expand by a full convolution, project    cn   one full convolution

Notation, all int64 of shape (n,):

    c_in, c_mid, c_out   channels of a block: input, hidden (depthwise), output
    c_se                 channels of its squeeze-excite bottleneck
    area_in, area_out    pixels of its input and output feature maps
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sampler.architecture import BaseNetwork, IntArray, Stage
from sampler.errors import InputError
from sampler.families.kinds import BlockKind, check_ends, check_stages
from sampler.families.mbconv_bases import MBCONV_NETWORKS
from sampler.families.mbconv_variants import MBCONV_VARIANTS, MBConvVariant
from sampler.families.parts import Block, Layer, block_ratios, runs, squeeze_channels, strided
from sampler.families.protocol import Family, Sizes, Terms, by_name, convolutional_bound
from sampler.families.terms import Factors, JsonObject, block_terms, channel_terms, stem_terms, whole
from sampler.families.variants import variant_of

_KINDS = {
    "ds": BlockKind(expansion=1, squeezes=True, lists=True),
    "mb": BlockKind(squeezes=True, lists=True),
    "er": BlockKind(squeezes=True, lists=True),
    "cn": BlockKind(expansion=1),
}
# timm's builders dilate instead of a stride that would lead beyond.
_LARGEST_STRIDE = 32


class _MBConv(Family):
    """MobileNetV2 to EfficientNetV2."""

    name = "mbconv"
    bases = by_name(MBCONV_NETWORKS)

    def blocks(self, network: BaseNetwork, sizes: Sizes, classes: int) -> Iterator[Block]:
        """The blocks of `n` architectures with `s` stages, input side first.

        Raises:
            InputError: If a width is so small that squeeze-excite would have no channel.
        """
        resolution, stem, widths, depths, head = sizes.resolution, sizes.stem, sizes.widths, sizes.depths, sizes.head
        variant = mbconv_variant(network)
        pooled, copies, maps = variant.pooled_head, variant.copies, variant.maps()
        image = 3 * resolution * resolution
        side = strided(resolution, network.stem_stride)
        area = side * side
        held = image + stem * area  # the forward pass keeps both until the last stage is done
        copy = 3 * padded_area(resolution, 3, network.stem_stride) if copies else 0
        convolution = Layer("convolution", 27 * stem, stem, area, "batch")
        yield Block("stem", [convolution], held + np.maximum((maps - 1) * stem * area, copy))
        c_in = stem
        for index, stage in enumerate(network.stages):
            side_out = strided(side, stage.stride)
            area_out = side_out * side_out
            c_out = np.ascontiguousarray(widths[:, index])
            kept = held + c_in * area if index else held  # the first stage's input is the stem's output
            for position, repeats in runs(stage, depths[:, index]):
                area_copy = padded_area(side, stage.kernel, stage.stride) if copies and position == 0 else 0
                layers, alive = mbconv_layers(
                    stage, position, variant, variant.maps(index), c_in, c_out, area, area_out, area_copy
                )
                yield Block(index + 1, layers, kept + alive + (c_in * area if position else 0), repeats)
                c_in, side, area = c_out, side_out, area_out
        features, pixels = c_in * area, 1 if pooled else area  # that the head's convolution sees
        outputs = head * pixels
        yield Block(
            "head",
            [
                Layer("convolution", c_in * head, head, pixels, "" if pooled else "batch", bias=pooled),
                Layer("classifier", head * classes, classes, 1, bias=True),
            ],
            image + np.maximum(outputs + features, maps * outputs),
        )

    def terms(self, network: BaseNetwork, classes: int) -> Terms:
        """Its blocks as plain data."""
        stages = []
        for stage in network.stages:
            listed = max(len(stage.expansions), len(stage.se_ratios), 2)
            stages.append([_stage_terms(network, stage, position) for position in range(listed)])
        pooled = mbconv_variant(network).pooled_head
        last: Factors = ["c_in", "c_out"] if pooled else ["c_in", "c_out", "after"]
        return Terms(stem_terms(network.stem_stride), stages, [block_terms([last, ["c_out", classes]])])

    def macs_bound(self, network: BaseNetwork, sizes: Sizes) -> float:
        """The usual bound, for full convolutions of any kernel and expansion."""
        full = [
            (stage.kernel**2 + 1) * max(stage.expansion, *stage.expansions, 1.0)
            for stage in network.stages
            if stage.block in ("er", "cn")
        ]
        return convolutional_bound(network, sizes) * max(1.0, max(full, default=0.0) / 9)

    def check(self, network: BaseNetwork) -> None:
        """Refuses a table that cannot be built."""
        variant = mbconv_variant(network)
        check_stages(network, _KINDS)
        check_ends(network, stem_strides=(1, 2), head=True)
        if 2 * network.stride // network.stem_stride > _LARGEST_STRIDE:
            raise InputError(
                f"{network.name}: the strides of its stages multiply to {network.stride // network.stem_stride}; "
                f"at most {_LARGEST_STRIDE // 2} is wanted"
            )
        if max(variant.relu_stages - 1, *variant.no_skip, 0) >= len(network.stages):
            raise InputError(f"{network.name}: relu_stages or no_skip name a stage beyond its {len(network.stages)}")


MBCONV = _MBConv()


def mbconv_variant(network: BaseNetwork) -> MBConvVariant:
    """What the table of a network of this family does not say."""
    return variant_of(MBCONV_VARIANTS, network.variant)


def padded_area(side: IntArray, kernel: int, stride: int) -> IntArray | int:
    """Pixels of the padded copy that TensorFlow's padding makes before a stride, even of no pixel; 0 without one."""
    if stride == 1:
        return 0
    padding = np.maximum((strided(side, stride) - 1) * stride + kernel - side, 0)
    copy: IntArray = (side + padding) ** 2
    return copy


def mbconv_layers(
    stage: Stage,
    position: int,
    variant: MBConvVariant,
    maps: int,
    c_in: IntArray,
    c_out: IntArray,
    area_in: IntArray,
    area_out: IntArray,
    area_copy: IntArray | int,
) -> tuple[list[Layer], IntArray]:
    """The layers of one block of a stage, and the `(n,)` elements alive at once beside its input.

    A norm's input and output are alive together, and the activation's output where that is not in place: `maps` says
    how many these are.

    Raises:
        InputError: If a width is so small that squeeze-excite would have no channel.
    """
    kernel_area = stage.kernel * stage.kernel
    outputs = c_out * area_out
    if stage.block == "cn":
        layer = Layer("convolution", kernel_area * c_in * c_out, c_out, area_out, "batch")
        return [layer], outputs + np.maximum((maps - 1) * outputs, c_in * area_copy)
    expansion, se_ratio = block_ratios(stage, position)
    c_mid = c_in if stage.block == "ds" else rounded_to_8(c_in, expansion)
    hidden = c_mid * area_out
    layers = []
    if stage.block == "mb":
        hidden_in = c_mid * area_in
        layers.append(Layer("expand", c_in * c_mid, c_mid, area_in, "batch"))
        alive = np.maximum(maps * hidden_in, hidden_in + hidden + c_mid * area_copy)
    else:
        alive = hidden + np.maximum((maps - 1) * hidden, c_in * area_copy)
    full = stage.block == "er"
    spatial = kernel_area * c_mid * c_in if full else kernel_area * c_mid
    layers.append(Layer("expand" if full else "depthwise", spatial, c_mid, area_out, "batch"))
    if se_ratio:
        ratio = hidden_ratio(variant, expansion, se_ratio)
        c_se = rounded_to_8(c_mid, ratio) if variant.squeeze_divisor == 8 else squeeze_channels(c_mid, ratio, "hidden")
        weights = c_mid * c_se
        layers += [Layer("squeeze", weights, c_se, 1, bias=True), Layer("excite", weights, c_mid, 1, bias=True)]
    layers.append(Layer("project", c_mid * c_out, c_out, area_out, "batch"))
    return layers, np.maximum(alive, 2 * outputs)


def hidden_ratio(variant: MBConvVariant, expansion: float, se_ratio: float) -> float:
    """A squeeze-excite ratio over hidden channels, as timm's builders compute it, to the last bit."""
    if variant.squeeze_of == "input":
        return se_ratio / expansion
    # Before a head that is not pooled, timm's network divides by the expansion whatever is wanted.
    return se_ratio if variant.pooled_head else se_ratio * expansion / expansion


def rounded_to_8(channels: IntArray, ratio: float) -> IntArray:
    """Channels times a ratio as timm's blocks round them: to 8, never below 90 % of the exact product."""
    if float(ratio).is_integer() and not (channels & 7).any():
        return channels * int(ratio)  # already multiples of 8, which rounding would not change
    exact = channels * ratio
    rounded = np.maximum(8.0, np.floor((exact + 4) / 8) * 8)
    result: IntArray = (rounded + 8 * (rounded < 0.9 * exact)).astype(np.int64)
    return result


def _stage_terms(network: BaseNetwork, stage: Stage, position: int) -> JsonObject:
    """One block of a stage, counted from 0, as `mbconv_layers` has it."""
    expansion, se_ratio = block_ratios(stage, position)
    area, stride = stage.kernel**2, stage.stride if position == 0 else 1
    if stage.block == "cn":
        return block_terms([[area, "c_in", "c_out", "after"]], stride=stride)
    hidden = whole(1, "even") if stage.block == "ds" else whole(expansion, "nearest", 8, True, 8)
    channels = [channel_terms("c_mid", "c_in", hidden)]
    layers: list[Factors] = [["c_mid", "c_out", "after"]]
    if stage.block == "mb":
        layers.append(["c_in", "c_mid", "before"])
    layers.append([area, "c_in", "c_mid", "after"] if stage.block == "er" else [area, "c_mid", "after"])
    if se_ratio:
        variant = mbconv_variant(network)
        ratio = hidden_ratio(variant, expansion, se_ratio)
        squeeze = whole(ratio, "nearest", 8, True, 8) if variant.squeeze_divisor == 8 else whole(ratio, "even")
        channels.append(channel_terms("c_se", "c_mid", squeeze))
        layers.append([2, "c_mid", "c_se"])
    return block_terms(layers, channels, stride)
