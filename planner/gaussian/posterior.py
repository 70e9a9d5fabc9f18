"""Posteriors of members given the rows seen, and their mixture, in numpy (Rasmussen & Williams 2006, algorithm 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.gaussian.features import Features
from planner.gaussian.kernels import JITTER, Kernel
from planner.gaussian.warps import Warp
from sampler.architecture import FloatArray, IntArray

_CHUNK = 4096  # rows predicted at a time
BLOCK = 64  # rows below which a triangular inverse is taken as any other
LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Seen:
    """The rows that a posterior is conditioned on.

    Attributes:
        x: `(n, d)` features.
        w: `(n,)` warped targets.
        noise: `(n,)` known noise variances of them, which come on top of the noise that a member learns.
    """

    x: FloatArray
    w: FloatArray
    noise: FloatArray

    def rows(self, which: IntArray) -> Seen:
        """Some of the rows."""
        return Seen(self.x[which], self.w[which], self.noise[which])


class Member:
    """One Gaussian process with its hyper-parameters, conditioned on the rows seen.

    Attributes:
        kernel: The form of its covariance.
        theta: Logs of its hyper-parameters, in `Kernel.size`'s order.
        seen: The rows.
        alpha: `(n,)` inverse covariance times the warped targets.
        whitener: `(n, n)` inverse of the covariance's lower Cholesky factor.
    """

    def __init__(self, kernel: Kernel, theta: FloatArray, seen: Seen, whitener: FloatArray | None = None) -> None:
        self.kernel, self.theta, self.seen = kernel, theta, seen
        self.whitener = self._whitener_of(self._covariance(seen)) if whitener is None else whitener
        self.alpha = self.whitener.T @ (self.whitener @ seen.w)

    def conditioned(self, more: Seen) -> Member:
        """The same, given more rows too: what the old ones took is not computed again."""
        old, n = self.seen, len(self.seen.w)
        seen = Seen(*(np.concatenate([getattr(one, name) for one in (old, more)]) for name in ("x", "w", "noise")))
        explained = self.kernel.covariance(self.theta, more.x, old.x) @ self.whitener.T
        corner = self._whitener_of(self._covariance(more) - explained @ explained.T)
        whitener = np.zeros((len(seen.w), len(seen.w)))
        whitener[:n, :n], whitener[n:, n:] = self.whitener, corner
        whitener[n:, :n] = -corner @ (explained @ self.whitener)
        return Member(self.kernel, self.theta, seen, whitener)

    def _covariance(self, seen: Seen) -> FloatArray:
        """`(n, n)` prior covariance of measurements."""
        covariance = self.kernel.covariance(self.theta, seen.x, seen.x)
        covariance[np.diag_indices(len(seen.w))] += self.noise + seen.noise + JITTER
        return covariance

    def _whitener_of(self, covariance: FloatArray) -> FloatArray:
        """The inverse of a covariance's lower Cholesky factor.

        Raises:
            PlannerError: If the covariance is not positive definite.
        """
        try:
            factor: FloatArray = np.linalg.cholesky(covariance).astype(np.float64, copy=False)
        except np.linalg.LinAlgError as error:
            raise PlannerError(
                f"the covariance of {len(covariance)} rows is not positive definite (member {self.kernel.name}); give "
                "repeated rows a noise_variance"
            ) from error
        return _inverse_of_lower(factor)

    @property
    def noise(self) -> float:
        """The noise variance it learned."""
        return float(np.exp(self.theta[1]))

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`(n,)` means and variances, without noise, at `(n, d)` features; in the features' precision."""
        single = x.dtype == np.float32
        seen, whitener, alpha = self._single if single else (self.seen.x, self.whitener, self.alpha)
        covariance = self.kernel.covariance(self.theta, x, seen)
        explained = covariance @ whitener.T
        variance = self.kernel.variance(self.theta, x) - np.einsum("ij,ij->i", explained, explained)
        return covariance @ alpha, np.maximum(variance, LEAST_VARIANCE)

    def mean(self, x: FloatArray) -> FloatArray:
        """`(n,)` means at `(n, d)` features."""
        result: FloatArray = self.kernel.covariance(self.theta, x, self.seen.x) @ self.alpha
        return result

    def covariance(self, x: FloatArray, z: FloatArray, paired: bool = False) -> FloatArray:
        """`(n, q)` covariances, given the rows seen, of `(n, d)` with `(q, d)` features, without noise.

        Where `paired`, `(n,)`: of each row with the same row of the others.
        """
        explained = [self.kernel.covariance(self.theta, one, self.seen.x) @ self.whitener.T for one in (x, z)]
        if paired:
            result: FloatArray = self.kernel.paired(self.theta, x, z) - np.einsum("ij,ij->i", *explained)
        else:
            result = self.kernel.covariance(self.theta, x, z) - explained[0] @ explained[1].T
        return result

    @cached_property
    def _single(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        parts: list[Any] = [part.astype(np.float32) for part in (self.seen.x, self.whitener, self.alpha)]
        return parts[0], parts[1], parts[2]

    def reached(self, share: float) -> tuple[FloatArray, FloatArray]:
        """`(n,)` mean and variance of the true value of each row seen: see `Mixture.reached`."""
        spread = self.seen.noise + share * self.noise
        precision = np.einsum("ij,ij->j", self.whitener, self.whitener)
        return self.seen.w - spread * self.alpha, np.maximum(spread - spread**2 * precision, 0.0)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """`(n,)` mean and variance, with noise, of each row given all others (equations 5.12)."""
        precision = np.einsum("ij,ij->j", self.whitener, self.whitener)
        return self.seen.w - self.alpha / precision, 1 / precision


def _inverse_of_lower(factor: FloatArray) -> FloatArray:
    """Inverse of a lower triangular matrix, by halves: numpy has no triangular solver, and a general one takes 6 x."""
    n = len(factor)
    if n <= BLOCK:
        return np.tril(np.linalg.inv(factor))
    half = n // 2
    inverse = np.zeros_like(factor)
    inverse[:half, :half] = first = _inverse_of_lower(factor[:half, :half])
    inverse[half:, half:] = second = _inverse_of_lower(factor[half:, half:])
    inverse[half:, :half] = -second @ (factor[half:, :half] @ first)
    return inverse


@dataclass(frozen=True, eq=False)
class Mixture:
    """Members, their `(m,)` weights, and how rows become features and warped targets."""

    features: Features
    warp: Warp
    members: tuple[Member, ...]
    weights: FloatArray

    @property
    def seen(self) -> Seen:
        """The rows that it is conditioned on."""
        return self.members[0].seen

    @property
    def noise(self) -> float:
        """Noise variance of the warped target."""
        return float(self.weights @ np.array([member.noise for member in self.members]))

    def at(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`(n,)` means and variances, without noise, of the warped target at `(n, d)` features.

        Features of float32 are computed in it, in half the time and to about three digits of a standard deviation.
        """
        mean, variance = np.empty(len(x)), np.empty(len(x))
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            mean[part], variance[part] = self._mixed(*zip(*(one.predict(x[part]) for one in self.members), strict=True))
        return mean, variance

    def means(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`(n,)` means as `at` gives them, and what the variances there at least are: how far the members disagree."""
        mean, spread = np.empty(len(x)), np.empty(len(x))
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            each = np.array([one.mean(x[part]) for one in self.members])
            mean[part] = self.weights @ each
            spread[part] = self.weights @ (each - mean[part]) ** 2
        return mean, spread

    def covariance(self, x: FloatArray, z: FloatArray, paired: bool = False) -> FloatArray:
        """As a member's: the members' mean, and how far they disagree about both in the same direction."""
        found: list[FloatArray] = []
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            others = z[part] if paired else z
            within = sum(w * one.covariance(x[part], others, paired) for w, one in self._weighed)
            off, away = (self._disagreement(rows) for rows in (x[part], others))
            between = (off * self.weights[:, None]).T @ away if not paired else self.weights @ (off * away)
            found.append(within + between)
        return np.concatenate(found) if found else np.empty((0,) if paired else (0, len(z)))

    @property
    def _weighed(self) -> list[tuple[float, Member]]:
        return list(zip(self.weights.tolist(), self.members, strict=True))

    def _disagreement(self, x: FloatArray) -> FloatArray:
        """`(m, n)` how far each member's mean lies from that of all."""
        means = np.array([one.predict(x)[0] for one in self.members])
        away: FloatArray = means - self.weights @ means
        return away

    def conditioned(self, x: FloatArray, w: FloatArray, noise: FloatArray) -> Mixture:
        """The same members and weights, given more rows: `(q, d)` features, `(q,)` warped targets, noise variances."""
        return replace(self, members=tuple(one.conditioned(Seen(x, w, noise)) for one in self.members))

    def reached(self, share: float = 1.0) -> tuple[FloatArray, FloatArray]:
        """`(n,)` mean and variance of the true warped value of each row seen.

        Args:
            share: How much of the noise that was learned is noise of measuring; the rest is what sets one row truly
                apart from its neighbours. Known noise of measuring comes on top. Without either, what was measured is
                what is true.
        """
        return self._mixed(*zip(*(one.reached(share) for one in self.members), strict=True))

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """`(n,)` mean and variance, with noise, of each row seen given all others."""
        return self._mixed(*zip(*(one.leave_one_out() for one in self.members), strict=True))

    def _mixed(self, means: Sequence[FloatArray], variances: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
        mean = self.weights @ np.array(means)
        return mean, self.weights @ (np.array(variances) + (np.array(means) - mean) ** 2)
