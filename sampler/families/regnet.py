"""RegNetX and RegNetY as blocks of layers, over arrays of architectures.

As timm builds them: bottleneck ratio 1, every stage's first block with stride 2 and a projected shortcut,
squeeze-excite reduced from a block's input channels, no head convolution. A block's layers are reduce (1x1),
spatial (3x3, in groups), squeeze and excite, expand (1x1), as in a bottleneck of any ratio, and shortcut (1x1).
Notation, all int64 of shape (n,):

    c_in, c_out          channels of a block: input, output (and hidden, the bottleneck ratio being 1)
    c_group, c_se        channels of one group of its 3x3 convolution, and of its squeeze-excite bottleneck
    area_in, area_out    pixels of its input and output feature maps
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sampler.architecture import BaseNetwork, IntArray, Stage
from sampler.errors import InputError
from sampler.families.parts import Block, Layer, squeeze_channels, strided


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

    Their activations sum up to pycls' (https://arxiv.org/abs/2003.13678, section 3.2): output elements of all
    convolutions, squeeze-excite's included, and of the classifier.

    Args:
        network: The base network whose blocks are used.
        resolution: `(n,)` pixels.
        stem: `(n,)` channels.
        widths: `(n, s)` channels, multiples of the stages' group widths.
        depths: `(n, s)` blocks.
        head: `(n,)` zeros: a RegNet has no head convolution.
        classes: Outputs of the classifier.

    Raises:
        InputError: If a width does not divide into groups, or is too small for squeeze-excite.
    """
    groups = group_widths(network, widths)
    image = 3 * resolution * resolution  # the forward pass keeps it to the end
    side = strided(resolution, network.stem_stride)
    area, c_in = side * side, stem
    yield Block("stem", [Layer("convolution", 27 * stem, stem, area, "batch")], image + 2 * stem * area)
    for index, stage in enumerate(network.stages):
        side = strided(side, stage.stride)
        area_out = side * side
        c_out, c_group = (np.ascontiguousarray(part[:, index]) for part in (widths, groups))
        held = image + c_in * area  # as is the stage's input until the stage is done
        # The next layer's norm runs before a layer's output is let go, its own input and output alive too.
        reduced, outputs = c_out * area, c_out * area_out
        layers = block_layers(stage, c_in, c_out, c_group, area, area_out, projects=True)
        yield Block(index + 1, layers, held + reduced + np.maximum(reduced, 2 * outputs))
        layers = block_layers(stage, c_out, c_out, c_group, area_out, area_out, projects=False)
        yield Block(index + 1, layers, held + 4 * outputs, depths[:, index] - 1)
        c_in, area = c_out, area_out
    yield Block("head", [Layer("classifier", c_in * classes, classes, 1, bias=True)], image + c_in * area)


def block_layers(
    stage: Stage,
    c_in: IntArray,
    c_out: IntArray,
    c_group: IntArray,
    area_in: IntArray,
    area_out: IntArray,
    projects: bool,
) -> list[Layer]:
    """The layers of one block of a stage, for `n` architectures.

    Args:
        stage: For its squeeze-excite ratio.
        c_in: Input channels.
        c_out: Output channels.
        c_group: Channels per group.
        area_in: Pixels before the block.
        area_out: Pixels after it.
        projects: Whether the shortcut is a 1x1 convolution, as in a stage's first block.

    Raises:
        InputError: If the input is so narrow that squeeze-excite would have no channel.
    """
    pointwise = c_in * c_out
    layers = [
        Layer("reduce", pointwise, c_out, area_in, "batch"),
        Layer("spatial", 9 * c_group * c_out, c_out, area_out, "batch"),
    ]
    if stage.se_ratio:
        c_se = squeeze_channels(c_in, stage.se_ratio, "input")
        weights = c_out * c_se
        layers += [Layer("squeeze", weights, c_se, 1, bias=True), Layer("excite", weights, c_out, 1, bias=True)]
    layers.append(Layer("expand", c_out * c_out, c_out, area_out, "batch"))
    if projects:
        layers.append(Layer("shortcut", pointwise, c_out, area_out, "batch"))
    return layers


def group_widths(network: BaseNetwork, widths: IntArray) -> IntArray:
    """`(n, s)` channels per group: the stage's group width, or all channels of a narrower stage.

    Raises:
        InputError: If a width is not a multiple of it; says which is.
    """
    groups = np.minimum(widths, _table_group_widths(network))
    wrong = widths % groups != 0
    if wrong.any():
        row, index = np.argwhere(wrong)[0]
        raise InputError(
            f"width {widths[row, index]} of stage {index + 1} of {network.name} is not a multiple of its group width "
            f"{groups[row, index]}; the nearest is {compatible(widths, groups)[row, index]}"
        )
    return groups


def adjustment(network: BaseNetwork, widths: IntArray) -> IntArray:
    """`(n, s)` widths, moved to the nearest that divide into groups."""
    return compatible(widths, _table_group_widths(network))


def compatible(widths: IntArray, group_width: IntArray) -> IntArray:
    """Widths of any shape, moved to the nearest multiple of their group width (of two as near, the even multiple).

    A width below its group width is one group, and stays. This is pycls' rule at bottleneck ratio 1
    (`adjust_block_compatibility` in https://github.com/facebookresearch/pycls/blob/main/pycls/models/blocks.py).

    Example:
        >>> compatible(np.array([9, 80, 83, 85]), np.array(24)).tolist()
        [9, 72, 72, 96]
    """
    group = np.minimum(widths, group_width)
    multiples: IntArray = np.rint(widths / group).astype(np.int64)
    return multiples * group


def _table_group_widths(network: BaseNetwork) -> IntArray:
    return np.array([stage.group_width for stage in network.stages], dtype=np.int64)
