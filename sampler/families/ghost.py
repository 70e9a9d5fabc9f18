"""Ghost networks (GhostNet, S-GhostNet) as blocks of layers, over arrays of architectures.

As timm's `GhostBottleneck` builds them: a block's `se_ratio` is over its *hidden* channels, rounded to 4; the width
after the last pooling is 1280 at every size. A ghost module makes half its channels (rounded up) by a 1x1 convolution
and as many from those by a cheap depthwise 3x3. If its width is odd, it is counted before its cut to that width, which
frees no memory.
Notation, all int64 of shape (n,):

    c_in, c_mid, c_out   channels of a block: input, hidden, output
    c_se                 channels of its squeeze-excite bottleneck
    area_in, area_out    pixels of its input and output feature maps
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sampler.architecture import BaseNetwork, FloatArray, IntArray, Stage
from sampler.errors import InputError
from sampler.families.kinds import BlockKind, check_ends, check_stages
from sampler.families.parts import Block, Layer, runs, strided
from sampler.families.protocol import Family, Sizes, by_name

# Channels of the 1x1 convolution between pooling and classifier; timm scales it with nothing.
_FEATURES = 1280
# Side of the depthwise kernel that makes a module's cheap half, squared.
_CHEAP_AREA = 9
_DIVISOR = 4
_KINDS = {"ghost": BlockKind(squeezes=True, lists=True)}


def _stage(kernel: int, stride: int, width: int, hidden: tuple[int, ...], se_ratios: tuple[float, ...] = ()) -> Stage:
    """A stage by the hidden channels of its blocks and, where it has them, their squeeze-excite ratios."""
    expansions = tuple(channels / width for channels in hidden)
    return Stage("ghost", kernel, stride, expansions[0], 0.0, width, len(hidden), 0, expansions, se_ratios)


# Han et al. 2020, https://arxiv.org/abs/1911.11907, Table 1 (squeeze-excite as in the released code).
_GHOSTNET_100 = BaseNetwork(
    name="ghostnet_100",
    family="ghost",
    resolution=224,
    stem=16,
    stages=(
        _stage(3, 1, 16, (16,)),
        _stage(3, 2, 24, (48, 72)),
        _stage(5, 2, 40, (72, 120), (0.25, 0.25)),
        _stage(3, 2, 80, (240, 200, 184, 184)),
        _stage(3, 1, 112, (480, 672), (0.25, 0.25)),
        _stage(5, 2, 160, (672, 960, 960, 960, 960), (0.25, 0.0, 0.25, 0.0, 0.25)),
    ),
    head=960,
    rule="ghost",
)

# "GhostNet with squeeze-excite in every block", the base of https://arxiv.org/abs/2108.00177.
_S_GHOSTNET = replace(
    _GHOSTNET_100,
    name="s_ghostnet",
    stages=tuple(replace(stage, se_ratio=0.25, se_ratios=()) for stage in _GHOSTNET_100.stages),
)

_NETWORKS = (_GHOSTNET_100, _S_GHOSTNET)


class _Ghost(Family):
    """GhostNet, and the variant that S-GhostNet is scaled from.

    Its hidden channels follow from all widths together (`width_multipliers`), which is no product: it has no terms.
    """

    name = "ghost"
    bases = by_name(_NETWORKS)

    def blocks(self, network: BaseNetwork, sizes: Sizes, classes: int) -> Iterator[Block]:
        """The blocks of `n` architectures with `s` stages, input side first."""
        resolution, stem, widths, depths, head = sizes.resolution, sizes.stem, sizes.widths, sizes.depths, sizes.head
        side = strided(resolution, network.stem_stride)
        area = side * side
        outputs = stem * area
        held = 3 * resolution * resolution + outputs  # the forward pass keeps both until the head is done
        yield Block("stem", [Layer("convolution", 27 * stem, stem, area, "batch")], held + outputs)
        # timm's groups of blocks: the first of a stage with a stride alone, all others up to the next stride together.
        # A group's input is alive (in `kept`) while it runs; `inputs` are a block's own, the stem's being in `held`.
        c_in, inputs, kept, grouped = stem, np.zeros_like(stem), held, np.zeros_like(stem)
        multipliers = width_multipliers(network, widths, head)
        for index, stage in enumerate(network.stages):
            side_out = strided(side, stage.stride)
            area_out = side_out * side_out
            c_out = np.ascontiguousarray(widths[:, index])
            kinds = base_blocks(stage)
            c_mids = {hidden: divisible(hidden * multipliers[index]) for hidden, _ in kinds}
            outputs = 2 * half(c_out) * area_out
            for position, repeats in runs(stage, np.ascontiguousarray(depths[:, index])):
                hidden, se_ratio = kinds[min(position, len(kinds) - 1)]
                stride = 1 if position else stage.stride
                layers, alive = ghost_layers(
                    stage.kernel, stride, se_ratio, c_in, c_mids[hidden], c_out, area, area_out
                )
                if stride > 1:
                    yield Block(index + 1, layers, held + inputs + alive)
                    kept, grouped = held + outputs, np.zeros_like(stem)
                else:
                    grouped = grouped + (1 if repeats is None else repeats)
                    # Only the first block of a group has the group's input.
                    yield Block(index + 1, layers, kept + (grouped > 1) * inputs + alive, repeats)
                c_in, inputs, side, area = c_out, outputs, side_out, area_out
        layers = [
            Layer("convolution", c_in * head, head, area, "batch"),
            Layer("features", head * _FEATURES, _FEATURES, 1, bias=True),
            Layer("classifier", _FEATURES * classes, classes, 1, bias=True),
        ]
        yield Block("head", layers, held + inputs + 2 * head * area)

    def check(self, network: BaseNetwork) -> None:
        """Refuses a table that cannot be built."""
        if network.variant:
            raise InputError(f"{network.name}: variant {network.variant!r} is unknown; known: ''")
        check_stages(network, _KINDS)
        check_ends(network, stem_strides=(2,), head=True)
        for number, stage in enumerate(network.stages, start=1):
            if {len(listed) for listed in (stage.expansions, stage.se_ratios) if listed} - {stage.depth}:
                raise InputError(f"{network.name}: stage {number}: {stage.depth} expansions or se_ratios are wanted")


GHOST = _Ghost()


def ghost_layers(
    kernel: int,
    stride: int,
    se_ratio: float,
    c_in: IntArray,
    c_mid: IntArray,
    c_out: IntArray,
    area_in: IntArray,
    area_out: IntArray,
) -> tuple[list[Layer], IntArray]:
    """The layers of one block, and the `(n,)` elements alive at once beside its input.

    A module's halves are alive together with what they are joined to; a norm's input with its output.

    Args:
        kernel: Side of the depthwise kernels, of the block and of its shortcut.
        stride: Stride of the block; the depthwise convolution is only there for one.
        se_ratio: Squeeze-excite channels over hidden ones; 0 for none.
        c_in: `(n,)` channels.
        c_mid: `(n,)` channels.
        c_out: `(n,)` channels.
        area_in: `(n,)` pixels.
        area_out: `(n,)` pixels.
    """
    kernel_area = kernel * kernel
    outputs = 2 * half(c_out) * area_out
    alive = np.maximum(4 * half(c_mid) * area_in, c_mid * area_out + 2 * outputs)
    layers = module_layers("expand", c_in, c_mid, area_in)
    if stride > 1:
        layers.append(Layer("depthwise", kernel_area * c_mid, c_mid, area_out, "batch"))
    if se_ratio:
        c_se = divisible(np.multiply(c_mid, se_ratio, dtype=np.float64))
        weights = c_mid * c_se
        layers += [Layer("squeeze", weights, c_se, 1, bias=True), Layer("excite", weights, c_mid, 1, bias=True)]
    layers += module_layers("project", c_mid, c_out, area_out)
    if stride > 1 or c_in is not c_out:  # a stage's further blocks are given one array as both
        # A block that keeps side and width adds its input; any other sends it through two convolutions.
        converted = 1 if stride > 1 else (c_in != c_out).astype(np.int64)
        inside, after = converted * c_in, converted * c_out
        layers += [
            Layer("shortcut depthwise", kernel_area * inside, inside, area_out, "batch", present=converted),
            Layer("shortcut project", inside * c_out, after, area_out, "batch", present=converted),
        ]
        alive = np.maximum(alive, outputs + 2 * np.maximum(inside, after) * area_out)
    return layers, alive


def module_layers(name: str, c_in: IntArray, c_out: IntArray, area: IntArray) -> list[Layer]:
    """The two convolutions of a ghost module."""
    primary = half(c_out)
    return [
        Layer(name, c_in * primary, primary, area, "batch"),
        Layer(f"{name} cheap", _CHEAP_AREA * primary, primary, area, "batch"),
    ]


def half(channels: IntArray) -> IntArray:
    """Channels of either half of a ghost module."""
    return (channels + 1) >> 1


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
        low = np.maximum(low, largest_rounded_to(column - _DIVISOR) / stage.width)
        high = np.minimum(high, largest_rounded_to(column) / stage.width)
        whole = whole | column
    low_head = largest_rounded_to(head - _DIVISOR) / network.head
    high_head = largest_rounded_to(head) / network.head
    common = np.clip(head / network.head, low, high)
    uniform = (np.maximum(low, low_head) <= np.minimum(high, high_head)) & (whole % _DIVISOR == 0)
    return [np.where(uniform, common, own / stage.width) for stage, own in zip(network.stages, columns, strict=True)]


def largest_rounded_to(channels: IntArray) -> FloatArray:
    """The products up to which `divisible` gives at most these channels, multiples of 4; 0 for none."""
    largest: FloatArray = np.minimum(channels + _DIVISOR / 2, channels / 0.9)
    return largest


def divisible(exact: FloatArray) -> IntArray:
    """The nearest multiples of 4, at least 4 and never below 90 % of the exact product."""
    rounded = np.maximum(np.floor((exact + _DIVISOR / 2) / _DIVISOR) * _DIVISOR, float(_DIVISOR))
    rounded += _DIVISOR * (rounded < 0.9 * exact)
    result: IntArray = rounded.astype(np.int64)
    return result
