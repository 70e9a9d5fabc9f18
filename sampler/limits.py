"""Limits on what an architecture may cost, beside or instead of the window of MACs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sampler.architecture import Architectures, FloatArray
from sampler.checks import checked_name, is_number, shown
from sampler.complexity import SIZES, count
from sampler.errors import InputError

EXACT = ("macs", "params", "activations", "memory")


@dataclass(frozen=True)
class Limit:
    """The most of one cost that an architecture may have.

    Attributes:
        name: The cost: `macs`, `params`, `activations`, `memory` (bytes), or any other, such as `latency` (ms).
        largest: The most there may be of it.
        cost: Gives the `(n,)` costs of architectures with so many classes.

    Raises:
        InputError: If `largest` is not a positive number.
    """

    name: str
    largest: float
    cost: Callable[[Architectures, int], FloatArray]

    def __post_init__(self) -> None:
        if not is_number(self.largest) or not 0 < self.largest < np.inf:
            raise InputError(f"a budget of {self.name} must be a positive number, got {shown(self.largest)}")


def exact_limit(name: str, largest: float, dtype: str = "float32") -> Limit:
    """A limit on an exact count.

    Args:
        name: `macs`, `params`, `activations` or `memory`.
        largest: The most there may be of it.
        dtype: Type of the numbers in memory.

    Raises:
        InputError: If the name is unknown, or `largest` not a positive number.

    Example:
        >>> from sampler import base, stack
        >>> limit = exact_limit("params", 4e6)
        >>> within(stack([base("efficientnet_b0").architecture()]), 1000, [limit])
        array([False])
    """
    if not isinstance(name, str) or name not in EXACT:
        raise InputError(f"there is no exact count of {shown(name)}; known: {', '.join(EXACT)}")

    checked_name("dtype", dtype, SIZES)

    def cost(architectures: Architectures, classes: int) -> FloatArray:
        counted: FloatArray = getattr(count(architectures, classes, dtype), name)
        return counted

    return Limit(name, largest, cost)


def within(architectures: Architectures, classes: int, limits: Sequence[Limit]) -> np.ndarray:
    """`(n,)` bools: whether each architecture keeps to all limits."""
    kept = np.ones(len(architectures), dtype=bool)
    for limit in limits:
        kept &= limit.cost(architectures, classes) <= limit.largest
    return kept
