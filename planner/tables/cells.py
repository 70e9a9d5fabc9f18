"""Cells of outside tables: as numbers, with units and whatever stands for a missing one, and where a wrong one stands.

Numbers are read as people, trackers and the planner itself write them: 336.9M, 77.7%, 12 ms, 33.97 MB, 152 px,
1,014.45, 200_000_000, 0,777 (decimal commas, where the file shows that it has them). A cell that could mean two
numbers is refused, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import PlannerError
from planner.tables.column_types import NUMBER, SHARE, ColumnType
from planner.text.documents import cell
from sampler.architecture import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

MISSING = frozenset(
    ("", "-", "--", "\u2013", "\u2014", "?", ".", "n.a.", "n/a", "#n/a", "na", "<na>", "nan", "nat", "none", "null")
)  # fmt: skip
CELL = re.compile(
    r"([-+]?(?:\d[\d.,_'  \u00a0\u202f]*|[.,]\d+)(?:e[-+]?\d+)?)\s*([a-zµ%]*?)\s*(?:macs)?", re.IGNORECASE
)
_GROUPED = re.compile(r"\d{1,3}(?P<mark>[_'  \u00a0\u202f])\d{3}(?:(?P=mark)\d{3})*(?![\d_' \u00a0\u202f])")
TWO_WAYS = (
    "that can be read in two ways, and a number is wanted: write a point before decimals, and nothing between thousands"
)
SOURCE = "planner.source"  # where a frame keeps what it was read from
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet compute a cell (OWASP, "CSV injection")


@dataclass(frozen=True, eq=False)
class TableSource:
    """Where a table comes from.

    Attributes:
        name: Name of the table in errors.
        sha256: Digest of the bytes that were read, or of a frame's CSV text.
        lines: `(n,)` line of the file in which each row begins; None where there are no lines.
        decimal: The decimal mark of cells that could be read both ways, such as 1,014: "." or ","; "?" where nothing
            in the file says.
    """

    name: str
    sha256: str = ""
    lines: IntArray | None = None
    decimal: str = "."

    def __deepcopy__(self, memo: Any) -> TableSource:
        return self  # pandas copies what frames keep with every operation

    def place(self, row: int) -> str:
        """What to call a row by its number, from 0: as people count rows, and its line in the file."""
        line = "" if self.lines is None else f" (line {self.lines[row]})"
        return f"row {row + 1}{line}"


def source_of(frame: pd.DataFrame, name: str = "the table") -> TableSource:
    """Where a frame was read from; one that was not read is called by the name."""
    source = frame.attrs.get(SOURCE)
    return source if isinstance(source, TableSource) else TableSource(name)


def read_cells(column: pd.Series, decimal: str, units: Mapping[str, float]) -> tuple[FloatArray, np.ndarray]:
    """A column's `(n,)` numbers, NaN where there is none, and bools: where one is missing or holds a word for that."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) and column.dtype.kind != "c":
        values = column.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan) if len(column) else np.empty(0)
        return np.asarray(values, dtype=np.float64), column.isna().to_numpy(dtype=bool)
    codes, cells = pd.factorize(column.astype(object))
    read = np.array([*(_number(text, decimal, units) for text in cells), (np.nan, True)], dtype=object).reshape(-1, 2)
    return read[codes, 0].astype(np.float64), read[codes, 1].astype(bool)


def numbers(column: pd.Series, source: TableSource, kind: ColumnType = NUMBER, name: str | None = None) -> pd.Series:
    """A column as float64; NaN where a cell is missing, or holds a word for that.

    Args:
        column: Cells of a table's column, whose index counts the rows from 0.
        source: Where the table comes from.
        kind: Type of the column.
        name: Name of the column in errors, instead of its own.

    Raises:
        PlannerError: Naming the first cell that is no number, is infinite or out of range.
    """
    import pandas as pd

    called = str(column.name) if name is None else name
    if column.dtype.kind in "cmM":
        raise PlannerError(f"{source.name}: {called} holds {column.dtype}; {kind.wanted}")
    values, lacking = read_cells(column, source.decimal, kind.units)
    if "%" in kind.units:
        _check_signs(column, lacking, source)
    wrong = ~(lacking | np.isfinite(values)) | (values < kind.low) | (values > kind.high)
    if kind.above:
        wrong |= values == kind.low
    if kind.whole:
        wrong |= ~lacking & (values != np.rint(values))
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        doubt = isinstance(value := column.iloc[place], str) and np.isnan(values[place]) and _of_digits(value, kind)
        raise cell_refusal(source, column, place, TWO_WAYS if doubt else kind.wanted, called)
    return pd.Series(np.where(lacking, np.nan, values), index=column.index, name=column.name)


def cell_refusal(
    source: TableSource, column: pd.Series, place: int, wanted: str, name: str | None = None
) -> PlannerError:
    """The error that names a cell by its column and row; `place` counts the column's own cells from 0."""
    value, row = column.iloc[place], int(column.index[place])
    if isinstance(value, str):
        value = " ".join(value.split())[:80]
    called = str(column.name) if name is None else name
    return PlannerError(f"{source.name}: {called} of {source.place(row)} is {cell(value)}; {wanted}")


def all_there(values: pd.Series, original: pd.Series, source: TableSource, kind: ColumnType = NUMBER) -> pd.Series:
    """The numbers of a column, if none is missing.

    Raises:
        PlannerError: Naming the first that is.
    """
    lacking = np.flatnonzero(values.isna())
    if len(lacking):
        raise cell_refusal(source, original, int(lacking[0]), f"{kind.wanted}; fill it in, or leave the row out")
    return values


def _signs(column: pd.Series) -> np.ndarray:
    """`(n,)` bools: which cells end in a percent sign."""
    return np.array([isinstance(value, str) and value.rstrip().endswith("%") for value in column], dtype=bool)


def _check_signs(column: pd.Series, lacking: np.ndarray, source: TableSource) -> None:
    """Refuses a column in which some numbers are in percent by their sign, and others are not."""
    if column.dtype.kind in "biuf":
        return
    signs = _signs(column)
    bare = ~signs & ~lacking
    if signs.any() and bare.any():
        rare = signs if signs.sum() <= bare.sum() else bare
        raise cell_refusal(source, column, int(np.flatnonzero(rare)[0]), "write a % sign in every row, or in none")


def shares(column: pd.Series, source: TableSource) -> tuple[pd.Series, bool]:
    """A column of shares in [0, 1], and whether it was in percent without a sign that says so.

    Raises:
        PlannerError: If a cell is no share, or some are shares and others percent.
    """
    values = numbers(column, source, SHARE)
    above = (values > 1).to_numpy()
    if not above.any() or _signs(column).any():
        if above.any():
            raise cell_refusal(source, column, int(np.flatnonzero(above)[0]), SHARE.wanted)
        return values, False
    below = ((values > 0) & (values < 1)).to_numpy()  # 0 and 1 are both
    if below.any():
        rare, many = (above, "shares of 1") if above.sum() <= below.sum() else (below, "percent")
        wanted = f"most others are {many}: write all as shares of 1, or all with a % sign"
        raise cell_refusal(source, column, int(np.flatnonzero(rare)[0]), wanted)
    return values / 100, True


def words(column: pd.Series) -> pd.Series:
    """A column as text; None where a cell is missing, or holds a word for that."""
    return column.astype(object).map(lambda value: None if is_missing(value) else str(value).strip())


def is_missing(value: Any) -> bool:
    """Whether a cell is empty, or holds a word that says so.

    Example:
        >>> is_missing("n.a."), is_missing(float("nan")), is_missing(0)
        (True, True, False)
    """
    return value.strip().lower() in MISSING if isinstance(value, str) else cell(value) == "missing"


def _number(value: Any, decimal: str, units: Mapping[str, float]) -> tuple[float, bool]:
    """A cell's number (NaN where it holds something else), and whether it is missing."""
    if is_missing(value):
        return np.nan, True
    try:
        return parsed(value, decimal, units) if isinstance(value, str) else float(value), False
    except (TypeError, ValueError, OverflowError):
        return np.nan, False


def parsed(text: str, decimal: str, units: Mapping[str, float]) -> float:
    """The number that a cell says.

    Raises:
        ValueError: If it says none, or one of two.

    Example:
        >>> from planner.text.quantities import COUNT_SUFFIXES
        >>> parsed("336.9M", ".", COUNT_SUFFIXES), parsed("1,014.45", ".", {}), parsed("0,777", ",", {})
        (336900000.0, 1014.45, 0.777)
    """
    match = CELL.fullmatch(text.strip())
    if match is None:
        return float(text)  # inf
    unit = match[2].lower().replace("µ", "u")
    if unit and unit not in units:
        raise ValueError(text)
    value, size = float(_point(match[1].strip(), decimal)), units.get(unit, 1.0)
    return value * size if size >= 1 else value / round(1 / size)  # 71.2 % is 0.712 to the digit


def _of_digits(text: str, kind: ColumnType) -> bool:
    """Whether a cell is made of digits and marks, and so a number to people."""
    match = CELL.fullmatch(text.strip())
    return match is not None and match[2].lower() in {"", *kind.units}


def _point(digits: str, decimal: str) -> str:
    """A number with a decimal point and no marks between thousands."""
    grouped = _GROUPED.search(digits)
    if grouped:
        digits = digits.replace(grouped["mark"], "")
    commas, dots = digits.count(","), digits.count(".")
    if not commas and (dots == 0 or (dots == 1 and decimal == ".")):
        return digits
    last = max(",.", key=digits.rfind)
    if commas and dots:
        thousands, point = ",." if last == "." else ".,"
        return _ungrouped(digits, thousands).replace(point, ".")
    if commas + dots > 1:
        return _ungrouped(digits, last)
    if not is_grouped(digits, last):  # one mark, and what follows it are no three digits
        if last == "," and decimal == ".":
            raise ValueError(digits)
        return digits.replace(",", ".")
    if decimal == "?" and last == ".":
        return digits
    if decimal == "?" or (decimal, last) == (",", "."):
        raise ValueError(digits)
    return _ungrouped(digits, last) if last != decimal else digits.replace(",", ".")


def is_grouped(digits: str, mark: str) -> bool:
    """Whether a mark stands where one between thousands would."""
    whole = re.split(r"[eE]", digits.lstrip("+-"))[0]
    for other in {".", ","} - {mark}:
        whole = whole.split(other)[0]
    return re.fullmatch(rf"[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+", whole) is not None


def _ungrouped(digits: str, mark: str) -> str:
    if not is_grouped(digits, mark):
        raise ValueError(digits)
    return digits.replace(mark, "")


def decimal_mark(cells: Iterable[str], default: str) -> str:
    """The decimal mark of a file, by its cells with commas.

    Args:
        cells: Those with commas.
        default: Mark to assume where all of them can be read both ways.

    Example:
        >>> decimal_mark(["0,777", "1,014"], "?"), decimal_mark(["1,014.45"], "?"), decimal_mark(["12, 5"], "?")
        (',', '.', '.')
    """
    shown, doubtful = set(), False
    for text in cells:
        match = CELL.fullmatch(text.strip())
        digits = match[1] if match is not None and " " not in match[1] else ""
        commas, last = digits.count(","), digits.rfind(",") > digits.rfind(".")
        if commas == 1 and last and not is_grouped(digits, ","):
            shown.add(",")
        elif commas and is_grouped(digits, ",") and (commas > 1 or "." in digits):
            shown.add(".")
        doubtful |= commas > 0
    return shown.pop() if len(shown) == 1 else default if doubtful else "."


def harmless(value: Any) -> Any:
    """A cell as it is; a text that a spreadsheet would compute after one more apostrophe (see `as_written`).

    Example:
        >>> harmless("=1+2"), harmless("-0.5"), as_written(harmless("'=1+2"))
        ("'=1+2", '-0.5', "'=1+2")
    """
    if not isinstance(value, str) or not value.lstrip("'").startswith(FORMULA):
        return value
    return value if re.fullmatch(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?", value) else f"'{value}"


def as_written(value: Any) -> Any:
    """A cell before it was made `harmless`."""
    guarded = isinstance(value, str) and value[:1] == "'" and value.lstrip("'").startswith(FORMULA)
    return value[1:] if guarded else value
