"""How far a cheap score can be trusted to rank networks: overall, among the best, and at equal cost.

The measures are defined in `planner.scores.ranks`, their intervals and the verdict in `planner.scores.bootstrap`, the
noise ceiling in `planner.scores.noise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from planner.scores.bootstrap import Trust, trusts
from planner.scores.noise import Noise, measured_noise
from planner.scores.ranks import codes_of, top_sizes
from planner.scores.reading import check_request, check_rows, finite_numbers, signs_of, targets_of
from planner.tables.cells import source_of
from planner.tables.frames import check_columns, frame_of
from sampler.seeds import checked_seed

if TYPE_CHECKING:
    import pandas as pd


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
        table: One row per training or per architecture: a frame, or a file (see `planner.tables.frames`). Only finished
            rows are used where there is a column `status`, and only rows in which no column that is used is empty.
        proxies: Columns of cheap scores, or one. The MACs and `params` join them as baselines.
        target: The column to be predicted; the mean of the repeats by default.
        smaller: Columns, of the target's too, whose smaller values are better.
        repeats: Columns with repeated trainings of the target: `target` must be one of them or their mean.
        group: Rows equal in this column are repeated trainings of one architecture; they are averaged.
        macs: The column of MACs; `macs` where there is one.
        resamples: Number of resamples of the bootstrap.
        seed: Random seed of the bootstrap and of the simulated noise.

    Raises:
        PlannerError: If a column is missing, a value is no number, fewer than `FEWEST_RANKED` rows are left, or the
            target is constant.
    """
    # As text: labels keep their leading zeros.
    frame = frame_of(table, "network", "scores", text=True)
    source = source_of(frame)
    name = source.name
    check_columns(frame.columns, name)
    macs = macs or ("macs" if "macs" in frame and target != "macs" else None)
    baselines = [one for one in (macs, "params") if one is not None and one != target and (one in frame or one == macs)]
    columns = list(dict.fromkeys([*([proxies] if isinstance(proxies, str) else proxies), *baselines]))
    check_request(frame, columns, target, repeats, group, name)
    numbers, left_out = finite_numbers(frame, [*columns, *([target] if target else []), *repeats], group, source)
    label = target or f"mean of {', '.join(repeats)}"
    numbers, spread = targets_of(numbers, target, label, repeats, group, name)
    check_rows(numbers, label, left_out, name)
    signs = signs_of([*columns, label, *repeats], smaller)
    signs[label] = min(signs[one] for one in (label, *repeats))  # the target is as its repeats are
    codes = {column: codes_of(signs[column] * numbers[column].to_numpy()) for column in columns}
    values, y = np.unique(signs[label] * numbers[label].to_numpy(), return_inverse=True)
    z = codes[macs] if macs else None
    rng = np.random.default_rng(checked_seed(seed))
    scores = trusts(codes, values, y, z, baselines, resamples, rng)
    noise = None if spread is None else measured_noise(values[y], spread, z, rng)
    better_small = tuple(column for column in (*columns, label) if signs[column] < 0)
    kept = numbers[[*columns, label]]
    return Audit(label, len(y), top_sizes(y), left_out, scores, noise, kept, better_small)
