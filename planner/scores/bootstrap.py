"""How sure the measures of `planner.scores.ranks` are, by resampling rows, and whether a proxy is worth using.

    beyond  Spearman less that of the best other baseline (MACs, params: the one with the highest Spearman), on the
            same resamples; _top20 and _top5 within the tails

Intervals are bootstrap percentiles over rows, the same resamples for every proxy. A tail is resampled as a table of
its own: which rows it holds is taken as given. Regrets count each distinct row of a resample once. Kendall's tau is
resampled with m = min(n, 1000) rows and its deviations shrunk by sqrt(m / n) (m out of n bootstrap, Bickel et al.
1997), because one tau of 30,000 rows takes as long as fifty Spearmans.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planner.scores.ranks import CORRELATIONS, FOUND, RANKED_PARTS, REGRETS, measures_in, tails_of, top_sizes
from sampler.architecture import FloatArray, IntArray

LEVEL = 0.9
KENDALL_ROWS = 1000
Measures = dict[str, FloatArray]  # `(resamples,)` of each
Draws = dict[str, Measures]  # by proxy


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, or why there is none.

    Attributes:
        value: Value of the table's rows.
        lower: End of the interval at `LEVEL`.
        upper: End of the interval at `LEVEL`.
        why: `too few` (rows), `constant`, `no MACs`, `as MACs` (the ranks are those of the MACs), `no baseline`.
    """

    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Trust:
    """What is known about one proxy; the measures are those of `planner.scores.ranks`.

    Attributes:
        name: The column.
        baseline: Whether it is what every cheap score must beat.
        measures: By name.
        rival: The best other baseline.
        worth_using: Whether the interval of `beyond` lies above 0, and none of `beyond_top20` and `beyond_top5` below
            it; None where there is no rival.
    """

    name: str
    baseline: bool
    measures: dict[str, Estimate]
    rival: str | None
    worth_using: bool | None


def trusts(
    codes: Mapping[str, IntArray],
    values: FloatArray,
    y: IntArray,
    z: IntArray | None,
    baselines: Sequence[str],
    resamples: int,
    rng: np.random.Generator,
) -> tuple[Trust, ...]:
    """Every proxy's measures and verdict.

    Args:
        codes: `(n,)` codes of each proxy, by name.
        values: `(distinct,)` the target's values, by code.
        y: `(n,)` codes of the target.
        z: `(n,)` codes of the MACs.
        baselines: Names of the proxies that the others must beat.
        resamples: Number of resamples of the bootstrap.
        rng: Generator of the bootstrap.
    """
    measure = measures_in(np.arange(len(y)), tails_of(y), values, y, z)
    points = {column: measure(x) for column, x in codes.items()}
    drawn = _bootstrap(codes, values, y, z, resamples, rng)
    rows = {"": len(y), **top_sizes(y)}
    draws = {column: _shrunk(points[column], drawn[column], rows) for column in codes}
    found = {column: estimates(points[column], draws[column]) for column in codes}
    return tuple(_trust(column, baselines, found, draws) for column in codes)


def _bootstrap(
    codes: Mapping[str, IntArray],
    values: FloatArray,
    y: IntArray,
    z: IntArray | None,
    resamples: int,
    rng: np.random.Generator,
) -> Draws:
    """`(resamples,)` of every measure of every proxy, from the same resamples."""
    tails = tails_of(y)
    drawn: dict[str, list[dict[str, float]]] = {column: [] for column in codes}
    for _ in range(resamples):
        rows = rng.integers(0, len(y), len(y))
        again = {top: of[rng.integers(0, len(of), len(of))] for top, of in tails.items()}
        measure = measures_in(rows, again, values, y, z, KENDALL_ROWS)
        for column, x in codes.items():
            drawn[column].append(measure(x))
    return {column: {name: np.array([one[name] for one in all_]) for name in all_[0]} for column, all_ in drawn.items()}


def _shrunk(points: Mapping[str, float], draws: Mapping[str, FloatArray], rows: Mapping[str, int]) -> Measures:
    """The draws with those of Kendall's tau as if they had been drawn from all rows of the table or the tail."""
    shrink = {
        name: math.sqrt(min(1.0, KENDALL_ROWS / rows[name.partition("_")[2]])) if name.startswith("kendall") else 1.0
        for name in points
    }
    return {name: points[name] + shrink[name] * (draws[name] - points[name]) for name in points}


def estimates(points: Mapping[str, float], draws: Mapping[str, FloatArray]) -> dict[str, Estimate]:
    """Every measure with its percentile interval, or why it is missing.

    Args:
        points: Values of the table's rows, NaN where undefined.
        draws: `(resamples,)` of each, by the same names.
    """
    found = {}
    for name in (*CORRELATIONS, *FOUND, *REGRETS, "equal_macs"):
        if name not in points:
            found[name] = Estimate(why="no MACs" if name == "equal_macs" else "too few")
        elif math.isnan(points[name]):
            constant = name != "equal_macs" or math.isnan(points["spearman"])
            found[name] = Estimate(why="constant" if constant else "as MACs")
        else:
            found[name] = _interval(points[name], draws[name])
    return found


def _interval(value: float, draws: FloatArray) -> Estimate:
    """Percentiles; resamples in which a rare value is not drawn have no correlation."""
    tail = (1 - LEVEL) / 2
    lower, upper = np.nanquantile(draws, [tail, 1 - tail])
    return Estimate(float(value), float(lower), float(upper))


def _trust(column: str, baselines: Sequence[str], found: Mapping[str, dict[str, Estimate]], draws: Draws) -> Trust:
    """A proxy's measures, and whether it beats the best other baseline."""
    others = {one: found[one]["spearman"].value for one in baselines if one != column}
    usable = {one: value for one, value in others.items() if value is not None}
    rival = max(usable, key=lambda one: usable[one], default=None)
    mine = found[column]
    beyond = {f"beyond{part}": _beyond(f"spearman{part}", column, rival, found, draws) for part in RANKED_PARTS}
    worth = None if rival is None else (beyond["beyond"].lower or 0.0) > 0
    if any((beyond[f"beyond{part}"].upper or 0.0) < 0 for part in RANKED_PARTS):
        worth = False
    if mine["spearman"].value is None:
        worth = False
    return Trust(column, column in baselines, mine | beyond, rival, worth)


def _beyond(
    name: str, column: str, rival: str | None, found: Mapping[str, dict[str, Estimate]], draws: Draws
) -> Estimate:
    """The difference of a measure to the rival's, on the same resamples."""
    if rival is None:
        return Estimate(why="no baseline")
    mine, its = found[column][name], found[rival][name]
    if mine.value is None or its.value is None:
        return Estimate(why=mine.why or its.why)
    return _interval(mine.value - its.value, draws[column][name] - draws[rival][name])
