"""How `planner compare` shows what it found."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from planner.commands.options import echo_first, table_lines
from planner.text.quantities import format_count

if TYPE_CHECKING:
    from planner.compare.rows import Row
    from planner.compare.statistics import MeanEstimate
    from planner.compare.summary import Summary
    from trainer.score import Score

_COLUMNS = 80


def show_comparison(rows: Sequence[Row], left_out: dict[str, str]) -> None:
    """Prints a comparison for people, 80 columns wide."""
    from planner.compare.summary import caveats, summaries, warnings

    echo_first(warnings(rows))
    first = rows[0]
    images = "accuracies from a table" if first.scored_on == "table" else f"scored on the {first.scored_on} images"
    if not first.score.is_accuracy:
        images = f"{first.score.name}{first.score.axis}"
    after = f", {first.epochs} epoch{'s' * (first.epochs > 1)}" if first.epochs else ""
    click.echo(f"{first.base}, {first.classes} classes{after}, {images}")
    for budget, found in summaries(rows).items():
        click.echo(f"\n{format_count(budget)} MACs")
        show_accuracies(found)
        show_networks(found)
        for line in remarks(found):
            _say(line)
    click.echo()
    for reason in dict.fromkeys(left_out.values()):
        _say(f"left out: {', '.join(name for name in left_out if left_out[name] == reason)}: {reason}")
    for line in caveats(rows):
        _say(line)


def _say(text: str) -> None:
    """Prints a line, folded."""
    click.echo(textwrap.fill(text, _COLUMNS, subsequent_indent="  "))


def show_accuracies(found: Sequence[Summary]) -> None:
    """Prints what the methods reach at one budget, and what they needed."""
    score = found[0].first.score
    reached = "accuracy %" if score.is_accuracy else f"{score.name} {score.unit}".rstrip()
    header = ("method", "MACs", "off", reached, "minus compound", "n", "needed", "hours")
    rows = []
    for one in found:
        row = one.first
        off = "-" if row.error is None else f"{100 * row.error:+.2f} %" + "!" * (not one.at_budget)
        cost = (str(row.trainings_needed), f"{row.hours_needed:.2g}")
        macs = "-" if row.macs is None else format_count(row.macs)
        n = str(one.accuracy.n if one.accuracy else 0)
        rows.append((row.method, macs, off, points(one.accuracy, score), _difference(one), n, *cost))
    width = max(len(row[0]) for row in [header, *rows])
    first, *lines = table_lines(
        [header[0].ljust(width), *header[1:]], [(row[0].ljust(width), *row[1:]) for row in rows]
    )
    click.echo(first)
    for line, one in zip(lines, found, strict=True):
        click.echo(line)
        if beside := one.first.label.removeprefix(one.first.method).strip():
            click.echo(f"  {beside}")


def points(one: MeanEstimate | None, score: Score, sign: str = "") -> str:
    """An estimate: of an accuracy in per cent, of another score in its own unit."""
    if one is None:
        return "-"
    if not score.is_accuracy:
        half = "" if one.half is None else f" +- {one.half:.2g}"
        return f"{score.merit(one.mean):{sign}.4g}{half}"
    half = "" if one.half is None else f" +- {100 * one.half:.1f}"
    return f"{100 * one.mean:{sign}.1f}{half}"


def _difference(one: Summary) -> str:
    """The difference to compound scaling; a star where its interval leaves 0 out."""
    if one.difference is None:
        return "-"
    if "compound" in one.same_as:
        return "same network"
    return points(one.difference, one.first.score, "+") + " *" * one.difference.sure


def show_networks(found: Sequence[Summary]) -> None:
    """Prints the networks of one budget, each once."""
    for one in (part for whole in found for part in whole.drawn or [whole]):
        row = one.first
        if row.network and not one.same_as:
            channels = f"widths {row.widths}" if row.layers is None else f"layers {row.layers}"
            _say(f"{row.method}: {row.resolution} px, depths {row.depths}, {channels}, head {row.head}")


def remarks(found: Sequence[Summary]) -> list[str]:
    """What is odd about the methods of one budget, a line each."""
    lines = []
    for one in found:
        row = one.first
        said = [f"the network of {one.same_as[0]}"] if one.same_as else []
        if row.network and not one.at_budget:
            said.append(f"{100 * (row.error or 0):+.1f} % off the budget")
        if one.failed:
            said.append(f"{one.failed} without {row.score.name} ({', '.join(one.statuses)})")
        said += [row.note] if row.note else []
        if said:
            lines.append(f"{row.method}: {'; '.join(said)}")
    return lines
