"""`planner.propose`: the rows of a pool whose measuring promises the largest gain in hypervolume.

Only the target is modelled; the cost of every row is known. The surrogate of the rows measured gives each row of
the pool a Gaussian, `planner.acquisition` the expected gain. The staircase is built from posterior means, so that one
lucky measurement is not chased. For a batch, each choice is believed to come out as expected (Ginsbourger et al. 2010's
Kriging believer) before the next is made, so that a batch does not crowd.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from planner.errors import PlannerError
from planner.surrogates.rows import as_frame, numbers_in
from sampler.architecture import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

    from planner.acquisition import Staircase
    from planner.surrogates.surrogate import Surrogate

Per = Literal["trial", "second"]
# Fewer different rows than this teach a surrogate nothing that spreading the rows out would not.
FEWEST = 5
# The reference lies this share of the range of log costs beyond the dearest row, so that the dearest are worth trying.
MARGIN = 0.02
# Rows that are looked at again after the first of a batch was chosen.
SHORTLIST = 4096
SECONDS = "seconds"


def propose(
    observed: pd.DataFrame | str | Path,
    pool: pd.DataFrame | str | Path,
    n: int = 1,
    *,
    inputs: Sequence[str],
    target: str = "accuracy",
    cost: str = "macs",
    seed: int = 0,
    noise_variance: Any = None,
    per: Per = "trial",
) -> list[Any]:
    """Chooses rows of a pool to measure next.

    Args:
        observed: What has been measured: the columns of `inputs`, `cost` and `target`. Rows whose target is missing or
            infinite, or whose column `status` is not `ok`, count as tried and teach nothing.
        pool: What could be measured, with the columns of `inputs` and `cost`; rows that were tried are left out.
        n: How many to choose; fewer come back where the pool holds fewer.
        inputs: Numeric columns that say what a row is.
        target: What is measured, to be made large.
        cost: What it costs: positive, known exactly, to be made small.
        seed: Of the surrogate's fit and of ties.
        noise_variance: Between repeated measurements, where it is known: as `planner.fit_surrogate` takes it.
        per: Gain per `trial`, or per `second` of training; then `observed` needs the column `seconds`.

    Returns:
        Row labels of `pool`, the best first.

    Raises:
        PlannerError: If a column is missing, a number impossible, or every row of the pool was tried.
    """
    if n < 1:
        raise PlannerError(f"n is {n}; at least one row is wanted")
    measured, candidates = as_frame(observed), as_frame(pool)
    columns = [*inputs, cost]
    matrix = _columns(candidates, columns)
    tried = _columns(measured, columns)
    untried = np.flatnonzero(~_known(matrix, tried))
    if not len(untried):
        raise PlannerError(f"all {len(matrix)} rows of the pool were tried; give more rows")
    usable = measured[_usable(measured, target)]
    if _teaches(usable, inputs, target):
        chosen = _by_gain(usable, candidates.iloc[untried], n, inputs, target, cost, seed, noise_variance, per)
    else:
        chosen = spread_out(matrix[untried], tried, n, seed)
    return [candidates.index[untried[row]] for row in chosen]


def _columns(frame: pd.DataFrame, names: Sequence[str]) -> FloatArray:
    """Numbers of some columns; the last one is a cost."""
    matrix: FloatArray = np.column_stack([numbers_in(frame, name) for name in names])
    if (matrix[:, -1] <= 0).any():
        row = int(np.flatnonzero(matrix[:, -1] <= 0)[0])
        raise PlannerError(f"{names[-1]} of row {row + 1} is {matrix[row, -1]:g}; a positive cost is wanted")
    return matrix


def _known(matrix: FloatArray, tried: FloatArray) -> np.ndarray:
    """`(n,)` bools: whether a row was tried, or stands in the pool before."""
    together = np.ascontiguousarray(np.concatenate([tried, matrix]) + 0.0)  # -0.0 is 0.0
    _, first = np.unique(together.view([("", together.dtype)] * together.shape[1]).ravel(), return_index=True)
    new = np.zeros(len(together), dtype=bool)
    new[first] = True
    return ~new[len(tried) :]


def _usable(measured: pd.DataFrame, target: str) -> np.ndarray:
    import pandas as pd

    if target not in measured:
        raise PlannerError(f"no column {target}; the columns observed are {', '.join(map(str, measured.columns))}")
    usable: np.ndarray = np.isfinite(pd.to_numeric(measured[target], errors="coerce").to_numpy(dtype=float))
    return usable & (measured["status"] == "ok").to_numpy() if "status" in measured else usable


def _teaches(usable: pd.DataFrame, inputs: Sequence[str], target: str) -> bool:
    return len(usable[list(inputs)].drop_duplicates()) >= FEWEST and usable[target].nunique() > 1


def _by_gain(
    usable: pd.DataFrame,
    pool: pd.DataFrame,
    n: int,
    inputs: Sequence[str],
    target: str,
    cost: str,
    seed: int,
    noise_variance: Any,
    per: Per,
) -> list[int]:
    import torch

    from planner.acquisition import log_expected_gain
    from planner.surrogates.fit import fit_surrogate

    surrogate = fit_surrogate(usable, inputs, target, cost, noise_variance, seed)
    paid = np.log(numbers_in(pool, cost))
    reference = _reference(np.log(numbers_in(usable, cost)), paid, usable[target].to_numpy(dtype=float))
    penalty = _log_seconds(usable, pool, [*inputs, cost]) if per == "second" else np.zeros(len(pool))
    rows, chosen = np.arange(len(pool)), list[int]()
    while True:
        front = _staircase(surrogate, usable, cost, reference)
        mean, std = surrogate.posterior(pool.iloc[rows])
        gain = log_expected_gain(*(torch.from_numpy(part) for part in (mean, std, paid[rows])), front).numpy()
        gain = gain - penalty[rows]
        gain[np.isin(rows, chosen)] = -np.inf
        best = int(np.argmax(gain))
        chosen.append(int(rows[best]))
        if len(chosen) == min(n, len(pool)):
            return chosen
        if len(rows) > SHORTLIST:
            kept = np.sort(np.argpartition(-gain, SHORTLIST)[:SHORTLIST])
            best, rows, mean = int(np.searchsorted(kept, best)), rows[kept], mean[kept]
        believed = pool.iloc[[chosen[-1]]].assign(**{target: mean[best]})
        surrogate = surrogate.conditioned(believed)
        usable = _joined(usable, believed)


def _joined(usable: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([usable, more], ignore_index=True)


def _reference(seen: FloatArray, paid: FloatArray, target: FloatArray) -> tuple[float, float]:
    """Highest log cost, with a margin, and lowest target."""
    low, high = min(seen.min(), paid.min()), max(seen.max(), paid.max())
    return float(high + MARGIN * max(high - low, 1e-9)), float(target.min())


def _staircase(surrogate: Surrogate, usable: pd.DataFrame, cost: str, reference: tuple[float, float]) -> Staircase:
    """What has been reached, by what the surrogate believes of the rows measured."""
    import torch

    from planner.acquisition import Staircase

    mean, _ = surrogate.posterior(usable)
    return Staircase.of(torch.from_numpy(np.log(numbers_in(usable, cost))), torch.from_numpy(mean), reference)


def _log_seconds(usable: pd.DataFrame, pool: pd.DataFrame, columns: Sequence[str]) -> FloatArray:
    """Logarithm of the seconds that each row of the pool would take, up to a constant: linear in the cost's logarithm."""
    if SECONDS not in usable:
        raise PlannerError(f"per second needs the column {SECONDS} among the observed ones; give it, or leave per out")
    seconds = np.log(np.maximum(numbers_in(usable, SECONDS), 1e-3))
    x = np.log(numbers_in(usable, columns[-1]))
    slope = float(np.polyfit(x, seconds, 1)[0]) if np.ptp(x) > 0 else 0.0
    result: FloatArray = slope * np.log(numbers_in(pool, columns[-1]))
    return result


def spread_out(pool: FloatArray, tried: FloatArray, n: int, seed: int) -> IntArray:
    """Rows far from each other and from what was tried, for when nothing is known: a greedy maximin design.

    Args:
        pool: `(m, k)` inputs, then the cost; positive columns are compared by their logarithms.
        tried: `(t, k)` the same.
        n: Rows wanted.
        seed: Of the first row where nothing was tried.

    Returns:
        `(min(n, m),)` row numbers.
    """
    together = np.concatenate([tried, pool])
    scaled = np.where((together > 0).all(axis=0), np.log(np.maximum(together, 1e-300)), together)
    spans = np.ptp(scaled, axis=0)
    scaled = (scaled - scaled.min(axis=0)) / np.where(spans > 0, spans, 1.0)
    scaled[:, -1] *= np.sqrt(scaled.shape[1])  # a front needs all costs: as far apart as all inputs together
    points, near = scaled[len(tried) :], np.full(len(pool), np.inf)
    for one in scaled[: len(tried)]:
        near = np.minimum(near, ((points - one) ** 2).sum(axis=1))
    chosen = list[int]()
    while len(chosen) < min(n, len(pool)):
        free = np.isinf(near).all()
        row = int(np.random.default_rng(seed).integers(len(pool))) if free else int(np.argmax(near))
        chosen.append(row)
        near = np.minimum(near, ((points - points[row]) ** 2).sum(axis=1))
        near[row] = -1.0
    return np.array(chosen, dtype=np.int64)
