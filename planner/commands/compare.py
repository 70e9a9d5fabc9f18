"""`planner compare`: every method's network at the same MACs, trained or looked up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.compare_show import show_comparison
from planner.commands.options import BASE_NETWORK, EPOCH_RANGE, REPEATS, as_json, counts, echo_json, echo_table, study
from planner.commands.resource_options import RESOURCES, resources
from planner.commands.together import needs, replaces
from planner.errors import PlannerError
from planner.text.quantities import format_count

if TYPE_CHECKING:
    import pandas as pd

    from planner.compare.background import Background
    from planner.compare.comparison import Comparison
    from planner.compare.measuring import Measure
    from planner.tables.table import Table
    from planner.training.resources import Resources

SEEDS = 3


def names(_: click.Context, __: click.Parameter, text: str | None) -> list[str] | None:
    """A list of names such as compound,fast."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


@click.command(
    name="compare",
    epilog="Example: planner compare --study dogs --flops 2M,4M --seeds 3 --final --plot compared.svg",
    short_help="Every rule's and search's network at equal MACs: accuracies with intervals.",
)
@replaces("--curves", "--methods", "--seeds", "--final", "--epochs", "--out", *RESOURCES)
@replaces("--table", *RESOURCES)
@needs("--beside", "--curves")
@needs("--base", "--table")
@click.option("--flops", callback=counts, metavar="N,N,..", help="Budgets in MACs, such as 60M,120M.")
@study
@click.option(
    "--methods",
    callback=names,
    metavar="NAME,..",
    help="Rules of `planner scale` (compound, fast ..); of the study answer, confirmed (after `predict --confirm 3`), "
    "formula, tinynet-fitted, stages, best (its best training), compound-fitted, compound-anchored (through its best "
    "training); random (three networks); greedy, rbis, adjust (what a search found). By default all that have an "
    "answer.",
)
@click.option("--seeds", type=REPEATS, help=f"Trainings of each network; {SEEDS} by default.")
@click.option(
    "--final", is_flag=True, help="Train on all training images, and score on the validation images, once, at the end."
)
@click.option("--epochs", type=EPOCH_RANGE, metavar="N", help="Of each training; the study's by default.")
@click.option(
    "--table",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Look the networks up in a table of trainings instead; or show a comparison.csv again.",
)
@click.option("--base", type=BASE_NETWORK, help="With --table: the base network, where the table does not say.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="One row per training; comparison.csv, in the study's folder, by default.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.svg",
    help="Accuracy against MACs, with intervals (.svg, .png, .pdf ..).",
)
@click.option(
    "--curves",
    is_flag=True,
    help="Trains nothing: draws into --plot what resolution, depth or width alone would give, beside all together.",
)
@click.option(
    "--beside",
    metavar="STUDY|FILE.csv",
    help="With --curves: trainings of another base network, such as one with fused blocks, from the same MACs.",
)
@resources
@as_json
def command(flops: list[float] | None, plot: Path | None, curves: bool, json_: bool, **options: Any) -> None:
    """Trains the network that every method gives for each budget, all alike, and says which reach more.

    Every network costs the budget, within 1 %, or its row says why not. All are trained with the study's recipe on the
    study's images, with the same seeds, so that differences to compound scaling are paired. What was trained is never
    trained again: stopped at any time, the same command goes on.

    `needed` and `hours` are the trainings by which a method found its network; a rule needs none.
    """
    if plot:
        from planner.latency.plots import check_plot

        check_plot(plot)
    asked = CompareOptions(flops, **options)
    if curves:
        _draw_curves(asked, plot, json_)
        return
    found = compared(asked)
    if plot:
        from planner.compare.pictures import plot_comparison

        plot_comparison(plot, found.rows)
    files = {"out": found.file, "plot": plot}
    if json_:
        echo_json(found.as_dict() | {name: path and str(path) for name, path in files.items()})
        return
    show_comparison(found.rows, found.left_out)
    for name, path in files.items():
        if path:
            click.echo(f"{'every training' if name == 'out' else 'picture'}: {path}")


@dataclass(frozen=True)
class CompareOptions:
    """What is compared, and by what.

    Attributes:
        flops: Budgets in MACs; None where a comparison is shown again.
        study: Name of the study; None for the last one used.
        table: File of trainings, or of a comparison; None where networks are trained.
        base: Name of the base network of a table that does not say.
        beside: Study or file whose curves are drawn beside.
        methods: Names of methods; None for all that have an answer.
        seeds: Number of trainings of each network; None for the usual one.
        final: Whether to train on all training images.
        epochs: Number of epochs of each training; None for the study's.
        out: File for the rows; None for the usual one.
        where: Resources of trainings.
    """

    flops: list[float] | None
    study: str | None
    table: Path | None
    base: str | None
    beside: str | None
    methods: list[str] | None
    seeds: int | None
    final: bool
    epochs: int | None
    out: Path | None
    where: Resources


def compared(asked: CompareOptions) -> Comparison:
    """The comparison that was asked for: trained, looked up, or shown again.

    Raises:
        PlannerError: If options do not go together, a method lacks something, or trainings remain.
    """
    from planner.compare.comparison import compare_in
    from planner.compare.rows import is_comparison, read_table

    if asked.table and (asked.final or asked.where.stop_early):
        raise PlannerError("--final and --stop-early are for trainings; a --table has them done")
    frame = read_table(asked.table) if asked.table else None
    if frame is not None and is_comparison(frame):
        return _again(asked, frame)
    if not asked.flops:
        raise PlannerError("give the budgets to compare at, such as --flops 60M,120M")
    if asked.where.stop_early:
        raise PlannerError("networks are compared by whole trainings; leave --stop-early out")
    background, measure = _trained(asked) if frame is None else _looked_up(asked, frame)
    usual = Path(background.name) / "comparison.csv" if frame is None or asked.study else None
    return compare_in(background, measure, asked.flops, asked.methods, asked.out or usual, own=asked.out is None)


def _again(asked: CompareOptions, frame: pd.DataFrame) -> Comparison:
    """A comparison that was written earlier."""
    from planner.compare.comparison import Comparison
    from planner.compare.rows import rows_in, write_rows

    if asked.flops or asked.methods or asked.study or asked.seeds or asked.epochs or asked.base:
        raise PlannerError(f"{asked.table} is a comparison, shown as it is; leave --flops and the like out")
    rows = rows_in(frame)
    if asked.out:
        write_rows(asked.out, rows)
    return Comparison(rows, file=asked.out)


def _trained(asked: CompareOptions) -> tuple[Background, Measure]:
    """What a study knows, and trainings on its ledger."""
    from planner.commands.progress import TerminalProgress
    from planner.compare.background import study_background
    from planner.compare.measuring import Trained
    from planner.study.folder import cache_of
    from planner.study.opening import open_ledger

    ledger = open_ledger(asked.study)
    progress, seeds = TerminalProgress(), asked.seeds or SEEDS
    measure = Trained(ledger, cache_of(ledger.folder), asked.where, progress, seeds, asked.final, asked.epochs)
    return study_background(ledger, measure.epochs), measure


def _looked_up(asked: CompareOptions, frame: pd.DataFrame) -> tuple[Background, Measure]:
    """What a table knows, or a study of the same task; and accuracies from that table."""
    from planner.compare.background import agreeing, study_background, table_background
    from planner.compare.measuring import LookedUp
    from planner.study.opening import read_ledger
    from planner.tables.cells import source_of
    from planner.tables.table import from_outside

    table, name = from_outside(frame, asked.base), source_of(frame).name
    background = table_background(name, table, asked.epochs or 0)
    measure = LookedUp(table.every, name, asked.seeds, asked.epochs)
    if asked.study:
        background = agreeing(study_background(read_ledger(asked.study), measure.epochs), background)
    return background, measure


def _draw_curves(asked: CompareOptions, plot: Path | None, json_: bool) -> None:
    """Draws the curves of single dimensions by a surrogate, and prints where they end."""
    from planner.commands.options import echo_first, table_of
    from planner.compare.curves import curves_beside, grown_curves, plot_curves
    from planner.tables.chance import warning_of

    if not plot:
        raise PlannerError("--curves draws a picture; say where, such as --plot curves.svg")
    first = table_of(str(asked.table) if asked.table else None, asked.study, asked.base)
    if asked.beside:
        found = curves_beside(first, table_beside(asked.beside, own=not asked.table), asked.flops)
    else:
        found = grown_curves(first, asked.flops)
    plot_curves(plot, found)
    if json_:
        echo_json({"plot": str(plot), "curves": [one.as_dict() for one in found]})
        return
    why, score = warning_of(first.frame["accuracy"], first.classes, first.score), first.score.name
    echo_first([why] if why else [])
    click.echo(f"{score} by a surrogate of the trainings, at the fewest and the most MACs of each curve (90 %)")
    rows = [
        (one.base, one.start, one.dimension, format_count(one.macs[end]), one.at(end))
        for one in found
        for end in one.ends()
    ]
    echo_table(("base network", "from", "grows", "MACs", score), rows)
    click.echo(f"picture: {plot}")


def table_beside(name: str, own: bool) -> Table:
    """The trainings of a file or of another study; `own` keeps the study that was opened before the last one used."""
    from planner.commands.options import table_of
    from planner.study.folder import folder_of, remember

    if name.lower().endswith((".csv", ".csv.gz", ".tsv", ".parquet")):
        return table_of(name, None)
    before = folder_of(None)
    found = table_of(None, name)
    if own:
        remember(before)
    return found
