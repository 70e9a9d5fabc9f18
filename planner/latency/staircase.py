"""Where cost jumps along a size: the sizes just before a jump are the cheap ones.

Latency and MACs climb with the input side (or with a stage's channels) in steps: a stride of 32 makes every 32nd
pixel pay for a whole row and column of the last feature map. RBIS (section 4.1) sweeps the side on a grid of 4
pixels and explores only the sides just before a jump, and their neighbours.

Notation, for `n` sizes on a rising grid:

    cost    (n,)      MACs, or measured latency
    least   (n,)      the least cost at which one can have at least that size: min of cost[i:]
    rise    (n - 1,)  of the square root of `least`, from each size to the next

Cost grows with the square of the side, so its root has the same usual rise at 100 and at 500 pixels. `least` equals
`cost` where that never falls, as MACs do; in a measurement it passes over a single slow median, and over widths
that are slower than a wider network (a width that no vector instruction divides).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import PlannerError

# On a 4-pixel grid the smallest rise at stride 16 is 1.5 times the mean of all rises (MBConv), and the largest at
# stride 8 is 0.8 times it (ResNet-18): the rise that counts as a jump lies between.
OVER_MEAN = 1.25
OVER_MEDIAN = 2.0  # where all rises are much alike, none is a jump
OVER_MEDIAN_MEASURED = 2.5  # a slow median hides one rise in the next, so that two usual ones stand in one step
OVER_NOISE = 4.0  # standard errors of the difference of two measured costs
_FEWEST = 4


@dataclass(frozen=True)
class Jump:
    """One step that costs far more than the usual one.

    Attributes:
        before: The last size that is still cheap.
        after: The next size of the grid.
        rise: By how much the cost rises between them, as a share of the cost before.
    """

    before: int
    after: int
    rise: float


@dataclass(frozen=True)
class CostStaircase:
    """What a sweep says.

    Attributes:
        jumps: All jumps, small sizes first.
        candidates: Sizes just before a jump; both ends of the range left out, since what lies beyond is unknown.
        neighbours: The grid's sizes on both sides of each candidate, without the candidates.
    """

    jumps: tuple[Jump, ...]
    candidates: tuple[int, ...]
    neighbours: tuple[int, ...]


def staircase(sizes: ArrayLike, cost: ArrayLike, noise: ArrayLike | None = None) -> CostStaircase:
    """Finds the jumps of a cost along a grid of sizes.

    A step is a jump where the root of the least cost rises by more than 1.25 times the mean rise and more than
    twice the median rise. In a measurement it must exceed 2.5 median rises, and 4 standard errors of the
    difference of its two costs, each taken to be at least the sweep's median error; and the last step counts for
    nothing, because there a jump looks the same as one slow median.

    Args:
        sizes: `(n,)` rising integers: pixels, or channels.
        cost: `(n,)` positive finite numbers in any unit.
        noise: `(n,)` standard errors of the cost in its unit, infinite where unknown; None where it is exact.

    Returns:
        The jumps, and the sizes to prefer.

    Raises:
        PlannerError: If there are fewer than 4 sizes, they do not rise, or a cost is not positive and finite.

    Example:
        >>> staircase([0, 4, 8, 12, 16, 20], [10, 11, 12, 22, 23, 24]).candidates
        (8,)
    """
    grid, costs = _checked(sizes, cost)
    least = np.minimum.accumulate(costs[::-1])[::-1]
    root = np.sqrt(least)
    rise = np.diff(root)
    over_median = OVER_MEDIAN if noise is None else OVER_MEDIAN_MEASURED
    usual = rise if noise is None else rise[:-1]
    jumped = (rise > OVER_MEAN * usual.mean()) & (rise > over_median * np.median(usual))
    if noise is not None:
        jumped &= np.diff(least) > OVER_NOISE * _difference_error(np.asarray(noise, dtype=np.float64))
        jumped[-1] = False
    jumps = tuple(
        Jump(int(grid[i]), int(grid[i + 1]), float(least[i + 1] / least[i] - 1)) for i in np.flatnonzero(jumped)
    )
    candidates = tuple(jump.before for jump in jumps if jump.before > grid[0])
    return CostStaircase(jumps, candidates, _neighbours(grid.tolist(), candidates))


def _checked(sizes: ArrayLike, cost: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    grid, costs = np.asarray(sizes, dtype=np.int64), np.asarray(cost, dtype=np.float64)
    if grid.shape != costs.shape or grid.ndim != 1:
        raise PlannerError(f"sizes of shape {grid.shape} and costs of shape {costs.shape}; give one cost per size")
    if len(grid) < _FEWEST:
        raise PlannerError(f"{len(grid)} sizes are too few to find a jump; give at least {_FEWEST}, or a finer step")
    if (np.diff(grid) <= 0).any():
        raise PlannerError("sizes must rise; sort them, and give each once")
    wrong = ~(np.isfinite(costs) & (costs > 0))
    if wrong.any():
        raise PlannerError(f"the cost at {grid[wrong][0]} is {costs[wrong][0]:g}; a positive number is wanted")
    return grid, costs


def _difference_error(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(n - 1,)` standard errors of the difference of neighbours; few rounds may show a spread of 0 by chance."""
    floored = np.maximum(noise, np.median(noise))
    return np.hypot(floored[:-1], floored[1:])


def _neighbours(grid: list[int], candidates: tuple[int, ...]) -> tuple[int, ...]:
    beside = {b for a, b in pairwise(grid) if a in candidates} | {a for a, b in pairwise(grid) if b in candidates}
    return tuple(sorted(beside - set(candidates)))
