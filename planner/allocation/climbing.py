"""Iterated local search over integers: nothing is relaxed, every cost is exact.

Steepest ascent from many starts, among the architectures that keep the window of MACs. A step goes to the best of

    single moves            one stage, or the resolution, by one or two steps
    pairs of moves          one up and one down, so that the cost can stay
    moves with a refund     one move of up to four steps, and all other widths by one factor to meet the budget

and where none is better, to the best of a sample of two to five columns at once, one of them at the value that
fits: on coarse grids few architectures cost the budget to 1 %, and they lie several moves apart (variable
neighbourhoods, Mladenovic & Hansen 1997, https://doi.org/10.1016/S0305-0548(97)00031-2). The best so far is then moved
at random and climbs again.

An allocation wants the budget spent, to 1 %; an answer only wants it kept. Both are this search, with a window of MACs
that is narrow or open below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sampler import Limit
from sampler.architecture import Architectures, FloatArray, IntArray
from sampler.complexity import count
from sampler.limits import within
from sampler.moves import Grid, moved, moves_of, unique_rows
from sampler.seeds import checked_seed

NetworkScores = Callable[[Architectures], FloatArray]

_STARTS = 8  # beside those given
_POOL = 100_000  # random architectures, of which those that cost the budget are scored: the best are starts
MOST_POOL = 3_000  # of them scored
KICKS = 40  # times that the best so far is moved at random
_PATIENCE = 10  # kicks in vain after which an answer's search ends
KICK_MOVES = 5
MOST_STEPS = 100  # of one climb
_FACTORS = np.geomspace(0.75, 1.33, 17)  # of the other widths, for a refund
FITTED_FACTORS = np.geomspace(0.1, 8.0, 120)  # of all widths, for a start far from the budget
SAMPLED = 2_000  # random moves of several columns at once, from one architecture
SWEPT = 6  # values of one more width, to both sides


class Climbs:
    """One search: the grid, what is allowed, and what was scored."""

    def __init__(
        self,
        grid: Grid,
        score: NetworkScores,
        costs: tuple[float, float],
        classes: int,
        limits: Sequence[Limit],
        seed: int,
        spanned: bool = False,
    ) -> None:
        self.grid, self.score, self.costs, self.spanned = grid, score, costs, spanned
        self.classes, self.limits = classes, limits
        self.rng = np.random.default_rng(seed)
        self.known: dict[bytes, float] = {}
        moves = moves_of(grid)
        self.moves = moves
        self.up, self.down = [move for move in moves if move.steps > 0], [move for move in moves if move.steps < 0]
        self.far = moves_of(grid, steps=(1, 2, 4))

    def affordable(self, rows: IntArray) -> IntArray:
        """The numbers of rows that are on the grid, cost the budget and keep to the limits."""
        found: IntArray = np.flatnonzero(self.on_grid(rows))
        if len(found):
            macs = count(self.grid.networks(rows[found]), self.classes).macs
            found = found[(macs >= self.costs[0]) & (macs <= self.costs[1])]
        if len(found) and self.limits:
            found = found[within(self.grid.networks(rows[found]), self.classes, self.limits)]
        return found

    def on_grid(self, rows: IntArray) -> NDArray[np.bool_]:
        """`(n,)` bools: whether rows are on the grid; stem and head between its ends, where that is asked."""
        return self.grid.inside(rows) & (self.grid.spanned(rows) if self.spanned else True)

    def scores(self, rows: IntArray) -> FloatArray:
        """`(n,)` scores, asked once per architecture; what is not finite counts as worst."""
        keys = [row.tobytes() for row in rows]
        new = [number for number, key in enumerate(keys) if key not in self.known]
        if new:
            values = np.asarray(self.score(self.grid.networks(rows[new])), dtype=np.float64)
            for number, value in zip(new, np.where(np.isfinite(values), values, -np.inf), strict=True):
                self.known[keys[number]] = float(value)
        return np.array([self.known[key] for key in keys])

    def better(self, row: IntArray, value: float, near: IntArray) -> tuple[IntArray, float] | None:
        """The best affordable of some rows, where it is better than a row."""
        near = near[self.affordable(near)]
        if not len(near):
            return None
        heights = self.scores(near)
        best = int(np.argmax(heights))
        return (near[best], float(heights[best])) if heights[best] > value else None

    def climb(self, row: IntArray) -> tuple[IntArray, float]:
        """The summit above a row, and its score."""
        value = float(self.scores(row[None, :])[0])
        for _ in range(MOST_STEPS):
            step = self.better(row, value, self.near(row)) or self.better(row, value, self.sampled(row, 1, 4))
            if step is None:
                break
            row, value = step
        return row, value

    def near(self, row: IntArray) -> IntArray:
        """Single moves, pairs of moves and moves with a refund."""
        grid, alone = self.grid, row[None, :]
        pairs = moved(grid, alone, self.up, self.down)[0]
        rows = np.concatenate([moved(grid, alone, self.moves)[0], pairs, self.refunded(row)])
        return rows[unique_rows(rows)]

    def refunded(self, row: IntArray) -> IntArray:
        """Each single move, with all other widths changed by factors to pay for it."""
        after = [row] + [
            np.where(np.arange(len(row)) == move.column, value[0], row)
            for move in self.far
            for value, there in [move.of(row[[move.column]])]
            if there[0]
        ]
        many = np.repeat(np.array(after), len(_FACTORS), axis=0).astype(np.float64)
        still = many != row
        widths = slice(2, 2 + len(self.grid.network.stages))
        many[:, widths] *= np.where(still[:, widths], 1.0, np.tile(_FACTORS, len(after))[:, None])
        return self.grid.nearest(many)

    def sampled(self, row: IntArray, fewest: int, most: int) -> IntArray:
        """Random moves of so many columns at once, each with all values nearby of one more width, to pay for it."""
        pairs = [move.of(row[[move.column]]) for move in self.far]
        columns = np.array([move.column for move in self.far])
        values = np.array([value[0] for value, _ in pairs])
        rows = np.tile(row, (SAMPLED, 1))
        picks = self.rng.integers(len(columns), size=(SAMPLED, most))
        number = self.rng.integers(fewest, most + 1, size=SAMPLED)
        for turn in range(most):
            made = np.flatnonzero(turn < number)
            rows[made, columns[picks[made, turn]]] = values[picks[made, turn]]
        return self.swept(rows[unique_rows(rows)])

    def swept(self, rows: IntArray) -> IntArray:
        """Rows with one width of each, chosen at random, at every value nearby."""
        grid = self.grid
        column = self.rng.integers(2, 2 + len(grid.network.stages), size=len(rows))
        parts = []
        for which in range(2, 2 + len(grid.network.stages)):
            levels, mine = grid.levels[which], rows[column == which]
            place = np.searchsorted(levels, mine[:, which])[:, None] + np.arange(-SWEPT, SWEPT + 1)
            many = np.repeat(mine, 2 * SWEPT + 1, axis=0)
            many[:, which] = levels[np.clip(place, 0, len(levels) - 1)].ravel()
            parts.append(many)
        result = grid.followed(np.concatenate(parts))
        return result[unique_rows(result)]

    def fitted(self, rows: IntArray) -> IntArray:
        """Rows moved to the budget: all widths by one factor, then a few random moves; those that get there."""
        factors = FITTED_FACTORS[np.argsort(np.abs(np.log(FITTED_FACTORS)), kind="stable")]
        many = np.repeat(rows, len(factors), axis=0).astype(np.float64)
        many[:, 2 : 2 + len(self.grid.network.stages)] *= np.tile(factors, len(rows))[:, None]
        near = self.grid.nearest(many)
        off = np.abs(np.log(count(self.grid.networks(near), self.classes).macs / self.costs[1]))
        result = []
        for part, distances in zip(np.split(near, len(rows)), np.split(off, len(rows)), strict=True):
            row = part[int(np.argmin(distances))]
            around = np.concatenate([row[None, :], self.sampled(row, 0, 3)])
            kept = self.affordable(around)
            if len(kept):
                result.append(around[kept[0]])
        found = np.array(result, dtype=np.int64).reshape(-1, len(self.grid.levels))
        return found[unique_rows(found)]


def climbed(
    budget: float,
    score: NetworkScores,
    grid: Grid,
    start: Architectures | None,
    limits: Sequence[Limit],
    classes: int,
    seed: int,
    n: int,
) -> tuple[Architectures, FloatArray]:
    """The best architectures that climbs met on a large grid, among those that cost at most the budget.

    Args:
        budget: Most MACs; there is no least.
        score: Gives the `(n,)` scores of architectures; higher is better.
        grid: The integers there are; a stem or head that follows stays between the ends of its values.
        start: Architectures to start from; on the grid with stems and heads of their own.
        limits: Limits of other costs.
        classes: Outputs of the classifier.
        seed: Random seed of starts and kicks: same seed, same answer.
        n: How many are wanted.

    Returns:
        At most `n` architectures with finite scores, the best first, and their scores.
    """
    search = Climbs(grid, score, (0.0, budget), classes, limits, checked_seed(seed), spanned=True)
    rows = starts_of(search, start)
    if len(rows):
        iterated(search, rows, _PATIENCE)
    scores = np.fromiter(search.known.values(), dtype=np.float64)
    best = np.argsort(-scores, kind="stable")[: min(n, int((scores > -np.inf).sum()))]
    keys = list(search.known)
    integers = np.frombuffer(b"".join(keys[one] for one in best), dtype=np.int64)
    return grid.networks(integers.reshape(-1, len(grid.levels))), scores[best]


def iterated(search: Climbs, rows: IntArray, patience: int = KICKS) -> tuple[IntArray, float]:
    """Climbs from all rows, then again and again from the best, moved at random, until so often in vain."""
    row, value = max((search.climb(row) for row in rows), key=lambda summit: summit[1])
    vain = 0
    for _ in range(KICKS):
        vain += 1
        kicked = search.sampled(row, KICK_MOVES, KICK_MOVES)
        kicked = kicked[search.affordable(kicked)]
        if len(kicked):
            summit, height = search.climb(kicked[int(search.rng.integers(len(kicked)))])
            if height > value:
                row, value, vain = summit, height, 0
        if vain >= patience:
            break
    return row, value


def starts_of(search: Climbs, start: Architectures | None) -> IntArray:
    """What was given and random architectures, each moved to the budget by one factor of its widths."""
    grid, rng = search.grid, search.rng
    given = np.empty((0, len(grid.levels)), dtype=np.int64)
    if start is not None and len(start):
        rows = start.integers()
        # What lies on the grid keeps its own stem and head: rounded from one w, they need not follow the stages.
        kept = np.where(search.on_grid(rows)[:, None] & search.spanned, rows, grid.nearest(rows))
        given = np.concatenate([kept[search.affordable(kept)], search.fitted(kept)])
    pool = _drawn(grid, rng, _POOL)
    pool = pool[search.affordable(pool)]
    pool = pool[unique_rows(pool)][:MOST_POOL]
    if len(pool) < _STARTS:
        pool = np.concatenate([pool, search.fitted(_drawn(grid, rng, _STARTS))])
    if len(pool):
        pool = pool[np.argsort(-search.scores(pool), kind="stable")[:_STARTS]]
    rows = np.concatenate([given, pool])
    return rows[unique_rows(rows)]


def _drawn(grid: Grid, rng: np.random.Generator, n: int) -> IntArray:
    """Random rows of a grid; stages alike to a random degree, for independent draws are all alike in size."""
    rows = np.empty((n, len(grid.levels)), dtype=np.int64)
    centre, spread = rng.random(n), rng.random(n) ** 0.5
    for column, levels in enumerate(grid.levels):
        place = centre + spread * (rng.random(n) - centre)
        rows[:, column] = levels[np.minimum((place * len(levels)).astype(np.int64), len(levels) - 1)]
    return grid.followed(rows)
