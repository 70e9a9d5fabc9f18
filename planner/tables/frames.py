"""The one reader of outside tables: CSV with any usual separator, plain or compressed, and Parquet.

What spreadsheets and trackers write is read as it is: byte order marks, UTF-16, semicolons, tabs, bars, decimal commas.
What would be misread is refused in one line that names the line of the file: rows of other lengths than the header's,
a column that is there twice, text of another encoding. Cells become numbers in `planner.tables.cells`.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import importlib.util
import io
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from planner.errors import PlannerError
from planner.tables.cells import SOURCE, TableSource, as_written, decimal_mark
from sampler.architecture import IntArray

if TYPE_CHECKING:
    import pandas as pd

LARGEST_TABLE = 250_000_000  # bytes, unpacked: larger ones take more memory than machines have
MOST_TABLE_ROWS, _MOST_COLUMNS = 5_000_000, 10_000
MOST_COMMAS = 10_000  # cells with commas that are looked at
_LOOKED_AT = 20  # rows by which a separator is known
# With the decimal mark of a file in which no cell but such as 1,014 has a comma.
SEPARATORS = {",": ".", ";": ",", "\t": "?", "|": "?"}
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
UNNAMED = "unnamed_"
PARQUET, ZIP = b"PAR1", b"PK\x03\x04"


def path_shown(path: str | Path) -> str:
    r"""What errors and pages call a file; bytes of its name that are no text become marks.

    Example:
        >>> path_shown("\udcff.csv")
        '�.csv'
    """
    return os.fsencode(path).decode("utf-8", "replace")


def frame_of(table: Any, row: str, rows: str, text: bool = False) -> pd.DataFrame:
    """A table from whatever holds one: a frame as it is, or what the file at a path holds (see `read_frame`).

    Raises:
        PlannerError: If it is neither, or cannot be read.
    """
    import pandas as pd

    if isinstance(table, str | os.PathLike):
        return read_frame(Path(os.fspath(table)), row, rows, text)
    if not isinstance(table, pd.DataFrame):
        raise PlannerError(
            f"a table of {rows} is wanted, not {type(table).__name__}; give a data frame or a file's path"
        )
    return table


def read_frame(path: Path, row: str, rows: str, text: bool = False) -> pd.DataFrame:
    """The table in a file, which is read once; the frame keeps its `TableSource`.

    Args:
        path: CSV, plain or compressed by gzip, bzip2 or xz, or Parquet.
        row: Name of one row in errors, such as `training`.
        rows: Name of several.
        text: Whether columns of numbers stay text, as labels with leading zeros must.

    Returns:
        Columns of numbers as numbers, all others as text; the index counts the rows from 0.

    Raises:
        PlannerError: If it is missing, too large or no table.
    """
    name = path_shown(path)
    try:
        raw = _limited(path.open("rb"), name, rows)
        content = _unpacked(raw, name, rows)
        if content.startswith(PARQUET):
            frame, source = _parquet(content, name), TableSource(name)
        else:
            frame, source = _parsed(_decoded(content, name), name, text)
    except OSError as error:
        raise PlannerError(f"{name}: {error.strerror or error}; give a CSV file of {rows}") from error
    except MemoryError as error:
        raise PlannerError(f"{name}: more than this machine's memory; give a smaller table of {rows}") from error
    except (ValueError, EOFError, csv.Error) as error:  # pandas' own errors are ValueErrors
        if isinstance(error, PlannerError):
            raise
        reason = str(error).split("\n")[0]
        raise PlannerError(f"{name}: not a CSV table ({reason}); give one row per {row}, with a header") from error
    frame.attrs[SOURCE] = TableSource(name, hashlib.sha256(raw).hexdigest(), source.lines, source.decimal)
    return frame


def check_columns(columns: Iterable[Any], name: str) -> None:
    """Refuses columns that are there twice.

    Raises:
        PlannerError: Naming them.
    """
    counts: dict[str, int] = {}
    for column in map(str, columns):
        counts[column] = counts.get(column, 0) + 1
    twice = [column for column, count in counts.items() if count > 1 and column]
    if twice:
        count = counts[twice[0]]
        raise PlannerError(f"{name}: {count} columns are called {twice[0]}; rename or remove all but one")


def _limited(file: IO[bytes], name: str, rows: str) -> bytes:
    """All bytes of a file, if there are not too many."""
    with file:
        content = file.read(LARGEST_TABLE + 1)
    if len(content) > LARGEST_TABLE:
        raise PlannerError(f"{name}: larger than {LARGEST_TABLE:,} bytes; give a smaller table of {rows}")
    return content


def _unpacked(content: bytes, name: str, rows: str) -> bytes:
    """The bytes of a table that may be compressed, by what they begin with."""
    import bz2
    import gzip
    import lzma

    packed: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
        (b"\x1f\x8b", gzip.open),
        (b"BZh", bz2.open),
        (b"\xfd7zXZ\x00", lzma.open),
    )
    if content.startswith(ZIP):
        raise ValueError("a ZIP archive, or an Excel workbook: save the sheet as CSV")
    for magic, opened in packed:
        if content.startswith(magic):
            try:
                return _limited(opened(io.BytesIO(content)), name, rows)
            except (lzma.LZMAError, OSError) as error:
                raise ValueError(f"damaged: {error}") from error
    return content


def _parquet(content: bytes, name: str) -> pd.DataFrame:
    import pandas as pd

    if importlib.util.find_spec("pyarrow") is None:
        raise PlannerError(
            f"{name}: reading Parquet needs pyarrow: pip install 'scaling-planner[parquet]'; or save it as CSV"
        )
    from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]

    try:
        facts = parquet.ParquetFile(io.BytesIO(content)).metadata
        unpacked = sum(facts.row_group(group).total_byte_size for group in range(facts.num_row_groups))
        if max(unpacked, 8 * facts.num_rows * facts.num_columns) > 8 * LARGEST_TABLE:
            raise PlannerError(f"{name}: {facts.num_rows:,} rows are too many; give a smaller table")
        frame = pd.read_parquet(io.BytesIO(content)).reset_index(drop=True)
    except ArrowException as error:
        raise ValueError(f"damaged Parquet: {error}") from error
    frame.columns = [str(column).strip() for column in frame.columns]
    check_columns(frame.columns, name)
    return frame


def _decoded(content: bytes, name: str) -> str:
    """The text of a CSV file."""
    encoding = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"no {encoding} text at byte {error.start} in line {line}: save it as UTF-8") from error
    if "\0" in text:
        raise ValueError("it holds NUL characters, as no text does")
    return text


def _parsed(text: str, name: str, as_text: bool) -> tuple[pd.DataFrame, TableSource]:
    """The frame of a CSV text, and where its rows stand."""
    body, first = io.StringIO(text, newline=""), 1
    said = body.readline()
    separator = said[4:5] if said[:4].lower() == "sep=" and said[4:5] in SEPARATORS else None  # Excel's own line
    if separator:
        first = 2
    else:
        body.seek(0)
        separator = _separator(body)
        body.seek(0)
    reader = csv.reader(body, delimiter=separator)
    header = next((row for row in reader if any(row)), None)
    if header is None:
        raise ValueError("No columns to parse from file")
    first += reader.line_num
    header = _header(header, name)
    lines, kept, cells = _structure(reader, len(header), first)
    mark = decimal_mark(cells, SEPARATORS[separator]) if separator != "," else "."
    body.seek(0)
    for _ in range(first - 1):
        body.readline()
    frame = _values(body, separator, len(header), kept, as_text, numeric=mark != ",")
    frame.columns = header
    nothing = [column.startswith(UNNAMED) and frame[column].isna().all() for column in header]
    return frame.loc[:, ~np.array(nothing)], TableSource(name, "", lines[kept], mark)


def _values(
    body: IO[str], separator: str, columns: int, kept: np.ndarray, as_text: bool, numeric: bool
) -> pd.DataFrame:
    """The cells of the records that are kept, as numbers where a whole column is of them."""
    import pandas as pd

    if not len(kept):
        return pd.DataFrame(columns=range(columns), dtype=object)
    infer = not as_text and numeric
    frame = pd.read_csv(
        body,
        sep=separator,
        header=None,
        names=range(columns),
        index_col=False,
        keep_default_na=False,
        na_values=[""],
        skip_blank_lines=False,
        low_memory=False,
        dtype=None if infer and kept.all() else str,
    )
    if len(frame) != len(kept):
        raise ValueError("its quotation marks do not match")
    frame = frame[kept].reset_index(drop=True)
    for place, dtype in enumerate(frame.dtypes):
        if not str(dtype).startswith(("object", "str")):
            continue
        column = frame.iloc[:, place].map(as_written, na_action="ignore")
        frame.isetitem(place, (_as_numbers(column) if infer and not kept.all() else column).array)
    return frame


def _as_numbers(column: pd.Series) -> pd.Series:
    """A column of text as numbers, if it holds nothing else."""
    for dtype in ("int64", "float64"):
        try:
            return column.astype(dtype)
        except (ValueError, TypeError, OverflowError):
            continue
    return column


def _header(cells: Sequence[str], name: str) -> list[str]:
    """The names of the columns; those without one, such as the row numbers that pandas writes, get one."""
    if len(cells) > _MOST_COLUMNS:
        raise PlannerError(f"{name}: {len(cells):,} columns; at most {_MOST_COLUMNS:,} are read")
    header = [str(as_written(cell.strip())) or f"{UNNAMED}{place}" for place, cell in enumerate(cells, start=1)]
    check_columns(header, name)
    return header


def _separator(body: IO[str]) -> str:
    """What separates the cells: what splits the first rows into as many cells as the header, the more the better."""
    start = "".join(islice((line for line in body if line.strip()), _LOOKED_AT))[:1_000_000]
    best, likely = (0.0, 0), ","
    for separator in SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(io.StringIO(start, newline=""), delimiter=separator)]
        except csv.Error:
            continue
        alike = sum(width == widths[0] for width in widths) / len(widths) if widths else 0.0
        if widths and widths[0] > 1 and (alike, widths[0]) > best:
            best, likely = (alike, widths[0]), separator
    return likely


def _structure(reader: Any, width: int, first: int) -> tuple[IntArray, np.ndarray, list[str]]:
    """Where each record begins, which of them hold something, and some cells with commas in them.

    Raises:
        ValueError: If a record has another number of cells than the header, or there are too many.
    """
    before, line = reader.line_num, first
    cells: list[str] = []
    lines: list[int] = []
    kept: list[bool] = []
    for row in reader:
        something = any(cell.strip() for cell in row)
        if len(row) != width and (something or len(row) > 1):
            raise ValueError(f"line {line} has {len(row)} cell{'s' * (len(row) != 1)}, the header {width}")
        if len(lines) == MOST_TABLE_ROWS:
            raise ValueError(f"more than {MOST_TABLE_ROWS:,} rows")
        lines.append(line)
        kept.append(something)
        if len(cells) < MOST_COMMAS:
            cells.extend(cell for cell in row if "," in cell)
        line = first + reader.line_num - before
    return np.array(lines, dtype=np.int64), np.array(kept, dtype=bool), cells
