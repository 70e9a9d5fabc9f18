"""Residual networks (ResNets) as blocks of layers, over arrays of architectures.

As timm builds them: 3x3 convolutions padded symmetrically, the stride in a bottleneck's 3x3, a 1x1
projection where the stride or the width changes. CIFAR's variant has a 3x3 stem and shortcuts without
parameters, subsampled and padded with zero channels. Blocks:

    basic        first, second: two 3x3          bottleneck   reduce (1x1), spatial (3x3), expand (1x1)

Notation, all int64 of shape (n,):

    c_in, c_mid, c_out   channels of a block: input, hidden, output
    area_in, area_out    pixels of its input and output feature maps
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sampler.architecture import MAX_CHANNELS, MAX_PIXELS, BaseNetwork, IntArray, Stage, check_range
from sampler.errors import InputError
from sampler.families.parts import Block, Layer, strided
from sampler.layered import PADDINGS, LayeredArchitecture

BLOCKS = ("basic", "bottleneck")


def blocks(
    network: BaseNetwork,
    resolution: IntArray,
    stem: IntArray,
    widths: IntArray,
    depths: IntArray,
    head: IntArray,
    classes: int,
) -> Iterator[Block]:
    """The blocks of `n` architectures with `s` stages, input side first.

    pycls also counts the max pool's outputs as activations: stem channels times the pixels before the first stage.

    Args:
        network: The base network whose blocks are used.
        resolution: `(n,)` pixels.
        stem: `(n,)` channels.
        widths: `(n, s)` output channels of the stages' blocks.
        depths: `(n, s)` blocks.
        head: `(n,)` zeros: there is no convolution between the last block and the classifier.
        classes: Outputs of the classifier.

    Raises:
        InputError: If a width is so small that a bottleneck would have no hidden channel.
    """
    yield stem_block(network, resolution, stem)
    image = 3 * resolution * resolution  # the forward pass keeps it to the end
    side = strided(resolution, network.stem_stride)
    area, c_in = side * side, stem
    for index, stage in enumerate(network.stages):
        side = strided(side, stage.stride)
        area_out = side * side
        c_out = np.ascontiguousarray(widths[:, index])
        c_mid = hidden_channels(stage, c_out)
        held = image + c_in * area  # as is the stage's input until the stage is done
        outputs = c_out * area_out
        layers = block_layers(stage, c_in, c_mid, c_out, area, area_out)
        if network.variant == "cifar":
            pools = stage.stride > 1
            pooling = max_pooling(held + outputs, c_in * area_out) if pools else None
            alive = zero_padded_alive(c_in, c_mid, c_out, c_out, area_out, pools)
            yield Block(index + 1, layers, held + alive, pooling=pooling)
        else:
            shortcut = projection(stage, c_in, c_out, area_out)
            alive = np.maximum((2 + shortcut.present) * outputs, 2 * c_mid * layers[0].area)
            yield Block(index + 1, [*layers, shortcut], held + alive)
        layers = block_layers(stage, c_out, c_mid, c_out, area_out, area_out)
        yield Block(index + 1, layers, held + 3 * outputs, depths[:, index] - 1)
        c_in, area = c_out, area_out
    yield head_block(image, c_in, area, classes)


def layer_blocks(
    network: BaseNetwork, resolution: IntArray, stem: IntArray, widths: IntArray, padding: str, classes: int
) -> Iterator[Block]:
    """The blocks of `n` ResNets of basic blocks with one free width per layer, input side first.

    The zero padding of Network Adjustment (https://arxiv.org/abs/2004.02767): a block whose shortcut is narrower
    than its second convolution pads the shortcut. Where the shortcut is wider, `"max"` pads the convolution's
    output, so that blocks never get narrower; `"local"` drops the shortcut's last channels. ImageNet's ResNets
    project the shortcut into a stage that strides to the second convolution's width.

    Args:
        network: A base network of basic blocks, which gives the number of blocks of each stage.
        resolution: `(n,)` pixels.
        stem: `(n,)` channels.
        widths: `(n, l)` output channels of the blocks' convolutions, two per block, input side first.
        padding: `"max"` or `"local"`.
        classes: Outputs of the classifier.

    Raises:
        InputError: If it has other blocks, the padding is unknown, or numbers are missing or out of range.
    """
    check_layers(network, resolution, stem, widths, padding, classes)
    image = 3 * resolution * resolution
    side = strided(resolution, network.stem_stride)
    area, c_in, layer = side * side, stem, 0
    yield stem_block(network, resolution, stem)
    for index, stage in enumerate(network.stages):
        held = image + c_in * area
        for block in range(stage.depth):
            stride = 1 if block else stage.stride
            side = strided(side, stride)
            area_out = side * side
            c_mid, c_conv = widths[:, layer], widths[:, layer + 1]
            inputs = c_in * area if block else 0  # the first block's is the stage's
            layers = block_layers(stage, c_in, c_mid, c_conv, area, area_out)
            if projects(network, stride):
                c_out = c_conv
                layers.append(projection(stage, c_in, c_out, area_out))
                alive = np.maximum(3 * c_out, 2 * c_mid) * area_out
            else:
                c_out = np.maximum(c_in, c_conv) if padding == "max" else c_conv
                alive = zero_padded_alive(c_in, c_mid, c_conv, c_out, area_out, stride > 1)
            yield Block(index + 1, layers, held + inputs + alive)
            c_in, area, layer = c_out, area_out, layer + 2
    yield head_block(image, c_in, area, classes)


def projects(network: BaseNetwork, stride: int) -> bool:
    """Whether a block of that stride has a 1x1 convolution in its shortcut, where each layer has its own width."""
    return network.variant != "cifar" and stride > 1


def has_layers(network: BaseNetwork) -> bool:
    """Whether the network can have one width per layer: whether it is a ResNet of basic blocks."""
    return network.family == "residual" and all(stage.block == "basic" for stage in network.stages)


def check_layers(
    network: BaseNetwork, resolution: IntArray, stem: IntArray, widths: IntArray, padding: str, classes: int
) -> None:
    """Refuses what could not be built layer by layer, or whose count would leave int64.

    Raises:
        InputError: Naming what is wrong.
    """
    if not has_layers(network):
        raise InputError(f"{network.name} has no free widths per layer; resnet18, resnet34 and CIFAR's ResNets have")
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
    if 10 * widest**2 * (layers + 1) * float(resolution.max(initial=1)) ** 2 > 2.0**62:
        raise InputError("such a network needs more than 2^62 MACs; check the resolution and widths given")


def check_layered(network: BaseNetwork, architecture: LayeredArchitecture, classes: int) -> None:
    """Refuses a network with one width per layer that could not be built.

    Raises:
        InputError: Naming what is wrong.
    """
    pixels, stem, widths = ([architecture.resolution], [architecture.stem], [architecture.layers])
    check_layers(network, np.array(pixels), np.array(stem), np.array(widths), architecture.padding, classes)
    fixed, given = (network.depths, network.head), (architecture.depths, architecture.head)
    if architecture.projected != (network.variant != "cifar"):
        raise InputError(f"shortcuts of {network.name} are{'' if network.variant != 'cifar' else ' not'} projected")
    if given != fixed:
        raise InputError(f"one width per layer keeps the depths and the head of {network.name}, {fixed}, not {given}")


def stem_block(network: BaseNetwork, resolution: IntArray, stem: IntArray) -> Block:
    """The first convolution: CIFAR's 3x3, or the 7x7 of stride 2 before a max pool of stride 2."""
    cifar = network.variant == "cifar"
    kernel, stride = (3, 1) if cifar else (7, 2)
    side = strided(resolution, stride)
    area, area_pooled = side * side, strided(side, 2) ** 2
    image, outputs = 3 * resolution * resolution, stem * area
    layer = Layer("convolution", 3 * kernel * kernel * stem, stem, area, "batch")
    pooling = None if cifar else max_pooling(image + outputs, stem * area_pooled)
    return Block("stem", [layer], image + 2 * outputs, pooling=pooling)


def max_pooling(alive: IntArray, outputs: IntArray) -> tuple[IntArray, IntArray]:
    """A `Block.pooling`: of so many outputs, with so many elements alive beside them."""
    return alive + outputs, outputs


def projection(stage: Stage, c_in: IntArray, c_out: IntArray, area_out: IntArray) -> Layer:
    """The 1x1 convolution in the shortcut of a stage's first block, where the stride or the width changes."""
    if stage.stride > 1:
        return Layer("shortcut", c_in * c_out, c_out, area_out, "batch")
    present = (c_in != c_out).astype(np.int64)
    channels = present * c_out
    return Layer("shortcut", c_in * channels, channels, area_out, "batch", present=present)


def head_block(image: IntArray, c_in: IntArray, area: IntArray, classes: int) -> Block:
    """The classifier, after a global pooling."""
    return Block("head", [Layer("classifier", c_in * classes, classes, 1, bias=True)], image + c_in * area)


def block_layers(
    stage: Stage, c_in: IntArray, c_mid: IntArray, c_out: IntArray, area_in: IntArray, area_out: IntArray
) -> list[Layer]:
    """The layers of one block of a stage, without its shortcut."""
    kernel_area = stage.kernel * stage.kernel
    if stage.block == "basic":
        return [
            Layer("first", kernel_area * c_in * c_mid, c_mid, area_out, "batch"),
            Layer("second", kernel_area * c_mid * c_out, c_out, area_out, "batch"),
        ]
    return [
        Layer("reduce", c_in * c_mid, c_mid, area_in, "batch"),
        Layer("spatial", kernel_area * c_mid * c_mid, c_mid, area_out, "batch"),
        Layer("expand", c_mid * c_out, c_out, area_out, "batch"),
    ]


def zero_padded_alive(
    c_in: IntArray, c_mid: IntArray, c_conv: IntArray, c_out: IntArray, area_out: IntArray, pools: bool
) -> IntArray:
    """The `(n,)` elements alive at once beside the input of a block whose paths are padded with zeros.

    Args:
        c_in: Input channels.
        c_mid: Channels of the first convolution.
        c_conv: Channels of the second.
        c_out: Channels of the sum of both paths.
        area_out: Pixels of all of these after the convolutions' stride.
        pools: Whether the shortcut subsamples its input, which lives on until the padded copy is made.
    """
    shortcut = c_out * (c_in < c_out)
    if pools:
        shortcut = shortcut + c_in
    channels: IntArray = np.maximum(np.maximum(2 * c_mid, c_conv + c_out), c_out + shortcut)
    return channels * area_out


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
