"""The accuracy-MACs front: NSGA-III selection (pymoo), and what correlates with MACs on it.

Notation, for n trainings:

    accuracy (n,)   top-1, in [0, 1]
    macs (n,)       exact costs, positive
    losses (n, 2)   top-1 error and log10 of the MACs: both are minimised

One training dominates another if none of its losses is larger and one is smaller. Rows that no other dominates are the
front; NSGA-III fills a selection front by front, and breaks the last one by niches about reference directions.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import PlannerError
from sampler.architecture import FloatArray, IntArray

FRONT_SHARE = 0.2  # TinyNet section 3.2: the top 20 % of 100 networks
FEWEST_KEPT = 8  # below that a curve would follow single trainings
SAME = 0.01  # of the MACs: what answers one budget
_DIRECTIONS = 12  # partitions of the reference directions: 13 niches over two objectives


def as_losses(accuracy: ArrayLike, macs: ArrayLike) -> FloatArray:
    """`(n, 2)` losses, both to be minimised: top-1 error and log10 of the MACs.

    The logarithm changes no domination; it makes NSGA-III's niches equal in ratios of cost.

    Raises:
        PlannerError: If a value is not finite, or a cost not positive.
    """
    error = 1 - np.asarray(accuracy, dtype=np.float64)
    cost = np.asarray(macs, dtype=np.float64)
    wrong = ~np.isfinite(error) | ~np.isfinite(cost) | (cost <= 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise PlannerError(
            f"accuracy or macs is missing or impossible in {wrong.sum()} of {len(error)} rows (first: row {row}, "
            f"accuracy {1 - error[row]:g}, macs {cost[row]:g}); keep only trainings with status ok"
        )
    return np.column_stack([error, np.log10(cost)])


def non_dominated_mask(losses: FloatArray) -> NDArray[np.bool_]:
    """Marks the rows that no other row dominates; every copy of a front point is kept.

    Args:
        losses: `(n, m)` finite floats; smaller is better in every column.

    Returns:
        `(n,)` bools.
    """
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    mask = np.zeros(len(losses), dtype=bool)
    if len(losses):
        mask[NonDominatedSorting().do(losses, only_non_dominated_front=True)] = True
    return mask


def front_mask(accuracy: ArrayLike, macs: ArrayLike) -> NDArray[np.bool_]:
    """Marks the front of what was observed: the rows that no other dominates by accuracy and MACs.

    Args:
        accuracy: `(n,)` accuracies.
        macs: `(n,)` costs.

    Returns:
        `(n,)` bools; the most accurate row (of several, the cheapest) is always marked.
    """
    return non_dominated_mask(as_losses(accuracy, macs))


def distinct_budgets(macs: ArrayLike) -> int:
    """How many budgets there are among some costs, where costs within 1 % are one budget.

    Example:
        >>> distinct_budgets([100, 100, 100.4, 200])
        2
    """
    count, last = 0, 0.0
    for cost in sorted(np.asarray(macs, dtype=np.float64).tolist()):
        if cost > last * (1 + SAME):
            count, last = count + 1, cost
    return count


def selection_size(n: int, front: int, share: float = FRONT_SHARE, fewest: int = FEWEST_KEPT) -> int:
    """How many of `n` rows are kept: the share, never fewer than the first front, nor than `fewest`."""
    return max(math.ceil(share * n), front, min(fewest, n))


def nsga3_rows(
    accuracy: ArrayLike, macs: ArrayLike, share: float = FRONT_SHARE, fewest: int = FEWEST_KEPT, seed: int = 0
) -> IntArray:
    """NSGA-III's selection of the best rows: fronts in order, the last one broken by reference directions.

    Deb & Jain 2014, https://doi.org/10.1109/TEVC.2013.2281535, as TinyNet selects its frontier models.

    Args:
        accuracy: `(n,)` top-1 accuracies.
        macs: `(n,)` costs.
        share: Share of the rows kept.
        fewest: Rows kept at least, where there are as many.
        seed: Breaks ties between niches.

    Returns:
        Row numbers, sorted by cost.

    Raises:
        PlannerError: If there are no rows, or a value is impossible.
    """
    from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.util.ref_dirs import get_reference_directions

    losses = as_losses(accuracy, macs)
    if not len(losses):
        raise PlannerError("there is no finished training to take a front of; run `planner train` first")
    size = selection_size(len(losses), int(non_dominated_mask(losses).sum()), share, fewest)
    # By cost, so that the order of a table's rows does not decide between equally good ones.
    order = np.lexsort(losses.T)
    population = Population.new("F", losses[order], "row", order)
    survival = ReferenceDirectionSurvival(get_reference_directions("das-dennis", 2, n_partitions=_DIRECTIONS))
    kept = survival.do(Problem(n_var=1, n_obj=2), population, n_survive=size, random_state=np.random.default_rng(seed))
    rows = np.array(sorted(kept.get("row"), key=lambda row: tuple(losses[row, ::-1])), dtype=np.int64)
    return rows


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rank correlation; NaN where a column is constant or shorter than 3."""
    from scipy.stats import rankdata

    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
