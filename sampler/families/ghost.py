"""Exact complexity of Ghost networks (GhostNet, S-GhostNet), over arrays of architectures.

Counted as timm's `GhostBottleneck` builds them: a block's `se_ratio` is over its *hidden* channels, rounded to 4;
the width after the last pooling is 1280 at every size. Notation, all int64 of shape (n,):

    c_in, c_mid, c_out   channels of a block: input, hidden, output
    c_se                 channels of its squeeze-excite bottleneck
    area_in, area_out    pixels of its input and output feature maps
"""

from __future__ import annotations

import numpy as np

from sampler.architecture import BaseNetwork, FloatArray, IntArray, Stage
from sampler.families.parts import Counts, strided

# Channels of the 1x1 convolution between pooling and classifier; timm scales it with nothing.
FEATURES = 1280
# Side of the depthwise kernel that makes a module's cheap half, squared.
CHEAP_AREA = 9
DIVISOR = 4


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
    squeeze-excite's included, and of the classifier. A module of odd width is counted before its cut to that width.

    Args:
        network: The base network whose blocks are used.
        resolution: `(n,)` pixels.
        stem: `(n,)` channels.
        widths: `(n, s)` channels.
        depths: `(n, s)` blocks.
        head: `(n,)` channels of the 1x1 convolution before pooling (960 at base size).
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
    multipliers = width_multipliers(network, widths, head)
    for index, stage in enumerate(network.stages):
        side_out = strided(side, stage.stride)
        area_out = side_out * side_out
        c_out = np.ascontiguousarray(widths[:, index])
        depth = np.ascontiguousarray(depths[:, index])
        parts = stage_counts(stage, multipliers[index], depth, c_in, c_out, area, area_out)
        macs = macs + parts[0]
        params = params + parts[1]
        activations = activations + parts[2]
        c_in, side, area = c_out, side_out, area_out
    macs = macs + head * (c_in * area + FEATURES) + FEATURES * classes
    params = params + head * (c_in + 2 + FEATURES) + FEATURES + (FEATURES + 1) * classes
    activations = activations + head * area
    return macs, params, activations + FEATURES + classes


def stage_counts(
    stage: Stage,
    multiplier: FloatArray,
    depth: IntArray,
    c_in: IntArray,
    c_out: IntArray,
    area_in: IntArray,
    area_out: IntArray,
) -> Counts:
    """MACs, params and activations of one stage, for `n` architectures.

    Args:
        stage: The stage.
        multiplier: `(n,)` factors on its hidden channels at base size.
        depth: `(n,)` blocks; those beyond the base's are like its last.
        c_in: `(n,)` channels.
        c_out: `(n,)` channels.
        area_in: `(n,)` pixels.
        area_out: `(n,)` pixels.
    """
    blocks = base_blocks(stage)
    c_mids = {hidden: divisible(hidden * multiplier) for hidden, _ in blocks}
    c_mid = c_mids[blocks[0][0]]
    macs, params, activations = body_counts(c_in, c_mid, c_out, area_in, area_out)
    kernel_area = stage.kernel * stage.kernel
    if stage.stride > 1:
        macs = macs + kernel_area * c_mid * area_out
        params = params + (kernel_area + 2) * c_mid
        activations = activations + c_mid * area_out
    # A block that keeps side and width adds its input; any other sends it through two convolutions.
    converted = 1 if stage.stride > 1 else (c_in != c_out).astype(np.int64)
    weights = (kernel_area + c_out) * c_in
    both = c_in + c_out
    macs = macs + converted * weights * area_out
    params = params + converted * (weights + 2 * both)
    activations = activations + converted * both * area_out

    # Further blocks differ in hidden channels and squeeze-excite only: how many there are of each.
    repeats: dict[int, IntArray] = {}
    squeezes = {blocks[0]: np.ones_like(depth)} if blocks[0][1] else {}
    last = max(len(blocks) - 1, 1)
    for position in range(1, last + 1):
        block = blocks[min(position, len(blocks) - 1)]
        times = np.maximum(depth - position, 0)
        if position < last:
            times = np.minimum(times, 1)
        repeats[block[0]] = repeats.get(block[0], 0) + times
        if block[1]:
            squeezes[block] = squeezes.get(block, 0) + times
    for hidden, times in repeats.items():
        body = body_counts(c_out, c_mids[hidden], c_out, area_out, area_out)
        macs = macs + times * body[0]
        params = params + times * body[1]
        activations = activations + times * body[2]
    for (hidden, ratio), times in squeezes.items():
        c_mid = c_mids[hidden]
        c_se = divisible(np.multiply(c_mid, ratio, dtype=np.float64))
        squeeze = times * (2 * c_mid * c_se)
        both = times * (c_mid + c_se)
        macs = macs + squeeze
        params = params + squeeze + both
        activations = activations + both
    return macs, params, activations


def body_counts(c_in: IntArray, c_mid: IntArray, c_out: IntArray, area_in: IntArray, area_out: IntArray) -> Counts:
    """MACs, params and activations of a block's two ghost modules, for `n` architectures.

    A module makes half its channels (rounded up) by a 1x1 convolution, and as many from those by a depthwise 3x3.
    """
    mid_half = (c_mid + 1) >> 1
    out_half = (c_out + 1) >> 1
    expand = mid_half * (c_in + CHEAP_AREA)
    project = out_half * (c_mid + CHEAP_AREA)
    macs = expand * area_in + project * area_out
    params = expand + project + 4 * (mid_half + out_half)
    activations = 2 * (mid_half * area_in + out_half * area_out)
    return macs, params, activations


def base_blocks(stage: Stage) -> list[tuple[int, float]]:
    """Hidden channels and squeeze-excite ratio of each of a stage's blocks, at base size."""
    expansions = stage.expansions or (stage.expansion,) * stage.depth
    ratios = stage.se_ratios or (stage.se_ratio,) * stage.depth
    assert len(expansions) == len(ratios) == stage.depth, stage
    return [(round(e * stage.width), ratio) for e, ratio in zip(expansions, ratios, strict=True)]


def width_multipliers(network: BaseNetwork, widths: IntArray, head: IntArray) -> list[FloatArray]:
    """`(n,)` factors on the hidden channels at base size, for each of `s` stages.

    timm scales hidden channels by the network's one multiplier, which a stage's rounded width does not tell (1.3
    makes 24 channels 32, but 72 hidden ones 92, not 96). Where some multiplier rounds to every width and to the
    head, all stages have that one: the head's ratio, as the widest tells most, or the nearest that fits them all.
    So whole 240ths, such as timm's 0.5 and 1.3, give timm's networks exactly, others nearly, and a uniformly larger
    network never has fewer hidden channels. Elsewhere each stage has its own width over its base width.

    Args:
        network: The base network.
        widths: `(n, s)` channels.
        head: `(n,)` channels.
    """
    columns = [np.ascontiguousarray(widths[:, index]) for index in range(len(network.stages))]
    low, high = np.zeros(len(head)), np.full(len(head), np.inf)
    whole = head
    for stage, column in zip(network.stages, columns, strict=True):
        low = np.maximum(low, largest_rounded_to(column - DIVISOR) / stage.width)
        high = np.minimum(high, largest_rounded_to(column) / stage.width)
        whole = whole | column
    low_head = largest_rounded_to(head - DIVISOR) / network.head
    high_head = largest_rounded_to(head) / network.head
    common = np.clip(head / network.head, low, high)
    uniform = (np.maximum(low, low_head) <= np.minimum(high, high_head)) & (whole % DIVISOR == 0)
    return [np.where(uniform, common, own / stage.width) for stage, own in zip(network.stages, columns, strict=True)]


def largest_rounded_to(channels: IntArray) -> FloatArray:
    """The products up to which `divisible` gives at most these channels, multiples of 4; 0 for none."""
    largest: FloatArray = np.minimum(channels + DIVISOR / 2, channels / 0.9)
    return largest


def divisible(exact: FloatArray) -> IntArray:
    """The nearest multiples of 4, at least 4 and never below 90 % of the exact product."""
    rounded = np.maximum(np.floor((exact + DIVISOR / 2) / DIVISOR) * DIVISOR, float(DIVISOR))
    rounded += DIVISOR * (rounded < 0.9 * exact)
    result: IntArray = rounded.astype(np.int64)
    return result
