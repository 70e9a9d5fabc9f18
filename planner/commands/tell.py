"""`planner tell`: records what came of a training that was asked for."""

from __future__ import annotations

import math
from typing import Any

import click

from planner.commands.options import as_json, echo_json, study
from planner.commands.types import Number
from planner.errors import PlannerError


@click.command(
    name="tell",
    epilog="Example: planner tell 3 --score 0.71 --seconds 900; planner tell 4 --failed 'the node was lost'",
    short_help="Record the score of a training that was asked for.",
)
@click.argument("trial", type=click.IntRange(min=0))
@study
@click.option("--score", type=float, metavar="SCORE", help="Score that it reached; nan for one that diverged.")
@click.option("--loss", type=float, help="Loss on the same data, if known.")
@click.option("--seconds", type=Number(0), default=0.0, help="Seconds that it took, by which others are planned.")
@click.option("--device", default="", help="Where it ran, for the table.")
@click.option("--failed", metavar="REASON", help="Why it gave no score; it is handed out again, three times in all.")
@as_json
def command(
    trial: int,
    study: str | None,
    score: float | None,
    loss: float | None,
    seconds: float,
    device: str,
    failed: str | None,
    json_: bool,
) -> None:
    """Records the score of a training that `planner ask` handed out, as if the planner had trained it.

    Any process may tell, also after the time that the training was handed out for, unless somebody else told before.
    """
    from planner.study.asking import Asker
    from planner.study.opening import open_ledger

    if (score is None) == (failed is None):
        raise PlannerError("say how the training ended: --score S, or --failed REASON")
    if failed is not None and not failed.strip():
        raise PlannerError("--failed needs a reason, such as 'out of memory'")
    facts: dict[str, Any] = {"loss": loss, "seconds": seconds, "device": device, "message": _line(failed)}
    status = "killed" if failed is not None else "diverged" if score is not None and math.isnan(score) else "ok"
    ledger = open_ledger(study)
    again = Asker(ledger).tell(trial, score if status == "ok" else None, status, facts)
    became = "waits again" if again else "was given up" if status == "killed" else f"is recorded as {status}"
    counts = ledger.counts()
    if json_:
        echo_json({"study": ledger.folder.name, "trial": trial, "status": status, "again": again, **counts})
        return
    click.echo(
        f"{ledger.folder}: trial {trial} {became}; {counts['ok']} trained, {counts['failed']} failed, "
        f"{counts['running']} handed out, {counts['waiting']} wait"
    )


def _line(reason: str | None) -> str:
    """A reason in one line."""
    return " ".join((reason or "").split())[:300]
