"""`planner front`: the front of a study or table, what is selected for a fit, and what grows with MACs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import BASE_NETWORK, Quantity, as_json, echo_first, echo_json, echo_table, study, table_of
from planner.commands.together import needs
from planner.commands.types import Number
from planner.text.quantities import format_count, parse_macs
from trainer.score import ACCURACY_NAME, score_from

if TYPE_CHECKING:
    from planner.answers.formula import Formula

_NAMES = ("trial", "resolution", "r", "d", "w", "macs", "accuracy", "front", "selected")
_HEADER = ("trial", "px", "r", "d", "w", "MACs", "accuracy", "front", "for the fit")


@click.command(
    name="front",
    epilog="Example: planner front results/published/efficientnet_b0.csv; planner front --dimensions which.png",
    short_help="The front, what is selected for the fit, and what grows with MACs.",
)
@needs("--base", "TABLE")
@needs("--flops", "--dimensions")
@click.argument("table", required=False)
@study
@click.option(
    "--share",
    type=Number(0, 1, min_open=True),
    help="Share that NSGA-III selects for the fit; 0.2, or as the study's formula was fitted.",
)
@click.option("--base", type=BASE_NETWORK, help="Base network, where a table does not say.")
@click.option("--out", metavar="FILE", help="Also write the trainings shown, all columns: .csv or .parquet.")
@click.option(
    "--dimensions",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Also draw accuracy over r, over d and over w of trainings at equal MACs (.png, .svg, .pdf ..).",
)
@click.option(
    "--flops",
    type=Quantity(parse_macs),
    help="With --dimensions: at these MACs; by default those of `planner sample --method target`.",
)
@as_json
def command(
    table: str | None,
    study: str | None,
    share: float | None,
    base: str | None,
    out: str | None,
    dimensions: Path | None,
    flops: float | None,
    json_: bool,
) -> None:
    """Shows the front of TABLE (a CSV or Parquet file) or of a study, and the trainings selected for the fit.

    On the front is what no other training beats: none is as accurate for as few MACs. Selected are, by NSGA-III and as
    `planner fit` does it, whole fronts in order, the last one broken by reference directions; never fewer than 8.
    Spearman's correlation of r, d, w with MACs on those selected says which dimension grows first; --dimensions draws
    which of them matters at one budget.
    """
    from planner.compare.dimensions import at_equal_macs, plot_dimensions
    from planner.fitting.front import select_front
    from planner.latency.plots import check_plot
    from planner.tables.scored import outward_frame
    from planner.tables.table import check_table_path, front_rows, write_table

    if out:
        check_table_path(Path(out))
    if dimensions:
        check_plot(dimensions, "--dimensions")
    found = front_rows(Path(table), base) if table and not study else table_of(table, study, base)
    front = select_front(found, share, None if table else _fitted(study))
    answer = front.as_dict()
    if dimensions:
        equal = at_equal_macs(found, flops)
        plot_dimensions(dimensions, equal)
        answer["dimensions"] = {**equal.as_dict(), "plot": str(dimensions)}
    if out:
        write_table(outward_frame(front.rows, found.score), Path(out))
    if json_:
        echo_json(answer)
    else:
        show_front(answer)
        if out:
            click.echo(f"written: {out}")


def _fitted(study: str | None) -> Formula | None:
    """The formula of a study, where it has one that can be read."""
    from planner.answers.formula import Formula
    from planner.errors import PlannerError
    from planner.study.folder import folder_of

    path = folder_of(study) / "formula.json"
    try:
        return Formula.load(path) if path.is_file() else None
    except PlannerError:  # `predict` says what is wrong with it
        return None


def show_front(answer: dict[str, Any]) -> None:
    """Prints a front and a selection for people."""
    score = score_from(answer.get("score"))
    names, header = ([score.name if one == ACCURACY_NAME else one for one in given] for given in (_NAMES, _HEADER))

    def cell(row: dict[str, Any], name: str) -> str:
        value = row.get(name)
        if value is None:
            return "-"
        if isinstance(value, bool):
            return "yes" if value else "-"
        if name == "macs":
            return format_count(value)
        if name == score.name:
            return score.text(score.merit(value))
        return f"{value:.3f}" if name in ("r", "d", "w") else str(value)

    echo_first(answer["warnings"])
    both = answer["front"] + [row for row in answer["selected"] if not row["front"]]
    rows = sorted(both, key=lambda row: (row["macs"], score.merit(row[score.name])))
    echo_table(header, [[cell(row, name) for name in names] for row in rows])
    left_out = "".join(f", {n} {status}" for status, n in answer["left_out"].items())
    click.echo(
        f"of {answer['rows']} trainings{left_out}: {len(answer['front'])} on the front, dominated by no other; "
        f"{len(answer['selected'])} selected for the fit, by {answer['selected_by']}"
    )
    parts = [f"{name} {'-' if value is None else f'{value:+.2f}'}" for name, value in answer["spearman"].items()]
    if parts:
        click.echo(f"Spearman with MACs on those selected: {', '.join(parts)}")
    if (equal := answer.get("dimensions")) is not None:
        ranks = (f"{name} {'-' if value is None else f'{value:+.2f}'}" for name, value in equal["spearman"].items())
        where = f"{equal['trainings']} trainings at {format_count(equal['macs'])} MACs"
        click.echo(f"Spearman with {score.name} on the {where}: {', '.join(ranks)}")
        click.echo(f"picture: {equal['plot']}")
