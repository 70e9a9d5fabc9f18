"""What a latency is learned from: features of an architecture, their coordinates, and the sum of times over counts.

Notation, for one architecture:

    t0, t_i     milliseconds, and milliseconds per unit of count i; none is negative
    count_i     MACs, activations, params, blocks: those that the table has
    x (p,)      log MACs, log activations per MAC, log params per MAC, log pixels, log blocks: likewise
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from sampler.architecture import Architectures, FloatArray
from sampler.complexity import count

# What a table may know of an architecture, in the order of the coordinates.
LATENCY_FEATURES = ("macs", "activations", "params", "resolution", "blocks")
# Those that cost time in proportion; the time of pixels is in the MACs and activations already.
TIMED_COUNTS = ("macs", "activations", "params", "blocks")
_PER_MAC = ("activations", "params")

# What one latency is of: a forward pass of the whole batch, or one image.
LatencyUnit = Literal["pass", "image"]


def features_of(architectures: Architectures, classes: int = 1000) -> dict[str, FloatArray]:
    """All `LATENCY_FEATURES` of `n` architectures, `(n,)` each.

    Raises:
        InputError: If an architecture or the number of classes is out of range.
    """
    counted = count(architectures, classes)
    values: Sequence[Any] = (
        counted.macs,
        counted.activations,
        counted.params,
        architectures.resolution,
        architectures.depths.sum(axis=1),
    )
    return {name: np.asarray(value, dtype=np.float64) for name, value in zip(LATENCY_FEATURES, values, strict=True)}


def coordinates(values: Mapping[str, FloatArray]) -> FloatArray:
    """The coordinates `(n, p)` of features: their logs, activations and params per MAC."""
    columns = [
        np.log(values[name] / values["macs"] if name in _PER_MAC else values[name])
        for name in LATENCY_FEATURES
        if name in values
    ]
    return np.column_stack(columns)


def summed(coefficients: Mapping[str, float], values: Mapping[str, FloatArray]) -> FloatArray:
    """The sum of times `(n,)`, in ms."""
    total = np.full(values["macs"].shape, coefficients["fixed"])
    for name in TIMED_COUNTS:
        if name in coefficients:
            total = total + coefficients[name] * values[name]
    return total
