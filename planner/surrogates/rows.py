"""Tables from outside: frames or CSV files, and the numbers in their columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from planner.documents import read_frame
from planner.errors import PlannerError
from sampler.architecture import FloatArray

if TYPE_CHECKING:
    import pandas as pd

STUDY = r"resolution|width_\d+|depth_\d+|epochs|data_share"  # the columns of a study's trials that describe a training


def as_frame(table: pd.DataFrame | str | Path) -> pd.DataFrame:
    """A frame, from itself or from the path of a CSV file.

    Raises:
        PlannerError: If the file cannot be read.
    """
    return read_frame(Path(table), "network", "networks") if isinstance(table, str | Path) else table


def numbers_in(frame: pd.DataFrame, name: str) -> FloatArray:
    """`(n,)` finite numbers of a column.

    Raises:
        PlannerError: If the column is missing, is there twice, or holds something else.
    """
    import pandas as pd

    found = [column for column in frame.columns if str(column) == name]
    if len(found) != 1:
        what = f"{len(found)} columns are called {name}" if found else f"no column {name}"
        raise PlannerError(f"{what}; the table has {', '.join(map(str, frame.columns))}")
    column = frame[found[0]]
    numbers = pd.to_numeric(column, errors="coerce").astype("Float64")
    values = np.asarray(numbers.to_numpy(np.float64, na_value=np.nan), dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise PlannerError(
            f"{name} is no finite number in {len(wrong)} of {len(frame)} rows (first: row {wrong[0] + 1}, "
            f"{column.iloc[wrong[0]]!r}); leave those rows out, or give numbers"
        )
    return values


def study_inputs(frame: pd.DataFrame) -> list[str]:
    """The columns of a study's trials that vary.

    Raises:
        PlannerError: If there is none.
    """
    names = [str(column) for column in frame.columns if re.fullmatch(STUDY, str(column))]
    varying = [name for name in names if np.ptp(numbers_in(frame, name)) > 0] if len(frame) else []
    if not varying:
        raise PlannerError(
            "inputs were not given, and none of resolution, width_1.., depth_1.. varies in the table; give inputs=[..]"
        )
    return varying


def noise_of(noise_variance: float | ArrayLike | str | None, frame: pd.DataFrame, used: Sequence[int]) -> FloatArray:
    """`(n,)` known noise variances of the rows used, from a number, one number for each row of the frame, or a column.

    Raises:
        PlannerError: If there are too many or too few, or one is negative.
    """
    if isinstance(noise_variance, str):
        values = numbers_in(frame.iloc[list(used)], noise_variance)
    else:
        given = np.asarray(0.0 if noise_variance is None else noise_variance, dtype=np.float64)
        if given.shape not in ((), (len(frame),)):
            raise PlannerError(
                f"noise_variance of shape {given.shape}; one number, or one for each of {len(frame)} rows"
            )
        values = np.broadcast_to(given, len(frame))[list(used)].copy()
    if not (np.isfinite(values) & (values >= 0)).all():
        raise PlannerError("noise_variance must be finite and not negative; it is the variance between seeds")
    return values
