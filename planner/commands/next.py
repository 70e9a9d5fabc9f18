"""`planner next`: one recommendation."""

from __future__ import annotations

import click

from planner.commands.options import as_json, echo_json, study


@click.command(
    name="next",
    epilog="Example: planner next --study dogs",
    short_help="What to do next, why, and what it takes.",
)
@study
@as_json
def command(study: str | None, json_: bool) -> None:
    """Says what to train next, why, what it will cost in hours and what gain is expected; or to stop, or to repeat.

    Hours are those of the trainings one after the other, from the seconds measured so far.
    """
    from planner.advice.recommend import recommend
    from planner.advice.situation import Situation
    from planner.study.opening import read_ledger

    ledger = read_ledger(study)
    advice = recommend(Situation(ledger))
    if json_:
        echo_json({"study": ledger.folder.name, **advice.as_dict()})
        return
    click.echo(f"{advice.what[:1].upper()}{advice.what[1:]}.")
    click.echo(f"Why: {advice.why}.")
    if advice.hours:
        click.echo(f"Cost: about {advice.hours:.2g} hours of training.")
    if advice.command:
        click.echo(f"Next: {advice.command}")
