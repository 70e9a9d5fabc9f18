"""`planner predict`: the architecture for a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import applied, as_json, budgets, echo_first, echo_json
from planner.commands.together import needs
from planner.errors import InputError, PlannerError
from planner.quantities import format_cost, format_count

if TYPE_CHECKING:
    from planner.formulas.choice import Choice
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
@needs("--cautious", "--space stage")
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

    The formula is the one given; or of the last study's, the reference study's and that of published networks the
    first that covers the budget; or else compound scaling. The answer says which.
    """
    from planner.formulas.budgets import within

    found = choose(flops, limits, formula, study, base, base_resolution, classes, extrapolate)
    source = found.source
    if space == "stage":
        echo_first(() if json_ else found.formula.warnings, err=True)
        show_stages(found.formula, found.macs, limits, cautious, extrapolate, source, json_)
        return
    prediction = within(found.formula, found.macs, limits, extrapolate)
    rival = compound_at(prediction)
    echo_first(() if json_ else found.formula.warnings, err=True)
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
    extrapolate: bool = False,
) -> Choice:
    """The formula that answers: the one asked for, or of the last study's and the shipped ones the one that reaches.

    Raises:
        PlannerError: If the one asked for is not there, or none reaches the budgets.
    """
    from planner.formulas.choice import chosen

    if formula and study:
        raise PlannerError("give --formula or --study, not both")
    found = _asked_for(formula, study, base) if formula or study else _known(base)
    applied = ((source, one.at(resolution, classes)) for source, one in found)
    return chosen(applied, macs, limits, extrapolate)


def _asked_for(formula: str | None, study: str | None, base: str | None) -> Iterator[tuple[str, Formula]]:
    """The formula of a file or of a study."""
    from planner.formulas.formula import Formula
    from planner.study import existing, folder_of

    path = Path(formula) if formula else folder_of(study) / "formula.json"
    if study and not path.is_file():
        existing(study)  # refuses one that is not there
        raise PlannerError(f"{path.parent}: no formula yet; run `planner fit --study {study}`")
    found = Formula.load(path)
    if base is not None and base != found.base:
        raise PlannerError(f"{path} is a formula for {found.base}, not for {base}; leave --base out")
    yield str(path), found


def _known(base: str | None) -> Iterator[tuple[str, Formula]]:
    """The last study's formula, and those that ship for the base network, or else compound scaling."""
    from planner.formulas.codec import loads
    from planner.formulas.formula import Formula
    from planner.resources import reference_formula, shipped_formula
    from planner.rules import compound
    from planner.study import LAST, folder_of
    from sampler import base as base_named

    own = folder_of(None) / "formula.json"
    if LAST.is_file() and own.is_file():
        loaded = Formula.load(own)
        if base in (None, loaded.base):
            yield str(own), loaded
    name = base_named(base or "efficientnet_b0").name
    if (text := reference_formula(name)) is not None:
        studied = loads(text, "the reference study's formula")
        yield "shipped with the planner, learned in its reference study (results/reference)", studied
    if (text := shipped_formula(name)) is not None:
        yield f"shipped with the planner, from published {name} networks", loads(text, "the shipped formula")
    else:
        yield NO_FORMULA.format(base=name), compound(name)


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
            f"expected accuracy{' of the best trainings here' * (accuracy['of'] == 'front')}: {accuracy['mean']:.1%} "
            f"({accuracy['lower']:.1%} to {accuracy['upper']:.1%}, 90 %), on the data it was fitted on"
            f"{', but OUTSIDE what was trained' * (not accuracy['in_range'])}"
        )
    if best := prediction.trained:
        name = f"{'trial ' * isinstance(best.get('trial'), int)}{best['trial']}, " if "trial" in best else ""
        click.echo(
            f"reached more: {name}{format_count(best['macs'])} MACs, {best['accuracy']:.1%} (one training, the best of "
            f"{formula.provenance.get('rows', len(formula.front))})"
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
        echo_json({**allocation.as_dict(), "formula": source, "warnings": list(formula.warnings)})
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
