"""A mixture of members: one posterior of a warped target, whose spread also says how far the members disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.gaussian.features import Features
from planner.gaussian.posterior import Member, Observations
from planner.gaussian.warps import Warp
from sampler.architecture import FloatArray

_CHUNK = 4096  # rows predicted at a time


@dataclass(frozen=True, eq=False)
class Mixture:
    """Members, their `(m,)` weights, and how rows become features and warped targets."""

    features: Features
    warp: Warp
    members: tuple[Member, ...]
    weights: FloatArray

    @property
    def seen(self) -> Observations:
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
            mean[part], variance[part] = self._mixed(
                *zip(*(member.predict(x[part]) for member in self.members), strict=True)
            )
        return mean, variance

    def means(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`(n,)` means as `at` gives them, and what the variances there at least are: how far the members disagree."""
        mean, spread = np.empty(len(x)), np.empty(len(x))
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            each = np.array([member.mean(x[part]) for member in self.members])
            mean[part] = self.weights @ each
            spread[part] = self.weights @ (each - mean[part]) ** 2
        return mean, spread

    def covariance(self, x: FloatArray, z: FloatArray, paired: bool = False) -> FloatArray:
        """As a member's: the members' mean, and how far they disagree about both in the same direction."""
        parts: list[FloatArray] = []
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            others = z[part] if paired else z
            within = sum(w * member.covariance(x[part], others, paired) for w, member in self._weighed)
            off, away = (self._disagreement(rows) for rows in (x[part], others))
            between = (off * self.weights[:, None]).T @ away if not paired else self.weights @ (off * away)
            parts.append(within + between)
        return np.concatenate(parts) if parts else np.empty((0,) if paired else (0, len(z)))

    @property
    def _weighed(self) -> list[tuple[float, Member]]:
        return list(zip(self.weights.tolist(), self.members, strict=True))

    def _disagreement(self, x: FloatArray) -> FloatArray:
        """`(m, n)` how far each member's mean lies from that of all."""
        means = np.array([member.predict(x)[0] for member in self.members])
        away: FloatArray = means - self.weights @ means
        return away

    def conditioned(self, x: FloatArray, w: FloatArray, noise: FloatArray) -> Mixture:
        """The same members and weights, given more rows: `(q, d)` features, `(q,)` warped targets, noise variances."""
        return replace(self, members=tuple(member.conditioned(Observations(x, w, noise)) for member in self.members))

    def reached(self, share: float = 1.0) -> tuple[FloatArray, FloatArray]:
        """`(n,)` mean and variance of the true warped value of each row seen.

        Args:
            share: Share of the learned noise that is noise of measuring; the rest is what sets one row truly
                apart from its neighbours. Known noise of measuring comes on top. Without either, what was measured is
                what is true.
        """
        return self._mixed(*zip(*(member.reached(share) for member in self.members), strict=True))

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """`(n,)` mean and variance, with noise, of each row seen given all others."""
        return self._mixed(*zip(*(member.leave_one_out() for member in self.members), strict=True))

    def _mixed(self, means: Sequence[FloatArray], variances: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
        mean = self.weights @ np.array(means)
        return mean, self.weights @ (np.array(variances) + (np.array(means) - mean) ** 2)
