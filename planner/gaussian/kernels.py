"""Covariances of the members, and their derivatives, in numpy.

    k(x, z) = 1 + a x.z / d + b m(|(x - z) / l|)            joint:    m is Matern-5/2, one length-scale l per group
    k(x, z) = 1 + a x.z / d + b mean_j m(|x_j - z_j| / l_j)  additive

(Rasmussen & Williams 2006, section 4.2). The linear part is in every member: away from the rows seen a member falls
back on a line, not on a constant. The constant's variance is 1 because the target is standardised.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sampler.architecture import FloatArray

_Form = Literal["linear", "joint", "additive"]
FORMS: tuple[_Form, ...] = ("linear", "joint", "additive")
CONSTANT = 1.0
JITTER = 1e-8


@dataclass(frozen=True)
class Kernel:
    """The form of a member's covariance.

    Attributes:
        name: Of the member.
        form: `linear`, `joint` or `additive`.
        groups: For each of the d features the number of its length-scale; empty where linear.
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
                total += share * _correlation(squared)
        return total

    def paired(self, theta: FloatArray, x: FloatArray, z: FloatArray) -> FloatArray:
        """`(n,)` covariances of each row of `(n, d)` features with the same row of others."""
        total: FloatArray = CONSTANT + math.exp(theta[0]) / max(x.shape[1], 1) * (x * z).sum(1)
        if self.form == "linear":
            return total
        squared = ((x - z) / self.lengths(theta)) ** 2
        parts = _correlation(squared).mean(1) if self.form == "additive" else _correlation(squared.sum(1))
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


def _correlation(squared: FloatArray) -> FloatArray:
    """Matern-5/2 of squared distances, in their place."""
    squared *= 5
    root = np.sqrt(squared)
    squared /= 3
    squared += root
    squared += 1
    np.negative(root, out=root)
    squared *= np.exp(root, out=root)
    return squared


def matern(squared: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Matern-5/2 of squared distances, and -2 times its derivative by them."""
    root = np.sqrt(5 * squared)
    decay = np.exp(-root)
    return (1 + root + root * root / 3) * decay, (5 / 3) * (1 + root) * decay


def length_gradient(sides: FloatArray, x: FloatArray) -> FloatArray:
    """`(d,)` half the sum over pairs of sides (n, n, symmetric) times (x_ij - x_kj)^2."""
    gradient: FloatArray = (x * x).T @ sides.sum(1) - ((sides @ x) * x).sum(0)
    return gradient
