"""`planner sample`: queues architectures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import REPEATS, TRIALS, as_json, budgets, echo_json, made_with, study
from planner.quantities import format_count

if TYPE_CHECKING:
    from sampler import Limit


@click.command(
    name="sample",
    epilog="Example: planner sample --study dogs --trials 40 --data imagefolder:photos --window 1M 10M --params 4M",
    short_help="Queue architectures inside the cost window.",
)
@study
@click.option("--trials", type=TRIALS, required=True, help="Architectures to add.")
@click.option("--seeds", type=REPEATS, default=1, show_default=True, help="Trainings of each architecture.")
@click.option("--method", type=click.Choice(["stratified", "random", "sobol"]), default="stratified", show_default=True)
@budgets
@made_with
@as_json
def command(
    study: str | None,
    trials: int,
    seeds: int,
    method: str,
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
    """
    from planner.making import Wanted, queue_in
    from planner.progress import decoding
    from sampler import exact_limit

    if flops is not None:
        limits = [*limits, exact_limit("macs", flops)]
    ledger, added = queue_in(study, options, Wanted(trials, True, method, limits, seeds), decoding)
    low, high = ledger.space.macs_window
    answer = {"study": ledger.folder.name, "added": added, "macs_window": [low, high], **ledger.counts()}
    if json_:
        echo_json(answer)
        return
    click.echo(
        f"{ledger.folder}: {added} architectures queued between {format_count(low)} and {format_count(high)} MACs; "
        f"{answer['waiting']} wait. Next: planner train --study {ledger.folder.name}"
    )
