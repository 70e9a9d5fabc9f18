"""The multipliers r, d and w of a table's rows, where it holds the integers that they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from planner.errors import PlannerError
from planner.tables.cells import TableSource, all_there, cell_refusal
from planner.tables.column_types import column_type
from sampler import BaseNetwork, rule_named
from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS
from sampler.moves import stage_columns
from sampler.scaling import depth_ranges, rules_of

if TYPE_CHECKING:
    import pandas as pd

_WIDEST_STEP = 1.2  # of d, where no least one gives some blocks: EfficientNets' own steps are 1.1 to 1.3 wide
ROUNDED_PX = 4  # a rule may round a resolution to a multiple of it


def fill_multipliers(frame: pd.DataFrame, network: BaseNetwork, source: TableSource) -> None:
    """Makes r, d, w, in place, from the architecture's integers where the table does not hold them.

    Args:
        frame: Rows with numeric columns; the index counts the table's rows from 0.
        network: The base network, at the resolution that r multiplies.
        source: Where the table comes from.

    Raises:
        PlannerError: If a column or a cell that is needed is missing, or a multiplier is impossible.
    """
    depths, widths = (stage_columns(kind, len(network.stages)) for kind in ("depth", "width"))
    if "r" not in frame and "resolution" in frame:
        frame["r"] = _there(frame, "resolution", source) / network.resolution
    if "d" not in frame and set(depths) <= set(frame):
        frame["d"] = sum(_there(frame, column, source) for column in depths) / sum(network.depths)
    if "w" not in frame and set(widths) <= set(frame):
        ratios = [_there(frame, column, source) / width for column, width in zip(widths, network.widths, strict=True)]
        frame["w"] = np.exp(np.log(ratios).mean(axis=0))
    missing = [column for column in ("r", "d") if column not in frame]
    if missing:
        raise PlannerError(
            f"{source.name}: no column {' or '.join(missing)}, nor the integers that give it; add the column"
        )
    frame["w"] = frame["w"].astype(float) if "w" in frame else np.nan  # shown, never fitted
    for column in ("r", "d"):
        frame[column] = _there(frame, column, source)
    _check_sizes(frame, network, source)
    if set(depths) <= set(frame):
        _by_the_rule(frame, network, depths)


def _there(frame: pd.DataFrame, column: str, source: TableSource) -> pd.Series:
    kind = column_type(column)
    assert kind is not None, column
    return all_there(frame[column].astype(float), frame[column], source, kind)


def _check_sizes(frame: pd.DataFrame, network: BaseNetwork, source: TableSource) -> None:
    """Refuses multipliers of what nobody could build, and resolutions that are not r times the base network's."""
    wide = max(*network.widths, network.stem, network.head)
    sizes = (
        ("r", network.resolution, MAX_PIXELS, "pixels"),
        ("d", max(network.depths), MAX_BLOCKS, "blocks in a stage"),
        ("w", wide, MAX_CHANNELS, "channels"),
    )
    for column, size, most, unit in sizes:
        wrong = np.flatnonzero((frame[column] * size > most) | (frame[column] * size < 0.5 * (column == "r")))
        if len(wrong):
            made = frame[column].iloc[wrong[0]] * size
            why = f"it gives {made:,.3g} {unit}, and 1 to {most:,} are possible"
            raise cell_refusal(source, frame[column], int(wrong[0]), why)
    if "resolution" not in frame:
        return
    pixels = frame["resolution"].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    said = frame["r"].to_numpy(dtype=np.float64) * network.resolution
    apart = np.abs(said - pixels) > np.maximum(ROUNDED_PX, 0.05 * pixels)
    if apart.any():
        row = int(np.flatnonzero(apart)[0])
        raise PlannerError(
            f"{source.name}: {source.place(int(frame.index[row]))} has r {frame['r'].iloc[row]:.4g} and resolution "
            f"{pixels[row]:g}, but r multiplies {network.resolution} px ({apart.sum()} of {len(frame)} rows); name the "
            "right --base, give a column base_resolution, or leave r out"
        )


def _by_the_rule(frame: pd.DataFrame, network: BaseNetwork, columns: Sequence[str]) -> None:
    """Where d is but the share of the base network's blocks, makes it the middle of what the rule rounds to these.

    Rounding gives EfficientNet-B1 (d 1.1) 1.44 times B0's blocks; a formula fitted to 1.44 would have them rounded up
    once more. What was scaled by a d that is known keeps it, and what no single d gives keeps the share.
    """
    blocks = frame[list(columns)].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    whole = ((blocks == np.rint(blocks)) & (blocks <= MAX_BLOCKS)).all(axis=1)  # NaN is neither
    d = frame["d"].to_numpy(dtype=np.float64, copy=True)
    share = blocks.sum(axis=1) / sum(network.depths)
    shares = whole & np.isclose(d, share, rtol=1e-9) & (share != 1)  # the base network's own d is 1
    rules = frame["rule"].fillna(network.rule).to_numpy() if "rule" in frame else np.full(len(frame), network.rule)
    for rule in {str(name) for name in rules[shares]} & set(rules_of(network)):
        rows = np.flatnonzero(shares & (rules == rule))
        low, high = depth_ranges(network, rule_named(rule), blocks[rows].astype(np.int64))
        # One block is the fewest, whatever d: below some d a stage changes no more.
        middle = np.sqrt(np.maximum(low, high / _WIDEST_STEP) * high)
        d[rows] = np.where(low <= high, middle, d[rows])
    frame["d"] = d
