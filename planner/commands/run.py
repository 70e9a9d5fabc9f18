"""`planner run`: the whole loop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from planner.commands.options import REPEATS, TRIALS, as_json, budgets, echo_first, echo_json, study, warn_of_guessing
from planner.commands.resource_options import resources
from planner.commands.study_options import made_with
from planner.text.quantities import format_count

if TYPE_CHECKING:
    from planner.study.options import StudyOptions
    from planner.training.resources import Resources
    from sampler import Limit


@click.command(
    name="run",
    epilog="Example: planner run --study dogs --data imagefolder:photos --trials 24 --epochs 3 --base mynet.py:net",
    short_help="The whole loop, from nothing to a prediction.",
)
@study
@click.option("--trials", type=TRIALS, default=24, show_default=True, help="Architectures in all.")
@click.option("--seeds", type=REPEATS, default=1, show_default=True, help="Trainings of each architecture.")
@click.option("--method", type=click.Choice(["stratified", "random", "sobol"]), default="stratified", show_default=True)
@budgets
@made_with
@resources
@as_json
def command(
    study: str | None,
    trials: int,
    seeds: int,
    method: str,
    flops: float | None,
    limits: list[Limit],
    where: Resources,
    json_: bool,
    options: StudyOptions,
) -> None:
    """Samples, trains, takes the front, fits the formula and predicts; resumes where it was stopped.

    The prediction is for the budgets given, or else for the middle of the fitted range.
    Without options it runs on generated fractal images, with nothing to download. In a quarter of a stratified design
    stages are scaled apart (see `planner sample`).
    """
    from planner.answers.predict import answer_for
    from planner.commands.fit import show_fit
    from planner.commands.front import show_front
    from planner.commands.predict_show import show_answer
    from planner.commands.progress import TerminalProgress, decoding
    from planner.fitting.front import select_front
    from planner.fitting.result import fit_study
    from planner.study.folder import cache_of
    from planner.training.loop import train_queued
    from planner.training.making import Wanted, queue_in

    ledger, _ = queue_in(study, options, Wanted(trials, method=method, seeds=seeds), decoding)
    train_queued(ledger, cache_of(ledger.folder), where, TerminalProgress())
    warn_of_guessing(ledger)
    fitted = fit_study(ledger)
    formula, path = fitted.formula, fitted.path
    front = select_front(ledger.table(), formula=formula).as_dict()
    if flops is None and not limits:
        flops = math.sqrt(math.prod(formula.macs_range))
    answer = answer_for(formula, flops, limits, extrapolate=True)[0]
    if json_:
        found = answer.as_dict()
        facts = {"study": ledger.folder.name, "front": front, "fit": fitted.as_dict(), **ledger.counts()}
        echo_json({**facts, "prediction": found, "compound": found["compound"]})
        return
    click.echo(f"\nFront ({ledger.folder / 'trials.csv'} has every training)")
    show_front(front)
    click.echo("\nFormula")
    show_fit(fitted)
    click.echo("\nPrediction")
    echo_first(formula.warnings)
    show_answer(answer, str(path))
    if not ledger.settings.trainer:
        budget = format_count(answer.prediction.macs if flops is None else flops)
        click.echo(f"\nNext: `planner finish --study {ledger.folder.name} --flops {budget}` trains it fully")
