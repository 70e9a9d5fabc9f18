"""Costs of architectures one by one, each from a trace: exact where no closed terms are known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sampler.architecture import IntArray
from sampler.declared.spec import NetworkSpec
from sampler.errors import InputError
from sampler.families.protocol import Sizes
from trainer.declared.legal import point_of, sizes_text
from trainer.declared.tracing import IllegalError, Point, trace

_MOST = 1_000_000  # counts kept
_known: dict[tuple[object, ...], tuple[int, ...]] = {}


def traced(spec: NetworkSpec, sizes: Sizes, classes: int) -> IntArray:
    """`(n, 5)` MACs, params, activations, elements alive, eight-byte elements; each architecture is traced once.

    Args:
        spec: The network.
        sizes: The architectures' sizes.
        classes: Outputs of the classifier.

    Raises:
        InputError: If one cannot be built or run; one line says why.
    """
    found = [_counts(spec, point) for point in _points(spec, sizes, classes)]
    return np.array(found, dtype=np.int64).reshape(-1, 5)


def _points(spec: NetworkSpec, sizes: Sizes, classes: int) -> Iterator[Point]:
    columns = {"width": sizes.widths, "depth": sizes.depths, **sizes.knobs}
    for row in range(len(sizes.resolution)):
        given = {"resolution": int(sizes.resolution[row]), "classes": classes}
        for name, values in columns.items():
            given |= {f"{name}_{i}": int(value) for i, value in enumerate(values[row], 1)}
        yield point_of(spec, given)


def _counts(spec: NetworkSpec, point: Point) -> tuple[int, ...]:
    key = (spec.factory, spec.input, spec.channels, tuple(sorted(point.items())))
    if key not in _known:
        try:
            counts = trace(spec, point).counts()
        except IllegalError as error:
            raise InputError(f"network {spec.name} cannot be built with {sizes_text(spec, point)}: {error}") from error
        if len(_known) < _MOST:
            _known[key] = counts
        return counts
    return _known[key]
