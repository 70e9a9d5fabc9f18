"""Tables of observations: a study's own, or a CSV that somebody trained elsewhere.

One row is one training. Columns that mean something here:

    accuracy, macs                      always wanted; accuracy in [0, 1] (percent is recognised and said)
    status                              only `ok` rows are used; without the column all are
    base, base_resolution, classes      what c is measured against; the base network's own by default
    rule                                the scaling rule that made the integers
    resolution, width_1.., depth_1..    the architecture; r, d, w its multipliers
    epochs, data_share, proxy_resolution  the fidelity: passes, share of the images, pixels they are decoded to
    seed                                of the training: rows that differ in nothing else are averaged
    asks                                what a training had of its own (a fine-tune's parent); such rows are left out
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.documents import cell, no_column, read_frame, shown, write_out
from planner.errors import PlannerError
from sampler import RULES, BaseNetwork, rule_named
from sampler import base as base_named
from sampler.architecture import MAX_BLOCKS
from sampler.complexity import base_macs
from sampler.scaling import depth_ranges

if TYPE_CHECKING:
    import pandas as pd

ASKS = "asks"
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet compute a cell (OWASP, "CSV injection")
WIDEST_STEP = 1.2  # of d, where no least one gives some blocks: EfficientNets' own steps are 1.1 to 1.3 wide
# Columns that, with the widths and depths, say what was trained and how.
TASK = ("base", "base_resolution", "classes", "resolution", "stem", "head", "epochs", "data_share", "proxy_resolution")


@dataclass(frozen=True, eq=False)
class Table:
    """Usable observations of one base network.

    Attributes:
        frame: Rows with finite `accuracy` (in [0, 1]), `macs`, `c`, `r`, `d`, `w`, and what else there was.
        base: Name of the base network.
        resolution: The resolution that r multiplies, in pixels.
        classes: Outputs of the classifier.
        base_macs: MACs of c = 1.
        sha256: Of the file, or of the CSV that the ledger exports.
        left_out: Rows that were not used, by status.
        noise_variance: Of accuracy between trainings of one architecture that differ in their seed, pooled over
            all that were repeated; None where none was. Rows are means over the seeds (`repeats` of them).
    """

    frame: pd.DataFrame
    base: str
    resolution: int
    classes: int
    base_macs: int
    sha256: str
    left_out: dict[str, int]
    noise_variance: float | None = None


def as_table(source: Table | pd.DataFrame | str | Path, base: str | None = None) -> Table:
    """A table from whatever holds one: itself, a frame, or the path of a CSV file.

    Raises:
        PlannerError: If it cannot be used.
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, str | Path):
        return read_csv(Path(source), base)
    if not hasattr(source, "columns"):
        raise PlannerError(f"a frame of trainings or the path of a CSV file is wanted, got {shown(source)}")
    return usable(source, frame_sha256(source), "the table", base)


def frame_sha256(frame: pd.DataFrame) -> str:
    """The sha256 of a frame's CSV text."""
    return hashlib.sha256(csv_text(frame).encode()).hexdigest()


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV, the same on every machine; no cell of it is a formula to a spreadsheet."""
    words = [name for name in frame.columns if list(frame.columns).count(name) == 1 and _holds_words(frame[name])]
    harmless = frame.assign(**{name: frame[name].map(_harmless) for name in words}) if words else frame
    return harmless.to_csv(index=False, lineterminator="\n")


def _holds_words(column: pd.Series) -> bool:
    return isinstance(column.name, str) and (column.dtype == object or str(column.dtype).startswith("str"))


def _harmless(cell: Any) -> Any:
    """A cell as it is; a text that a spreadsheet would compute, after an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


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


def read_csv(path: Path, base: str | None = None) -> Table:
    """Reads a table of observations.

    Args:
        path: A CSV file (plain or .gz) with the columns of the module's description.
        base: The base network, where the table does not say.

    Raises:
        PlannerError: If the file cannot be read, a column is missing, or a row is impossible.
    """
    frame = read_frame(path, "training", "trainings")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return usable(frame, digest, str(path), base)


def usable(frame: pd.DataFrame, sha256: str, name: str, base: str | None = None) -> Table:
    """The rows of a frame that can be fitted, with c, r, d and w filled in.

    Raises:
        PlannerError: If a column is missing, a row impossible, or no row is left.
    """
    missing = [column for column in ("accuracy", "macs") if column not in frame]
    if missing:
        raise PlannerError(f"{name}: {no_column(missing, frame.columns)}")
    left_out: dict[str, int] = {}
    if "status" in frame:
        others = frame.loc[frame["status"] != "ok", "status"]
        left_out = {
            str(status): int(n)
            for status, n in others.fillna("no status").astype(str).value_counts().sort_index().items()
        }
        frame = frame[frame["status"] == "ok"]
    if ASKS in frame and frame[ASKS].notna().any():  # fine-tunes and the like, whose accuracies are of another kind
        left_out["asked otherwise"] = int(frame[ASKS].notna().sum())
        frame = frame[frame[ASKS].isna()]
    frame = frame.reset_index(drop=True).copy()
    if frame.empty:
        raise PlannerError(f"{name}: no finished training (status ok) in it; run `planner train` first")
    for column in ("accuracy", "macs"):
        frame[column] = _numbers(frame, column, name)
    if frame["accuracy"].max() > 1:
        print(f"{name}: accuracy looks like percent; divided by 100", file=sys.stderr)
        frame["accuracy"] /= 100
    _check_rows(frame, name)
    frame, noise_variance = averaged(frame)
    found = str(_single(frame, "base", base or "efficientnet_b0", name))
    network = base_named(found)
    resolution = _whole(frame, "base_resolution", network.resolution, name)
    classes = _whole(frame, "classes", 1000, name)
    _fill_multipliers(frame, found, resolution, name)
    one = base_macs(found, resolution, classes)
    frame["c"] = frame["macs"] / one
    return Table(frame, found, resolution, classes, one, sha256, left_out, noise_variance)


def averaged(frame: pd.DataFrame) -> tuple[pd.DataFrame, float | None]:
    """Trainings that differ in nothing but their seed, as one row each with their mean accuracy.

    Args:
        frame: Rows with the columns of the module's description; repeats are known by a column `seed`.

    Returns:
        The rows, in their order, with a column `repeats`, and the pooled variance of accuracy between seeds (None
        without repeats).
    """
    same = [str(column) for column in frame if re.fullmatch(rf"{'|'.join(TASK)}|width_\d+|depth_\d+", str(column))]
    if "seed" not in frame or not {"resolution", "width_1", "depth_1"} <= set(same):
        return frame, None
    groups = frame.groupby(same, dropna=False, sort=False)["accuracy"]
    repeats = groups.transform("size")
    variance = None
    if (repeats > 1).any():
        freedom = len(frame) - groups.ngroups
        variance = float(((frame["accuracy"] - groups.transform("mean")) ** 2).sum() / freedom)
    together = frame.assign(accuracy=groups.transform("mean"), repeats=repeats)
    return together.drop_duplicates(same).reset_index(drop=True), variance


def _numbers(frame: pd.DataFrame, column: str, name: str) -> pd.Series:
    import pandas as pd

    numbers = pd.to_numeric(frame[column], errors="coerce").astype(float)
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise PlannerError(f"{name}: {column} of row {row + 1} is {cell(frame[column].iloc[row])}; a number is wanted")
    return numbers


def _check_rows(frame: pd.DataFrame, name: str) -> None:
    wrong = (frame["accuracy"] < 0) | (frame["accuracy"] > 1) | (frame["macs"] < 1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise PlannerError(
            f"{name}: row {row + 1} has accuracy {frame['accuracy'][row]:g} and macs {frame['macs'][row]:g}; "
            "accuracy must lie in [0, 1] (or all in percent) and macs be positive"
        )


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


def _fill_multipliers(frame: pd.DataFrame, base: str, resolution: int, name: str) -> None:
    """Makes r, d, w from the architecture's integers where the table does not hold them."""
    import pandas as pd

    network = base_named(base)
    if "r" not in frame and "resolution" in frame:
        frame["r"] = _positive(frame, "resolution", name) / resolution
    depths = [f"depth_{i + 1}" for i in range(len(network.stages))]
    widths = [f"width_{i + 1}" for i in range(len(network.stages))]
    if "d" not in frame and set(depths) <= set(frame):
        frame["d"] = sum(_positive(frame, column, name) for column in depths) / sum(network.depths)
    if "w" not in frame and set(widths) <= set(frame):
        ratios = [_positive(frame, column, name) / width for column, width in zip(widths, network.widths, strict=True)]
        frame["w"] = np.exp(np.log(ratios).mean(axis=0))
    missing = [column for column in ("r", "d") if column not in frame]
    if missing:
        raise PlannerError(f"{name}: no column {' or '.join(missing)}, nor the integers that give it; add the column")
    frame["w"] = pd.to_numeric(frame["w"], errors="coerce") if "w" in frame else np.nan  # shown, never fitted
    for column in ("r", "d"):
        frame[column] = _positive(frame, column, name)
    if set(depths) <= set(frame):
        _by_the_rule(frame, network, depths)


def _by_the_rule(frame: pd.DataFrame, network: BaseNetwork, columns: list[str]) -> None:
    """Where d is but the share of the base network's blocks, makes it the middle of what the rule rounds to these.

    Rounding gives EfficientNet-B1 (d 1.1) 1.44 times B0's blocks; a formula fitted to 1.44 would have them rounded up
    once more. What was scaled by a d that is known keeps it, and what no single d gives keeps the share.
    """
    import pandas as pd

    blocks = frame[columns].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    whole = ((blocks == np.rint(blocks)) & (blocks <= MAX_BLOCKS)).all(axis=1)  # NaN is neither
    d = frame["d"].to_numpy(dtype=np.float64, copy=True)
    share = blocks.sum(axis=1) / sum(network.depths)
    shares = whole & np.isclose(d, share, rtol=1e-9) & (share != 1)  # the base network's own d is 1
    rules = frame["rule"].fillna(network.rule).to_numpy() if "rule" in frame else np.full(len(frame), network.rule)
    for rule in {str(one) for one in rules[shares]} & set(RULES):
        rows = np.flatnonzero(shares & (rules == rule))
        low, high = depth_ranges(network, rule_named(rule), blocks[rows].astype(np.int64))
        # One block is the fewest, whatever d: below some d a stage changes no more.
        middle = np.sqrt(np.maximum(low, high / WIDEST_STEP) * high)
        d[rows] = np.where(low <= high, middle, d[rows])
    frame["d"] = d


def _positive(frame: pd.DataFrame, column: str, name: str) -> pd.Series:
    numbers = _numbers(frame, column, name)
    if (numbers <= 0).any():
        raise PlannerError(f"{name}: {column} must be positive in every row")
    return numbers
