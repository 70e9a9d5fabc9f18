"""What the families share: networks as blocks of layers, each over arrays of `n` architectures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sampler.architecture import IntArray

Norm = Literal["", "batch", "layer"]
STEM, HEAD = "stem", "head"


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A convolution or a linear layer with the norm that follows it, or a norm alone, of `n` architectures.

    Attributes:
        name: What it does in its block, such as `"expand"`.
        weights: `(n,)` weights without bias, which are its multiply-accumulates per output pixel; 0 for a norm alone.
        channels: `(n,)` output channels.
        area: `(n,)` output pixels; 1 after a pooling.
        norm: What normalises its output: `"batch"`, `"layer"`, or `""` for nothing.
        bias: Whether it adds a bias.
        scale: Whether its output is multiplied by a learned scalar per channel (ConvNeXt's layer scale).
    """

    name: str
    weights: IntArray | int
    channels: IntArray | int
    area: IntArray | int
    norm: Norm = ""
    bias: bool = False
    scale: bool = False

    @property
    def computes(self) -> bool:
        """Whether it is a convolution or a linear layer, not a norm alone."""
        return not isinstance(self.weights, int)

    @property
    def params_per_channel(self) -> int:
        """Learnable scalars per output channel, beyond the weights."""
        return 2 * bool(self.norm) + self.bias + self.scale


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A run of equal blocks, or the stem, or the head, of `n` architectures.

    Attributes:
        part: `"stem"`, `"head"`, or the number of its stage, from 1.
        layers: Its layers, input side first.
        alive: `(n,)` elements of the feature maps alive at once, at most, while it runs (the image included).
        repeats: `(n,)` how often it comes, one after the other; None for once.
    """

    part: str | int
    layers: Sequence[Layer]
    alive: IntArray
    repeats: IntArray | None = None


def strided(side: IntArray, stride: int) -> IntArray:
    """Output side of an odd kernel, padded symmetrically or as TensorFlow does: side over stride, rounded up."""
    return side if stride == 1 else -(-side // stride)


Counts = tuple[IntArray, IntArray, IntArray]
