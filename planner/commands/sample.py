"""`planner sample`: queues architectures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import REPEATS, TRIALS, as_json, budgets, echo_json, made_with, study
from planner.commands.together import needs
from planner.errors import PlannerError
from planner.text.quantities import format_count

if TYPE_CHECKING:
    from planner.study.designs import Design
    from sampler import Architectures, Limit, SearchSpace
    from sampler.grid_design import Start


_METHODS = ("stratified", "random", "sobol", "target", "grid")
HELP = (
    "stratified, random, sobol: anywhere in the window; target: at equal MACs, those of --flops, r and d drawn; grid: "
    "compound scaling's, at equal MACs (--flops; twice those of what is scaled by default)."
)
TRIAL = click.IntRange(min=0)


@click.command(
    name="sample",
    epilog="Example: planner sample --study dogs --trials 40 --data imagefolder:photos --window 1M 10M --params 4M",
    short_help="Queue architectures inside the cost window.",
)
@needs("--anchor", "--method grid")
@study
@click.option("--trials", type=TRIALS, required=True, help="Architectures to add.")
@click.option("--seeds", type=REPEATS, default=1, show_default=True, help="Trainings of each architecture.")
@click.option("--method", type=click.Choice(_METHODS), default="stratified", show_default=True, help=HELP)
@click.option(
    "--anchor", type=TRIAL, metavar="TRIAL", help="With --method grid: a training to scale from, not the base network."
)
@budgets
@made_with
@as_json
def command(
    study: str | None,
    trials: int,
    seeds: int,
    method: str,
    anchor: int | None,
    flops: float | None,
    limits: list[Limit],
    json_: bool,
    **options: Any,
) -> None:
    """Queues architectures inside the window of MACs; makes the study where there is none.

    With --flops, --params, --latency or --memory none of those queued costs more.

    stratified: equal counts per bin of log MACs; in a quarter of them every stage has a d and w of its own, so that
    `predict --space stage` knows what stages do (a share that study.toml keeps as `apart`: none in studies made before
    there was one). random: each factor uniform, as TinyNet drew them.

    At equal MACs are those of target and grid, whatever the window: with target, `planner front --dimensions` shows
    which of r, d, w matters at one budget; grid shares the budget between them in every proportion, from which `planner
    fit --kind compound` takes alpha, beta and gamma.
    """
    from planner.commands.progress import decoding
    from planner.study.options import StudyOptions
    from planner.training.making import Wanted, queue_in
    from sampler import exact_limit

    design = equal_design(method, flops, study, anchor)
    if flops is not None and design is None:
        limits = [*limits, exact_limit("macs", flops)]
    ledger, added = queue_in(
        study, StudyOptions(**options), Wanted(trials, True, method, limits, seeds, design), decoding
    )
    low, high = ledger.space.macs_window
    answer = {"study": ledger.folder.name, "added": added, "macs_window": [low, high], **ledger.counts()}
    if json_:
        echo_json(answer)
        return
    where = "at equal MACs" if design else f"between {format_count(low)} and {format_count(high)} MACs"
    click.echo(
        f"{ledger.folder}: {added} architectures queued {where}; {answer['waiting']} wait. "
        f"Next: planner train --study {ledger.folder.name}"
    )


def equal_design(method: str, flops: float | None, study: str | None, anchor: int | None) -> Design | None:
    """The design of networks at equal MACs, or None for the methods that draw over a window.

    Raises:
        PlannerError: If the MACs or the anchor are not known.
    """
    from sampler import target_design
    from sampler.grid_design import grid_design

    if method == "target":
        if flops is None:
            raise PlannerError("--method target draws at equal MACs; say at which, such as --flops 3M")
        return partial(target_design, macs=flops)
    if method != "grid":
        return None
    start = None if anchor is None else anchor_of(study, anchor)

    def grid(space: SearchSpace, n: int, seed: int, seen: Architectures | None) -> Architectures:
        return grid_design(space, n, flops, start, seen)  # nothing is drawn by chance

    return grid


def anchor_of(study: str | None, number: int) -> Start:
    """A finished training of a study, to scale from.

    Raises:
        PlannerError: If there is none of that number.
    """
    from planner.study.opening import read_ledger
    from sampler.grid_design import Start

    ledger = read_ledger(study)
    rows = ledger.table().frame
    there = rows[rows["trial"] == number]
    if there.empty:
        raise PlannerError(
            f"--anchor {number}: no finished training of {ledger.folder} has that number; `planner front` shows some"
        )
    row = there.iloc[0]
    return Start(float(row["macs"]), float(row["r"]), float(row["d"]))
