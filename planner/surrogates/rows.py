"""Tables from outside: frames or CSV files, and the numbers in their columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import PlannerError
from planner.tables.cells import read_cells, source_of
from planner.tables.column_types import ANY, column_type, knob_columns_in
from planner.tables.frames import frame_of
from planner.text.documents import cell, no_column, shown
from sampler.architecture import FloatArray

if TYPE_CHECKING:
    import pandas as pd

_NETWORK = r"resolution|stem|width_\d+|depth_\d+|head"  # the columns of a study's trials that describe a network,
STUDY = rf"{_NETWORK}|epochs|data_share"  # and a training of it
_ENDS = ("stem", "head")  # which other people's tables may use for words
IS = "="
TASKS = ("base", "data")  # where tables of several studies are put together
MOST_WORDS = 50


def as_frame(table: pd.DataFrame | str | Path) -> pd.DataFrame:
    """A frame, from itself or from the path of a CSV file.

    Raises:
        PlannerError: If it is neither, or the file cannot be read.
    """
    return frame_of(table, "network", "networks")


def column_of(frame: pd.DataFrame, name: str) -> pd.Series:
    """The column of that name.

    Raises:
        PlannerError: If there is none, or more than one.
    """
    same = [column for column in frame.columns if str(column) == name]
    if len(same) != 1:
        twice = f"{len(same)} columns are called {name}; rename all but one"
        raise PlannerError(twice if same else no_column([name], frame.columns))
    return frame[same[0]]


def numbers_in(frame: pd.DataFrame, name: str) -> FloatArray:
    """`(n,)` finite numbers of a column.

    Raises:
        PlannerError: If the column is missing, is there twice, or holds something else.
    """
    if not isinstance(name, str):
        raise PlannerError(f"{shown(name)} is no name of a column; give one of {', '.join(map(str, frame.columns))}")
    if IS in name and name not in map(str, frame.columns):
        return _indicator(frame, *name.split(IS, 1))
    column = column_of(frame, name)
    source, kind = source_of(frame), column_type(name) or ANY
    values, _ = read_cells(column, source.decimal, kind.units)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        row = source.place(int(column.index[wrong[0]]) if source.lines is not None else int(wrong[0]))
        raise PlannerError(
            f"{name} is no finite number in {len(wrong)} of {len(frame)} rows (first: {row}, "
            f"{cell(column.iloc[wrong[0]])}); leave those rows out, or give numbers"
        )
    return np.asarray(values, dtype=np.float64)


def _indicator(frame: pd.DataFrame, name: str, value: str) -> FloatArray:
    if name not in frame:
        raise PlannerError(no_column([name], frame.columns))
    same = (frame[name].astype(str) == value).to_numpy()
    return np.asarray(same, dtype=np.float64)


def with_indicators(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Names of inputs in which a column of words stands for one number per word: `data=cifar10`, 1 in its rows.

    Raises:
        PlannerError: If a column holds too many different words to be a task.
    """
    expanded: list[str] = []
    for name in names:
        words = sorted(frame[name].astype(str).unique()) if _of_words(frame, name) else None
        if words and len(words) > MOST_WORDS:
            raise PlannerError(f"{name} holds {len(words)} different words; at most {MOST_WORDS} can be told apart")
        expanded += [f"{name}{IS}{word}" for word in words] if words else [name]
    return expanded


def check_words(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuses rows whose words are not among those of some inputs.

    Raises:
        PlannerError: Naming the first.
    """
    columns = dict.fromkeys(name.split(IS, 1)[0] for name in names if IS in name and name not in frame)
    for column in columns:
        known = [name.split(IS, 1)[1] for name in names if name.startswith(column + IS)]
        unknown = ~frame[column].astype(str).isin(known).to_numpy() if column in frame else np.zeros(0, dtype=bool)
        if unknown.any():
            row = int(np.flatnonzero(unknown)[0])
            raise PlannerError(
                f"{column} of row {row + 1} is {frame[column].iloc[row]!r}; the surrogate knows {', '.join(known)}"
            )


def _of_words(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column holds words: it is there once, nothing is missing, and nothing is a number."""
    import pandas as pd

    if list(frame.columns).count(name) != 1:
        return False
    column = frame[name]
    numeric = pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
    return not numeric and bool(column.notna().all()) and bool(pd.to_numeric(column, errors="coerce").isna().all())


def varying(names: Sequence[str], *frames: pd.DataFrame) -> list[str]:
    """Those of some columns in which the rows of frames, put together, are not all the same."""
    columns = {name: np.concatenate([numbers_in(frame, name) for frame in frames]) for name in names}
    return [name for name, values in columns.items() if len(values) and np.ptp(values) > 0]


def training_columns(*frames: pd.DataFrame) -> list[str]:
    """The columns that describe a training, are in every frame and vary over them together."""
    knobs = knob_columns_in(frames[0])
    names = [str(name) for name in frames[0].columns if re.fullmatch(STUDY, str(name)) or name in knobs]
    names = [name for name in names if all(name in frame for frame in frames)]
    return varying(
        [name for name in names if name not in _ENDS or not any(_wordy(frame, name) for frame in frames)], *frames
    )


def study_inputs(frame: pd.DataFrame) -> list[str]:
    """The columns of a study's trials that vary.

    Raises:
        PlannerError: If there is none.
    """
    names = training_columns(frame)
    names += [name for name in TASKS if names and name in frame and frame[name].nunique() > 1]
    if not names:
        raise PlannerError(
            "inputs were not given, and none of resolution, width_1.., depth_1.. varies in the table; give inputs=[..]"
        )
    return names


def _wordy(frame: pd.DataFrame, name: str) -> bool:
    """Whether a cell of a column holds no finite number."""
    try:
        return not len(numbers_in(frame, name))
    except PlannerError:
        return True


def _floats(values: ArrayLike) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise PlannerError(f"noise_variance is {shown(values)}; a number, one for each row, or a column") from error


def noise_variances_of(
    noise_variance: float | ArrayLike | str | None, frame: pd.DataFrame, used: Sequence[int]
) -> FloatArray:
    """`(n,)` known noise variances of the rows used, from a number, one number for each row of the frame, or a column.

    Raises:
        PlannerError: If there are too many or too few, or one is negative.
    """
    if isinstance(noise_variance, str):
        values = numbers_in(frame.iloc[list(used)], noise_variance)
    else:
        given = _floats(0.0 if noise_variance is None else noise_variance)
        if given.shape not in ((), (len(frame),)):
            raise PlannerError(
                f"noise_variance of shape {given.shape}; one number, or one for each of {len(frame)} rows"
            )
        values = np.broadcast_to(given, len(frame))[list(used)].copy()
    if not (np.isfinite(values) & (values >= 0)).all():
        raise PlannerError("noise_variance must be finite and not negative; it is the variance between seeds")
    return values
