"""`planner sample`: queues architectures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from planner.commands.options import REPEATS, TRIALS, as_json, budgets, echo_json, study
from planner.commands.study_options import made_with
from planner.commands.together import needs
from planner.text.quantities import format_count

if TYPE_CHECKING:
    from planner.study.options import StudyOptions
    from sampler import Limit


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
    options: StudyOptions,
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
    from planner.study.opening import read_ledger
    from planner.training.making import Wanted, queue_in
    from planner.workbench.designs import anchor_of, equal_design
    from sampler import exact_limit

    start = None if anchor is None else anchor_of(read_ledger(study), anchor)
    design = equal_design(method, flops, start)
    if flops is not None and design is None:
        limits = [*limits, exact_limit("macs", flops)]
    ledger, added = queue_in(study, options, Wanted(trials, True, method, limits, seeds, design), decoding)
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
