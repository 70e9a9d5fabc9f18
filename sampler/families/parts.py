"""What the families share: networks as blocks of layers, each over arrays of `n` architectures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sampler.architecture import IntArray, Stage
from sampler.errors import InputError

Norm = Literal["", "batch", "layer"]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A convolution, a linear layer or a product of feature maps with the norm after it, or a norm alone.

    Attributes:
        name: Task in its block, such as `"expand"`.
        weights: `(n,)` weights without bias, which are its multiply-accumulates per output pixel; 0 for a norm alone.
        channels: `(n,)` output channels.
        area: `(n,)` output pixels; 1 after a pooling.
        norm: Kind of norm on its output: `"batch"`, `"layer"`, or `""` for nothing.
        bias: Whether it adds a bias.
        scale: Whether its output is multiplied by a learned scalar per channel (ConvNeXt's layer scale).
        present: `(n,)` 0 in the architectures without it, where its weights and channels are 0 too, 1 in the others.
        computes: Whether it multiplies and adds, and is not a norm alone.
        macs: `(n,)` multiply-accumulates, where they are not weights times pixels, as in attention's products of two
            feature maps, which have no weights; None elsewhere.
    """

    name: str
    weights: IntArray | int
    channels: IntArray | int
    area: IntArray | int
    norm: Norm = ""
    bias: bool = False
    scale: bool = False
    present: IntArray | int = 1
    computes: bool = True
    macs: IntArray | None = None

    @property
    def products(self) -> IntArray | int:
        """`(n,)` multiply-accumulates; 0 for a norm alone."""
        return self.weights * self.area if self.macs is None else self.macs

    @property
    def params_per_channel(self) -> int:
        """Learnable scalars per output channel, beyond the weights."""
        return 2 * bool(self.norm) + self.bias + self.scale


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A run of equal blocks, or the stem, or the head, of `n` architectures.

    Attributes:
        part: `"stem"`, `"head"`, or the number of its stage, from 1.
        layers: Layers of one block, input side first.
        alive: `(n,)` elements of the feature maps alive at once, at most, while it runs (the image included).
        repeats: `(n,)` how often it comes, one after the other; None for once.
        pooling: `(n,)` elements and `(n,)` int64 alive while it max-pools, for torch also says where it found each
            maximum; None without a max pool.
    """

    part: str | int
    layers: Sequence[Layer]
    alive: IntArray
    repeats: IntArray | None = None
    pooling: tuple[IntArray, IntArray] | None = None


def strided(side: IntArray, stride: int) -> IntArray:
    """Output side of an odd kernel, padded symmetrically or as TensorFlow does: side over stride, rounded up."""
    return side if stride == 1 else -(-side // stride)


def projection(stage: Stage, c_in: IntArray, c_out: IntArray, area_out: IntArray) -> Layer:
    """The 1x1 convolution in the shortcut of a stage's first block, where the stride or the width changes."""
    if stage.stride > 1:
        return Layer("shortcut", c_in * c_out, c_out, area_out, "batch")
    present = (c_in != c_out).astype(np.int64)
    channels = present * c_out
    return Layer("shortcut", c_in * channels, channels, area_out, "batch", present=present)


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


def squeeze_channels(channels: IntArray, ratio: float, which: str) -> IntArray:
    """Channels of the squeeze-excite bottleneck: nearest integer, halves to even, as Python's round.

    Args:
        channels: `(n,)` channels that the ratio is of.
        ratio: Squeezed channels over those.
        which: Name of those channels in errors.

    Raises:
        InputError: If that is zero for any architecture.
    """
    squeezed: IntArray = np.rint(channels * ratio).astype(np.int64)
    if squeezed.size and squeezed.min() < 1:
        narrow = int(channels[squeezed < 1].max())
        raise InputError(
            f"{narrow} {which} channels leave squeeze-excite none at ratio {ratio:.3g}; widen stem or stage"
        )
    return squeezed
