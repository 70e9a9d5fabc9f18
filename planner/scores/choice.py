"""Which of several cheap scores to take: the best where it is surely so, else the cheapest that is not clearly worse.

    behind  Spearman of the best score less a score's own, over the same resamples of rows (paired bootstrap)

A score is clearly worse than the best where the whole interval of that lies above 0. The best was chosen by the same
rows, which flatters it: with several scores and few rows, even equal ones may look clearly worse now and then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.scores.bootstrap import LEVEL, Estimate
from planner.scores.ranks import codes_of, spearman_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ScoreChoice:
    """Which score to take.

    Attributes:
        best: Name of the score of the highest Spearman; None where none ranks anything.
        chosen: Name of the score to take.
        winner: Whether the best is surely better than every other: only then it is a winner.
        behind: How far each score is behind the best, by its name.
        best_in: Share of the resamples in which each has the highest Spearman, ties shared.
    """

    best: str | None
    chosen: str | None
    winner: bool
    behind: dict[str, Estimate]
    best_in: dict[str, float]


def choose_score(
    frame: pd.DataFrame,
    names: Sequence[str],
    target: str,
    seconds: Mapping[str, float],
    resamples: int = 1000,
    seed: int = 0,
) -> ScoreChoice:
    """Compares scores with each other by how they rank a target.

    Args:
        frame: `(n, columns)` numbers, none missing; larger is better.
        names: Columns of scores.
        target: Column that they should rank.
        seconds: Cost of each score, by its name.
        resamples: Number of resamples of the bootstrap.
        seed: Random seed of the bootstrap.
    """
    y = codes_of(frame[target].to_numpy(dtype=np.float64))
    codes = {name: codes_of(frame[name].to_numpy(dtype=np.float64)) for name in names}
    rng, n = np.random.default_rng(seed), len(y)

    def spearmans(rows: np.ndarray) -> list[float]:
        return [spearman_of(codes[name][rows], y[rows]) for name in names]

    point = dict(zip(names, spearmans(np.arange(n)), strict=True))
    usable = {name: value for name, value in point.items() if not np.isnan(value)}
    best = max(usable, key=lambda name: (usable[name], -seconds[name]), default=None)
    if best is None:
        return ScoreChoice(None, None, False, {}, {})
    drawn = np.array([spearmans(rng.integers(0, n, n)) for _ in range(resamples)])  # (resamples, names)
    behind = {
        name: Estimate(why="constant") if name not in usable else _interval(usable[best] - usable[name], gaps)
        for name, gaps in zip(names, (drawn[:, [names.index(best)]] - drawn).T, strict=True)
    }
    others = [one for name, one in behind.items() if name != best]
    winner = bool(others) and all(one.lower is None or one.lower > 0 for one in others)
    near = [name for name in usable if name == best or (behind[name].lower or 0.0) <= 0]
    chosen = min(near, key=lambda name: (seconds[name], -usable[name]))
    return ScoreChoice(best, chosen, winner, behind, dict(zip(names, _shares(drawn), strict=True)))


def _interval(value: float, draws: np.ndarray) -> Estimate:
    tail = (1 - LEVEL) / 2
    lower, upper = np.nanquantile(draws, [tail, 1 - tail])
    return Estimate(float(value), float(lower), float(upper))


def _shares(drawn: np.ndarray) -> list[float]:
    """How often each column is a row's highest, ties shared; rows without any number say nothing."""
    kept = drawn[~np.isnan(drawn).all(axis=1)]
    if not len(kept):
        return [0.0] * drawn.shape[1]
    highest = kept == np.nanmax(kept, axis=1, keepdims=True)
    found: list[float] = (highest / highest.sum(axis=1, keepdims=True)).mean(axis=0).tolist()
    return found
