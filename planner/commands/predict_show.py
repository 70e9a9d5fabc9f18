"""How an answer is printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from planner.answers.answer import Answer
from planner.commands.options import widths_words
from planner.formulas.prediction import Prediction
from planner.formulas.trainings import TrainedNetwork
from planner.text.quantities import format_cost, format_count
from sampler import Architecture
from trainer.score import Score

HOW = {
    "search": "the best of all networks by what {rows} trainings taught",
    "training": "the best of all networks by what {rows} trainings taught, one of them",
    "formula": "on the formula's curves",
    "published rule": "compound scaling with EfficientNet's constants",
}


def show_answer(answer: Answer, source: str, staged: bool = False) -> None:
    """Prints an answer for people: the network, what it costs and reaches, why it is this one, and what else there is.

    Args:
        answer: The answer.
        source: Origin of its formula, in words.
        staged: Whether its stages may be scaled apart: what each of them spends is said, then.
    """
    prediction, formula = answer.prediction, answer.prediction.formula
    decided = {"macs": "", "range": ", the end of the fitted range"}
    by = decided.get(prediction.binding, f", decided by the budget of {prediction.binding}")
    click.echo(f"{formula.base} for {format_count(prediction.budget)} MACs{by}, {formula.classes} classes")
    low, high = (format_count(value) for value in formula.macs_range)
    learned = f" ({len(formula.front)} points, {low} to {high} MACs)" if formula.front else ""
    click.echo(f"formula: {source}{learned}")
    if not prediction.in_range:
        click.echo("OUTSIDE that range: an extrapolation")
    show_network(f"answer, {HOW[answer.by].format(rows=formula.provenance.get('rows', 'the'))}", prediction)
    if staged:
        click.echo("  share of MACs  " + "  ".join(f"{part} {share:.1%}" for part, share in answer.shares.items()))
    if prediction.accuracy is not None:
        click.echo(_accuracy(prediction.accuracy, formula.score))
    click.echo(f"why: {answer.reason}")
    for note in answer.notes:
        click.echo(note)
    _show_beside(answer)


def show_network(name: str, prediction: Prediction) -> None:
    """Prints a network and its costs."""
    one = prediction.architecture
    click.echo(f"{name}:")
    click.echo(f"  resolution  {one.resolution} px  (r {prediction.r:.3f}, d {prediction.d:.3f}, w {prediction.w:.3f})")
    click.echo(f"  depths      {' '.join(str(depth) for depth in one.depths)}")
    click.echo(f"  widths      {widths_words(one)}")
    for knob, values in one.knobs.items():
        click.echo(f"  {knob:10s}  {' '.join(map(str, values))}")
    off = 100 * (prediction.macs / prediction.budget - 1)
    click.echo(f"  MACs        {prediction.macs:,} ({off:+.2f} % of the budget), params {prediction.params:,}")
    for kind, cost in prediction.costs.items():
        click.echo(f"  {kind:12s}{format_cost(kind, cost)} of {format_cost(kind, prediction.limits[kind])}")
    if nudges := _nudges(prediction):
        click.echo(f"  nudged      {nudges}, to meet the budget")


def _show_beside(answer: Answer) -> None:
    """Prints what others would have answered, a line each."""
    lines = []
    if answer.formula is not None and answer.by in ("search", "training"):
        lines.append(("formula", _other(answer.formula)))
    if answer.best is not None:
        lines.append(("best training", _trained(answer.best)))
    if answer.published is not None and answer.by != "published rule":
        name = "compound" if answer.published.c > 1 else "inverse compound"
        lines.append((f"{name} (EfficientNet's constants)", _other(answer.published)))
    if lines:
        click.echo("beside it:")
    for name, words in lines:
        click.echo(f"  {name}: {words}")


def _other(prediction: Prediction) -> str:
    accuracy = prediction.accuracy
    outside = "" if accuracy is None or accuracy["in_range"] else " outside what was trained"
    expected = "" if accuracy is None else f"{prediction.formula.score.text(accuracy['mean'])} expected{outside}, "
    return f"{expected}{prediction.macs:,} MACs, {_integers(prediction.architecture)}"


def _trained(best: TrainedNetwork) -> str:
    network = "" if best.architecture is None else f", {_integers(best.architecture)}"
    return f"{best.name}, {best.words}, {best.macs:,} MACs{network}"


def _integers(one: Architecture) -> str:
    depths, widths = (" ".join(map(str, numbers)) for numbers in (one.depths, one.widths))
    knobs = "".join(f", {name} {' '.join(map(str, values))}" for name, values in one.knobs.items())
    return f"{one.resolution} px, depths {depths}, widths {widths}{knobs}"


def _accuracy(accuracy: Mapping[str, Any], score: Score) -> str:
    """An expected accuracy or another score, whose it is, and its interval."""
    whose = " of the best trainings here" * (accuracy["of"] == "front")
    span = f"{score.span(accuracy['lower'], accuracy['upper'])}, 90 %"
    outside = "" if accuracy["in_range"] else ", but OUTSIDE what was trained"
    expected = f"expected {score.name}{whose}: {score.text(accuracy['mean'])} ({span})"
    return f"{expected}, on the data it was fitted on{outside}"


def _nudges(prediction: Prediction) -> str:
    parts = []
    if prediction.pixels_nudged:
        parts.append(f"resolution {prediction.pixels_nudged:+d} px")
    if prediction.stage_nudged is not None:
        parts.append(f"stage {prediction.stage_nudged + 1} {prediction.channels_nudged:+d} channels")
    parts += prediction.finer
    return ", ".join(parts)
