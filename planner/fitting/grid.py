"""The best single compound rule, by the grid search of compound scaling: alpha beta^2 gamma^2 = 2 (Tan & Le 2019).

Notation: d ~ c^a, w ~ c^b, r ~ c^g with a + 2 b + 2 g = 1, so that the ideal cost r^2 d w^2 is c; alpha = 2^a,
beta = 2^b and gamma = 2^g are the factors for twice the MACs. A rule passes through an anchor: the base network
(c = r = d = 1), as the paper has it, or the best training of the middle budget, from which a rule of small networks
need not come back to a base network far above them. An (a, g) is scored by the mean accuracy of its architectures over
budgets c, at equal cost: the width is what the exact MACs leave. Exponents may be negative: where the anchor spends
too much on a dimension, the rule gives some of it back as it grows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.formulas.coefficients import Coefficients, coefficients
from sampler.architecture import FloatArray
from sampler.grid_design import SHARES, simplex

# Accuracies (n,) of (c, r, d), each (n,); and whether there are such networks.
_Score = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
Buildable = Callable[[FloatArray, FloatArray, FloatArray], NDArray[np.bool_]]

LEAST = -0.5  # of a, 2 b and 2 g: twice the MACs take at most 30 % of the blocks away
GRID_BUDGETS = 16  # values of c, in equal ratios over the table's range
NEAR_TRAINING = 0.05  # a training this near in log r, log d and log c stands at a point
FINEST = 1e-4  # step of a at which refining ends
_MOST_MOVES = 400
INDISTINCT = 0.001  # of accuracies, a tenth of a point, which no proxy resolves; of other scores, of their range
_BLOCKS = 4  # of neighbouring budgets, left out one after the other to choose the anchor


@dataclass(frozen=True, eq=False)
class Trainings:
    """What was trained: c, r, d and accuracy, each `(n,)`; and which networks of the same kind can be built (all).

    Accuracies that differ by less than `INDISTINCT` times `scale` count as the same.
    """

    c: FloatArray
    r: FloatArray
    d: FloatArray
    accuracy: FloatArray
    buildable: Buildable | None = None
    scale: float = 1.0

    @property
    def logs(self) -> FloatArray:
        """`(n, 3)` logs of c, r and d."""
        return np.log(np.column_stack([self.c, self.r, self.d]))


@dataclass(frozen=True)
class Anchor:
    """What a rule passes through.

    Attributes:
        c: MACs over the base network's.
        r: Resolution multiplier.
        d: Depth multiplier.
        row: Row of the training in its table; None for the base network.
    """

    c: float = 1.0
    r: float = 1.0
    d: float = 1.0
    row: int | None = None

    def at(self, points: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """c, r and d, each `(n, m)`, of `(n, 2)` rules (a, g) through this anchor at m budgets."""
        share = c / self.c
        return (
            np.broadcast_to(c, (len(points), len(c))),
            self.r * share ** points[:, 1:],
            self.d * share ** points[:, :1],
        )


BASE = Anchor()


@dataclass(frozen=True)
class Best:
    """The best rule and how it was found.

    Attributes:
        anchor: Point that it passes through.
        a: Exponent of depth.
        g: Exponent of resolution.
        score: Mean accuracy over the budgets.
        points: Grid points scored: those that can be built and whose r and d the trainings enclose, at every budget.
        outside: Grid points left out, because they are not.
        near: Number of the scored points' (rule, budget) pairs with a training close by.
        pairs: Number of all pairs.
        indistinct: Smallest and largest alpha, beta and gamma of scored points within a tenth of a point of the best.
        left_out: Mean accuracy at budgets that were left out of the choice of a rule: through the base network, and
            through the best training of the middle budget.
    """

    anchor: Anchor
    a: float
    g: float
    score: float
    points: int
    outside: int
    near: int
    pairs: int
    indistinct: dict[str, list[float]]
    left_out: tuple[float, float]

    @property
    def coefficients(self) -> Coefficients:
        """Its alpha, beta and gamma."""
        return coefficients(self.g, self.a)

    @property
    def mostly_outside(self) -> bool:
        """Whether most of the grid was left out, so that the best is only the best of few."""
        return self.outside > self.points

    @property
    def at_one(self) -> tuple[float, float]:
        """The rule's r and d at c = 1."""
        return self.anchor.r * self.anchor.c**-self.g, self.anchor.d * self.anchor.c**-self.a

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
            "mostly_outside": self.mostly_outside,
            "anchor": {name: getattr(self.anchor, name) for name in "crd"},
            "left_out_accuracy": dict(zip(("through_base", "through_training"), self.left_out, strict=True)),
            "pairs": self.pairs,
            "pairs_near_a_training": self.near,
            "within_0.1_points": self.indistinct,
        }


def search(score: _Score, trainings: Trainings, raw: bool = False, worth: FloatArray | None = None) -> Best:
    """The rule of the highest mean accuracy: over a grid, then refined from its best point by the surrogate.

    It passes through the base network unless the best training of the middle budget is the better anchor, by more than
    a tenth of a point at budgets that were left out when the rule was chosen.

    Args:
        score: Expected accuracy, by a surrogate.
        trainings: Trainings; budgets lie in its range of c, and r and d of every point must in its range.
        raw: Whether, on the grid, the nearest training's observed accuracy stands for pairs that have one close by
            (carried over the remaining distance by the surrogate), instead of the surrogate's. The grid's best point
            is then the answer, unrefined.
        worth: `(n,)` accuracies by which the best training is told; those observed by default.
    """
    c: FloatArray = np.geomspace(trainings.c.min(), trainings.c.max(), GRID_BUDGETS)
    through = BASE, _middle(trainings, trainings.accuracy if worth is None else worth)
    scored = [_Scored.of(score, trainings, one, c, raw) for one in through]
    base, training = left_out = scored[0].left_out(), scored[1].left_out()
    closer = scored[1].enclosed and not scored[0].enclosed  # a surrogate knows something of the one alone
    return scored[int(closer or training > base + INDISTINCT * trainings.scale)].best(score, raw, left_out)


def _middle(trainings: Trainings, worth: FloatArray) -> Anchor:
    """The best training up to the middle of the trainings' range of c."""
    middle = math.sqrt(trainings.c.min() * trainings.c.max())
    row = int(np.argmax(np.where(trainings.c <= middle * (1 + NEAR_TRAINING), worth, -np.inf)))
    return Anchor(float(trainings.c[row]), float(trainings.r[row]), float(trainings.d[row]), row)


@dataclass(frozen=True, eq=False)
class _Scored:
    """The rules of a grid through one anchor, and what is expected of them at every budget."""

    anchor: Anchor
    trainings: Trainings
    c: FloatArray  # (m,)
    points: FloatArray  # (n, 2)
    scores: FloatArray  # (n, m)
    near: int
    enclosed: bool
    outside: int

    @classmethod
    def of(cls, score: _Score, trainings: Trainings, anchor: Anchor, c: FloatArray, raw: bool) -> _Scored:
        grid = simplex(LEAST)
        inside = _enclosed(grid, c, trainings, anchor)
        enclosed = bool(inside.any())
        if not enclosed:  # trainings along a line, or at one place: then the surrogate alone must do
            inside[:] = True
        points = grid[inside]
        corrections, near = _nearest(points, c, trainings, score, anchor)
        scores = _scores(score, points, c, anchor) + (corrections if raw else 0.0)
        return cls(anchor, trainings, c, points, scores, int(near.sum()), enclosed, len(grid) - len(points))

    def left_out(self) -> float:
        """Mean accuracy at budgets left out, each block of them by the rule that is best at all others."""
        blocks = np.array_split(np.arange(len(self.c)), _BLOCKS)
        found = [self.scores[int(np.delete(self.scores, one, axis=1).mean(axis=1).argmax())][one] for one in blocks]
        return float(np.concatenate(found).mean())

    def best(self, score: _Score, raw: bool, left_out: tuple[float, float]) -> Best:
        """The best rule of them, refined unless `raw`."""
        means = self.scores.mean(axis=1)
        best = self.points[int(np.argmax(means))]
        if not raw:
            best = _refined(score, best, self.c, self.trainings if self.outside else None, self.anchor)
        return Best(
            anchor=self.anchor,
            a=float(best[0]),
            g=float(best[1]),
            score=float(_scores(score, best[None], self.c, self.anchor).mean()),
            points=len(self.points),
            outside=self.outside,
            near=self.near,
            pairs=self.scores.size,
            indistinct=_spread(self.points[means >= means.max() - INDISTINCT * self.trainings.scale]),
            left_out=left_out,
        )


def _scores(score: _Score, points: FloatArray, c: FloatArray, anchor: Anchor) -> FloatArray:
    """Scores `(n, m)` of n rules at m budgets."""
    cells = anchor.at(points, c)
    return score(*(one.ravel() for one in cells)).reshape(cells[0].shape)


def _enclosed(points: FloatArray, c: FloatArray, trainings: Trainings, anchor: Anchor) -> NDArray[np.bool_]:
    """Which rules `(n,)` can be built, and stay within the trainings' r and d, at every budget.

    Beyond, a surrogate only guesses.
    """
    _, r, d = every = anchor.at(points, c)
    inside = np.ones(len(points), dtype=bool)
    for cells, seen in ((r, trainings.r), (d, trainings.d)):
        low, high = np.log(seen.min()) - NEAR_TRAINING, np.log(seen.max()) + NEAR_TRAINING
        inside &= ((np.log(cells) >= low) & (np.log(cells) <= high)).all(axis=1)
    if trainings.buildable is not None and inside.any():
        there = trainings.buildable(*(one[inside].ravel() for one in every))
        inside[inside] = there.reshape(-1, len(c)).all(axis=1)
    return inside


def _nearest(
    points: FloatArray, c: FloatArray, trainings: Trainings, score: _Score, anchor: Anchor
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """How far the nearest training lies above the surrogate, 0 where none is close; and where one is. `(n, m)` each."""
    from scipy.spatial import cKDTree

    cells = anchor.at(points, c)
    places = np.log(np.column_stack([one.ravel() for one in cells]))
    distance, row = cKDTree(trainings.logs).query(places, p=np.inf, distance_upper_bound=NEAR_TRAINING)
    close = np.isfinite(distance)
    above = trainings.accuracy - score(trainings.c, trainings.r, trainings.d)
    found = np.where(close, np.append(above, 0.0)[row], 0.0)
    return found.reshape(cells[0].shape), close.reshape(cells[0].shape)


def _refined(
    score: _Score, start: FloatArray, c: FloatArray, trainings: Trainings | None, anchor: Anchor
) -> FloatArray:
    """The best (a, g) around a grid point, by ever smaller steps to all eight sides."""
    best, step = start, np.array([0.5 / SHARES, 0.25 / SHARES])
    sides = np.array([(0, 0), *((i, k) for i in (-1, 0, 1) for k in (-1, 0, 1) if i or k)], dtype=np.float64)
    for _ in range(_MOST_MOVES):
        if step[0] < FINEST:
            break
        around = np.maximum(best + sides * step, (LEAST, LEAST / 2))
        allowed = around.sum(axis=1) + around[:, 1] <= 1 - LEAST + 1e-12
        if trainings is not None:
            allowed &= _enclosed(around, c, trainings, anchor)
        allowed[0] = True
        around = around[allowed]
        found = int(np.argmax(_scores(score, around, c, anchor).mean(axis=1)))
        best, step = around[found], step if found else step / 2
    return best


def _spread(points: FloatArray) -> dict[str, list[float]]:
    found = [coefficients(float(g), float(a)) for a, g in points]
    return {
        name: [min(getattr(one, name) for one in found), max(getattr(one, name) for one in found)]
        for name in ("alpha", "beta", "gamma")
    }
