"""The posterior of one member of a surrogate, given the rows seen, in the notation of `planner.gaussian.equations`.

Its y are warped targets w, and its K has three kinds of noise on the diagonal: what the member learned, what is known
of each row, and a little against rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.gaussian.equations import grown_whitener, left_out, precision_diagonal, whitener_of
from planner.gaussian.kernels import NUGGET_VARIANCE, Kernel
from sampler.architecture import FloatArray, IntArray

LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Observations:
    """The rows that a posterior is conditioned on.

    Attributes:
        x: `(n, d)` features.
        w: `(n,)` warped targets.
        noise: `(n,)` known noise variances of them, which come on top of the noise that a member learns.
    """

    x: FloatArray
    w: FloatArray
    noise: FloatArray

    def rows(self, which: IntArray) -> Observations:
        """Some of the rows."""
        return Observations(self.x[which], self.w[which], self.noise[which])


class Member:
    """One Gaussian process with its hyper-parameters, conditioned on the rows seen.

    Attributes:
        kernel: The form of its covariance.
        theta: Logs of its hyper-parameters, in `Kernel.size`'s order.
        seen: The rows.
        alpha: `(n,)` inverse covariance times the warped targets.
        whitener: `(n, n)` inverse of the covariance's lower Cholesky factor.
    """

    def __init__(
        self, kernel: Kernel, theta: FloatArray, seen: Observations, whitener: FloatArray | None = None
    ) -> None:
        self.kernel, self.theta, self.seen = kernel, theta, seen
        if whitener is None:
            with self._definite(len(seen.w)):
                whitener = whitener_of(self._covariance(seen))
        self.whitener = whitener
        self.alpha = self.whitener.T @ (self.whitener @ seen.w)

    def conditioned(self, more: Observations) -> Member:
        """The same, given more rows too: what the old ones took is not computed again."""
        old = self.seen
        parts = [(getattr(old, name), getattr(more, name)) for name in ("x", "w", "noise")]
        across = self.kernel.covariance(self.theta, more.x, old.x)
        with self._definite(len(more.w)):
            whitener = grown_whitener(self.whitener, across, self._covariance(more))
        return Member(self.kernel, self.theta, Observations(*map(np.concatenate, parts)), whitener)

    def _covariance(self, seen: Observations) -> FloatArray:
        """`(n, n)` prior covariance of measurements."""
        covariance = self.kernel.covariance(self.theta, seen.x, seen.x)
        covariance[np.diag_indices(len(seen.w))] += self.noise + seen.noise + NUGGET_VARIANCE
        return covariance

    @contextmanager
    def _definite(self, rows: int) -> Iterator[None]:
        """Refuses rows whose covariance is not positive definite.

        Raises:
            PlannerError: Instead of numpy's error.
        """
        try:
            yield
        except np.linalg.LinAlgError as error:
            raise PlannerError(
                f"the covariance of {rows} rows is not positive definite (member {self.kernel.name}); give "
                "repeated rows a noise_variance"
            ) from error

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
        explained = [self.kernel.covariance(self.theta, each, self.seen.x) @ self.whitener.T for each in (x, z)]
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
        diagonal = precision_diagonal(self.whitener)
        return self.seen.w - spread * self.alpha, np.maximum(spread - spread**2 * diagonal, 0.0)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """`(n,)` mean and variance, with noise, of each row given all others."""
        residuals, variances = left_out(self.alpha, precision_diagonal(self.whitener))
        return self.seen.w - residuals, variances
