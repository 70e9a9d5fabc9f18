"""Exact complexity of MBConv networks (MobileNetV2 to EfficientNet), over arrays of architectures.

Counted as timm builds them: symmetric padding, hidden channels rounded to 8 by timm's blocks,
squeeze-excite reduced from a block's input channels. Notation, all int64 of shape (n,):

    c_in, c_mid, c_out   channels of a block: input, hidden (depthwise), output
    c_se                 channels of its squeeze-excite bottleneck
    area_in, area_out    pixels of its input and output feature maps
"""

from __future__ import annotations

import numpy as np

from sampler.architecture import BaseNetwork, IntArray, Stage
from sampler.errors import InputError

BLOCKS = ("ds", "mb")
Counts = tuple[IntArray, IntArray, IntArray]


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
        repeats = depths[:, index] - 1
        first = block_counts(stage, c_in, c_out, area, area_out)
        rest = block_counts(stage, c_out, c_out, area_out, area_out)
        macs = macs + first[0] + repeats * rest[0]
        params = params + first[1] + repeats * rest[1]
        activations = activations + first[2] + repeats * rest[2]
        c_in, side, area = c_out, side_out, area_out
    macs = macs + head * (c_in * area + classes)
    params = params + head * (c_in + 2 + classes) + classes
    activations = activations + head * area
    return macs, params, activations + classes


def block_counts(stage: Stage, c_in: IntArray, c_out: IntArray, area_in: IntArray, area_out: IntArray) -> Counts:
    """MACs, params and activations of one block of a stage, for `n` architectures.

    Raises:
        InputError: If a width is so small that squeeze-excite would have no channel.
    """
    expands = stage.block == "mb"
    c_mid = hidden_channels(c_in, stage.expansion) if expands else c_in
    kernel_area = stage.kernel * stage.kernel
    expand = c_in * c_mid if expands else 0
    project = c_mid * c_out
    macs = (kernel_area * c_mid + project) * area_out
    params = (kernel_area + 2) * c_mid + project + 2 * c_out
    activations = (c_mid + c_out) * area_out
    if expands:
        macs = macs + expand * area_in
        params = params + expand + 2 * c_mid
        activations = activations + c_mid * area_in
    if stage.se_ratio:
        c_se = squeeze_channels(c_mid, stage.se_ratio / stage.expansion)
        weights = 2 * c_mid * c_se
        macs = macs + weights
        params = params + weights + c_mid + c_se
        activations = activations + c_mid + c_se
    return macs, params, activations


def strided(side: IntArray, stride: int) -> IntArray:
    """Output side of an odd kernel with symmetric padding: the side over the stride, rounded up."""
    return side if stride == 1 else -(-side // stride)


def hidden_channels(channels: IntArray, expansion: float) -> IntArray:
    """Hidden channels as timm's blocks round them: to 8, never below 90 % of the exact product."""
    if float(expansion).is_integer() and not (channels & 7).any():
        return channels * int(expansion)  # already multiples of 8, which rounding would not change
    exact = channels * expansion
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
