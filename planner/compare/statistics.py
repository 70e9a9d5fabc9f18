"""Means over seeds and paired differences, with intervals of Student's t."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainer.score import Score

SEEDS_LEVEL = 0.95


@dataclass(frozen=True)
class MeanEstimate:
    """A mean and its interval, mean - half to mean + half.

    Attributes:
        mean: Mean of the values.
        half: Half the width of the interval; None of one value, which has none.
        n: Number of values.
    """

    mean: float
    half: float | None
    n: int

    def shown(self, score: Score) -> MeanEstimate:
        """The same of a score's values, or of their differences, where this is of merits."""
        return replace(self, mean=score.merit(self.mean))

    @property
    def sure(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.half is not None and abs(self.mean) > self.half

    def as_dict(self) -> dict[str, float | int | None]:
        """In JSON's types."""
        low, high = (None, None) if self.half is None else (self.mean - self.half, self.mean + self.half)
        return {"mean": self.mean, "lower": low, "upper": high, "n": self.n}


def mean_interval(values: Sequence[float], level: float = SEEDS_LEVEL) -> MeanEstimate | None:
    """The mean of independent values with its t-interval: mean +- t(n - 1) s / sqrt(n).

    Args:
        values: `(n,)` values.
        level: Level of the interval, in (0, 1).

    Returns:
        None of no values.

    Example:
        >>> found = mean_interval([0.60, 0.62, 0.64])
        >>> round(found.mean, 2), round(found.half, 4)  # t(2) = 4.303, s = 0.02
        (0.62, 0.0497)
    """
    from scipy.special import stdtrit

    n = len(values)
    if n == 0:
        return None
    mean = float(np.mean(values))
    if n == 1:
        return MeanEstimate(mean, None, 1)
    times = float(stdtrit(n - 1, 0.5 + level / 2))
    return MeanEstimate(mean, times * float(np.std(values, ddof=1)) / math.sqrt(n), n)


def paired_difference(
    ours: Mapping[int, float], theirs: Mapping[int, float], level: float = SEEDS_LEVEL
) -> MeanEstimate | None:
    """The mean difference of values that share a seed, with its t-interval.

    Args:
        ours: Values by seed.
        theirs: Values that are taken off them, by seed; seeds of one side alone are left out.
        level: Level of the interval.

    Returns:
        None where they share no seed.
    """
    return mean_interval([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())], level)
