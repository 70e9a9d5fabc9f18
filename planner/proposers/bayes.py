"""The rows of a pool whose measuring promises the largest gain in hypervolume.

Only the target is modelled; the cost of every row is known. A surrogate of the rows measured gives each row of the pool
a Gaussian, `planner.front.gains` the expected gain over the staircase of what has been reached. For a batch, each
choice is believed to come out as expected (the Kriging believer of Ginsbourger et al. 2010,
https://doi.org/10.1007/978-3-642-10701-6_6) before the next is made, so that a batch does not crowd.

What the inputs do not explain is in part noise of measuring, in part what sets a row truly apart. Known noise, and
`noise_share` of what was learned, is the former: the staircase is built from posterior means, which shrink lucky
measurements by it. The rest is the latter: it may be hoped for in a row that was not measured.

Notation: t rows tried, m rows in the pool; a matrix `(.., k + 1)` holds k inputs and, last, the cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from planner.front.gains import FrontStaircase, log_expected_gain, log_most_gain
from planner.proposers.protocol import Alike
from planner.surrogates.lessons import departures, lessons
from sampler.architecture import FloatArray, IntArray

if TYPE_CHECKING:
    from planner.surrogates.surrogate import Surrogate

# The reference lies this share of the range of log costs beyond the dearest row, so that the dearest are worth trying.
MARGIN = 0.02
# And this share of the range of accuracies below the lowest one, so that the cheapest are.
FLOOR_DEPTH = 0.3
# Rows looked at again, in double precision and after each choice of a batch.
SHORTLIST = 4096
# Rows whose gain is computed strip by strip; of more, an upper bound decides.
SCREENED = 40_000
# Of the range of log costs, each with as many rows of half a shortlist.
_SHARES = 16
# What the inputs do not explain is taken for real where nothing else is said.
NOISE_SHARE = 0.0


@dataclass(frozen=True, eq=False)
class Known:
    """What has been measured, and what is believed of it.

    Attributes:
        surrogate: Fitted to the inputs and the cost of the rows that were measured.
        tried: `(t, k + 1)` those rows, in the order of the surrogate's.
        noise_share: How much of the variation that the inputs do not explain is noise of measuring, in [0, 1].
        fidelity: Values that count, by the number of their column; none where all rows are measured alike.
        noise_variance: Known variance of one measurement.
        alike: Function of `(n, k + 1)` rows: those that are like them but for what was tried too rarely to be
            believed, the rows themselves where nothing is; None where everything was tried.
    """

    surrogate: Surrogate
    tried: FloatArray
    noise_share: float = NOISE_SHARE
    fidelity: Mapping[int, float] = field(default_factory=dict)
    noise_variance: float = 0.0
    alike: Alike | None = None

    def of(self, matrix: FloatArray, rough: bool = False) -> tuple[FloatArray, FloatArray]:
        """`(n,)` means and deviations of what rows would turn out to be; `rough` in single precision.

        Where there is a fidelity, of what is believed of them at that fidelity once they were measured at their own:
        a short training tells of the long one what they share, less for its own noise, and nothing of what sets the
        long one apart from what the inputs say.
        """
        whole = self.whole(matrix)
        mean, std = self.surrogate.outcomes(whole, self.noise_share, rough)
        if self.alike is not None:
            mean, std = doubted(self.surrogate, whole, self.alike, mean, std)
        short = self._short(matrix, whole)
        if len(short):
            taught = lessons(self.surrogate, matrix[short], whole[short], self.noise_variance, paired=True)
            std[short] = np.abs(taught)
        return mean, std

    @staticmethod
    def _short(matrix: FloatArray, whole: FloatArray) -> IntArray:
        """Numbers of the rows that are not at the fidelity that counts."""
        return np.flatnonzero((whole != matrix).any(axis=1))

    def whole(self, matrix: FloatArray) -> FloatArray:
        """The same rows at the fidelity that counts."""
        if not self.fidelity:
            return matrix
        whole = matrix.copy()
        for column, value in self.fidelity.items():
            whole[:, column] = value
        return whole

    def points(self) -> tuple[FloatArray, FloatArray]:
        """Log costs and believed accuracies of the rows tried, at the fidelity that counts."""
        reached = self.surrogate.reached(self.noise_share)
        whole = self.whole(self.tried)
        short = self._short(self.tried, whole)
        if len(short):
            reached[short] = self.surrogate.outcomes(whole[short], self.noise_share)[0]
        return np.log(self.tried[:, -1]), reached

    def staircase(self, reference: tuple[float, float]) -> FrontStaircase:
        """The best that has been reached for every cost."""
        costs, accuracies = self.points()
        return FrontStaircase.of(costs, accuracies, reference)

    def believing(self, row: FloatArray) -> Known:
        """The same after a `(1, k + 1)` row has come out as expected."""
        mean, _ = replace(self, fidelity={}).of(row)
        return replace(self, surrogate=self.surrogate.believing(row, mean), tried=np.concatenate([self.tried, row]))


def doubted(
    surrogate: Surrogate, matrix: FloatArray, alike: Alike, mean: FloatArray, std: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Means and deviations without the promises of what was never tried.

    A row that differs in such a way is expected to be worth what the row is worth that is like it otherwise, give or
    take what the surrogate thought possible before it saw anything: a line through rows that never differed in it says
    nothing (eight networks of the reference study were promised 4 to 7 points too much by one).

    Args:
        surrogate: Surrogate that is believed.
        matrix: `(n, k + 1)` rows.
        alike: Function as `Known.alike`.
        mean: `(n,)` what the surrogate expects of the rows.
        std: `(n,)` its deviations.
    """
    like = alike(matrix)
    apart = np.flatnonzero((like != matrix).any(axis=1))
    if len(apart):
        mean, std = mean.copy(), std.copy()
        mean[apart] = surrogate.outcomes(like[apart])[0]
        std[apart] = np.hypot(std[apart], departures(surrogate, matrix[apart], like[apart]))
    return mean, std


def best_rows(
    known: Known,
    pool: FloatArray,
    n: int = 1,
    *,
    penalty: FloatArray | None = None,
    reference: tuple[float, float] | None = None,
) -> IntArray:
    """The rows of a pool to measure next.

    Args:
        known: Rows that were measured, and the belief about others.
        pool: `(m, k + 1)` rows that were not tried, all different.
        n: How many are wanted.
        penalty: `(m,)` subtracted from the log of each row's gain: log seconds, for gain per second.
        reference: Highest log cost and lowest accuracy that count; by default those of all rows, tried or not.

    Returns:
        `(min(n, m),)` row numbers of the pool, the best first; equal ones in the pool's order.
    """
    rows, chosen = np.arange(len(pool)), list[int]()
    penalty = np.zeros(len(pool)) if penalty is None else penalty
    most = max(SHORTLIST, n)
    mean, std = known.of(pool, rough=len(pool) > most)
    reference = reference_of(known, pool, mean) if reference is None else reference
    if len(pool) > most:
        rows = _shortlist(mean, std, pool[:, -1], known.staircase(reference), penalty, most)
        mean, std = known.of(pool[rows])
    while True:
        gain = log_gain(mean, std, pool[rows, -1], known.staircase(reference)) - penalty[rows]
        gain[np.isin(rows, chosen)] = np.nan  # not even where nothing else gains anything
        best = int(np.nanargmax(gain))
        chosen.append(int(rows[best]))
        if len(chosen) >= min(n, len(rows)):
            break
        known = known.believing(pool[rows[[best]]])
        mean, std = known.of(pool[rows])
    return np.array(chosen, dtype=np.int64)


def _shortlist(
    mean: FloatArray, std: FloatArray, costs: FloatArray, front: FrontStaircase, penalty: FloatArray, most: int
) -> IntArray:
    """Numbers of the `most` rows that gain most; of very many, only the most promising are looked at strip by strip."""
    import torch

    rows = np.arange(len(mean))
    if len(rows) > max(SCREENED, most):
        mean_, std_, costs_ = (torch.from_numpy(part) for part in (mean, std, np.log(costs)))
        rows = _largest(log_most_gain(mean_, std_, costs_, front).numpy() - penalty, costs, max(SCREENED, most))
    gain = log_gain(mean[rows], std[rows], costs[rows], front) - penalty[rows]
    return np.sort(rows[_largest(gain, costs[rows], most)])


def _largest(values: FloatArray, costs: FloatArray, count: int) -> IntArray:
    """Numbers of the `count` largest values, half of them the largest in equal shares of the range of log costs.

    Without that half a batch would find all it may choose from near its first choice.
    """
    if len(values) <= count:
        return np.arange(len(values))
    place = np.log(costs / costs.min()) / max(np.log(costs.max() / costs.min()), 1e-9)
    share = np.minimum((place * _SHARES).astype(np.int64), _SHARES - 1)
    order = np.lexsort((-values, share))
    rank = np.arange(len(order)) - np.searchsorted(share[order], share[order])
    spread = order[rank < count // 2 // _SHARES]
    best = np.argpartition(-values, count - 1)[: count - len(spread)]
    found: IntArray = np.union1d(best, spread)
    return found


def log_gain(mean: FloatArray, std: FloatArray, costs: FloatArray, front: FrontStaircase) -> FloatArray:
    """`(n,)` logarithms of the expected gains in hypervolume; costs as they are."""
    import torch

    mean_, std_, costs_ = (torch.from_numpy(part) for part in (mean, std, np.log(costs)))
    gain: FloatArray = log_expected_gain(mean_, std_, costs_, front).numpy()
    return gain


def reference_of(known: Known, pool: FloatArray, mean: FloatArray) -> tuple[float, float]:
    """Highest log cost, with a margin, and lowest accuracy, of all rows, given `(m,)` means of the pool's.

    The first five rows rarely hold the cheapest: what the pool is expected to reach counts too, but no more than one
    range of accuracies below the lowest that was measured.
    """
    costs, reached = known.points()
    paid = np.concatenate([costs, np.log(pool[:, -1])])
    floor = max(min(reached.min(), mean.min()), reached.min() - np.ptp(reached))
    return float(paid.max() + MARGIN * max(np.ptp(paid), 1e-9)), float(floor - FLOOR_DEPTH * np.ptp(reached))
