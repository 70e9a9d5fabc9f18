"""Exact complexity of residual networks (ResNets), over arrays of architectures.

Counted as timm builds them: 3x3 convolutions padded symmetrically, the stride in a bottleneck's 3x3, a 1x1
projection where the stride or the width changes. CIFAR's variant has a 3x3 stem and shortcuts without
parameters, subsampled and padded with zero channels. Notation, all int64 of shape (n,):

    c_in, c_mid, c_out   channels of a block: input, hidden, output
    area_in, area_out    pixels of its input and output feature maps
"""

from __future__ import annotations

import numpy as np

from sampler.architecture import MAX_CHANNELS, MAX_PIXELS, BaseNetwork, IntArray, Stage, check_range
from sampler.errors import InputError
from sampler.families.parts import Counts, strided

BLOCKS = ("basic", "bottleneck")
PADDINGS = ("max", "local")


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

    Activations are the output elements of all convolutions, projections included, and of the classifier. pycls
    adds those of the max pool: stem channels times the pixels before the first stage.

    Args:
        network: The base network whose blocks are used.
        resolution: `(n,)` pixels.
        stem: `(n,)` channels.
        widths: `(n, s)` output channels of the stages' blocks.
        depths: `(n, s)` blocks.
        head: `(n,)` zeros: there is no convolution between the last block and the classifier.
        classes: Outputs of the classifier.

    Returns:
        Three `(n,)` int64 arrays: MACs, params, activations.

    Raises:
        InputError: If a width is so small that a bottleneck would have no hidden channel.
    """
    macs, params, activations = stem_counts(network, resolution, stem)
    side = strided(resolution, network.stem_stride)
    area, c_in = side * side, stem
    for index, stage in enumerate(network.stages):
        side = strided(side, stage.stride)
        area_out = side * side
        c_out = np.ascontiguousarray(widths[:, index])
        repeats = depths[:, index] - 1
        c_mid = hidden_channels(stage, c_out)
        first = block_counts(stage, c_in, c_mid, c_out, area, area_out)
        rest = block_counts(stage, c_out, c_mid, c_out, area_out, area_out)
        macs = macs + first[0] + repeats * rest[0]
        params = params + first[1] + repeats * rest[1]
        activations = activations + first[2] + repeats * rest[2]
        if network.variant != "cifar":
            projected = (c_in != c_out) | (stage.stride != 1)
            outputs = projected * c_out
            macs = macs + c_in * outputs * area_out
            params = params + (c_in + 2) * outputs
            activations = activations + outputs * area_out
        c_in, area = c_out, area_out
    return macs + c_in * classes, params + (c_in + 1) * classes, activations + classes


def count_layers(
    network: BaseNetwork, resolution: IntArray, stem: IntArray, widths: IntArray, padding: str, classes: int
) -> Counts:
    """MACs, params and activations of `n` CIFAR ResNets with one free width per layer.

    The zero padding of Network Adjustment (https://arxiv.org/abs/2004.02767): a block whose shortcut is narrower
    than its second convolution pads the shortcut. Where the shortcut is wider, `"max"` pads the convolution's
    output, so that blocks never get narrower; `"local"` drops the shortcut's last channels.

    Args:
        network: A CIFAR base network, which gives the blocks of each stage.
        resolution: `(n,)` pixels.
        stem: `(n,)` channels.
        widths: `(n, l)` output channels of the blocks' convolutions, two per block, input side first.
        padding: `"max"` or `"local"`.
        classes: Outputs of the classifier.

    Returns:
        Three `(n,)` int64 arrays: MACs, params, activations.

    Raises:
        InputError: If the network is not CIFAR's, the padding is unknown, or numbers are missing or out of range.
    """
    check_layers(network, resolution, stem, widths, padding, classes)
    macs, params, activations = stem_counts(network, resolution, stem)
    side, area, c_in, layer = resolution, resolution * resolution, stem, 0
    for stage in network.stages:
        for block in range(stage.depth):
            side = strided(side, 1 if block else stage.stride)
            area_out = side * side
            c_mid, c_conv = widths[:, layer], widths[:, layer + 1]
            counts = block_counts(stage, c_in, c_mid, c_conv, area, area_out)
            macs, params, activations = macs + counts[0], params + counts[1], activations + counts[2]
            c_in = np.maximum(c_in, c_conv) if padding == "max" else c_conv
            area, layer = area_out, layer + 2
    return macs + c_in * classes, params + (c_in + 1) * classes, activations + classes


def check_layers(
    network: BaseNetwork, resolution: IntArray, stem: IntArray, widths: IntArray, padding: str, classes: int
) -> None:
    """Refuses what could not be built layer by layer, or whose count would leave int64.

    Raises:
        InputError: Naming what is wrong.
    """
    if network.family != "residual" or network.variant != "cifar":
        raise InputError(f"{network.name} has no free widths per layer; the CIFAR ResNets have, such as resnet20_cifar")
    if padding not in PADDINGS:
        raise InputError(f"zero padding {padding!r} is unknown; known: {', '.join(PADDINGS)}")
    layers = 2 * sum(network.depths)
    if widths.ndim != 2 or widths.shape[1] != layers:
        raise InputError(f"{network.name} has {layers} layers in its blocks, but widths give {widths.shape[-1]}")
    check_range("classes", classes, MAX_CHANNELS)
    check_range("resolution", resolution, MAX_PIXELS, smallest=network.stride)
    check_range("stem", stem, MAX_CHANNELS)
    check_range("widths", widths, MAX_CHANNELS)
    widest = float(max(widths.max(initial=1), stem.max(initial=1)))
    if 9 * widest**2 * (layers + 1) * float(resolution.max(initial=1)) ** 2 > 2.0**62:
        raise InputError("such a network needs more than 2^62 MACs; check the resolution and widths given")


def stem_counts(network: BaseNetwork, resolution: IntArray, stem: IntArray) -> Counts:
    """MACs, params and activations of the first convolution: CIFAR's 3x3, or the 7x7 of stride 2 before a pooling."""
    kernel, stride = (3, 1) if network.variant == "cifar" else (7, 2)
    side = strided(resolution, stride)
    outputs = stem * side * side
    return 3 * kernel * kernel * outputs, (3 * kernel * kernel + 2) * stem, outputs


def block_counts(
    stage: Stage, c_in: IntArray, c_mid: IntArray, c_out: IntArray, area_in: IntArray, area_out: IntArray
) -> Counts:
    """MACs, params and activations of the convolutions and norms of one block, without its shortcut."""
    kernel_area = stage.kernel * stage.kernel
    basic = stage.block == "basic"
    first = c_in * c_mid * kernel_area if basic else c_in * c_mid
    rest = c_mid * c_out * kernel_area if basic else c_mid * (kernel_area * c_mid + c_out)
    area_first = area_out if basic else area_in
    macs = first * area_first + rest * area_out
    params = first + rest + (2 if basic else 4) * c_mid + 2 * c_out
    activations = c_mid * area_first + (c_out if basic else c_mid + c_out) * area_out
    return macs, params, activations


def hidden_channels(stage: Stage, width: IntArray) -> IntArray:
    """Hidden channels of a stage's blocks, as timm's bottlenecks round them: down.

    Raises:
        InputError: If that is zero for any architecture.
    """
    if stage.expansion == 1:
        return width
    channels: IntArray = np.floor(width * stage.expansion).astype(np.int64)
    if channels.size and channels.min() < 1:
        raise InputError(
            f"a width of {int(width[channels < 1].max())} leaves a bottleneck no hidden channel at expansion "
            f"{stage.expansion:g}; widen the stage"
        )
    return channels
