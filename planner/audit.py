"""How far a cheap score can be trusted to rank networks: overall, among the best, and at equal cost.

Notation of this file (n rows, ranks start at 1, ties share their mean rank):

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
    beyond      Spearman less that of the best other baseline (MACs, params: the one with the highest Spearman),
                on the same resamples; _top20 and _top5 within the tails

Where a proxy ties at the edge of its k best, `found` and `regret_k` are expectations over a random choice.

Intervals are bootstrap percentiles over rows, the same resamples for every proxy. A tail is resampled as a table of
its own: which rows it holds is taken as given. Regrets count each distinct row of a resample once. Kendall's tau is
resampled with m = min(n, 1000) rows and its deviations shrunk by sqrt(m / n) (m out of n bootstrap, Bickel et al.
1997), because one tau of 30,000 rows takes as long as fifty Spearmans.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import PlannerError
from sampler.architecture import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

Rng = np.random.Generator
LEVEL = 0.9
FEWEST = 10  # rows; with fewer a correlation's 90 % interval is wider than from -0.5 to 0.5
TOPS = {"top20": 0.2, "top5": 0.05}
CHOICES = (1, 5, 10)
KENDALL_ROWS = 1000
SIMULATIONS = 200
DECONVOLUTIONS = 10
LARGEST_FILE = 1_000_000_000
PARTS = ("", *(f"_{top}" for top in TOPS))  # the whole table, and its tails
CORRELATIONS = tuple(f"{name}{part}" for name in ("spearman", "kendall") for part in PARTS)
FOUND = tuple(f"found_{top}" for top in TOPS)
REGRETS = tuple(f"regret_{k}" for k in CHOICES)


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, or why there is none.

    Attributes:
        value: Of the table's rows.
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
    """What is known about one proxy; the measures are those of the module's description.

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


@dataclass(frozen=True)
class Noise:
    """What repeated trainings say about the target.

    Attributes:
        std: Standard deviation of one training among repeats, in the target's unit.
        trainings: Mean number of trainings behind one target.
        measures: What a perfect proxy, the noise-free target, would reach; intervals are those of the simulations.
    """

    std: float
    trainings: float
    measures: dict[str, Estimate]


@dataclass(frozen=True, eq=False)
class Audit:
    """How far each proxy can be trusted.

    Attributes:
        target: The column, or `mean of ..`.
        rows: Rows (groups) used.
        tops: Rows of top20 and top5.
        left_out: Rows that were not used, by reason.
        scores: Proxies as asked for, then baselines.
        noise: None where no training is repeated.
        frame: `(rows, columns)` what was compared, as given.
        smaller: Columns whose smaller values are better.
    """

    target: str
    rows: int
    tops: dict[str, int]
    left_out: dict[str, int]
    scores: tuple[Trust, ...]
    noise: Noise | None
    frame: pd.DataFrame
    smaller: tuple[str, ...]


def audit(
    table: pd.DataFrame | str | Path,
    proxies: str | Sequence[str],
    target: str | None = None,
    *,
    smaller: Sequence[str] = (),
    repeats: Sequence[str] = (),
    group: str | None = None,
    macs: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Audit:
    """Compares proxies with a target.

    Args:
        table: One row per training or per architecture: a frame, or a CSV file (plain or .gz). Only rows with status
            `ok` are used where there is such a column, and only rows in which no column that is used is empty.
        proxies: Columns of cheap scores, or one. The MACs and `params` join them as baselines.
        target: The column to be predicted; the mean of the repeats by default.
        smaller: Columns, of the target's too, whose smaller values are better.
        repeats: Columns with repeated trainings of the target: `target` must be one of them or their mean.
        group: Rows equal in this column are repeated trainings of one architecture; they are averaged.
        macs: The column of MACs; `macs` where there is one.
        resamples: Of the bootstrap.
        seed: Of the bootstrap and of the simulated noise.

    Raises:
        PlannerError: If a column is missing, a value is no number, fewer than `FEWEST` rows are left, or the target
            is constant.
    """
    name = str(table) if isinstance(table, str | Path) else "the table"
    frame = _read(Path(table)) if isinstance(table, str | Path) else table
    macs = macs or ("macs" if "macs" in frame and target != "macs" else None)
    baselines = [one for one in (macs, "params") if one is not None and one != target and (one in frame or one == macs)]
    columns = list(dict.fromkeys([*([proxies] if isinstance(proxies, str) else proxies), *baselines]))
    _check_request(frame, columns, target, repeats, group, name)
    numbers, left_out = _numbers(frame, [*columns, *([target] if target else []), *repeats], group, name)
    label = target or f"mean of {', '.join(repeats)}"
    numbers, spread = _targets(numbers, target, label, repeats, group, name)
    _check_rows(numbers, label, left_out, name)
    signs = _signs([*columns, label, *repeats], smaller)
    signs[label] = min(signs[one] for one in (label, *repeats))  # the target is as its repeats are
    codes = {column: _codes(signs[column] * numbers[column].to_numpy()) for column in columns}
    values, y = np.unique(signs[label] * numbers[label].to_numpy(), return_inverse=True)
    z = codes[macs] if macs else None
    rng = np.random.default_rng(seed)
    scores = _scores(codes, values, y, z, baselines, resamples, rng)
    noise = None if spread is None else _noise(values[y], spread, z, rng)
    better_small = tuple(column for column in (*columns, label) if signs[column] < 0)
    kept = numbers[[*columns, label]]
    return Audit(label, len(y), _top_sizes(y), left_out, scores, noise, kept, better_small)


def _read(path: Path) -> pd.DataFrame:
    """A CSV file as text: only an empty cell is a missing value, and labels keep their leading zeros.

    Raises:
        PlannerError: If it cannot be read.
    """
    import pandas as pd

    try:
        if path.stat().st_size > LARGEST_FILE:
            raise PlannerError(f"{path}: larger than {LARGEST_FILE:,} bytes; give a table of scores")
        return pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    except OSError as error:
        raise PlannerError(f"{path}: {error.strerror or error}; give a CSV file of scores") from error
    except (ValueError, EOFError, pd.errors.ParserError) as error:
        reason = str(error).split("\n")[0]
        raise PlannerError(f"{path}: not a CSV table ({reason}); give one row per network, with a header") from error


def _check_request(
    frame: pd.DataFrame,
    columns: Sequence[str],
    target: str | None,
    repeats: Sequence[str],
    group: str | None,
    name: str,
) -> None:
    if not columns:
        raise PlannerError(f"{name}: no proxy given, and no column macs or params to compare with; name a proxy")
    if target is None and not repeats:
        raise PlannerError("no target given; name the column that the proxy should predict")
    if repeats and (group or len(set(repeats)) < 2):
        raise PlannerError("repeats are two or more columns, or rows of one group, not both; leave one out")
    if target in columns:
        raise PlannerError(f"{target} is the target and a proxy of itself; name another proxy")
    wanted = [*columns, *repeats, *(column for column in (target, group) if column)]
    missing = [column for column in wanted if column not in frame]
    if missing:
        has = ", ".join(map(str, frame.columns))
        raise PlannerError(f"{name}: no column {missing[0]!r}; its columns are {has}")


def _numbers(
    frame: pd.DataFrame, columns: Sequence[str], group: str | None, name: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The columns as numbers in the rows that have them all, and how many rows have not."""
    import pandas as pd

    left_out: dict[str, int] = {}
    frame = frame.reset_index(drop=True)
    if "status" in frame:
        others = frame.loc[frame["status"] != "ok", "status"].fillna("missing").value_counts().sort_index()
        left_out = {f"status {status}": int(n) for status, n in others.items()}
        frame = frame[frame["status"] == "ok"]
    numbers = pd.DataFrame(index=frame.index)
    for column in dict.fromkeys(columns):
        numbers[column] = pd.to_numeric(frame[column], errors="coerce").astype(float)
        wrong = np.flatnonzero(~np.isfinite(numbers[column]) & frame[column].notna())
        if len(wrong):
            value = " ".join(str(frame[column].iloc[wrong[0]]).split())[:80]
            row = int(frame.index[wrong[0]]) + 1
            raise PlannerError(f"{name}: {column} of row {row} is {value!r}; a finite number or nothing is wanted")
    if group:
        numbers["_group"] = frame[group]
    for column in map(str, numbers):
        lacking = numbers[column].isna()
        if lacking.any():
            left_out[f"no {group if column == '_group' else column}"] = int(lacking.sum())
        numbers = numbers[~lacking]
    return numbers, left_out


def _targets(
    numbers: pd.DataFrame, target: str | None, label: str, repeats: Sequence[str], group: str | None, name: str
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """One row per architecture; with `variance` of one training, its `freedom` and `trainings` behind a target."""
    import pandas as pd

    if group:
        groups = numbers.groupby("_group")
        size = groups.size()
        if not (size > 1).any():
            raise PlannerError(f"{name}: no two rows are equal in {group}; leave --group out, or name another column")
        spread = pd.DataFrame({"variance": groups[label].var().fillna(0.0), "freedom": size - 1, "trainings": size})
        return groups.mean(), spread
    if not repeats:
        return numbers, None
    runs = numbers[list(repeats)]
    mean = runs.mean(axis=1)
    # Means are often stored rounded.
    if target and target not in repeats and not np.allclose(numbers[target], mean, rtol=1e-4):
        raise PlannerError(
            f"{name}: {target} is neither one of {', '.join(repeats)} nor their mean; leave --target out"
        )
    numbers = numbers if target else numbers.assign(**{label: mean})
    trainings = 1 if target in repeats else runs.shape[1]
    spread = pd.DataFrame({"variance": runs.var(axis=1), "freedom": runs.shape[1] - 1, "trainings": trainings})
    return numbers, spread


def _signs(columns: Sequence[str], smaller: Sequence[str]) -> dict[str, float]:
    """-1 where smaller is better."""
    unknown = [column for column in smaller if column not in columns]
    if unknown:
        raise PlannerError(f"smaller is better in {unknown[0]!r}, which is neither proxy nor target; leave it out")
    return {column: -1.0 if column in smaller else 1.0 for column in columns}


def _check_rows(numbers: pd.DataFrame, label: str, left_out: Mapping[str, int], name: str) -> None:
    if len(numbers) < FEWEST:
        reasons = "".join(f", {n} left out ({reason})" for reason, n in left_out.items())
        raise PlannerError(f"{name}: {len(numbers)} rows to compare{reasons}; at least {FEWEST} are wanted")
    if numbers[label].nunique() == 1:
        raise PlannerError(f"{name}: {label} is {numbers[label].iloc[0]:g} in every row; there is nothing to rank")


def _codes(values: ArrayLike) -> IntArray:
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


def _top_sizes(y: IntArray) -> dict[str, int]:
    return {top: int((y >= _edge(y, _size(len(y), share))).sum()) for top, share in TOPS.items()}


def _tails(y: IntArray) -> dict[str, IntArray]:
    """Row numbers of the tails that are large enough to be ranked."""
    tails = {top: np.flatnonzero(y >= _edge(y, _size(len(y), share))) for top, share in TOPS.items()}
    return {top: rows for top, rows in tails.items() if len(rows) >= FEWEST}


Measures = dict[str, FloatArray]  # `(resamples,)` of each
Draws = dict[str, Measures]  # by proxy


def _scores(
    codes: Mapping[str, IntArray],
    values: FloatArray,
    y: IntArray,
    z: IntArray | None,
    baselines: Sequence[str],
    resamples: int,
    rng: Rng,
) -> tuple[Trust, ...]:
    """Every proxy's measures and verdict."""
    measure = _measures_in(np.arange(len(y)), _tails(y), values, y, z)
    points = {column: measure(x) for column, x in codes.items()}
    drawn = _bootstrap(codes, values, y, z, resamples, rng)
    rows = {"": len(y), **_top_sizes(y)}
    draws = {column: _shrunk(points[column], drawn[column], rows) for column in codes}
    found = {column: _estimates(points[column], draws[column]) for column in codes}
    return tuple(_trust(column, baselines, found, draws) for column in codes)


def _bootstrap(
    codes: Mapping[str, IntArray],
    values: FloatArray,
    y: IntArray,
    z: IntArray | None,
    resamples: int,
    rng: Rng,
) -> Draws:
    """`(resamples,)` of every measure of every proxy, from the same resamples."""
    tails = _tails(y)
    drawn: dict[str, list[dict[str, float]]] = {column: [] for column in codes}
    for _ in range(resamples):
        rows = rng.integers(0, len(y), len(y))
        again = {top: of[rng.integers(0, len(of), len(of))] for top, of in tails.items()}
        measure = _measures_in(rows, again, values, y, z, KENDALL_ROWS)
        for column, x in codes.items():
            drawn[column].append(measure(x))
    return {column: {name: np.array([one[name] for one in all_]) for name in all_[0]} for column, all_ in drawn.items()}


def _measures_in(
    rows: IntArray,
    tails: Mapping[str, IntArray],
    values: FloatArray,
    y: IntArray,
    z: IntArray | None,
    kendall_rows: int | None = None,
) -> Callable[[IntArray], dict[str, float]]:
    """A function: the measures of a proxy in these rows, NaN where undefined; what proxies share is ranked once."""
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


def _shrunk(points: Mapping[str, float], draws: Mapping[str, FloatArray], rows: Mapping[str, int]) -> Measures:
    """The draws with those of Kendall's tau as if they had been drawn from all rows of the table or the tail."""
    shrink = {
        name: math.sqrt(min(1.0, KENDALL_ROWS / rows[name.partition("_")[2]])) if name.startswith("kendall") else 1.0
        for name in points
    }
    return {name: points[name] + shrink[name] * (draws[name] - points[name]) for name in points}


def _estimates(points: Mapping[str, float], draws: Mapping[str, FloatArray]) -> dict[str, Estimate]:
    """Every measure with its percentile interval, or why it is missing."""
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
    beyond = {f"beyond{part}": _beyond(f"spearman{part}", column, rival, found, draws) for part in PARTS}
    worth = None if rival is None else (beyond["beyond"].lower or 0.0) > 0
    if any((beyond[f"beyond{part}"].upper or 0.0) < 0 for part in PARTS):
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


def _noise(target: FloatArray, spread: pd.DataFrame, z: IntArray | None, rng: Rng) -> Noise:
    """What a proxy would reach that knew the target without noise: simulated.

    The noise of one training is that of the repeats, averaged over rows of similar target (a twentieth of the rows,
    at least 50), because good and bad networks differ in it.
    """
    order = np.argsort(target, kind="stable")
    weight, squares = spread["freedom"].iloc[order], (spread["freedom"] * spread["variance"]).iloc[order]
    near = min(len(target), max(50, len(target) // 20))
    squares, weight = (one.rolling(near, min_periods=1, center=True).sum() for one in (squares, weight))
    pooled = float((spread["freedom"] * spread["variance"]).sum() / spread["freedom"].sum())
    local = (squares / weight).fillna(pooled).clip(lower=0)
    std = np.empty(len(target))
    std[order] = np.sqrt(local / spread["trainings"].iloc[order])
    truth = _noise_free(target, std, rng)
    drawn = []
    for _ in range(SIMULATIONS):
        values, y = np.unique(truth + std * rng.standard_normal(len(truth)), return_inverse=True)
        drawn.append(_measures_in(np.arange(len(y)), _tails(y), values, y, z)(_codes(truth)))
    draws = {name: np.array([one[name] for one in drawn]) for name in drawn[0]}
    points = {name: float(values.mean()) for name, values in draws.items()}
    return Noise(math.sqrt(pooled), float(spread["trainings"].mean()), _estimates(points, draws))


def _noise_free(target: FloatArray, std: FloatArray, rng: Rng) -> FloatArray:
    """Targets moved together until noise spreads them again as they were measured.

    Measured values are spread wider than true ones. Their order is kept, and each quantile is corrected by what it
    would gain from the noise, towards quantile(truth + noise) = quantile(target). The rounds are few, because later
    ones follow the chances of single rows into clumps; so the ceiling is cautious, that is, rather too high: by 0.1
    within the top 5 % where the best crowd at a hard limit (and the regret of a perfect proxy there half of what it
    is), and 0.1 to 0.2 instead of 0 where there is nothing but noise.
    """
    order = np.argsort(target, kind="stable")
    wanted, std = target[order], std[order]
    truth = wanted.copy()
    for _ in range(DECONVOLUTIONS):
        noisy = np.sort(truth + std * rng.standard_normal((8, len(truth))), axis=1).mean(axis=0)
        truth = np.sort(truth + wanted - noisy)
    found = np.empty(len(truth))
    found[order] = truth
    return found
