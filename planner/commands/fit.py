"""`planner fit`: the formula of a table or a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import as_json, echo_json, study, table_of
from planner.quantities import format_count

if TYPE_CHECKING:
    from planner.formulas.formula import Formula


@click.command(
    name="fit",
    epilog="Example: planner fit results/published/efficientnet_b0.csv --out f.json",
    short_help="Fit budget -> (r, d, w); writes a JSON file.",
)
@click.argument("table", required=False)
@study
@click.option(
    "--kind",
    type=click.Choice(["loglinear", "tinynet"]),
    default="loglinear",
    show_default=True,
    help="loglinear: a power law plus a Gaussian process on log c; tinynet: the paper's zero-mean RBF on c.",
)
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=0.2, show_default=True, help="NSGA-III's.")
@click.option("--base", metavar="NAME", help="Base network, where a table does not say.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--out", type=click.Path(dir_okay=False), help="The file; formula.json, in the study's folder, by default."
)
@as_json
def command(
    table: str | None,
    study: str | None,
    kind: Any,
    share: float,
    base: str | None,
    seed: int,
    out: str | None,
    json_: bool,
) -> None:
    """Fits the formula to the front of TABLE (a CSV file) or of a study, and writes it as JSON.

    The CSV needs the columns accuracy and macs, and r and d or the integers that give them; a study's own
    export has them all.
    """
    from planner.formulas.fit import fit
    from planner.study import folder_of

    formula = fit(table_of(table, study, base), kind, share, seed)
    path = Path(out) if out else Path("formula.json") if table else folder_of(study) / "formula.json"
    formula.save(path)
    answer = summary(formula, path)
    if json_:
        echo_json(answer)
    else:
        show_fit(formula, path)


def summary(formula: Formula, path: Path) -> dict[str, Any]:
    """What `fit --json` prints."""
    return {
        "formula": str(path),
        "base": formula.base,
        "kind": formula.kind,
        "points": len(formula.front),
        "rows": formula.provenance["rows"],
        "macs_range": list(formula.macs_range),
        "slopes": {
            direction: {"r": branch.r.slope, "d": branch.d.slope} for direction, branch in formula.branches.items()
        },
        "leave_one_out_rmse": formula.errors,
    }


def show_fit(formula: Formula, path: Path) -> None:
    """Prints a fit for people."""
    low, high = (format_count(value) for value in formula.macs_range)
    rows = formula.provenance["rows"]
    click.echo(f"fitted {formula.kind} to {len(formula.front)} of {rows} trainings, {low} to {high} MACs")
    for direction, branch in formula.branches.items():
        unit = "log " if formula.kind == "loglinear" else ""
        click.echo(
            f"  {direction}: r ~ c^{branch.r.slope:.3f}, d ~ c^{branch.d.slope:.3f} and a learned departure; "
            if formula.kind == "loglinear"
            else f"  {direction}: zero-mean Gaussian process on c; ",
            nl=False,
        )
        errors = formula.errors
        click.echo(f"leave-one-out RMSE {unit}r {errors[f'{direction}_r']:.3f}, {unit}d {errors[f'{direction}_d']:.3f}")
    click.echo(f"formula: {path}")
