"""`planner predict`: the architecture for a budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import applied, as_json, budgets, echo_json
from planner.errors import InputError, PlannerError
from planner.quantities import format_cost, format_count

if TYPE_CHECKING:
    from planner.formulas.formula import Formula, Prediction
    from sampler import Limit

NO_FORMULA = (
    "none learned for {base} yet, so this is compound scaling with EfficientNet's constants; "
    "learn its own with `planner run --base {base}`"
)


@click.command(
    name="predict",
    epilog="Example: planner predict --flops 200M --json",
    short_help="The architecture for a budget.",
)
@budgets
@click.option("--formula", metavar="FILE", help="A formula written by `planner fit`.")
@click.option("--study", metavar="NAME", help="The study whose formula answers.")
@applied
@click.option(
    "--space",
    type=click.Choice(["uniform", "stage"]),
    default="uniform",
    show_default=True,
    help="One d and one w for all stages, or each stage's own: by learned curves, and by search.",
)
@click.option("--cautious", is_flag=True, help="With --space stage: the best lower bound instead of the best mean.")
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
    space: str,
    cautious: bool,
    json_: bool,
) -> None:
    """Gives one buildable architecture whose exact MACs are within 1 % of the budget.

    With --params, --latency or --memory it is the largest architecture of the formula that keeps to them; with
    several budgets, the answer names the one that decides.

    The formula is the one given, or the last study's where it covers the budget, or one shipped for the base network
    (the reference study's where that covers the budget, else that of published networks), or else compound scaling;
    the answer says which.
    """
    from planner.formulas.budgets import within

    if cautious and space == "uniform":
        raise PlannerError("--cautious chooses between ways to spend a budget on the stages; add --space stage")
    source, chosen = choose(flops, limits, formula, study, base, base_resolution, classes)
    if space == "stage":
        show_stages(chosen, flops, limits, cautious, extrapolate, source, json_)
        return
    prediction = within(chosen, flops, limits, extrapolate)
    rival = compound_at(prediction)
    if json_:
        answer = prediction.as_dict()
        answer.update(formula=source, compound=None if rival is None else rival.as_dict())
        echo_json(answer)
    else:
        show_prediction(prediction, rival, source)


def choose(
    macs: float | None,
    limits: Sequence[Limit],
    formula: str | None,
    study: str | None,
    base: str | None,
    resolution: int | None = None,
    classes: int | None = None,
) -> tuple[str, Formula]:
    """Where the formula that answers comes from, and the formula.

    Raises:
        PlannerError: If the one asked for is not there.
    """
    from planner.formulas.budgets import covers
    from planner.formulas.codec import loads
    from planner.formulas.formula import Formula
    from planner.resources import reference_formula, shipped_formula
    from planner.rules import compound
    from planner.study import LAST, folder_of
    from sampler import base as base_named

    if formula and study:
        raise PlannerError("give --formula or --study, not both")
    if formula or study:
        path = Path(formula) if formula else folder_of(study) / "formula.json"
        if study and not path.is_file():
            raise PlannerError(f"{path.parent}: no formula yet; run `planner fit --study {study}`")
        return str(path), _of_base(Formula.load(path), base, str(path)).at(resolution, classes)
    own = folder_of(None) / "formula.json"
    if LAST.is_file() and own.is_file():
        loaded = Formula.load(own)
        applied = loaded.at(resolution, classes)
        if base in (None, loaded.base) and covers(applied, macs, limits):
            return str(own), applied
    name = base_named(base or "efficientnet_b0").name
    text = reference_formula(name)
    if text is not None:
        studied = loads(text, "the reference study's formula").at(resolution, classes)
        if covers(studied, macs, limits):
            return "shipped with the planner, learned in its reference study (results/reference)", studied
    text = shipped_formula(name)
    if text is None:
        return NO_FORMULA.format(base=name), compound(name, resolution, classes or 1000)
    shipped = loads(text, "the shipped formula").at(resolution, classes)
    return f"shipped with the planner, from published {name} networks", shipped


def _of_base(formula: Formula, base: str | None, name: str) -> Formula:
    if base is not None and base != formula.base:
        raise PlannerError(f"{name} is a formula for {formula.base}, not for {base}; leave --base out")
    return formula


def compound_at(prediction: Prediction) -> Prediction | None:
    """What compound scaling gives at the same MACs; None where it gives nothing buildable."""
    from planner.rules import compound

    formula = prediction.formula
    if formula.kind == "compound":
        return None
    try:
        return compound(formula.base, formula.resolution, formula.classes).predict(prediction.budget, extrapolate=True)
    except InputError:
        return None


def show_prediction(prediction: Prediction, rival: Prediction | None, source: str) -> None:
    """Prints a prediction for people."""
    formula = prediction.formula
    learned = formula.kind != "compound"
    low, high = (format_count(value) for value in formula.macs_range)
    decided = {"macs": "", "range": ", the end of the fitted range"}
    by = decided.get(prediction.binding, f", decided by the budget of {prediction.binding}")
    click.echo(f"{formula.base} for {format_count(prediction.budget)} MACs{by}, {formula.classes} classes")
    click.echo(f"formula: {source}" + (f" ({len(formula.front)} points, {low} to {high} MACs)" if learned else ""))
    if not prediction.in_range:
        click.echo("OUTSIDE that range: an extrapolation")
    show_architecture("planner" if learned else "compound", prediction)
    if rival is not None:
        show_architecture("compound" if prediction.c > 1 else "inverse compound", rival)
    accuracy = prediction.accuracy
    if accuracy is not None:
        click.echo(
            f"expected accuracy{' of the front here' * (accuracy['of'] == 'front')}: {accuracy['mean']:.1%} "
            f"({accuracy['lower']:.1%} to {accuracy['upper']:.1%}, 90 %), on the data it was fitted on"
            f"{', but OUTSIDE what was trained' * (not accuracy['in_range'])}"
        )
    if best := prediction.trained:
        name = f"{'trial ' * isinstance(best.get('trial'), int)}{best['trial']}, " if "trial" in best else ""
        click.echo(
            f"reached more: {name}{format_count(best['macs'])} MACs, {best['accuracy']:.1%} (one training, the best of "
            f"{len(formula.front)})"
        )


def show_stages(
    formula: Formula,
    macs: float | None,
    limits: Sequence[Limit],
    cautious: bool,
    extrapolate: bool,
    source: str,
    json_: bool,
) -> None:
    """Prints both ways to spend a budget on the stages, and which is preferred."""
    from planner.allocation.allocate import allocate

    allocation = allocate(formula, macs, limits, cautious, extrapolate)
    if json_:
        echo_json({**allocation.as_dict(), "formula": source})
        return
    click.echo(f"{formula.base} for {format_count(allocation.budget)} MACs, {formula.classes} classes, stage by stage")
    click.echo(f"formula: {source}")
    for name, option in allocation.options.items():
        show_architecture(name, option.prediction)
        click.echo("  share of MACs  " + "  ".join(f"{part} {share:.1%}" for part, share in option.shares.items()))
        accuracy = option.accuracy
        if accuracy is not None:
            span = f"{accuracy['lower']:.1%} to {accuracy['upper']:.1%}, 90 %"
            beyond = "" if accuracy["in_range"] else ", OUTSIDE what was trained"
            click.echo(f"  accuracy    {accuracy['mean']:.1%} ({span}), by the surrogate{beyond}")
        if option.at_bounds:
            click.echo(f"  at the end of the data: {', '.join(option.at_bounds)}")
        for note in option.notes:
            click.echo(f"  {note}")
    for absent in allocation.missing.values():
        click.echo(absent)
    click.echo(f"preferred: {allocation.preferred}; {allocation.reason}")


def show_architecture(name: str, prediction: Prediction) -> None:
    """Prints one architecture."""
    one = prediction.architecture
    click.echo(f"{name}:")
    click.echo(f"  resolution  {one.resolution} px  (r {prediction.r:.3f}, d {prediction.d:.3f}, w {prediction.w:.3f})")
    click.echo(f"  depths      {' '.join(str(depth) for depth in one.depths)}")
    click.echo(f"  widths      {' '.join(str(width) for width in one.widths)}  (stem {one.stem}, head {one.head})")
    off = 100 * (prediction.macs / prediction.budget - 1)
    click.echo(f"  MACs        {prediction.macs:,} ({off:+.2f} % of the budget), params {prediction.params:,}")
    for kind, cost in prediction.costs.items():
        click.echo(f"  {kind:12s}{format_cost(kind, cost)} of {format_cost(kind, prediction.limits[kind])}")
    nudges = _nudges(prediction)
    if nudges:
        click.echo(f"  nudged      {nudges}, to meet the budget")


def _nudges(prediction: Prediction) -> str:
    parts: list[Any] = []
    if prediction.pixels_nudged:
        parts.append(f"resolution {prediction.pixels_nudged:+d} px")
    if prediction.stage_nudged is not None:
        parts.append(f"stage {prediction.stage_nudged + 1} {prediction.channels_nudged:+d} channels")
    return ", ".join(parts)
