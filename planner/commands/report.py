"""`planner report`: one HTML page about a study or a table."""

from __future__ import annotations

from pathlib import Path

import click

from planner.commands.options import as_json, echo_first, echo_json, study
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
@click.option("--base", metavar="NAME", help="Base network, where a table does not say.")
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
    from planner.report.numbers import numbers_of
    from planner.report.page import page_of
    from planner.report.source import of_study, of_table
    from planner.study.folder import folder_of
    from planner.text.documents import write_out, write_own

    if table and study:
        raise PlannerError("give a table or --study, not both")
    if out and not all(folder.is_dir() or not folder.exists() for folder in out.parents):
        raise PlannerError(f"{out}: a folder of its path is a file; choose another --out")  # before minutes of work
    source = of_table(Path(table), base, formula) if table else of_study(study, formula)
    path = out or (Path("report.html") if table else folder_of(source.name) / "report.html")
    numbers = numbers_of(source)
    page = page_of(numbers, source.formula, source.command)
    size = len(page.encode())
    (write_out if out or table else write_own)(path, page)
    if json_:
        echo_json({"report": str(path), "bytes": size, "numbers": numbers})
        return
    echo_first(numbers["warnings"])
    click.echo(
        f"{len(numbers['trainings'])} trainings, {len(numbers['answers'])} networks of the formula and the rules"
    )
    for doubt in (*source.doubts, *(f"no {what}: {why}" for what, why in source.why.items())):
        click.echo(doubt)
    click.echo(f"report: {path} ({format_bytes(size)}); open it in a browser")
