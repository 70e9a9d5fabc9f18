"""`planner studies`: which there are, other names for them, removing them."""

from __future__ import annotations

import sys

import click

from planner.commands.groups import Suggesting
from planner.commands.options import as_json, echo_json, echo_table
from planner.errors import PlannerError


@click.group(
    name="studies",
    cls=Suggesting,
    invoke_without_command=True,
    short_help="List, rename and remove studies.",
    epilog="Examples: planner studies; planner studies rename dogs hounds; planner studies rm hounds",
)
@as_json
@click.pass_context
def command(context: click.Context, json_: bool) -> None:
    """Lists the studies in results/: base network, trainings, when something was last written, formula or none.

    A star marks the one that commands take without --study. Trainings are not counted where the ledger is a server's.
    """
    if context.invoked_subcommand is not None:
        return
    from dataclasses import asdict

    from planner.study.studies import standings

    found = standings()
    if json_:
        echo_json({"studies": [{**asdict(one), "used": one.used.isoformat(timespec="seconds")} for one in found]})
        return
    if not found:
        click.echo("no studies in results/; make one with `planner run`")
        return
    rows = [
        (
            f"{one.name}{' *' if one.last else ''}",
            one.base or "?",
            "?" if one.trained is None else str(one.trained),
            "?" if one.waiting is None else str(one.waiting),
            f"{one.used:%Y-%m-%d %H:%M}",
            "yes" if one.formula else "no",
        )
        for one in found
    ]
    echo_table(("study", "base network", "trained", "waiting", "last used", "formula"), rows)


@command.command(
    name="rename",
    epilog="Example: planner studies rename dogs hounds",
    short_help="Give a study another name.",
)
@click.argument("name")
@click.argument("new")
@as_json
def rename_command(name: str, new: str, json_: bool) -> None:
    """Renames the study NAME to NEW; its trainings, formula and report go with it."""
    from planner.study.studies import rename

    folder = rename(name, new)
    if json_:
        echo_json({"study": folder.name, "before": name})
    else:
        click.echo(f"{name} is {folder} now")


@command.command(
    name="rm",
    epilog="Example: planner studies rm dogs --yes",
    short_help="Remove a study with all its trainings.",
)
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def rm(name: str, yes: bool, json_: bool) -> None:
    """Removes the study NAME and everything in its folder, for ever; asks first."""
    from planner.study.folder import existing
    from planner.study.studies import remove

    folder = existing(name)
    if not yes and not _confirmed(f"remove {folder} with all its trainings, for ever?"):
        raise PlannerError(f"{folder} stays; answer y, or give --yes, to remove it")
    left = remove(name)
    if json_:
        echo_json({"removed": name, "left": left})
    else:
        click.echo(f"removed: {folder}{f'; {left}' if left else ''}")


def _confirmed(question: str) -> bool:
    """What a user answers; no where nobody can."""
    return sys.stdin is not None and sys.stdin.isatty() and click.confirm(question, err=True)
