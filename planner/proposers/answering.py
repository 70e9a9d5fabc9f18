"""The rows of a pool whose measuring promises the largest improvement of the answers at given budgets.

The answer at a budget is the row of the highest expectation among those that cost no more: of all rows, tried or not.
Measuring a row moves its own expectation, and those of the rows that are like it; the answer afterwards is the best of
what is expected then. What that is worth on average is the knowledge gradient (Frazier, Powell & Dayanik 2009,
https://doi.org/10.1287/ijoc.1080.0314), here summed over the budgets:

    value(x) = sum_b E[max_i (mean_i + lesson_i(x) Z)] - max_i mean_i        Z standard normal, i costs at most b

with `lesson_i(x)` how far the expectation of i would move (`planner.surrogates.lessons`). Of all i the row itself
counts and the best few of each budget: measuring the answer itself is worth as much as the next best may turn out
better. Rows that were tried do not move: what they are worth is known but for their noise. A batch is chosen one by
one, each believed to come out as expected, as for the whole front (`planner.proposers.bayes`).

Measured on tables of trained networks (tests/benchmarks/test_proposals_for.py): points lost at three budgets by the
answers after 20 random rows and 10 or 20 proposed ones, mean (standard error) of 8 seeds:

                     NATS-Bench                  NAS-Bench-Macro             MCUNet
    proposed         10            20            10            20            10            20
    for the answers  .126 (.015)   .158 (.037)   .130 (.027)   .138 (.023)   .514 (.068)   .406 (.055)
    whole front      .212 (.024)   .177 (.030)   .187 (.043)   .212 (.034)   .550 (.051)   .624 (.074)
    random           .230 (.024)   .166 (.031)   .194 (.028)   .205 (.034)   .775 (.047)   .682 (.061)
    noise_share 0    .157 (.019)   .163 (.018)   .197 (.028)   .128 (.025)   .565 (.061)   .474 (.035)

Better than the whole front's in every cell, surely (by two standard errors of the paired difference) in three of six.
The default noise_share of 1 was chosen by the first two tables.

Notation: m rows in the pool, b budgets, q answers that are looked at of one budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.front.gains import log_improvement
from planner.proposers.bayes import Known
from planner.surrogates.lessons import lessons
from sampler.architecture import FloatArray, IntArray

# Of what the inputs do not explain, by default: what sets a single row apart cannot be known of an answer that was not
# measured, and hoping for it spends trainings on rows that teach nothing of others.
ANSWERS_NOISE_SHARE = 1.0
# Untried rows of the highest expectation that are looked at beside the answer of a budget.
RIVALS = 8
# Rows whose knowledge gradient is computed, the best by their own expected improvement.
ANSWER_SHORTLIST = 1024
# Of the standard normal: the integrand is continuous and bends nine times at most.
NODES = np.linspace(-6, 6, 193)
_WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
_LEAST = 1e-12  # of a deviation: less is rounding
_CHUNK = 256


def best_rows_for(
    known: Known, pool: FloatArray, budgets: Sequence[float], n: int = 1, *, penalty: FloatArray | None = None
) -> IntArray:
    """The rows of a pool to measure next, for the answers at some budgets.

    Args:
        known: Rows that were measured, and the belief about others.
        pool: `(m, k + 1)` rows that were not tried, all different, at least one of them within a budget.
        budgets: Largest costs that answers may have.
        n: How many are wanted.
        penalty: `(m,)` subtracted from the log of each row's value: log seconds, for value per second.

    Returns:
        `(min(n, rows within the largest budget),)` row numbers of the pool, the best first.
    """
    rows, chosen = np.flatnonzero(pool[:, -1] <= max(budgets)), list[int]()
    penalty = np.zeros(len(pool)) if penalty is None else penalty
    most = max(ANSWER_SHORTLIST, n)
    if len(rows) > most:
        rows = _shortlist(known, pool, rows, budgets, penalty, most)
    while len(rows) and len(chosen) < n:
        best = int(np.argmax(_log_values(known, pool[rows], budgets) - penalty[rows]))
        chosen.append(int(rows[best]))
        known, rows = known.believing(pool[rows[[best]]]), np.delete(rows, best)
    return np.array(chosen, dtype=np.int64)


def _shortlist(
    known: Known, pool: FloatArray, rows: IntArray, budgets: Sequence[float], penalty: FloatArray, most: int
) -> IntArray:
    """The rows that improve most by what they alone may turn out to be, and the answers' rivals."""
    mean, std = known.of(pool[rows], rough=True)
    rivals = [_Rivals.of(known, pool[rows], mean, budget) for budget in budgets]
    value = _log_own(mean, std, pool[rows, -1], rivals) - penalty[rows]
    best = np.argpartition(-value, most - 1)[:most]
    kept: IntArray = rows[np.union1d(best, np.concatenate([one.rows for one in rivals]))]
    return kept


@dataclass(frozen=True, eq=False)
class _Rivals:
    """What may be the answer at a budget.

    Attributes:
        budget: The largest cost.
        rows: `(q,)` numbers of untried rows, the highest expectations within the budget.
        reached: The highest expectation of the rows tried within it; minus infinity where there is none.
        best: The answer's expectation.
    """

    budget: float
    rows: IntArray
    reached: float
    best: float

    @classmethod
    def of(cls, known: Known, pool: FloatArray, mean: FloatArray, budget: float) -> _Rivals:
        costs, reached = known.points()
        tried = reached[costs <= np.log(budget)].max(initial=-np.inf)
        within = np.flatnonzero(pool[:, -1] <= budget)
        rows = within[np.argsort(-mean[within], kind="stable")[:RIVALS]]
        return cls(budget, rows, float(tried), float(max(tried, mean[rows].max(initial=-np.inf))))


def _log_own(mean: FloatArray, std: FloatArray, costs: FloatArray, rivals: Sequence[_Rivals]) -> FloatArray:
    """`(m,)` logarithms of the expected improvements over the answers, by each row's own outcome alone."""
    total = np.full(len(mean), -np.inf)
    for one in rivals:
        if np.isfinite(one.best):
            own = log_improvement(mean, std, np.full(len(mean), one.best))
            total = np.where(costs <= one.budget, np.logaddexp(total, own), total)
    return total


def _log_values(known: Known, pool: FloatArray, budgets: Sequence[float]) -> FloatArray:
    """`(m,)` logarithms of the knowledge gradients, summed over the budgets.

    Where all of them round to nothing, the rows' own improvements say which is nearest to any.
    """
    mean, std = known.of(pool)
    rivals = [one for b in budgets if np.isfinite((one := _Rivals.of(known, pool, mean, b)).best)]
    value = np.zeros(len(pool))
    for one in rivals:
        value += _improvement(known, pool, mean, std, one)
    if not value.any():
        return _log_own(mean, std, pool[:, -1], rivals)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(value), dtype=np.float64)


def _improvement(known: Known, pool: FloatArray, mean: FloatArray, std: FloatArray, rivals: _Rivals) -> FloatArray:
    """`(m,)` knowledge gradients of one budget."""
    rows = rivals.rows
    taught = lessons(known.surrogate, pool, known.whole(pool[rows]), known.noise_variance)
    above = mean[rows] - rivals.best  # of the answer's expectation: nobody's is above
    itself = np.arange(len(pool))[:, None] == rows
    value = np.empty(len(pool))
    within = pool[:, -1] <= rivals.budget
    for start in range(0, len(pool), _CHUNK):
        part = slice(start, start + _CHUNK)
        others = np.where(itself[part, :, None], -np.inf, above[:, None] + taught[part, :, None] * NODES)
        own = np.where(within[part, None], mean[part, None] - rivals.best + std[part, None] * NODES, -np.inf)
        value[part] = np.maximum(others.max(axis=1, initial=rivals.reached - rivals.best), own) @ _WEIGHTS
    return np.where(value > _LEAST * std, value, 0.0)
