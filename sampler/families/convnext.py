"""ConvNeXt networks as blocks of layers, over arrays of architectures.

As timm builds them: stem and downsampling convolutions are unpadded, so sides are rounded down. Whether a block's two
pointwise layers are linear layers or 1x1 convolutions changes no number. A stem as wide as the first stage, as in all
published networks, leads straight into it; any other is followed by timm's downsampling at stride 1, a layer norm and
a 1x1 convolution.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sampler.architecture import BaseNetwork, IntArray, Stage
from sampler.families.parts import Block, Layer


def blocks(
    network: BaseNetwork,
    resolution: IntArray,
    stem: IntArray,
    widths: IntArray,
    depths: IntArray,
    head: IntArray,
    classes: int,
) -> Iterator[Block]:
    """The blocks of `n` architectures with `s` stages, downsamplings as blocks of their own, input side first.

    A layer norm's mean and deviation of every pixel are feature maps, too.

    Args:
        network: The base network whose blocks are used.
        resolution: `(n,)` pixels.
        stem: `(n,)` channels.
        widths: `(n, s)` channels.
        depths: `(n, s)` blocks.
        head: `(n,)` zeros: these networks have no 1x1 convolution after the last stage.
        classes: Outputs of the classifier.
    """
    image = 3 * resolution * resolution
    patch = network.stem_stride
    side = resolution // patch
    area = side * side
    held = image + stem * area  # the forward pass keeps both until the last stage is done
    convolution = Layer("convolution", 3 * patch * patch * stem, stem, area, "layer", bias=True)
    yield Block("stem", [convolution], held + (stem + 2) * area)
    c_in = stem
    for index, stage in enumerate(network.stages):
        side = side // stage.stride
        area_out = side * side
        c_out = np.ascontiguousarray(widths[:, index])
        depth = np.ascontiguousarray(depths[:, index])
        inputs, outputs = c_in * area, c_out * area_out
        kept = held + inputs if index else held  # the first stage's input is the stem's output
        # Only a stage that keeps side and width has no convolution before its first block.
        changes = None if stage.stride > 1 else (c_in != c_out).astype(np.int64)
        downsampling = [
            Layer("norm", 0, c_in, area, "layer", computes=False),
            Layer("downsample", stage.stride * stage.stride * c_in * c_out, c_out, area_out, bias=True),
        ]
        yield Block(index + 1, downsampling, kept + inputs + np.maximum(2 * area, outputs), changes)
        # Alive in the last block of several: what the downsampling made, if any, and the block's own input.
        made = (1 if changes is None else changes) + (depth > 1)
        layers, alive = block_layers(stage, c_out, area_out)
        yield Block(index + 1, layers, kept + made * outputs + alive, depth)
        c_in, area = c_out, area_out
    classifier = Layer("classifier", c_in * classes, classes, 1, bias=True)
    yield Block("head", [Layer("norm", 0, c_in, 1, "layer", computes=False), classifier], image + c_in * area)


def block_layers(stage: Stage, channels: IntArray, area: IntArray) -> tuple[list[Layer], IntArray]:
    """The layers of one block of a stage, and the `(n,)` elements alive at once beside its input.

    Args:
        stage: The stage.
        channels: `(n,)` channels of its input and output.
        area: `(n,)` pixels of its feature maps.
    """
    hidden = int(stage.expansion) * channels
    weights = hidden * channels
    layers = [
        Layer("depthwise", stage.kernel * stage.kernel * channels, channels, area, "layer", bias=True),
        Layer("expand", weights, hidden, area, bias=True),
        Layer("project", weights, channels, area, bias=True, scale=True),
    ]
    # The activation is not in place; its input, its output and the norm's output are alive together.
    return layers, (channels + 2 * hidden) * area
