"""Rows far from each other, for when nothing is known yet: a greedy maximin design over the inputs and the log cost."""

from __future__ import annotations

import numpy as np

from sampler.architecture import FloatArray, IntArray

# Rows of a pool among which the design is made; more are thinned by chance.
_MOST_ROWS = 20_000
MOST_TRIED = 2_000


def spread_out(pool: FloatArray, tried: FloatArray, n: int, seed: int = 0) -> IntArray:
    """Rows far from each other and from what was tried.

    The cost counts as much as all inputs together, because a front needs all costs; the first two rows of a design from
    nothing are therefore (nearly) a random one and the one that is farthest from it.

    Args:
        pool: `(m, k + 1)` inputs, then the cost; positive columns are compared by their logarithms.
        tried: `(t, k + 1)` the same.
        n: Rows wanted.
        seed: Random seed of the first row where nothing was tried, and of the thinning of very large pools.

    Returns:
        `(min(n, m),)` row numbers of the pool.
    """
    rng = np.random.default_rng(seed)
    most = max(_MOST_ROWS, n)
    rows = np.arange(len(pool)) if len(pool) <= most else np.sort(rng.choice(len(pool), most, replace=False))
    points = _scaled(np.concatenate([tried[:MOST_TRIED], pool[rows]]))
    before, points = points[: -len(rows)], points[-len(rows) :]
    near = np.full(len(rows), np.inf)
    for one in before:
        near = np.minimum(near, ((points - one) ** 2).sum(axis=1))
    chosen = list[int]()
    while len(chosen) < min(n, len(rows)):
        row = int(np.argmax(near)) if np.isfinite(near).all() else int(rng.integers(len(rows)))
        chosen.append(row)
        near = np.minimum(near, ((points - points[row]) ** 2).sum(axis=1))
        near[chosen] = -1.0
    return np.asarray(rows[chosen], dtype=np.int64)


def _scaled(rows: FloatArray) -> FloatArray:
    """Columns over their ranges, positive ones in logarithms; the last one weighs as much as all others."""
    positive = (rows > 0).all(axis=0)
    scaled = np.where(positive, np.log(np.where(positive, rows, 1.0)), rows)
    spans = np.ptp(scaled, axis=0)
    scaled = (scaled - scaled.min(axis=0)) / np.where(spans > 0, spans, 1.0)
    scaled[:, -1] *= np.sqrt(max(scaled.shape[1] - 1, 1))
    return np.asarray(scaled, dtype=np.float64)
