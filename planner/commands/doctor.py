"""`planner doctor`: what is missing on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from planner.commands.options import as_json, echo_json

if TYPE_CHECKING:
    from planner.doctor.machine import Check


@click.command(
    name="doctor", epilog="Example: planner doctor --json", short_help="What is missing or broken on this machine."
)
@as_json
def command(json_: bool) -> None:
    """Looks at the machine and at what is installed, and says for each problem which command mends it.

    Exit code 0 where all is well, 2 where something must be mended. That an optional package is missing is no problem.
    """
    from dataclasses import asdict

    from planner.doctor.installed import package_checks, probe
    from planner.doctor.machine import machine_checks

    probed = probe()
    checks = [*machine_checks(), *package_checks(probed)]
    problems = [check for check in checks if check.problem]
    if json_:
        answer = {"ok": not problems, "checks": [asdict(check) for check in checks], "torch": probed.torch}
        echo_json({**answer, "problems": [asdict(check) for check in problems]})
    else:
        _show(checks, problems)
    if problems:
        sys.exit(2)


def _show(checks: list[Check], problems: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        click.echo(f"{'!' if check.problem else ' '} {check.name:{width}}  {check.found}")
    click.echo("all is well" if not problems else f"to mend ({len(problems)}):")
    for check in problems:
        click.echo(f"  {check.name}: {check.problem}; {check.mend}")
