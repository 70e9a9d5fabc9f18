"""What the sum of times leaves: a Gaussian process in closed form (notation in `planner.latency.model`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.gaussian.kernels import matern32
from sampler.architecture import FloatArray
from sampler.complexity import chunks

# Rows evaluated at a time: (chunk, m) temporaries stay in a core's cache.
_CHUNK = 1_024


@dataclass(frozen=True, eq=False)
class Departure:
    """The logarithm of measured over summed times, as a Gaussian process with a Matern 3/2 kernel.

    Attributes:
        inputs: `(m, p)` coordinates of the fitted rows.
        alpha: `(m,)` their weights.
        variance: Variance of the kernel: the square of a usual departure's log.
        length_scale: Length scale of the kernel, in units of log counts.
    """

    inputs: FloatArray
    alpha: FloatArray
    variance: float
    length_scale: float

    def __call__(self, x: FloatArray) -> FloatArray:
        """The departure at `(n, p)` coordinates, `(n,)`."""
        if not len(self.inputs):
            return np.zeros(len(x))
        parts = [self._kernel(x[rows]) @ self.alpha for rows in chunks(len(x), _CHUNK)]
        return self.variance * np.concatenate([np.empty(0), *parts])

    def _kernel(self, x: FloatArray) -> FloatArray:
        """Correlations `(n, m)`. |a - b|^2 = |a|^2 + |b|^2 - 2 a.b is one matrix product; centred, it loses little."""
        centre = self.inputs.mean(axis=0)
        a, b = (x - centre) / self.length_scale, (self.inputs - centre) / self.length_scale
        squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        return matern32(np.sqrt(np.maximum(squared, 0.0)))  # rounding leaves tiny negative numbers
