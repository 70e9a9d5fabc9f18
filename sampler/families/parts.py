"""What the counts of all families share."""

from __future__ import annotations

from sampler.architecture import IntArray

# MACs, params, activations, each (n,)
Counts = tuple[IntArray, IntArray, IntArray]


def strided(side: IntArray, stride: int) -> IntArray:
    """Output side of an odd kernel, padded symmetrically or as TensorFlow does: side over stride, rounded up."""
    return side if stride == 1 else -(-side // stride)
