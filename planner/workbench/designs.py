"""Designs of networks at equal MACs, from the base network or from one that was trained."""

from __future__ import annotations

from functools import partial

from planner.errors import PlannerError
from planner.study.designs import Design
from planner.study.reader import Records
from sampler import Architectures, SearchSpace, target_design
from sampler.grid_design import Start, grid_design


def equal_design(method: str, macs: float | None, start: Start | None = None) -> Design | None:
    """The design of networks at equal MACs, or None for the methods that draw over a window.

    Args:
        method: `target`: r and d drawn; `grid`: compound scaling's; any other has no such design.
        macs: MACs of the networks; for `grid` None for twice those of what is scaled.
        start: Network that `grid` scales; the base network by default.

    Raises:
        PlannerError: If `target` has no MACs.
    """
    if method == "target":
        if macs is None:
            raise PlannerError("--method target draws at equal MACs; say at which, such as --flops 3M")
        return partial(target_design, macs=macs)
    if method != "grid":
        return None

    def grid(space: SearchSpace, n: int, seed: int, seen: Architectures | None) -> Architectures:
        return grid_design(space, n, macs, start, seen)  # nothing is drawn by chance

    return grid


def anchor_of(ledger: Records, number: int) -> Start:
    """A finished training of a study, to scale from.

    Args:
        ledger: The study's ledger.
        number: Number of the trial.

    Raises:
        PlannerError: If there is none of that number.
    """
    rows = ledger.table().frame
    there = rows[rows["trial"] == number]
    if there.empty:
        raise PlannerError(
            f"--anchor {number}: no finished training of {ledger.folder} has that number; `planner front` shows some"
        )
    row = there.iloc[0]
    return Start(float(row["macs"]), float(row["r"]), float(row["d"]))
