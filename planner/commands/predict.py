"""`planner predict`: the architecture for a budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from planner.commands.options import applied, as_json, budgets, echo_first, echo_json
from planner.commands.resource_options import RESOURCES, resource_options
from planner.commands.table_options import costed, predict_of_table
from planner.commands.together import needs, replaces
from planner.commands.types import Whole

if TYPE_CHECKING:
    from planner.answers.answer import Answer
    from planner.answers.confirm import Confirmation
    from planner.formulas.choice import Choice
    from sampler import Limit

_F = TypeVar("_F", bound=Callable[..., Any])

_MOST_CONFIRMED = 100


def confirming(command: _F) -> _F:
    """The option --confirm, and those of trainings, which need it."""
    for option in RESOURCES:
        command = needs(option, "--confirm")(command)
    command = needs("--confirm", "--study")(command)
    # A training that is stopped early measures nothing; and what is applied elsewhere is no network of the study.
    unlike = ("--smooth", "--stop-early", "--formula", "--base", "--base-resolution", "--classes", "--extrapolate")
    command = replaces("--confirm", *unlike)(resource_options(command))
    return click.option(
        "--confirm", type=Whole(1, _MOST_CONFIRMED), metavar="N", help="Train the best N on --study first; 3 are usual."
    )(command)


@click.command(
    name="predict",
    epilog="Example: planner predict --flops 200M --json",
    short_help="The architecture for a budget.",
)
@replaces("--smooth", "--cautious")
@needs("--extrapolate", "--flops", "--cost")
@budgets
@costed
@click.option("--formula", metavar="FILE", help="A formula written by `planner fit`.")
@click.option("--study", metavar="NAME", help="The study whose formula answers.")
@applied
@click.option(
    "--space",
    type=click.Choice(["uniform", "stage"]),
    default="uniform",
    show_default=True,
    help="One d and one w for all stages, or each stage's own, where enough trainings scaled stages apart.",
)
@click.option("--cautious", is_flag=True, help="The best lower bound of the accuracy instead of the best mean.")
@click.option("--smooth", is_flag=True, help="The network on the formula's curves, whatever the trainings taught.")
@confirming
@as_json
def command(
    flops: float | None,
    limits: list[Limit],
    formula: str | None,
    study: str | None,
    base: str | None,
    base_resolution: int | None,
    classes: int | None,
    extrapolate: bool,
    space: Any,
    cautious: bool,
    smooth: bool,
    confirm: int | None,
    cost: list[float] | None,
    json_: bool,
    **where: Any,
) -> None:
    """Gives the best buildable network within the budgets, by all that the trainings taught, at its exact cost.

    Of all networks that keep to the budgets (--flops, --params, --latency and --memory, alone or together) it is the
    one of the highest expected accuracy; where cheaper ones are better, it leaves something of the budget, and says so.
    Beside it stand what the formula's curves give, the best training and compound scaling. Where too little was
    trained to choose by, the formula answers, within 1 % of the budget, or else compound scaling; the answer says why.
    --confirm trains the best few on the study first, as `planner train` would, and answers with the best measured.

    The formula is the one given; or of the last study's, the reference study's and that of published networks the
    first that covers the budget; or else compound scaling. The answer says which.

    With --cost the --formula of a table alone (`planner fit --dims`) gives its dimensions.
    """
    if cost is not None:
        predict_of_table(str(formula), cost, extrapolate, json_)
        return
    from planner.answers.formulas import formula_for
    from planner.answers.predict import answer_for, smooth_answer
    from planner.commands.predict_show import show_answer

    found = formula_for(flops, limits, formula, study, base, base_resolution, classes, extrapolate)
    trainings: list[Confirmation] = []
    if confirm is not None:
        answer, trainings = _confirmed(found, limits, study, confirm, cautious, space, where)
    elif smooth:
        answer = smooth_answer(found.formula, found.macs, limits, extrapolate, space)
    else:
        answer = answer_for(found.formula, found.macs, limits, cautious, extrapolate, space=space)[0]
    echo_first(() if json_ else found.formula.warnings, err=True)
    if json_:
        told = {"confirmed": [one.as_dict() for one in trainings]} if trainings else {}
        echo_json({**answer.as_dict(), **told, "cautious": cautious, "formula": found.source, "space": space})
        return
    show_answer(answer, found.source, space == "stage")
    if trainings:
        click.echo(f"next: `planner fit --study {study}` teaches the formula what was measured")


def _confirmed(
    found: Choice,
    limits: list[Limit],
    study: str | None,
    n: int,
    cautious: bool,
    space: Any,
    where: dict[str, Any],
) -> tuple[Answer, list[Confirmation]]:
    """The answer of a study's formula that is the best measured of the best expected."""
    from planner.answers.confirm import confirm
    from planner.commands.progress import TerminalProgress
    from planner.study.folder import cache_of
    from planner.study.opening import open_ledger
    from planner.training.resources import Resources

    ledger = open_ledger(study)
    return confirm(
        ledger,
        found.formula,
        found.macs,
        limits,
        n=n,
        cache=cache_of(ledger.folder),
        resources=Resources(**where),
        progress=TerminalProgress(),
        cautious=cautious,
        space=space,
    )
