"""Warps of the target: log of its distance from a limit, or none.

With the limit a above, log(a - accuracy) = log b - p log(macs) - .. is the saturating power law
accuracy = a - b macs^-p .. in every input at once: what is linear in the features here is that law there, and its
noise shrinks towards a.
A limit below does the same for targets with a long tail upwards. Means and variances are those of a shifted
log-normal, in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sampler.architecture import FloatArray

WarpKind = Literal["identity", "above", "below"]
WARP_KINDS: tuple[WarpKind, ...] = ("identity", "above", "below")
LARGEST_VARIANCE = 2.0  # of a log, in means: far from all rows a log-normal's mean would run away


@dataclass(frozen=True)
class Warp:
    """A target y as w = (t(y) - centre) / spread, t rising: y, -log(limit - y) or log(y - limit)."""

    kind: WarpKind
    limit: float
    centre: float
    spread: float

    @property
    def _sign(self) -> float:
        return -1.0 if self.kind == "above" else 1.0

    def fitted(self, target: FloatArray) -> Warp:
        """The warp with the same limit that gives these targets mean 0 and deviation 1."""
        return standardised_warp(self.kind, self.limit, target)

    def forward(self, target: FloatArray) -> FloatArray:
        """`(n,)` warped values of `(n,)` targets."""
        return (_plain(self.kind, self.limit, target) - self.centre) / self.spread

    def slope(self, target: FloatArray) -> FloatArray:
        """`(n,)` derivatives of the warped value by the target."""
        if self.kind == "identity":
            return np.full(len(target), 1 / self.spread)
        return 1 / (np.abs(target - self.limit) * self.spread)

    def back(self, warped: FloatArray) -> FloatArray:
        """`(n,)` targets of `(n,)` warped values."""
        plain = self.centre + self.spread * warped
        if self.kind == "identity":
            return plain
        return self.limit + self._sign * np.exp(np.clip(self._sign * plain, -700, 700))

    def moments(self, mean: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the target where the warped value is Gaussian."""
        plain, variance = self.centre + self.spread * mean, self.spread**2 * variance
        if self.kind == "identity":
            return plain, np.sqrt(variance)
        variance = np.minimum(variance, LARGEST_VARIANCE)
        distance = np.exp(np.clip(self._sign * plain + variance / 2, -300, 300))
        return self.limit + self._sign * distance, distance * np.sqrt(np.expm1(variance))


def _plain(kind: WarpKind, limit: float, target: FloatArray) -> FloatArray:
    if kind == "identity":
        return target
    return -np.log(limit - target) if kind == "above" else np.log(target - limit)


def standardised_warp(kind: WarpKind, limit: float, target: FloatArray) -> Warp:
    """The warp that gives these targets mean 0 and deviation 1."""
    plain = _plain(kind, limit, target)
    spread = float(plain.std())
    if spread <= 1e-12 * float(np.abs(plain).max()):
        spread = 1.0
    return Warp(kind, limit, float(plain.mean()), spread)
