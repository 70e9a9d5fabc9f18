"""The winner's curse: the best of many expectations is too high, because what is overrated is chosen more often.

How much so is measured by making the decision with rows that are known: some are held out, the mixture fitted to the
others chooses among them for ten budgets, and what it expected of its choices is compared with what was measured. Their
noise is no help to them, because they were not chosen by it; it makes the comparison less exact, and counts so.

A choice among a few held-out rows is not as sharp as one among all that could be built. So a prior says what to expect
of that, in posterior standard deviations: the more inputs, the more directions there are in which one can be overrated.
The rows that were held out say how far this task departs from the share of it that shows among them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planner.gaussian.mixture import Mixture
from planner.surrogates.mixture import refitted
from planner.surrogates.surrogate import Surrogate
from planner.surrogates.validate import folds_of
from sampler.architecture import FloatArray, IntArray

PER_INPUT, _MOST = 0.05, 1.0  # posterior standard deviations of optimism: per input, and at most
DEVIATION = 0.3  # of a task's optimism from that guess, in the same unit
SHOWN = 0.25  # share of it that shows among held-out rows
_REPEATS, _FOLDS = 3, 3
_BUDGETS = 10
_FEWEST, _MOST_ROWS = (
    12,
    400,
)  # rows: with fewer the guess stands, and with more, where there is little left to be wrong


@dataclass(frozen=True)
class Optimism:
    """How far an answer's expectation is too high.

    Attributes:
        bias: Distance in posterior standard deviations.
        deviation: Uncertainty of that, in the same unit.
        winners: Held-out rows that were chosen, on which it rests; 0 where it is the guess alone.
    """

    bias: float = 0.0
    deviation: float = 0.0
    winners: int = 0


def optimism_of(
    surrogate: Surrogate,
    tried: FloatArray,
    target: FloatArray,
    score: Callable[[FloatArray, FloatArray], FloatArray],
    seed: int,
) -> Optimism:
    """What the decision's expectations were too high by, on rows that were held out.

    Args:
        surrogate: Surrogate that was fitted to all rows.
        tried: `(t, k + 1)` rows that were trained, in the order of the rows that it has seen.
        target: `(t,)` measurements.
        score: Function that gives what a decision maximises, of rows and what is expected of them.
        seed: Random seed of the folds.
    """
    inputs = len(surrogate.mixture.features.kept) - 1
    guess = min(PER_INPUT * inputs, _MOST)
    if not _FEWEST <= len(tried) <= _MOST_ROWS:
        return Optimism(guess, DEVIATION)
    winners = [_winners(surrogate, tried, target, score, seed + repeat) for repeat in range(_REPEATS)]
    excess, posterior, total = np.concatenate(winners, axis=1)
    # A line through the origin, excess = bias * posterior deviation + noise; each row counts once, not once a repeat.
    known = float(np.sum((posterior / total) ** 2)) / _REPEATS
    shown = float(np.sum(excess * posterior / total**2)) / _REPEATS / max(known, 1e-12)
    share = known / (known + DEVIATION**-2)
    bias = guess + share * (shown - SHOWN * guess)
    return Optimism(max(bias, 0.0), float((known + DEVIATION**-2) ** -0.5), len(excess))


def _winners(
    surrogate: Surrogate,
    tried: FloatArray,
    target: FloatArray,
    score: Callable[[FloatArray, FloatArray], FloatArray],
    seed: int,
) -> FloatArray:
    """`(3, n)`: by what held-out choices were expected too high, their posterior deviations, and those with noise."""
    folds = folds_of(tried, seed, _FOLDS)
    winners = []
    for fold in range(int(folds.max()) + 1):
        out = np.flatnonzero(folds == fold)
        part = refitted(surrogate.mixture, np.flatnonzero(folds != fold), seed)
        mean, posterior, total = _moments(part, surrogate.scale, tried[out])
        chosen = choices(score(tried[out], mean), tried[out, -1])
        winners.append(np.array([mean - target[out], posterior, total])[:, chosen])
    return np.concatenate(winners, axis=1)


def choices(scores: FloatArray, cost: FloatArray) -> IntArray:
    """The different rows that are best for one of ten budgets between the cheapest row's cost and the dearest's."""
    budgets = np.geomspace(cost.min(), cost.max(), _BUDGETS) * (1 + 1e-9)
    best = [int(np.argmax(np.where(cost <= budget, scores, -np.inf))) for budget in budgets]
    return np.unique(best)


def _moments(mixture: Mixture, scale: float, matrix: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    w, variance = mixture.at(mixture.features.of(matrix))
    mean, total = mixture.warp.moments(w, scale**2 * (variance + mixture.noise))
    return mean, mixture.warp.moments(w, scale**2 * variance)[1], total
