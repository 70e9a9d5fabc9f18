"""Measures of a proxy against a target that need nothing but ranks: correlations, regrets, shares of the top found.

Notation of this package (n rows, ranks start at 1, ties share their mean rank):

    x      (n,) codes of a proxy: 0 for its worst value, 1 for the next ..; a rank statistic needs no more
    y      (n,) codes of the target; `values[y]` is the target, larger is better
    z      (n,) codes of the MACs; ranks of MACs are ranks of log MACs
    top20  the rows whose target is at least that of the ceil(n / 5)-th best row, ties included; top5 likewise

    spearman    Pearson's correlation of the ranks
    kendall     tau-b: concordant less discordant pairs, over pairs that tie in neither column (geometric mean)
    _top20      either of them among the rows of top20 alone
    found       share of top20 (top5) among as many best rows of the proxy; chance finds 20 % (5 %)
    regret_k    the target's best value less the best among the proxy's k best rows, in the target's unit
    equal_macs  partial Spearman given MACs: (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2) (1 - r_yz^2))

Where a proxy ties at the edge of its k best, `found` and `regret_k` are expectations over a random choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from sampler.architecture import FloatArray, IntArray

FEWEST_RANKED = 10  # rows; with fewer a correlation's 90 % interval is wider than from -0.5 to 0.5
TOPS = {"top20": 0.2, "top5": 0.05}
CHOICES = (1, 5, 10)
RANKED_PARTS = ("", *(f"_{top}" for top in TOPS))  # the whole table, and its tails
CORRELATIONS = tuple(f"{name}{part}" for name in ("spearman", "kendall") for part in RANKED_PARTS)
FOUND = tuple(f"found_{top}" for top in TOPS)
REGRETS = tuple(f"regret_{k}" for k in CHOICES)


def codes_of(values: ArrayLike) -> IntArray:
    """`(n,)` codes of `(n,)` values: equal values share one, larger values have larger ones, none is left out."""
    return np.unique(np.asarray(values), return_inverse=True)[1].astype(np.int64)


def _ranks(codes: IntArray) -> FloatArray:
    """Mean ranks as `scipy.stats.rankdata` gives them, less their mean; by counting, without sorting."""
    counts = np.bincount(codes)
    ranks: FloatArray = (np.cumsum(counts) - (counts - 1) / 2 - (len(codes) + 1) / 2)[codes]
    return ranks


def _cosine(a: FloatArray, b: FloatArray) -> float:
    """The correlation of two centred columns; NaN where one is constant."""
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / norm if norm > 0 else math.nan


def spearman_of(x: IntArray, y: IntArray) -> float:
    """Spearman of `(n,)` codes with `(n,)` codes; NaN where either is constant."""
    return _cosine(_ranks(x), _ranks(y))


def _partial(xy: float, xz: float, yz: float) -> float:
    """The correlation of x and y given z; NaN where z leaves nothing of one of them."""
    rest = (1 - xz**2) * (1 - yz**2)
    return (xy - xz * yz) / math.sqrt(rest) if rest > 1e-9 else math.nan


def _kendall(x: IntArray, y: IntArray) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(x, y, method="asymptotic").statistic)


def _size(n: int, share: float) -> int:
    return math.ceil(share * n - 1e-9)  # 0.05 * 20 is above 1 in floats


def _edge(codes: IntArray, k: int) -> int:
    """The code of the k-th best row."""
    at_least = np.cumsum(np.bincount(codes)[::-1])
    return len(at_least) - 1 - int(np.searchsorted(at_least, k))


def _found(x: IntArray, y: IntArray, share: float) -> float:
    """Expected share of the target's top among as many best rows of the proxy."""
    best = y >= _edge(y, _size(len(y), share))
    k = int(best.sum())
    edge = _edge(x, k)
    above, tied = x > edge, x == edge
    chosen = (k - int(above.sum())) / int(tied.sum())
    return (int((best & above).sum()) + chosen * int((best & tied).sum())) / k


def _regret(x: IntArray, target: FloatArray, k: int) -> float:
    """The best target less the expected best among the proxy's k best rows.

    Of t tied rows m are chosen at random; the i-th best of them is the best chosen one with probability
    C(t - i, m - 1) / C(t, m).
    """
    edge = _edge(x, k)
    above = target[x > edge]
    tied = np.sort(target[x == edge])[::-1]
    m, t = k - len(above), len(tied)
    place = np.arange(1, t)
    chance = m / t * np.cumprod(np.concatenate([[1.0], np.maximum(t - place - m + 1, 0) / (t - place)]))
    if len(above):
        tied = np.maximum(tied, above.max())
    return float(chance @ (target.max() - tied))


def top_sizes(y: IntArray) -> dict[str, int]:
    """How many rows each tail of a target with `(n,)` codes has, ties included."""
    return {top: int((y >= _edge(y, _size(len(y), share))).sum()) for top, share in TOPS.items()}


def tails_of(y: IntArray) -> dict[str, IntArray]:
    """Row numbers of the tails that are large enough to be ranked."""
    tails = {top: np.flatnonzero(y >= _edge(y, _size(len(y), share))) for top, share in TOPS.items()}
    return {top: rows for top, rows in tails.items() if len(rows) >= FEWEST_RANKED}


def measures_in(
    rows: IntArray,
    tails: Mapping[str, IntArray],
    values: FloatArray,
    y: IntArray,
    z: IntArray | None,
    kendall_rows: int | None = None,
) -> Callable[[IntArray], dict[str, float]]:
    """A function: the measures of a proxy in these rows, NaN where undefined; what proxies share is ranked once.

    Args:
        rows: `(n,)` row numbers, which may repeat (a resample).
        tails: Row numbers of each tail; those that are too small to be ranked are not among them.
        values: `(distinct,)` the target's values, by code.
        y: `(n,)` codes of the target.
        z: `(n,)` codes of the MACs.
        kendall_rows: How many rows, the first ones, Kendall's tau is taken of; all by default.

    Returns:
        `(n,)` codes of a proxy in, its measures by name out.
    """
    distinct = np.flatnonzero(np.bincount(rows, minlength=len(y)))
    parts = [("", rows, _ranks(y[rows])), *((f"_{top}", of, _ranks(y[of])) for top, of in tails.items())]
    cost = None if z is None else _ranks(z[rows])

    def measure(x: IntArray) -> dict[str, float]:
        found = {}
        for part, of, target in parts:
            some = of[:kendall_rows]
            found[f"spearman{part}"] = _cosine(_ranks(x[of]), target)
            found[f"kendall{part}"] = _kendall(x[some], y[some])
        found |= {f"found_{top}": _found(x[rows], y[rows], TOPS[top]) for top in tails}
        found |= {f"regret_{k}": _regret(x[distinct], values[y[distinct]], min(k, len(distinct))) for k in CHOICES}
        if cost is not None:
            xz, yz = _cosine(_ranks(x[rows]), cost), _cosine(parts[0][2], cost)
            found["equal_macs"] = _partial(found["spearman"], xz, yz)
        return found

    return measure
