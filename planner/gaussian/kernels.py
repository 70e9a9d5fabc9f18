"""Correlations, and the covariances that are made of them, with their derivatives, in numpy.

Notation (Rasmussen & Williams 2006, section 4.2), for a distance r in length scales:

    rbf         exp(-r^2 / 2)                                     Eq. 4.9
    matern32    (1 + s) exp(-s),            s = sqrt(3) r         Eq. 4.17
    matern52    (1 + s + s^2 / 3) exp(-s),  s = sqrt(5) r         Eq. 4.17

A curve over a budget has the covariance (x, z are numbers: c, or log c)

    k(x, z) = a x z + b rbf(|x - z| / l)

and a member of a surrogate (x, z are d features)

    k(x, z) = 1 + a x.z / d + b m(|(x - z) / l|)                  joint: m is matern52, one length-scale l per group
    k(x, z) = 1 + a x.z / d + b mean_j m(|x_j - z_j| / l_j)       additive

The linear part is in both: away from the data a line is left, not a constant. The constant's variance is 1 because the
target is standardised.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sampler.architecture import FloatArray

_Form = Literal["linear", "joint", "additive"]
KERNEL_FORMS: tuple[_Form, ...] = ("linear", "joint", "additive")
CONSTANT = 1.0
# On the diagonal of a covariance of standardised values, against rounding.
NUGGET_VARIANCE = 1e-8


def rbf(x: FloatArray, z: FloatArray, length_scale: float) -> FloatArray:
    """`(n, q)` squared exponential correlations of `(n,)` with `(q,)` numbers."""
    distance = (x[:, None] - z[None, :]) / length_scale
    correlation: FloatArray = np.exp(-0.5 * distance**2)
    return correlation


def curve_covariance(
    x: FloatArray, z: FloatArray, slope_variance: float, variance: float, length_scale: float
) -> FloatArray:
    """`(n, q)` covariances of a curve's values at `(n,)` and at `(q,)` numbers: a line through 0 and an RBF kernel."""
    covariance: FloatArray = slope_variance * np.outer(x, z) + variance * rbf(x, z, length_scale)
    return covariance


def matern32(distances: FloatArray) -> FloatArray:
    """Matern-3/2 correlations of distances in length scales, of any shape."""
    scaled = math.sqrt(3) * distances
    correlation: FloatArray = (1 + scaled) * np.exp(-scaled)
    return correlation


def matern32_length_slope(scaled: FloatArray, correlations: FloatArray) -> FloatArray:
    """Derivatives of Matern-3/2 by the log of the length scale: s^2 exp(-s), which is the correlation s^2 / (1 + s).

    Args:
        scaled: Distances in length scales, times sqrt(3).
        correlations: Their correlations, or products with them, whose derivatives are then given.
    """
    slopes: FloatArray = correlations * scaled**2 / (1 + scaled)
    return slopes


def matern52(squared: FloatArray) -> FloatArray:
    """Matern-5/2 correlations of squared distances in length scales, in their place."""
    squared *= 5
    root = np.sqrt(squared)
    squared /= 3
    squared += root
    squared += 1
    np.negative(root, out=root)
    squared *= np.exp(root, out=root)
    return squared


def matern52_with_slope(squared: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Matern-5/2 correlations of squared distances in length scales, and -2 times their derivatives by them."""
    root = np.sqrt(5 * squared)
    decay = np.exp(-root)
    return (1 + root + root * root / 3) * decay, (5 / 3) * (1 + root) * decay


@dataclass(frozen=True)
class Kernel:
    """The form of a member's covariance.

    Attributes:
        name: Name of the member.
        form: `linear`, `joint` or `additive`.
        groups: Number of the length-scale of each of the d features; empty where linear.
    """

    name: str
    form: _Form
    groups: tuple[int, ...] = ()

    @property
    def scales(self) -> int:
        """How many length-scales there are."""
        return max(self.groups) + 1 if self.groups else 0

    @property
    def size(self) -> int:
        """How many hyper-parameters there are: logs of a, of the noise variance, of b, and of each l."""
        return 3 + self.scales if self.form != "linear" else 2

    def linear(self, theta: FloatArray, x: FloatArray, z: FloatArray) -> FloatArray:
        """`(n, q)` linear part."""
        part: FloatArray = math.exp(theta[0]) / max(x.shape[1], 1) * (x @ z.T)
        return part

    def distances(self, theta: FloatArray, x: FloatArray, z: FloatArray) -> Iterator[FloatArray]:
        """`(n, q)` squared scaled distances: one array if joint, one per feature if additive."""
        if self.form == "linear":
            return
        lengths = self.lengths(theta).astype(x.dtype, copy=False)  # float32 where the features are
        x, z = x / lengths, z / lengths
        if self.form == "joint":
            yield np.maximum((x * x).sum(1)[:, None] + (z * z).sum(1) - 2 * (x @ z.T), 0)
        else:
            for j in range(x.shape[1]):
                yield (x[:, j, None] - z[:, j]) ** 2

    def lengths(self, theta: FloatArray) -> FloatArray:
        """`(d,)` length-scale of each feature."""
        lengths: FloatArray = np.exp(theta[3:])[list(self.groups)]
        return lengths

    def covariance(self, theta: FloatArray, x: FloatArray, z: FloatArray) -> FloatArray:
        """`(n, q)` covariances between rows of `(n, d)` and of `(q, d)` features."""
        total = self.linear(theta, x, z)
        total += CONSTANT
        if self.form != "linear":
            share = math.exp(theta[2]) / (x.shape[1] if self.form == "additive" else 1)
            for squared in self.distances(theta, x, z):
                total += share * matern52(squared)
        return total

    def paired(self, theta: FloatArray, x: FloatArray, z: FloatArray) -> FloatArray:
        """`(n,)` covariances of each row of `(n, d)` features with the same row of others."""
        total: FloatArray = CONSTANT + math.exp(theta[0]) / max(x.shape[1], 1) * (x * z).sum(1)
        if self.form == "linear":
            return total
        squared = ((x - z) / self.lengths(theta)) ** 2
        parts = matern52(squared).mean(1) if self.form == "additive" else matern52(squared.sum(1))
        return total + math.exp(theta[2]) * parts

    def departure(self, theta: FloatArray, x: FloatArray, z: FloatArray) -> FloatArray:
        """`(n,)` prior variances of the difference between each row of `(n, d)` features and the same row of others."""
        apart = self.variance(theta, x) + self.variance(theta, z) - 2 * self.paired(theta, x, z)
        return np.maximum(apart, 0.0)

    def variance(self, theta: FloatArray, x: FloatArray) -> FloatArray:
        """`(n,)` prior variances of rows of `(n, d)` features."""
        kernel = 0.0 if self.form == "linear" else math.exp(theta[2])
        variance: FloatArray = CONSTANT + kernel + math.exp(theta[0]) / max(x.shape[1], 1) * (x * x).sum(1)
        return variance


def length_gradient(sides: FloatArray, x: FloatArray) -> FloatArray:
    """`(d,)` half the sum over pairs of sides (n, n, symmetric) times (x_ij - x_kj)^2."""
    gradient: FloatArray = (x * x).T @ sides.sum(1) - ((sides @ x) * x).sum(0)
    return gradient
