"""One file per family of blocks: its exact, vectorised count, and which widths its blocks can have."""

from __future__ import annotations

from collections.abc import Callable

from sampler.architecture import BaseNetwork, IntArray
from sampler.families import convnext, ghost, mbconv, regnet, residual
from sampler.families.parts import Counts

# (network, resolution, stem, widths, depths, head, classes) -> MACs, params, activations
Count = Callable[[BaseNetwork, IntArray, IntArray, IntArray, IntArray, IntArray, int], Counts]
Adjustment = Callable[[BaseNetwork, IntArray], IntArray]

COUNTS: dict[str, Count] = {
    "mbconv": mbconv.count,
    "regnet": regnet.count,
    "residual": residual.count,
    "ghost": ghost.count,
    "convnext": convnext.count,
}
# Families whose blocks cannot have every width.
ADJUSTMENTS: dict[str, Adjustment] = {"regnet": regnet.adjustment}
