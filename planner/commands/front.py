"""`planner front`: NSGA-III selection."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import as_json, echo_json, echo_table, study, table_of
from planner.commands.together import needs
from planner.quantities import format_count

if TYPE_CHECKING:
    import pandas as pd

    from planner.table import Table


@click.command(
    name="front",
    epilog="Example: planner front results/published/efficientnet_b0.csv",
    short_help="NSGA-III selection, and what grows with MACs on it.",
)
@needs("--base", "TABLE")
@click.argument("table", required=False)
@study
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=0.2, show_default=True)
@click.option("--base", metavar="NAME", help="Base network, where a table does not say.")
@click.option("--out", metavar="FILE", help="Also write the selected trainings, all columns: .csv or .parquet.")
@as_json
def command(table: str | None, study: str | None, share: float, base: str | None, out: str | None, json_: bool) -> None:
    """Selects the best trainings of TABLE (a CSV file) or of a study, by accuracy and MACs.

    Fronts in order, the last one broken by reference directions; never fewer than the first front, nor than 8.
    Spearman's correlation of r, d, w with MACs on the selection says which dimension grows first.
    """
    from planner.table import check_table_path, write_table

    if out:
        check_table_path(Path(out))
    found = table_of(table, study, base)
    answer = front_of(found, share)
    if out:
        write_table(selected(found, share), Path(out))
    if json_:
        echo_json(answer)
    else:
        show_front(answer)
        if out:
            click.echo(f"written: {out}")


def selected(table: Table, share: float) -> pd.DataFrame:
    """The rows of a table that are selected."""
    from planner.pareto import select

    return table.frame.iloc[select(table.frame["accuracy"], table.frame["macs"], share)]


def front_of(table: Table, share: float) -> dict[str, Any]:
    """The selection of a table, in JSON's types."""
    from planner.pareto import spearman

    front = selected(table, share)
    names = [name for name in ("trial", "resolution", "r", "d", "w", "macs", "accuracy") if name in front]
    rows = [
        {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
        for row in front[names].to_dict("records")
    ]
    correlation = {name: spearman(front[name], front["macs"]) for name in ("r", "d", "w")}
    return {
        "base": table.base,
        "rows": len(table.frame),
        "left_out": table.left_out,
        "front": rows,
        "spearman": {name: None if math.isnan(value) else value for name, value in correlation.items()},
    }


def show_front(answer: dict[str, Any]) -> None:
    """Prints a selection for people."""

    def cell(row: dict[str, Any], name: str) -> str:
        value = row.get(name)
        if value is None:
            return "-"
        if name == "macs":
            return format_count(value)
        return f"{value:.1%}" if name == "accuracy" else f"{value:.3f}" if name in ("r", "d", "w") else str(value)

    names = ("trial", "resolution", "r", "d", "w", "macs", "accuracy")
    header = ("trial", "px", "r", "d", "w", "MACs", "accuracy")
    echo_table(header, [[cell(row, name) for name in names] for row in answer["front"]])
    left_out = "".join(f", {n} {status}" for status, n in answer["left_out"].items())
    click.echo(f"{len(answer['front'])} of {answer['rows']} trainings selected{left_out}")
    parts = [f"{name} {'-' if value is None else f'{value:+.2f}'}" for name, value in answer["spearman"].items()]
    click.echo(f"Spearman with MACs on the selection: {', '.join(parts)}")
