"""Exact complexity of ConvNeXt networks, over arrays of architectures.

Counted as timm builds them: stem and downsampling convolutions are unpadded, so sides are rounded down; biases,
layer norms and layer scale are params but no MACs. Whether a block's two pointwise layers are linear layers or 1x1
convolutions changes no count. A stem as wide as the first stage, as in all published networks, leads straight into
it; any other is followed by timm's downsampling at stride 1, a layer norm and a 1x1 convolution.
"""

from __future__ import annotations

import numpy as np

from sampler.architecture import BaseNetwork, IntArray, Stage
from sampler.families.parts import Counts


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

    Activations are output elements of all convolutions and linear layers.

    Args:
        network: The base network whose blocks are used.
        resolution: `(n,)` pixels.
        stem: `(n,)` channels.
        widths: `(n, s)` channels.
        depths: `(n, s)` blocks.
        head: `(n,)` zeros: these networks have no 1x1 convolution after the last stage.
        classes: Outputs of the classifier.

    Returns:
        Three `(n,)` int64 arrays: MACs, params, activations.
    """
    patch = network.stem_stride
    side = resolution // patch
    area = side * side
    weights = 3 * patch * patch * stem
    macs = weights * area
    params = weights + 3 * stem  # a bias and a layer norm's two
    activations = stem * area
    c_in = stem
    for index, stage in enumerate(network.stages):
        side = side // stage.stride
        area = side * side
        c_out = np.ascontiguousarray(widths[:, index])
        # Only a stage that keeps side and width has no convolution before its first block.
        changes = 1 if stage.stride > 1 else (c_in != c_out).astype(np.int64)
        weights = changes * (stage.stride * stage.stride) * c_in * c_out
        depth = depths[:, index]
        block = block_counts(stage, c_out, area)
        macs = macs + weights * area + depth * block[0]
        params = params + weights + changes * (2 * c_in + c_out) + depth * block[1]
        activations = activations + changes * c_out * area + depth * block[2]
        c_in = c_out
    macs = macs + c_in * classes
    params = params + (2 + classes) * c_in + classes
    return macs, params, activations + classes


def block_counts(stage: Stage, channels: IntArray, area: IntArray) -> Counts:
    """MACs, params and activations of one block of a stage, for `n` architectures.

    Args:
        stage: The stage.
        channels: `(n,)` channels of its input and output.
        area: `(n,)` pixels of its feature maps.
    """
    hidden = int(stage.expansion) * channels
    weights = (stage.kernel * stage.kernel + 2 * hidden) * channels
    params = weights + hidden + 5 * channels  # three biases, a layer norm's two, layer scale
    return weights * area, params, (hidden + 2 * channels) * area
