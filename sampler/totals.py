"""What blocks of layers sum up to: multiply-accumulates, params, activations, memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sampler.architecture import IntArray
from sampler.families.parts import Block, Layer

Sum = IntArray | int

# torch counts the batches that a batch norm has seen, in int64 whatever the network's own type.
_BYTES_PER_BATCH_NORM = 8
# A max pool's indices are int64, too.
_BYTES_PER_INDEX = 8


class Totals(NamedTuple):
    """Sums over layers of `n` architectures, each `(n,)` or one number for all.

    Attributes:
        macs: Multiply-accumulates of convolutions, linear layers and products of feature maps.
        params: Learnable scalars.
        activations: Output elements of the same.
        normed: Channels with a batch norm, each of which keeps a mean and a variance.
        norms: Batch norms.
    """

    macs: Sum = 0
    params: Sum = 0
    activations: Sum = 0
    normed: Sum = 0
    norms: Sum = 0

    def plus(self, other: Totals, times: IntArray | None) -> Totals:
        """These and others that come so often (None for once)."""
        if times is None:
            return Totals(*(mine + more for mine, more in zip(self, other, strict=True)))
        return Totals(*(mine + times * more for mine, more in zip(self, other, strict=True)))


def layer_totals(layers: Iterable[Layer]) -> Totals:
    """What the layers of one block sum up to."""
    macs: Sum = 0
    params: Sum = 0
    activations: Sum = 0
    normed: Sum = 0
    norms: Sum = 0
    for layer in layers:
        if layer.computes:
            macs = macs + layer.products
            activations = activations + layer.channels * layer.area
            params = params + layer.weights
        if layer.params_per_channel:
            params = params + layer.params_per_channel * layer.channels
        if layer.norm == "batch":
            normed = normed + layer.channels
            norms = norms + layer.present
    return Totals(macs, params, activations, normed, norms)


def totals(blocks: Iterable[Block], size: int) -> tuple[Totals, Sum]:
    """What blocks sum up to, and the most elements of feature maps that are alive at once in any of them.

    Args:
        blocks: All of a network.
        size: Bytes of an element, in which a max pool's indices are counted.
    """
    total = Totals()
    most: Sum = 0
    for block in blocks:
        total = total.plus(layer_totals(block.layers), block.repeats)
        alive = block.alive if block.repeats is None else block.alive * (block.repeats > 0)
        most = np.maximum(most, alive)
        if block.pooling is not None:
            elements, indices = block.pooling
            most = np.maximum(most, elements + _BYTES_PER_INDEX // size * indices)
    return total, most


def memory(total: Totals, alive: Sum, size: int) -> Sum:
    """Bytes of weights, batch norms' buffers and feature maps, for elements of so many bytes."""
    return size * (total.params + 2 * total.normed + alive) + _BYTES_PER_BATCH_NORM * total.norms


def by_part(blocks: Iterable[Block]) -> dict[str | int, Totals]:
    """What the stem, every stage (from 1) and the head sum up to."""
    parts: dict[str | int, Totals] = {}
    for block in blocks:
        parts[block.part] = parts.get(block.part, Totals()).plus(layer_totals(block.layers), block.repeats)
    return parts
