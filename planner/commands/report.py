"""`planner report`: one HTML page about a study or a table."""

from __future__ import annotations

from pathlib import Path

import click

from planner.commands.options import BASE_NETWORK, as_json, echo_first, echo_json, study
from planner.commands.together import needs
from planner.errors import PlannerError
from planner.text.quantities import format_bytes


@click.command(
    name="report",
    epilog="Example: planner report --study dogs --out dogs.html",
    short_help="One HTML page: front, curves, slider, calibration.",
)
@needs("--base", "TABLE")
@click.argument("table", required=False)
@study
@click.option("--formula", metavar="FILE", help="A formula written by `planner fit`; the study's own by default.")
@click.option("--base", type=BASE_NETWORK, help="Base network, where a table does not say.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The page; report.html, in the study's folder, by default.",
)
@as_json
def command(
    table: str | None, study: str | None, formula: str | None, base: str | None, out: Path | None, json_: bool
) -> None:
    """Writes one HTML file about a study, or TABLE (a CSV file): it opens from disk and needs no network.

    Trainings and front beside the published rules at equal MACs; r, d, w and each stage over c; a slider from budget
    to architecture; where MACs and hours went; how far it can be trusted; and what to do next. The study's formula is
    shown as it is on disk; without one, a formula is fitted for the page.
    """
    from planner.report.source import of_study, of_table
    from planner.study.folder import folder_of
    from planner.workbench.reporting import check_path, write_report

    if table and study:
        raise PlannerError("give a table or --study, not both")
    if out:
        check_path(out)
    source = of_table(Path(table), base, formula) if table else of_study(study, formula)
    path = out or (Path("report.html") if table else folder_of(source.name) / "report.html")
    report = write_report(source, path, own=not (out or table))
    numbers = report.numbers
    if json_:
        echo_json({"report": str(report.path), "bytes": report.size, "numbers": numbers})
        return
    echo_first(numbers["warnings"])
    click.echo(
        f"{len(numbers['trainings'])} trainings, {len(numbers['answers'])} networks of the formula and the rules"
    )
    for doubt in (*source.doubts, *(f"no {what}: {why}" for what, why in source.why.items())):
        click.echo(doubt)
    click.echo(f"report: {report.path} ({format_bytes(report.size)}); open it in a browser")
