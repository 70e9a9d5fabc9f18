"""One file per family: its networks as blocks of layers, vectorised, and which widths its blocks can have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from sampler.architecture import BaseNetwork, IntArray
from sampler.errors import InputError
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
T = TypeVar("T")


def of_family(table: Mapping[str, T], network: BaseNetwork, what: str) -> T:
    """What a table keeps for a network's family.

    Args:
        table: By the names of families.
        network: Of some family, which need not be one of ours.
        what: What the table is of, as an error names it.

    Raises:
        InputError: If it has nothing for this family.
    """
    if network.family not in table:
        known = ", ".join(table)
        raise InputError(f"{network.name}: {what} is not known for family {network.family!r}, only for {known}")
    return table[network.family]
