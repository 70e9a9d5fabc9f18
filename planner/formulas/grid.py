"""The best single compound rule, by the grid search of compound scaling: alpha beta^2 gamma^2 = 2 (Tan & Le 2019).

Notation: d = c^a, w = c^b, r = c^g with a + 2 b + 2 g = 1 and none negative, so that the ideal cost r^2 d w^2 is c;
alpha = 2^a, beta = 2^b and gamma = 2^g are the factors for twice the MACs. An (a, g) is scored by the mean accuracy
of its architectures over budgets c, at equal cost: the width is what the exact MACs leave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.rules import Coefficients, coefficients
from sampler.architecture import FloatArray

# Accuracies (n,) of (c, r, d), each (n,).
Score = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]

SHARES = 20  # steps of the simplex: a and 2 g in twentieths, 231 points
BUDGETS = 16  # values of c, in equal ratios over the table's range
NEAR = 0.05  # a training this near in log r, log d and log c stands at a point
FINEST = 1e-4  # step of a at which refining ends
MOST_MOVES = 400
INDISTINCT = 0.001  # accuracy: a tenth of a point, which no proxy resolves


@dataclass(frozen=True, eq=False)
class Trainings:
    """What was trained: c, r, d and accuracy, each `(n,)`."""

    c: FloatArray
    r: FloatArray
    d: FloatArray
    accuracy: FloatArray

    @property
    def logs(self) -> FloatArray:
        """`(n, 3)` logs of c, r and d."""
        return np.log(np.column_stack([self.c, self.r, self.d]))


@dataclass(frozen=True)
class Best:
    """The best rule and how it was found.

    Attributes:
        a: Exponent of depth.
        g: Exponent of resolution.
        score: Its mean accuracy over the budgets.
        points: Grid points scored: those whose r and d the trainings enclose at every budget.
        outside: Grid points left out, because they do not.
        near: Of the scored points' (rule, budget) pairs, those with a training close by.
        pairs: All of them.
        indistinct: Smallest and largest alpha, beta and gamma of scored points within a tenth of a point of the best.
    """

    a: float
    g: float
    score: float
    points: int
    outside: int
    near: int
    pairs: int
    indistinct: dict[str, list[float]]

    @property
    def coefficients(self) -> Coefficients:
        """Its alpha, beta and gamma."""
        return coefficients(self.g, self.a)

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        found = self.coefficients
        return {
            "alpha": found.alpha,
            "beta": found.beta,
            "gamma": found.gamma,
            "mean_accuracy": self.score,
            "grid_points": self.points,
            "outside_the_trainings": self.outside,
            "pairs": self.pairs,
            "pairs_near_a_training": self.near,
            "within_0.1_points": self.indistinct,
        }


def search(score: Score, trainings: Trainings, raw: bool = False) -> Best:
    """The rule of the highest mean accuracy: over a grid, then refined from its best point by the surrogate.

    Args:
        score: Expected accuracy, by a surrogate.
        trainings: What was trained; budgets lie in its range of c, and r and d of every point must in its range.
        raw: Whether, on the grid, the nearest training's observed accuracy stands for pairs that have one close by
            (carried over the remaining distance by the surrogate), instead of the surrogate's. The grid's best point
            is then the answer, unrefined.
    """
    c: FloatArray = np.geomspace(trainings.c.min(), trainings.c.max(), BUDGETS)
    grid = simplex()
    inside = _enclosed(grid, c, trainings)
    if not inside.any():  # trainings along a line, or at one place: then the surrogate alone must do
        inside[:] = True
    points = grid[inside]
    corrections, near = _nearest(points, c, trainings, score)
    scores = _means(score, points, c) + (corrections.mean(axis=1) if raw else 0.0)
    best = points[int(np.argmax(scores))]
    if not raw:
        best = _refined(score, best, c, trainings if inside.sum() < len(grid) else None)
    alike = points[scores >= scores.max() - INDISTINCT]
    return Best(
        a=float(best[0]),
        g=float(best[1]),
        score=float(_means(score, best[None], c)[0]),
        points=len(points),
        outside=len(grid) - len(points),
        near=int(near.sum()),
        pairs=int(near.size),
        indistinct=_spread(alike),
    )


def simplex(shares: int = SHARES) -> FloatArray:
    """`(n, 2)` exponents (a, g) with a + 2 b + 2 g = 1 in steps of 1 / shares, none negative."""
    pairs = [(i, k) for i in range(shares + 1) for k in range(shares + 1 - i)]
    return np.array(pairs, dtype=np.float64) / (shares, 2 * shares)


def _cells(points: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """c, r and d, each `(n, m)`, of n rules at m budgets."""
    return np.broadcast_to(c, (len(points), len(c))), c ** points[:, 1:], c ** points[:, :1]


def _means(score: Score, points: FloatArray, c: FloatArray) -> FloatArray:
    """Mean score `(n,)` of n rules over the budgets."""
    cells = _cells(points, c)
    flat: FloatArray = score(*(one.ravel() for one in cells)).reshape(cells[0].shape).mean(axis=1)
    return flat


def _enclosed(points: FloatArray, c: FloatArray, trainings: Trainings) -> Any:
    """Which rules `(n,)` stay within the trainings' r and d at every budget: beyond, a surrogate only guesses."""
    _, r, d = _cells(points, c)
    inside = np.ones(len(points), dtype=bool)
    for cells, seen in ((r, trainings.r), (d, trainings.d)):
        low, high = np.log(seen.min()) - NEAR, np.log(seen.max()) + NEAR
        inside &= ((np.log(cells) >= low) & (np.log(cells) <= high)).all(axis=1)
    return inside


def _nearest(points: FloatArray, c: FloatArray, trainings: Trainings, score: Score) -> tuple[FloatArray, Any]:
    """How far the nearest training lies above the surrogate, 0 where none is close; and where one is. `(n, m)` each."""
    from scipy.spatial import cKDTree

    cells = _cells(points, c)
    places = np.log(np.column_stack([one.ravel() for one in cells]))
    distance, row = cKDTree(trainings.logs).query(places, p=np.inf, distance_upper_bound=NEAR)
    close = np.isfinite(distance)
    above = trainings.accuracy - score(trainings.c, trainings.r, trainings.d)
    found = np.where(close, np.append(above, 0.0)[row], 0.0)
    return found.reshape(cells[0].shape), close.reshape(cells[0].shape)


def _refined(score: Score, start: FloatArray, c: FloatArray, trainings: Trainings | None) -> FloatArray:
    """The best (a, g) around a grid point, by ever smaller steps to all eight sides."""
    best, step = start, np.array([0.5 / SHARES, 0.25 / SHARES])
    sides = np.array([(0, 0), *((i, k) for i in (-1, 0, 1) for k in (-1, 0, 1) if i or k)], dtype=np.float64)
    for _ in range(MOST_MOVES):
        if step[0] < FINEST:
            break
        around = np.maximum(best + sides * step, 0.0)
        allowed = around.sum(axis=1) + around[:, 1] <= 1 + 1e-12
        if trainings is not None:
            allowed &= _enclosed(around, c, trainings)
        allowed[0] = True
        around = around[allowed]
        found = int(np.argmax(_means(score, around, c)))
        best, step = around[found], step if found else step / 2
    return best


def _spread(points: FloatArray) -> dict[str, list[float]]:
    found = [coefficients(float(g), float(a)) for a, g in points]
    return {
        name: [min(getattr(one, name) for one in found), max(getattr(one, name) for one in found)]
        for name in ("alpha", "beta", "gamma")
    }
