"""Tables of measured latencies: our own, timm's published ones, or anybody's with latency_ms and macs.

One row is one measured architecture. Columns that mean something here:

    latency_ms, macs                    always wanted; ms of a forward pass of the batch, MACs of one image
    activations, params, resolution     features where the table has them; pixels
    depth_1..                           their sum is the feature `blocks`
    model, base                         what `--models` selects by
    device, runtime, threads, batch, dtype      how it was measured; one value for all rows

timm's inference benchmarks have other names and units (`TIMM`). Where their batch differs between rows, the time of
one image (step time over batch) is taken.
"""

from __future__ import annotations

import fnmatch
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import PlannerError
from planner.latency.features import LATENCY_FEATURES, LatencyUnit
from planner.tables.cells import TableSource, all_there, numbers, source_of
from planner.tables.column_types import NUMBER, ColumnType, column_type
from planner.tables.frames import check_columns, frame_of
from planner.tables.table import frame_sha256
from planner.text.documents import no_column
from sampler.architecture import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ARCHITECTURES = 5
# timm's column: ours, and what one of its units is in ours.
TIMM = {
    "infer_gmacs": ("macs", 1e9),
    "infer_macts": ("activations", 1e6),
    "param_count": ("params", 1e6),
    "infer_img_size": ("resolution", 1.0),
    "infer_step_time": ("latency_ms", 1.0),
    "infer_batch_size": ("batch", 1.0),
}
TIMM_COUNTING = "timm's gmacs, 3 to 5 % above exact MACs"
MEASURED_ON = ("device", "runtime", "threads", "batch", "dtype")
# Beside columns of numbers, what a table says that is used, or that `planner latency` writes.
USED = {"blocks", "model", "base", "rule", *MEASURED_ON}


@dataclass(frozen=True, eq=False)
class LatencyTable:
    """Usable rows of one device.

    Attributes:
        features: `(n,)` positive values by name, of `planner.latency.features.LATENCY_FEATURES`.
        latency_ms: `(n,)` milliseconds.
        per: Unit of one latency: a forward pass of the batch, or one image.
        measured_on: Single value of each of `MEASURED_ON` that the table has.
        sources: Name, sha256, rows and counting of each file.
    """

    features: dict[str, FloatArray]
    latency_ms: FloatArray
    per: LatencyUnit
    measured_on: dict[str, Any]
    sources: tuple[dict[str, Any], ...]

    @property
    def architecture(self) -> IntArray:
        """`(n,)` numbers that are equal where all features are: one architecture under several names."""
        rows = np.column_stack(list(self.features.values()))
        return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    @property
    def network(self) -> IntArray:
        """`(n,)` numbers that are equal where params are: one network at several resolutions; else `architecture`.

        Rows of one network resemble each other beyond what the counts say (its layers, its normalisation), so an
        error for new networks is only seen by leaving out whole ones. A table of few networks has no such error.
        """
        if "params" not in self.features:
            return self.architecture
        number = np.unique(self.features["params"], return_inverse=True)[1].reshape(-1).astype(np.int64)
        return number if number.max() + 1 >= FEWEST_ARCHITECTURES else self.architecture


def as_latency_table(
    source: pd.DataFrame | str | Path | Sequence[str | Path], models: str | None = None
) -> LatencyTable:
    """The rows of a frame, of a CSV file, or of several.

    Args:
        source: A frame, or the path(s) of CSV files (plain or .gz) with the columns of the module's description.
        models: A pattern such as `resnet*` for the column `model` or `base`; all rows without it.

    Raises:
        PlannerError: If a file cannot be read, a column is missing, a value is impossible, or rows of different
            devices, runtimes, threads, batches or types would be mixed.
    """
    import pandas as pd

    named = _named(source)
    parts, sources = [], []
    for frame, origin in named:
        part, counting = _renamed(frame, origin)
        part = _selected(part, models, origin.name)
        parts.append(_checked(part, origin))
        sources.append(
            {"name": Path(origin.name).name, "sha256": origin.sha256, "rows": len(part), "counting": counting}
        )
    together = ", ".join(origin.name for _, origin in named)
    return _usable(pd.concat(parts, ignore_index=True), together, tuple(sources))


def _named(source: pd.DataFrame | str | Path | Sequence[str | Path]) -> list[tuple[pd.DataFrame, TableSource]]:
    """Rows of each table, and where they come from."""
    import pandas as pd

    tables: Sequence[Any] = [source] if isinstance(source, str | os.PathLike | pd.DataFrame) else list(source)
    if not tables:
        raise PlannerError("no table of latencies given; give at least one CSV file")
    named = []
    for table in tables:
        frame = frame_of(table, "measurement", "latencies")
        origin = source_of(frame)
        check_columns(frame.columns, origin.name)
        if not origin.sha256:
            origin = TableSource(origin.name, frame_sha256(frame))
        named.append((frame.reset_index(drop=True), origin))
    return named


def _renamed(frame: pd.DataFrame, source: TableSource) -> tuple[pd.DataFrame, str]:
    """The frame in our names and units, and whose MACs it counts."""
    known = {column: ours for column, (ours, _) in TIMM.items() if column in frame and ours not in frame}
    if not {"infer_step_time", "infer_gmacs"} & set(known):
        return frame, "macs as given"
    renamed = frame.rename(columns=known)
    for column, ours in known.items():
        renamed[ours] = np.round(numbers(frame[column], source) * TIMM[column][1], 3)
    name = source.name
    print(f"{name}: timm's columns read as {', '.join(f'{a} = {b}' for a, b in known.items())}", file=sys.stderr)
    lacking = renamed[list(known.values())].isna().any(axis=1)
    if lacking.any():  # timm publishes rows of models that it could not count
        print(f"{name}: {lacking.sum()} of {len(renamed)} rows lack a value; left out", file=sys.stderr)
    return renamed[~lacking], TIMM_COUNTING


def _selected(frame: pd.DataFrame, models: str | None, name: str) -> pd.DataFrame:
    """The rows whose model or base matches; the index keeps the row's place in the file."""
    if models is None:
        return frame
    column = next((known for known in ("model", "base") if known in frame), None)
    if column is None:
        raise PlannerError(f"{name}: no column model or base to select {models!r} by; leave --models out")
    names = frame[column].astype(str)
    chosen = frame[[fnmatch.fnmatchcase(label, models) for label in names]]
    if chosen.empty:
        some = ", ".join(sorted(set(names))[:4])
        raise PlannerError(f"{name}: no {column} matches {models!r}; there are {some} ..")
    return chosen


def _checked(frame: pd.DataFrame, source: TableSource) -> pd.DataFrame:
    """The columns that are used, as positive numbers; blocks from the depths."""
    for column in ("latency_ms", "macs"):
        if column not in frame:
            raise PlannerError(f"{source.name}: {no_column([column], frame.columns)}")
    if frame.empty:
        raise PlannerError(f"{source.name}: no row in it; measure with `planner latency` first")
    frame = frame.copy()
    for column in ("latency_ms", "batch", *LATENCY_FEATURES):
        if column in frame:
            frame[column] = _positive(frame, column, source)
    depths = [column for column in map(str, frame.columns) if re.fullmatch(r"depth_\d+", column)]
    if depths and "blocks" not in frame:
        frame["blocks"] = _blocks(frame, depths, source)
    unused = [str(column) for column in frame if str(column) not in USED and column_type(str(column)) is None]
    if unused:
        print(f"{source.name}: not used: columns {', '.join(unused)}", file=sys.stderr)
    return frame


def _blocks(frame: pd.DataFrame, depths: list[str], source: TableSource) -> pd.Series:
    """The sum of all depths. Base networks differ in stages: the columns of those that one has not are empty."""
    import pandas as pd

    bases = frame["base"] if "base" in frame else pd.Series("", index=frame.index)
    blocks = pd.Series(0.0, index=frame.index)
    for _, rows in frame.groupby(bases, dropna=False):
        for column in depths:
            if column == "depth_1" or rows[column].notna().any():
                blocks[rows.index] += _positive(rows, column, source)
    return blocks


def _positive(frame: pd.DataFrame, column: str, source: TableSource) -> pd.Series:
    units = (column_type(column) or NUMBER).units
    kind = ColumnType(0, above=True, units=units, said="a positive number")
    return all_there(numbers(frame[column], source, kind), frame[column], source, kind)


def _one_line(text: str) -> str:
    """A cell as an error may show it."""
    return " ".join(text.split())[:80]


def _usable(frame: pd.DataFrame, name: str, sources: tuple[dict[str, Any], ...]) -> LatencyTable:
    """One table of all files' rows."""
    columns = [column for column in LATENCY_FEATURES if column in frame and frame[column].notna().all()]
    lacking = [column for column in LATENCY_FEATURES if column in frame and column not in columns]
    if lacking:
        print(f"{name}: not every file has {', '.join(lacking)}; fitted without", file=sys.stderr)
    frame, per = _per_image(frame, name, sources)
    table = LatencyTable(
        {column: frame[column].to_numpy(dtype=np.float64) for column in columns},
        frame["latency_ms"].to_numpy(dtype=np.float64),
        per,
        {column: _single(frame, column, name) for column in MEASURED_ON if column in frame},
        sources,
    )
    distinct = len(np.unique(table.architecture))
    if distinct < FEWEST_ARCHITECTURES:
        raise PlannerError(f"{name}: {distinct} architectures are too few to fit; measure {FEWEST_ARCHITECTURES}")
    return table


def _per_image(frame: pd.DataFrame, name: str, sources: tuple[dict[str, Any], ...]) -> tuple[pd.DataFrame, LatencyUnit]:
    """Step time over batch where timm's batch differs between rows: each took the largest that fits its memory."""
    published = sum(source["counting"] == TIMM_COUNTING for source in sources)
    if published > 1:
        raise PlannerError(f"{name}: timm's tables do not say on which device they were measured; fit one at a time")
    if not published or len(sources) > 1 or "batch" not in frame or frame["batch"].nunique() == 1:
        return frame, "pass"
    batches = f"{frame['batch'].min():g} to {frame['batch'].max():g}"
    print(f"{name}: batch {batches}; fitting the time of one image", file=sys.stderr)
    return frame.assign(latency_ms=frame["latency_ms"] / frame["batch"], batch=batches), "image"


def _single(frame: pd.DataFrame, column: str, name: str) -> Any:
    """The one value of a column, in JSON's types; a missing one is a value of its own."""
    values = [_plain(value) for value in frame[column].drop_duplicates()]
    if len(values) > 1:
        raise PlannerError(
            f"{name}: {column} differs between rows ({values[0]} and {values[1]}); fit one table per {column}"
        )
    return values[0]


def _plain(value: Any) -> str | int | float:
    """A table's value in JSON's types."""
    if isinstance(value, str):
        return _one_line(value)
    number = float("nan" if value is None else value)
    if not np.isfinite(number):
        return "not given"
    return int(number) if number.is_integer() else number
