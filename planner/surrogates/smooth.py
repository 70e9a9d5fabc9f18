"""Smooth curves: how each input of the best rows changes with the cost, and how far a row lies from all of them.

An answer is drawn to them a little: of two rows of which as much is expected the one that is like its neighbours on the
front, at cheaper and dearer budgets, is the likelier one to keep it.

A curve is a parabola of the standardised log cost, by ridge regression: an input that does not change with the cost is
the guess, a line the next one. A front has some ten points; Gaussian processes over them answer no better.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from planner.front import pareto
from planner.gaussian.mixture import Mixture
from sampler.architecture import FloatArray

# Of the constant, the slope and the bend: rows of standardised features that would weigh as much as these guesses.
RIDGE = (1e-3, 0.5, 1.0)


@dataclass(frozen=True, eq=False)
class SmoothCurves:
    """Each feature of good rows over the cost.

    Attributes:
        centre: Log cost of the middle.
        spread: Divisor of distances from it.
        coefficients: `(3, d)` constant, slope and bend of each of d features, the cost's left out; d may be 0.
    """

    centre: float = 0.0
    spread: float = 1.0
    coefficients: FloatArray = field(default_factory=lambda: np.empty((len(RIDGE), 0)))

    def at(self, cost: FloatArray) -> FloatArray:
        """`(n, d)` features on the curves at `(n,)` costs."""
        return self._powers(cost) @ self.coefficients

    def distances(self, x: FloatArray, cost: FloatArray) -> FloatArray:
        """`(n,)` mean squared distance of `(n, d)` features from the curves at their `(n,)` costs; 0 without curves."""
        if not self.coefficients.shape[1]:
            return np.zeros(len(cost))
        return np.asarray(((x - self.at(cost)) ** 2).mean(axis=1), dtype=np.float64)

    def _powers(self, cost: FloatArray) -> FloatArray:
        x = (np.log(cost) - self.centre) / self.spread
        return np.vander(x, len(RIDGE), increasing=True)


def smooth_curves(mixture: Mixture, tried: FloatArray, reached: FloatArray, seed: int) -> SmoothCurves:
    """The curves through the best rows, as NSGA-III selects them.

    Args:
        mixture: Mixture of whose features they are.
        tried: `(t, k + 1)` rows that were trained.
        reached: `(t,)` believed values of them.
        seed: Random seed of ties between equally good rows.
    """
    front = pareto.nsga3_rows(reached, tried[:, -1], seed=seed)
    costs = np.log(tried[:, -1])
    empty = SmoothCurves(float(costs.mean()), float(costs.std()) or 1.0)
    powers, x = empty._powers(tried[front, -1]), features_but_cost(mixture, tried[front])
    coefficients: FloatArray = np.linalg.solve(powers.T @ powers + np.diag(RIDGE), powers.T @ x).astype(np.float64)
    return SmoothCurves(empty.centre, empty.spread, coefficients)


def features_but_cost(mixture: Mixture, matrix: FloatArray) -> FloatArray:
    """`(n, d)` features of rows, without the cost's."""
    features = mixture.features
    kept = [place for place, column in enumerate(features.kept) if column < len(features.names) - 1]
    return features.of(matrix)[:, kept]
