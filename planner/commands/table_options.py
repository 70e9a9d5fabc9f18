"""What `planner fit` and `planner predict` do with a table that has no base network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from planner.commands.options import echo_json
from planner.commands.together import needs, replaces
from planner.errors import PlannerError

_F = TypeVar("_F", bound=Callable[..., Any])
# What only a formula of a base network knows.
_OF_NETWORKS = ("--study", "--kind", "--share", "--raw", "--prior", "--base")
_BUDGETS = ("--flops", "--params", "--latency", "--memory", "--dtype", "--latency-model")
_APPLIED = ("--study", "--base", "--base-resolution", "--classes", "--space", "--cautious", "--smooth", "--confirm")


def names_of(_: click.Context, __: click.Parameter, text: str | None) -> list[str] | None:
    """Names such as depth,width."""
    return None if text is None else [part.strip() for part in text.split(",")]


def choices_of(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """Values by column, of texts such as family=yolo5."""
    chosen: dict[str, str] = {}
    for text in texts:
        column, mark, value = text.partition("=")
        if not mark or not column.strip():
            raise click.BadParameter(f"{text!r} is no COLUMN=VALUE such as family=yolo5")
        if column.strip() in chosen:
            raise click.BadParameter(f"{column.strip()} is given twice; one value of a column is chosen")
        chosen[column.strip()] = value.strip()
    return chosen


def costs_of(_: click.Context, __: click.Parameter, text: str | None) -> list[float] | None:
    """Costs of a list such as 20,40."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no list of plain numbers in the table's own unit, such as 20,40"
        ) from error


def tabular(command: _F) -> _F:
    """The options of `planner fit` for a table of named dimensions."""
    for name in ("--score", "--cost", "--lower", "--where", "--pool"):
        command = needs(name, "--dims")(command)
    command = needs("--dims", "TABLE")(replaces("--dims", *_OF_NETWORKS)(command))
    options = (
        click.option(
            "--dims",
            callback=names_of,
            metavar="NAME,NAME,..",
            help="Columns of TABLE whose curves over --cost are fitted, without any base network; docs/tables_only.md.",
        ),
        click.option("--score", metavar="NAME", help="With --dims: the column of scores."),
        click.option("--cost", metavar="NAME", help="With --dims: the column of costs, in any unit."),
        click.option("--lower", is_flag=True, help="With --dims: smaller scores are better."),
        click.option(
            "--where", multiple=True, callback=choices_of, metavar="COLUMN=VALUE", help="With --dims: rows to use."
        ),
        click.option(
            "--pool", metavar="FILE", help="With --dims: a table of rows that were not trained, whose cost is known."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def fit_of_table(
    table: str | None,
    dims: list[str],
    score: str | None,
    cost: str | None,
    lower: bool,
    where: dict[str, str],
    pool: str | None,
    seed: int,
    out: Path,
    json_: bool,
) -> None:
    """Fits the formula of a table, writes it and says what was found."""
    from planner.table_formulas.fit import fit_table
    from planner.table_formulas.words import table_fit_words

    if score is None or cost is None:
        raise PlannerError("--dims needs --score and --cost as well; name those columns of the table")
    formula = fit_table(str(table), dims, score, cost, lower=lower, where=where, pool=pool, seed=seed)
    formula.save(out)
    if json_:
        facts = {"errors": formula.errors, "constants": formula.constants, "cost_range": list(formula.cost_range)}
        echo_json({**facts, "doubt": formula.doubt, "out": str(out), "provenance": formula.provenance})
        return
    for line in table_fit_words(formula):
        click.echo(line)
    middle = float(f"{formula.middle:.2g}")
    click.echo(f"{out}: written; next: `planner predict --formula {out} --cost {middle:g}`")


def costed(command: _F) -> _F:
    """The option of `planner predict` for the formula of a table."""
    command = needs("--cost", "--formula")(replaces("--cost", *_BUDGETS, *_APPLIED)(command))
    return click.option(
        "--cost",
        callback=costs_of,
        metavar="N,N,..",
        help="Of a formula of a table alone (`planner fit --dims`): costs in the table's own unit.",
    )(command)


def predict_of_table(path: str, costs: list[float], extrapolate: bool, json_: bool) -> None:
    """Says what a table's formula answers."""
    from planner.table_formulas.formula import TableFormula
    from planner.table_formulas.words import table_answer_words

    formula = TableFormula.load(path)
    answers = formula.predict(costs, extrapolate)
    if json_:
        facts = {"formula": path, "cost": formula.cost, "score": formula.score, "lower": formula.lower}
        echo_json({**facts, "answers": [one.as_dict() for one in answers]})
        return
    for place, one in enumerate(answers):
        for line in ["", *table_answer_words(formula, one)][place == 0 :]:
            click.echo(line)
