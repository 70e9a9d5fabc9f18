"""`planner train`: scores what is queued."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from planner.commands.options import as_json, echo_json, study, warn_of_guessing
from planner.commands.resource_options import resources

if TYPE_CHECKING:
    from planner.training.resources import Resources


@click.command(
    name="train",
    epilog="Example: planner train --study dogs --workers 2",
    short_help="Score what is queued; resumes after any interruption.",
)
@study
@resources
@as_json
def command(study: str | None, where: Resources, json_: bool) -> None:
    """Trains every queued architecture on the proxy task and records its accuracy beside its exact cost.

    Stop it at any time: the same command goes on, loses no finished training and repeats none.
    """
    from planner.commands.progress import TerminalProgress
    from planner.study.folder import cache_of
    from planner.study.opening import open_ledger
    from planner.training.loop import train_queued

    ledger = open_ledger(study)
    ended = train_queued(ledger, cache_of(ledger.folder), where, TerminalProgress())
    warn_of_guessing(ledger)
    counts = ledger.counts()
    if json_:
        echo_json({"study": ledger.folder.name, "ended": ended, **counts})
        return
    click.echo(f"{ledger.folder}: {counts['ok']} trained, {counts['failed']} failed, {counts['waiting']} wait")
