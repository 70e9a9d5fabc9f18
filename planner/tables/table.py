"""Tables of observations: a study's own, or a file that somebody's other trainings are in.

One row is one training. Columns that mean something here:

    accuracy, macs                      always wanted; accuracy in [0, 1], or all in percent
    status                              only finished rows (`ok`) are used; without the column all are
    base                                the base network that r, d, w multiply: here, or as an argument
    base_resolution, classes            what c is measured against; the base network's own by default
    rule                                the scaling rule that made the integers
    resolution, width_1.., depth_1..    the architecture; r, d, w its multipliers
    epochs, data_share, proxy_resolution  the fidelity: passes, share of the images, pixels they are decoded to
    seed                                of the training: rows that differ in nothing else here are averaged
    asks                                what a training had of its own (a fine-tune's parent); such rows are left out

`planner.tables.frames` reads files, `planner.tables.cells` their cells; `planner.tables.row_costs` checks the MACs.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import PlannerError
from planner.tables.cells import TableSource, all_there, harmless, numbers, shares, source_of, words
from planner.tables.column_types import NUMBER, SHARE, column_type, knob_columns_in
from planner.tables.frames import check_columns, frame_of
from planner.tables.multipliers import fill_multipliers
from planner.tables.repeats import averaged_repeats
from planner.tables.row_costs import check_costs
from planner.tables.status import FINISHED, OK, ok_rows
from planner.text.documents import no_column, write_out
from sampler import BaseNetwork
from sampler import base as base_named
from sampler.complexity import base_macs
from trainer.score import ACCURACY, Score

if TYPE_CHECKING:
    import pandas as pd

ASKS = "asks"
NOISE = "noise_variance"  # the column of rows whose accuracy is known less exactly than the others'
_WORDS = ("base", "rule")
# What our own tables hold beside what is fitted; of other columns a reader is told.
MOST_TOLD = 10  # columns that are named
_OWN = {"trial", "status", "origin", "loss", ASKS, "device", "message", "repeats", "c", "source", "front", "selected"}
_OWN |= {"cpu_seconds", "threads", "micro_batches", "alone", "peak_bytes"}


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingRows:
    """Usable rows of one table.

    Attributes:
        frame: Rows with `accuracy` (in [0, 1], or the merit of another score), `macs`, and what else there was.
        base: Name of the base network; "" where nobody says.
        sha256: Digest of the file, or of the CSV that the ledger exports.
        every: Rows before those that differ in their seed were averaged.
        left_out: Rows that were not used, by status.
        noise_variance: Variance of accuracy between trainings of one architecture that differ in their seed, pooled
            over all that were repeated; None where none was. Rows are means over the seeds (`repeats` of them).
        remarks: How its cells were understood, where that is not plain.
        score: Number that the trainings are judged by.
        stopped: Rows as those of `frame`, of trainings that were stopped: `accuracy` is what their curves lead to
            expect at the end, `noise_variance` the variance of that. Surrogates learn from them, fronts do not hold
            them; None where there is none.
    """

    frame: pd.DataFrame
    base: str
    sha256: str
    every: pd.DataFrame
    left_out: dict[str, int]
    noise_variance: float | None = None
    remarks: tuple[str, ...] = ()
    score: Score = ACCURACY
    stopped: pd.DataFrame | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Table(TrainingRows):
    """Usable observations of one base network; its frame has finite `c`, `r` and `d`, and `w` where that is known.

    Attributes:
        resolution: The resolution that r multiplies, in pixels.
        classes: Outputs of the classifier.
        base_macs: MACs of c = 1.
    """

    resolution: int
    classes: int
    base_macs: int


def as_table(source: Table | pd.DataFrame | str | Path, base: str | None = None) -> Table:
    """A table from whatever holds one: itself, a frame, or the path of a file.

    Raises:
        PlannerError: If it cannot be used.
    """
    if isinstance(source, Table):
        return source
    return from_outside(frame_of(source, "training", "trainings"), base)


def read_csv(path: Path, base: str | None = None) -> Table:
    """Reads a table of observations.

    Args:
        path: A file that `planner.tables.frames` reads, with the columns of the module's description.
        base: The base network, where the table does not say.

    Raises:
        PlannerError: If the file cannot be read, a column is missing, or a row is impossible.
    """
    return as_table(path, base)


def from_outside(frame: pd.DataFrame, base: str | None = None) -> Table:
    """The observations in a frame that nobody here made: what is not used is said, and its MACs are checked.

    Raises:
        PlannerError: If it cannot be used.
    """
    rows, source = _read(frame)
    table, network = _measured(rows, base, source)
    remark = check_costs(table.frame, network, table.classes, source)
    _tell(source, *_unused(frame, rows), remark)
    return replace(table, frame=_apart(table.frame))


def front_rows(source: pd.DataFrame | str | Path, base: str | None = None) -> TrainingRows:
    """The rows of which a front can be taken: a table, or, where nobody names a base network, accuracies and MACs.

    Raises:
        PlannerError: If it cannot be used.
    """
    frame = frame_of(source, "training", "trainings")
    columns = set(map(str, frame))
    scaled = columns & {"r", "resolution"} and columns & {"d", "depth_1"}
    if base or (scaled and "base" in columns and frame["base"].notna().any()):
        return from_outside(frame, base)
    rows, origin = _read(frame)
    _tell(origin, *_unused(frame, rows))
    return replace(rows, frame=_apart(rows.frame))


def as_study(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame from outside with the status `ok` in every finished row, as a study has it."""
    if "status" not in frame:
        return frame
    return frame.assign(status=words(frame["status"]).mask(ok_rows(frame), OK))


def usable(frame: pd.DataFrame, sha256: str, name: str, base: str | None = None, score: Score = ACCURACY) -> Table:
    """The rows of a study's frame that can be fitted, with c, r, d and w filled in.

    Args:
        frame: The study's; `accuracy` holds the merits of its score.
        sha256: Digest of its text.
        name: Name of the study in errors.
        base: The base network.
        score: Number that the trainings are judged by.

    Raises:
        PlannerError: If a column is missing, a row impossible, or no row is left.
    """
    source = TableSource(name, sha256)
    table, _ = _measured(_trainings(frame, source, "run `planner train` first", score), base, source)
    return replace(table, frame=_apart(table.frame))


def _read(frame: pd.DataFrame) -> tuple[TrainingRows, TableSource]:
    """The trainings in a frame from outside, and where they come from; says how its cells were understood."""
    source = source_of(frame)
    check_columns(frame.columns, source.name)
    source = source if source.sha256 else TableSource(source.name, frame_sha256(frame))
    if frame.empty and {"accuracy", "macs"} <= set(frame.columns):
        raise PlannerError(f"{source.name}: no rows under its header; give one per training")
    rows = _trainings(frame, source, f"finished is what says {', '.join(sorted(FINISHED))}")
    _tell(source, *rows.remarks)
    return rows, source


def _tell(source: TableSource, *remarks: str | None) -> None:
    """Says on standard error what a reader should know of a table that is used."""
    for remark in remarks:
        if remark:
            print(f"{source.name}: {remark}", file=sys.stderr)


def _unused(frame: pd.DataFrame, rows: TrainingRows) -> list[str]:
    """Which rows, columns and cells of a table are not used, in at most one line."""
    own = {*_OWN, *_WORDS, *knob_columns_in(frame)}
    unknown = [str(name) for name in frame if column_type(str(name)) is None and str(name) not in own]
    unused = [f"{n} rows ({why})" for why, n in rows.left_out.items()]
    if unknown:
        more = f" and {len(unknown) - MOST_TOLD} more" if len(unknown) > MOST_TOLD else ""
        unused.append(f"columns {', '.join(unknown[:MOST_TOLD])}{more}")
    for column in (name for name in rows.every if (kind := column_type(str(name))) is not None and kind.of_network):
        if n := int(rows.every[column].isna().sum()):
            unused.append(f"{column} of {n} rows (missing)")
    return [f"not used: {'; '.join(unused)}"] if unused else []


def _trainings(frame: pd.DataFrame, source: TableSource, again: str, score: Score = ACCURACY) -> TrainingRows:
    """The finished rows of a frame, with numbers for all that means something here; `again`: what to do without any."""
    name = source.name
    missing = [column for column in ("accuracy", "macs") if column not in frame]
    if missing:
        raise PlannerError(f"{name}: {no_column(missing, frame.columns)}")
    frame = frame.reset_index(drop=True).copy()
    left_out: dict[str, int] = {}
    remarks: list[str] = []
    if "status" in frame:
        done = ok_rows(frame)
        said = words(frame["status"])
        others = said[~done].fillna("no status")
        read = said[done & (said != OK).to_numpy()].value_counts().sort_index()
        if len(read):
            counts = ", ".join(f"{n} {status}" for status, n in read.items())
            remarks.append(f"status read as ok: {counts}")
        left_out = {str(status): int(n) for status, n in others.value_counts().sort_index().items()}
        frame = frame[done]
    if ASKS in frame and (asked := words(frame[ASKS]).notna()).any():  # fine-tunes: accuracies of another kind
        left_out["asked otherwise"] = int(asked.sum())
        frame = frame[~asked]
    if frame.empty:
        count = ", ".join(f"{n} {status}" for status, n in left_out.items())
        only = f", only {count}" if count else ""
        raise PlannerError(f"{name}: no finished training (status ok) in it{only}; {again}")
    every = _with_numbers(frame.copy(), source, remarks, score)
    frame, noise_variance = averaged_repeats(every)
    return TrainingRows(
        frame=frame,
        base=str(_single(frame, "base", "", name)),
        sha256=source.sha256,
        every=_apart(every),
        left_out=left_out,
        noise_variance=noise_variance,
        remarks=tuple(remarks),
        score=score,
    )


def _with_numbers(frame: pd.DataFrame, source: TableSource, remarks: list[str], score: Score) -> pd.DataFrame:
    """The frame with numbers where its columns' names say so; adds to the remarks."""
    import pandas as pd

    for column in frame.columns:
        kind = column_type(str(column))
        if column in _WORDS:
            frame[column] = words(frame[column])
        elif column == "accuracy" and not score.is_accuracy:
            frame[column] = all_there(numbers(frame[column], source, NUMBER), frame[column], source, NUMBER)
        elif column == "accuracy":
            values, percent = shares(frame[column], source)
            if percent:
                remarks.append("accuracy looks like percent; divided by 100")
            frame[column] = all_there(values, frame[column], source, SHARE)
        elif kind is not None:
            values = numbers(frame[column], source, kind)
            if column == "macs":
                frame[column] = all_there(values, frame[column], source, kind)
            elif not pd.api.types.is_numeric_dtype(frame[column]):
                frame[column] = values.astype("int64") if kind.whole and values.notna().all() else values
    return frame


def _measured(rows: TrainingRows, base: str | None, source: TableSource) -> tuple[Table, BaseNetwork]:
    """The rows measured by their base network, at the resolution that r multiplies."""
    if not rows.base and not base:
        raise PlannerError(
            f"{source.name}: no base network, which r, d and w multiply: name it by --base (base= in Python) or in a "
            "column base (`planner bases` lists those that are known)"
        )
    if rows.base and base and rows.base != base:
        raise PlannerError(f"{source.name}: its column base says {rows.base}, not {base}; leave --base out")
    network = base_named(rows.base or str(base))
    frame = rows.frame.copy()
    resolution = _whole(frame, "base_resolution", network.resolution, source.name)
    classes = _whole(frame, "classes", 1000, source.name)
    network = replace(network, resolution=resolution)
    fill_multipliers(frame, network, source)
    unscaled = base_macs(network.name, resolution, classes)
    frame["c"] = frame["macs"] / unscaled
    table = Table(
        frame=frame,
        base=network.name,
        sha256=rows.sha256,
        every=rows.every,
        left_out=rows.left_out,
        noise_variance=rows.noise_variance,
        remarks=rows.remarks,
        score=rows.score,
        resolution=resolution,
        classes=classes,
        base_macs=unscaled,
    )
    return table, network


def _apart(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows without the numbers and the source that they had in their file."""
    frame = frame.reset_index(drop=True)
    frame.attrs = {}
    return frame


def _single(frame: pd.DataFrame, column: str, default: Any, name: str) -> Any:
    """The one value of a column, or the default where the column is missing."""
    values: Any = frame[column].dropna().unique() if column in frame else []
    if len(values) > 1:
        raise PlannerError(
            f"{name}: {column} differs between rows ({values[0]} and {values[1]}); fit one table per {column}"
        )
    return values[0] if len(values) else default


def _whole(frame: pd.DataFrame, column: str, default: int, name: str) -> int:
    """The one whole number of a column, or the default where the column is missing."""
    value = _single(frame, column, default, name)
    try:
        if float(value) == int(float(value)):
            return int(float(value))
    except (TypeError, ValueError, OverflowError):
        pass
    raise PlannerError(f"{name}: {column} is {value!r}; a whole number is wanted")


def frame_sha256(frame: pd.DataFrame) -> str:
    """The sha256 of a frame's CSV text."""
    return hashlib.sha256(csv_text(frame).encode()).hexdigest()


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV, the same on every machine; no cell or name of it is a formula to a spreadsheet."""
    text = frame.copy(deep=False)
    text.columns = [harmless(name) for name in frame.columns]
    for place, dtype in enumerate(frame.dtypes):
        if str(dtype).startswith(("object", "str", "category")):
            text.isetitem(place, frame.iloc[:, place].map(harmless, na_action="ignore").array)
    return text.to_csv(index=False, lineterminator="\n")


def check_table_path(path: Path) -> None:
    """Refuses a file that `write_table` cannot write.

    Raises:
        PlannerError: If it is neither CSV nor Parquet, or pyarrow is missing for Parquet.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise PlannerError(f"--out {path}: tables are written as .csv or .parquet; name such a file")
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise PlannerError(
            f"--out {path}: Parquet needs pyarrow: pip install 'scaling-planner[parquet]'; or name a .csv file"
        )


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Writes a frame as CSV or Parquet, by the file's name.

    Raises:
        PlannerError: If it cannot be written.
    """
    check_table_path(path)
    content = csv_text(frame) if path.suffix == ".csv" else frame.to_parquet(index=False)
    write_out(path, content, "free space or rights, or give another --out")
