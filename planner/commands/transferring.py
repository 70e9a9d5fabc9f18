"""`planner scale --method transfer`: what a search found, at other widths, sizes of images or depths."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from planner.commands.options import echo_json, widths_words
from planner.errors import PlannerError
from planner.text.quantities import format_count

TRANSFER = "transfer"


def transfer_found(
    base: str, file: str | None, macs: float | None, width: float | None, resolution: int | None, json_: bool
) -> None:
    """Carries over what a file holds, and shows it beside the base network at the same width.

    Raises:
        PlannerError: If there is no file, both a width and a budget are given, or it cannot be carried over.
    """
    from planner.exports.given import read_given
    from planner.searches.transfer import at_macs, carried_over
    from sampler import architecture_complexity
    from sampler import base as base_named

    if file is None:
        raise PlannerError("transfer needs --found, the .json of a search in results/NAME/searches")
    if macs is not None and width is not None:
        raise PlannerError("give --width, such as 2, or --flops, not both")
    found, network = read_given(Path(file)), base_named(base)
    classes, before = found.classes, found.architecture
    if macs is None:
        times = width or 1.0
        after = carried_over(before, network, times, resolution, classes)
    else:
        after, times = at_macs(before, network, macs, resolution, classes)
    cost = architecture_complexity(after, classes)
    if json_:
        facts = {"method": TRANSFER, "base": base, "width": times, "classes": classes, "architecture": asdict(after)}
        echo_json({**facts, "macs": int(cost.macs), "params": int(cost.params), "found_macs": found.macs})
        return
    click.echo(f"{before.base} as found, {format_count(found.macs)} MACs, carried over to {base} x {times:.4g}")
    click.echo(f"  resolution  {after.resolution} px")
    click.echo(f"  depths      {' '.join(map(str, after.depths))}")
    click.echo(f"  widths      {widths_words(after)}")
    off = "" if macs is None else f" ({100 * (int(cost.macs) / macs - 1):+.2f} % of the budget)"
    click.echo(f"  MACs        {int(cost.macs):,}{off}, params {int(cost.params):,}")
