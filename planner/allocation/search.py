"""The best architecture at a budget, by search over integers: nothing is relaxed, every cost is exact.

Small grids are enumerated; larger ones are climbed (`planner.allocation.climbing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.allocation.climbing import Climbs, NetworkScores, iterated, starts_of
from planner.errors import PlannerError
from sampler import Architecture, Limit
from sampler.architecture import Architectures
from sampler.complexity import count
from sampler.moves import Grid
from sampler.seeds import checked_seed
from sampler.solve import TOLERANCE

ENUMERATED = 600_000  # architectures of a grid that is searched whole


@dataclass(frozen=True)
class _BestNetwork:
    """What a search found.

    Attributes:
        architecture: The architecture with the highest score.
        score: Score of it.
        macs: Exact MACs of it.
        scored: Architectures scored.
        exhaustive: Whether the whole grid was looked at, so that nothing better exists in it.
    """

    architecture: Architecture
    score: float
    macs: int
    scored: int
    exhaustive: bool


def best_at(
    budget: float,
    score: NetworkScores,
    grid: Grid,
    start: Architectures | None = None,
    limits: Sequence[Limit] = (),
    classes: int = 1000,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    enumerated: int = ENUMERATED,
) -> _BestNetwork:
    """The architecture of a grid with the highest score, among those that cost the budget.

    Args:
        budget: MACs; the answer costs between `1 - tolerance` times it and it.
        score: Gives the `(n,)` scores of architectures; higher is better.
        grid: The integers there are.
        start: Architectures to start from, beside random ones; moved onto the grid and to the budget.
        limits: Limits of other costs.
        classes: Outputs of the classifier.
        tolerance: How far below the budget, as a share of it.
        seed: Random seed of starts and kicks: same seed, same answer.
        enumerated: Grids of at most so many architectures are searched whole.

    Raises:
        PlannerError: If no architecture of the grid was found that costs the budget and keeps to the limits.
    """
    if not 0 < budget < np.inf:
        raise PlannerError(f"the budget must be a positive number of MACs, got {budget:g}")
    search = Climbs(grid, score, ((1 - tolerance) * budget, budget), classes, limits, checked_seed(seed))
    exhaustive = grid.size <= enumerated
    if exhaustive:
        rows = grid.enumerated()
        rows = rows[search.affordable(rows)]
    else:
        rows = starts_of(search, start)
    if not len(rows):
        raise PlannerError(
            f"no architecture between {search.costs[0]:,.0f} and {budget:,.0f} MACs was found inside the bounds"
            f"{' and limits' if limits else ''}; take another budget, or widen the bounds"
        )
    if exhaustive:
        values = search.scores(rows)
        row, value = rows[int(np.argmax(values))], float(values.max())
    else:
        row, value = iterated(search, rows)
    one = grid.networks(row[None, :])
    macs = int(count(one, classes).macs[0])
    return _BestNetwork(one[0], value, macs, len(search.known), exhaustive)
