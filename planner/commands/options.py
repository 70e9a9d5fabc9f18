"""Options that several commands share, and how results are shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from planner.errors import PlannerError
from planner.quantities import parse_count

if TYPE_CHECKING:
    from planner.table import Table

F = TypeVar("F", bound=Callable[..., Any])


class Count(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.5
    """A quantity such as 200M."""

    name = "quantity"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of a text."""
        if isinstance(value, float):
            return value
        try:
            return parse_count(value)
        except PlannerError as error:
            self.fail(str(error), param, ctx)


as_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")
study = click.option("--study", metavar="NAME", help="The study, a folder in results/; the last one used by default.")


def made_with(command: F) -> F:
    """The options a study is made with; later calls may leave them out."""
    options = (
        click.option("--base", metavar="NAME", help="Base network (see `planner bases`)."),
        click.option(
            "--data",
            metavar="SOURCE",
            help="fractal[:classes=20,..], npz:PATH or imagefolder:PATH; fractal by default.",
        ),
        click.option(
            "--resolution", type=click.IntRange(8, 4096), help="Pixels of the base network here; 64 by default."
        ),
        click.option("--side", type=click.IntRange(8, 4096), help="Pixels images are decoded to; 1.4 x resolution."),
        click.option(
            "--window",
            nargs=2,
            metavar="LOW HIGH",
            help="MACs of the networks: quantities (1M 10M), or multiples of the base's (0.03 1.05, the default).",
        ),
        click.option(
            "--space", type=click.Choice(["uniform", "stage"]), help="One d and w for all stages, or per stage."
        ),
        click.option("--rule", metavar="NAME", help="Scaling rule: inverse (default), tinynet, free .."),
        click.option("--epochs", type=click.IntRange(1, 9999), help="Epochs of a training; 3 by default."),
        click.option(
            "--share", type=click.FloatRange(0, 1, min_open=True), help="Share of the images; all by default."
        ),
        click.option(
            "--holdout",
            type=click.FloatRange(0, 0.9),
            help="Share of the training images that scores; 0.2 by default. 0 scores on the validation images.",
        ),
        click.option("--seed", type=click.IntRange(0), help="Of designs and trainings; 0 by default."),
        click.option("--storage", metavar="URL", help="Optuna storage; SQLite in the study's folder by default."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def resources(command: F) -> F:
    """Where trainings run."""
    options = (
        click.option("--workers", type=click.IntRange(0, 1024), default=0, help="Processes; one per core by default."),
        click.option("--device", default="auto", show_default=True, help="Torch device."),
        click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Begin no training later than this."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def table_of(table: str | None, study_name: str | None, base: str | None = None) -> Table:
    """The observations of a CSV file, or of a study.

    Raises:
        PlannerError: If both are given, or there is nothing to read.
    """
    if table and study_name:
        raise PlannerError("give a table or --study, not both")
    if table:
        from planner.table import read_csv

        return read_csv(Path(table), base)
    from planner.study import open_ledger

    return open_ledger(study_name).table()


def echo_json(value: Any) -> None:
    """Prints JSON with sorted keys; a NaN is a defect."""
    click.echo(json.dumps(value, sort_keys=True, allow_nan=False))


def echo_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints right-aligned columns."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        click.echo("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
