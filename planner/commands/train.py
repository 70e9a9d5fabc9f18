"""`planner train`: scores what is queued."""

from __future__ import annotations

import click

from planner.commands.options import as_json, echo_json, resources, study


@click.command(
    name="train",
    epilog="Example: planner train --study dogs --workers 2",
    short_help="Score what is queued; resumes after any interruption.",
)
@study
@resources
@as_json
def command(
    study: str | None,
    workers: int,
    device: str,
    minutes: float | None,
    hours: float | None,
    stop_early: bool,
    per_device: int,
    json_: bool,
) -> None:
    """Trains every queued architecture on the proxy task and records its accuracy beside its exact cost.

    Stop it at any time: the same command goes on, loses no finished training and repeats none.
    """
    from planner.loop import Resources, train_queued
    from planner.progress import TerminalProgress
    from planner.study import cache_of, open_ledger

    ledger = open_ledger(study)
    where = Resources(workers, device, minutes, stop_early, per_device, hours)
    ended = train_queued(ledger, cache_of(ledger.folder), where, TerminalProgress())
    counts = ledger.counts()
    if json_:
        echo_json({"study": ledger.folder.name, "ended": ended, **counts})
        return
    click.echo(f"{ledger.folder}: {counts['ok']} trained, {counts['failed']} failed, {counts['waiting']} wait")
