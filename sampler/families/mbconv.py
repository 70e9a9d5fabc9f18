"""Exact complexity of MBConv networks (MobileNetV2 to EfficientNetV2), over arrays of architectures.

Counted as timm builds them: padding that halves odd sides upwards, hidden channels rounded to 8 by timm's blocks,
squeeze-excite reduced from a block's input channels (in MobileNetV3 from the hidden ones, rounded to 8). Blocks:

    ds   depthwise, project                       mb   expand, depthwise, project
    er   expand by a full convolution, project    cn   one full convolution

Notation, all int64 of shape (n,):

    c_in, c_mid, c_out   channels of a block: input, hidden (depthwise), output
    c_se                 channels of its squeeze-excite bottleneck
    area_in, area_out    pixels of its input and output feature maps
"""

from __future__ import annotations

import numpy as np

from sampler.architecture import BaseNetwork, IntArray, Stage
from sampler.errors import InputError
from sampler.families.parts import Counts, strided

# Variants whose head convolves, with a bias and no norm, after pooling; their squeeze-excite differs too.
MOBILENETV3 = ("mobilenetv3_large", "mobilenetv3_small")


def count(
    network: BaseNetwork,
    resolution: IntArray,
    stem: IntArray,
    widths: IntArray,
    depths: IntArray,
    head: IntArray,
    classes: int,
) -> Counts:
    """MACs, params and activations of `n` architectures with `s` stages.

    Activations are pycls' (https://arxiv.org/abs/2003.13678, section 3.2): output elements of all convolutions,
    squeeze-excite's included, and of the classifier.

    Args:
        network: The base network whose blocks are used.
        resolution: `(n,)` pixels.
        stem: `(n,)` channels.
        widths: `(n, s)` channels.
        depths: `(n, s)` blocks.
        head: `(n,)` channels.
        classes: Outputs of the classifier.

    Returns:
        Three `(n,)` int64 arrays: MACs, params, activations.
    """
    mobilenetv3 = network.variant in MOBILENETV3
    side = strided(resolution, network.stem_stride)
    area = side * side
    macs = 27 * stem * area
    params = 29 * stem  # 3 x 3 x 3 weights and a batch norm's two
    activations = stem * area
    c_in = stem
    for index, stage in enumerate(network.stages):
        side_out = strided(side, stage.stride)
        area_out = side_out * side_out
        c_out = np.ascontiguousarray(widths[:, index])
        for block, repeats in runs(stage, depths[:, index]):
            counts = block_counts(stage, block, mobilenetv3, c_in, c_out, area, area_out)
            if repeats is not None:
                counts = (repeats * counts[0], repeats * counts[1], repeats * counts[2])
            macs = macs + counts[0]
            params = params + counts[1]
            activations = activations + counts[2]
            c_in, side, area = c_out, side_out, area_out
    pixels = 1 if mobilenetv3 else area  # that the head's convolution sees
    macs = macs + head * (c_in * pixels + classes)
    params = params + head * (c_in + (1 if mobilenetv3 else 2) + classes) + classes  # a bias, or a batch norm's two
    activations = activations + head * pixels
    return macs, params, activations + classes


def runs(stage: Stage, depth: IntArray) -> list[tuple[int, IntArray | None]]:
    """Runs of equal blocks of a stage: the index of each one's first block, and how often `(n,)` it comes.

    The first block is a run of its own, that comes once (None), for its stride and its input channels.
    """
    listed = max(len(stage.expansions), len(stage.se_ratios), 1)
    starts = [1, *(i for i in range(2, listed) if block_ratios(stage, i) != block_ratios(stage, i - 1))]
    ends: list[int | None] = [*starts[1:], None]
    pairs = zip(starts, ends, strict=True)
    return [(0, None), *((start, np.maximum(_until(depth, end) - start, 0)) for start, end in pairs)]


def _until(depth: IntArray, end: int | None) -> IntArray:
    return depth if end is None else np.minimum(depth, end)


def block_ratios(stage: Stage, block: int) -> tuple[float, float]:
    """Expansion and squeeze-excite ratio of a stage's block, counted from 0."""
    expansions = stage.expansions or (stage.expansion,)
    se_ratios = stage.se_ratios or (stage.se_ratio,)
    return expansions[min(block, len(expansions) - 1)], se_ratios[min(block, len(se_ratios) - 1)]


def block_counts(
    stage: Stage,
    block: int,
    mobilenetv3: bool,
    c_in: IntArray,
    c_out: IntArray,
    area_in: IntArray,
    area_out: IntArray,
) -> Counts:
    """MACs, params and activations of one block of a stage, for `n` architectures.

    Raises:
        InputError: If a width is so small that squeeze-excite would have no channel.
    """
    kernel_area = stage.kernel * stage.kernel
    if stage.block == "cn":
        weights = kernel_area * c_in * c_out
        return weights * area_out, weights + 2 * c_out, c_out * area_out
    expansion, se_ratio = block_ratios(stage, block)
    c_mid = c_in if stage.block == "ds" else rounded_to_8(c_in, expansion)
    spatial = kernel_area * c_mid * (c_in if stage.block == "er" else 1)
    project = c_mid * c_out
    macs = (spatial + project) * area_out
    params = spatial + 2 * c_mid + project + 2 * c_out
    activations = (c_mid + c_out) * area_out
    if stage.block == "mb":
        expand = c_in * c_mid
        macs = macs + expand * area_in
        params = params + expand + 2 * c_mid
        activations = activations + c_mid * area_in
    if se_ratio:
        c_se = rounded_to_8(c_mid, se_ratio) if mobilenetv3 else squeeze_channels(c_mid, se_ratio / expansion)
        weights = 2 * c_mid * c_se
        macs = macs + weights
        params = params + weights + c_mid + c_se
        activations = activations + c_mid + c_se
    return macs, params, activations


def rounded_to_8(channels: IntArray, ratio: float) -> IntArray:
    """Channels times a ratio as timm's blocks round them: to 8, never below 90 % of the exact product."""
    if float(ratio).is_integer() and not (channels & 7).any():
        return channels * int(ratio)  # already multiples of 8, which rounding would not change
    exact = channels * ratio
    rounded = np.maximum(8.0, np.floor((exact + 4) / 8) * 8)
    result: IntArray = (rounded + 8 * (rounded < 0.9 * exact)).astype(np.int64)
    return result


def squeeze_channels(hidden: IntArray, ratio: float) -> IntArray:
    """Channels of the squeeze-excite bottleneck: nearest integer, halves to even, as Python's round.

    Raises:
        InputError: If that is zero for any architecture.
    """
    channels: IntArray = np.rint(hidden * ratio).astype(np.int64)
    if channels.size and channels.min() < 1:
        narrow = int(hidden[channels < 1].max())
        raise InputError(f"{narrow} hidden channels leave squeeze-excite none at ratio {ratio:.3g}; widen the stage")
    return channels
