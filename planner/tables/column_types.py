"""Types of columns of numbers: their range, whether they are whole, and the units they may be written with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from planner.text.quantities import BYTES, COUNT_SUFFIXES, MILLISECONDS
from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS
from sampler.families.registry import known_bases
from sampler.knobs import knobs_among
from sampler.moves import stage_columns, stage_of_column
from sampler.scaling import LEAST_MULTIPLIER, MAX_MULTIPLIER

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ColumnType:
    """Type of a column of numbers.

    Attributes:
        low: Smallest number.
        high: Largest number.
        whole: Whether the numbers are whole.
        above: Whether the smallest itself is impossible.
        units: Units that may follow a number, in lower case, each with its size in the column's unit.
        said: Words for what a cell must be, where the ends do not say it.
        of_network: Whether the numbers are integers of an architecture.
    """

    low: float = -np.inf
    high: float = np.inf
    whole: bool = False
    above: bool = False
    units: Mapping[str, float] = field(default_factory=dict)
    said: str = ""
    of_network: bool = False

    @property
    def wanted(self) -> str:
        """What a cell must be, in words."""
        if self.said:
            return f"{self.said} is wanted"
        what = "a whole number" if self.whole else "a number"
        if not np.isfinite(self.low):
            return f"{what} is wanted"
        least = f"above {self.low:g}" if self.above else f"from {self.low:g}"
        return f"{what} {least}{'' if np.isinf(self.high) else f' to {self.high:g}'} is wanted"


NUMBER = ColumnType()
_COUNT = ColumnType(1, 1e18, units=COUNT_SUFFIXES, said="a number from 1 to 1e18, such as 300000000 or 300M,")
SHARE = ColumnType(0, 100, units={"%": 0.01}, said="a number from 0 to 1 (or all in percent)")
MULTIPLIER = ColumnType(LEAST_MULTIPLIER, MAX_MULTIPLIER)
_PIXELS = ColumnType(1, MAX_PIXELS, whole=True, units={"px": 1.0}, of_network=True)
_CHANNELS = ColumnType(1, MAX_CHANNELS, whole=True, of_network=True)
_ENDS = ColumnType(0, MAX_CHANNELS, whole=True, of_network=True)
_BLOCKS = ColumnType(1, MAX_BLOCKS, whole=True, of_network=True)
_SECONDS = ColumnType(0, 1e10, units={"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0})
LATENCY = ColumnType(0, 1e9, above=True, units=MILLISECONDS)
_MEMORY = ColumnType(1, 1e18, units=BYTES | {f"{unit}b": size for unit, size in BYTES.items()})
# Of a column whose name means nothing here: whatever the planner prints.
ANY = ColumnType(units={**COUNT_SUFFIXES, **MILLISECONDS, "%": 0.01, "px": 1.0})
_COLUMNS: dict[str, ColumnType] = {
    "accuracy": SHARE,
    **dict.fromkeys(("macs", "params", "activations"), _COUNT),
    "memory": _MEMORY,
    "latency_ms": LATENCY,
    **dict.fromkeys("rdw", MULTIPLIER),
    "resolution": _PIXELS,
    **dict.fromkeys(("base_resolution", "proxy_resolution"), ColumnType(1, MAX_PIXELS, whole=True, units={"px": 1.0})),
    "stem": _ENDS,
    "classes": ColumnType(1, MAX_CHANNELS, whole=True),
    "head": _ENDS,
    "epochs": ColumnType(0, 1e6),
    "data_share": ColumnType(0, 1, above=True, units={"%": 0.01}),
    "seed": ColumnType(0, 1e20),
    "seconds": _SECONDS,
}


def knob_columns_in(frame: pd.DataFrame) -> set[str]:
    """The columns of knobs, of which a table's base networks say which they have."""
    networks = [known_bases().get(name) for name in frame["base"].unique()] if "base" in frame else []
    return {
        column
        for network in networks
        if network is not None
        for name, size in knobs_among(network, frame.columns).items()
        for column in stage_columns(name, size)
    }


def column_type(column: str) -> ColumnType | None:
    """The type of a column of trainings, by its name; None for a name that means nothing here."""
    match stage_of_column(column):
        case ("width", _):
            return _CHANNELS
        case ("depth", _):
            return _BLOCKS
    return _COLUMNS.get(column)
