"""One file per family: its networks as blocks of layers, vectorised, and which widths its blocks can have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sampler.architecture import BaseNetwork, IntArray
from sampler.families import convnext, ghost, mbconv, regnet, residual
from sampler.families.parts import Block

# (network, resolution, stem, widths, depths, head, classes) -> blocks, input side first
Blocks = Callable[[BaseNetwork, IntArray, IntArray, IntArray, IntArray, IntArray, int], Iterator[Block]]
Adjustment = Callable[[BaseNetwork, IntArray], IntArray]

BLOCKS: dict[str, Blocks] = {
    "mbconv": mbconv.blocks,
    "regnet": regnet.blocks,
    "residual": residual.blocks,
    "ghost": ghost.blocks,
    "convnext": convnext.blocks,
}
# Families whose blocks cannot have every width.
ADJUSTMENTS: dict[str, Adjustment] = {"regnet": regnet.adjustment}
