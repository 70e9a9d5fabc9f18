"""`planner fit`: the formula of a table or a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import BASE_NETWORK, SEED, as_json, echo_first, echo_json, study, table_of
from planner.commands.table_options import fit_of_table, tabular
from planner.commands.together import needs
from planner.commands.types import Number
from planner.formulas.kinds import FORMULA_KINDS, OUR_KINDS

if TYPE_CHECKING:
    from planner.fitting.result import FitResult


class _KindChoice(click.Choice):  # type: ignore[type-arg]  # generic from click 8.2 on
    """One of our kinds of formulas, or one that somebody registered, whose package is not looked for before."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value in FORMULA_KINDS else super().convert(value, param, ctx)


@click.command(
    name="fit",
    epilog="Example: planner fit results/published/efficientnet_b0.csv --out f.json",
    short_help="Fit budget -> (r, d, w); writes a JSON file.",
)
@needs("--base", "TABLE")
@tabular
@click.argument("table", required=False)
@study
@click.option(
    "--kind",
    type=_KindChoice(OUR_KINDS),
    default="loglinear",
    show_default=True,
    help="; ".join(f"{name}: {FORMULA_KINDS[name].help}" for name in OUR_KINDS) + ".",
)
@click.option("--share", type=Number(0, 1, min_open=True), default=0.2, show_default=True, help="NSGA-III's.")
@click.option(
    "--raw", is_flag=True, help="Select by observed accuracies, as the papers do, not by a surrogate's posterior means."
)
@click.option(
    "--prior",
    metavar="FILE|STUDY",
    help="An earlier formula to start from: of another data set, or another base network.",
)
@click.option("--base", type=BASE_NETWORK, help="Base network, where a table does not say.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    "--out", type=click.Path(dir_okay=False), help="The file; formula.json, in the study's folder, by default."
)
@as_json
def command(
    table: str | None,
    study: str | None,
    kind: Any,
    share: float,
    raw: bool,
    prior: str | None,
    base: str | None,
    seed: int,
    out: str | None,
    json_: bool,
    dims: list[str] | None,
    **of_table: Any,
) -> None:
    """Fits the formula to the trainings of TABLE (a CSV file) or of a study, and writes it as JSON.

    The CSV needs the columns accuracy and macs, and r and d or the integers that give them; a study's own
    export has them all. With --prior the earlier formula counts as far as leave-one-out on the new data bears it out.

    A table of anything else is fitted by --dims, --score and --cost: curves of the named columns over the cost.
    """
    if dims is not None:
        fit_of_table(table, dims, **of_table, seed=seed, out=Path(out or "formula.json"), json_=json_)
        return
    from planner.fitting.fit import fit
    from planner.fitting.result import FitResult, fit_study
    from planner.study.opening import read_ledger

    if out or table:
        formula = fit(table_of(table, study, base), kind, share, seed, raw=raw, prior=prior)
        path = Path(out or "formula.json")
        formula.save(path)
        result = FitResult(formula, path)
    else:
        result = fit_study(read_ledger(study), kind, share, seed, raw, prior)
    if json_:
        echo_json(result.as_dict())
    else:
        show_fit(result)


def show_fit(result: FitResult) -> None:
    """Prints a fit for people."""
    echo_first(result.formula.warnings)
    for line in result.words:
        click.echo(line)
