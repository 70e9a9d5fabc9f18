"""What is said of a fit, a line each: what was selected, how the curves were found, and how good they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from planner.formulas.coefficients import EFFICIENTNET, Coefficients, coefficients_of
from planner.formulas.exponents import sentences
from planner.formulas.formula import FormulaCurves
from planner.formulas.kinds import FORMULA_KINDS
from planner.front.pareto import distinct_budgets
from planner.text.quantities import format_count

_DISTILLED = "distilled from the answers over the whole range; near-best networks lie about it with RMSE"
_NAMES = {"r": "resolution", "d": "depth"}


def fit_words(formula: FormulaCurves) -> list[str]:
    """Everything that is said of a fit, its summary first."""
    details = (_selection, _front, _branches, _distilled, _shapes, _grid, _prior, _surrogate)
    return [_summary(formula), *(f"  {line}" for lines in details for line in lines(formula))]


def _summary(formula: FormulaCurves) -> str:
    """What the curves were fitted to."""
    low, high = (format_count(value) for value in formula.macs_range)
    used = [point for point in formula.front if point not in formula.unfitted]
    budgets = distinct_budgets([point["macs"] for point in used])
    rows, sides = formula.provenance["rows"], formula.provenance.get("distilled", {}).values()
    to = f"{len(used)} of {rows} trainings ({budgets} distinct budgets)"
    if sides and all(side["used"] for side in sides):
        to = f"the answers that {rows} trainings give"
    return f"fitted {formula.kind} to {to}, {low} to {high} MACs"


def _selection(formula: FormulaCurves) -> list[str]:
    selection = formula.provenance.get("selection")
    if selection is None:
        return []
    rows, learned = formula.provenance["rows"], formula.surrogate and formula.surrogate.provenance.get("rows")
    of_some = f", of a surrogate of {learned} of them drawn by chance" if learned and learned < rows else ""
    return [f"selected for the fit by {selection['by']}" + (f" ({selection['why']})" if selection["why"] else of_some)]


def _front(formula: FormulaCurves) -> list[str]:
    """How many trainings are on the front, and which of those selected were left out for want of others."""
    lines = []
    if formula.non_dominated:
        n, best = len(formula.non_dominated), max(one["accuracy"] for one in formula.non_dominated)
        lines.append(
            f"on the front, dominated by no other: {n} of {formula.provenance['rows']}; the best has "
            f"{formula.score.text(best)}"
        )
    if formula.unfitted:
        direction = "enlarge" if "shrink" in formula.branches else "shrink"
        names = ", ".join(training_name(one) for one in formula.unfitted)
        lines.append(f"{direction}: too few distinct budgets for a curve of its own, so these are left out: {names}")
    return lines


def training_name(point: dict[str, Any]) -> str:
    """A training, as its table calls it."""
    macs = f"{format_count(point['macs'])} MACs"
    return f"trial {point['trial']} ({macs})" if "trial" in point else macs


def _branches(formula: FormulaCurves) -> list[str]:
    """What each direction's curves are, how they grow with the budget, and their errors."""
    kind, unit = FORMULA_KINDS[formula.kind], _unit(formula)
    lines: list[str] = []
    known: list[str] = []
    for name in formula.branches:
        drawn = formula.provenance.get("distilled", {}).get(name, {}).get("used")
        what = _DISTILLED if drawn else kind.words
        errors = [
            f"{unit}{one} {value:.3f}" for one in "rd" if (value := formula.errors.get(f"{name}_{one}")) is not None
        ]
        lines.append(f"{name}: {what} {', '.join(errors) or '-'}")
        lines += [f"{name}: {line}" for line in sentences(formula, name, formula.exponents.get(name, {}))]
        found = coefficients_of(formula, name)
        if found is not None:
            lines.append(f"{name}: {_coefficients(found)}, for twice the MACs")
            known = [f"EfficientNet's: {_coefficients(EFFICIENTNET)}"]
    return lines + known


def _unit(formula: FormulaCurves) -> str:
    """What stands before a dimension whose error is told."""
    return "log " if FORMULA_KINDS[formula.kind].logs else ""


def _distilled(formula: FormulaCurves) -> list[str]:
    """What the formula's networks are expected to lose against the answers."""
    loss, sides = formula.errors.get("formula_loss"), formula.provenance.get("distilled", {}).values()
    if loss is None:
        return []
    expected = f"the formula's networks are expected to lose {formula.score.gap(loss)} against the answers"
    if not any(one["used"] for one in sides):
        return [f"{expected}; curves distilled from the answers were no better than those through the front"]
    budgets = sum(one["budgets"] for one in sides)
    before = sum(one["budgets"] * (one["loss_of_front"] or 0.0) for one in sides) / budgets
    return [
        f"by cross-validation over {budgets} budgets {expected} ({_plain(before, formula)} by curves through the front)"
    ]


def _coefficients(one: Coefficients) -> str:
    return f"alpha {one.alpha:.3f}, beta {one.beta:.3f}, gamma {one.gamma:.3f}, alpha beta^2 gamma^2 {one.cost:.2f}"


def _shapes(formula: FormulaCurves) -> list[str]:
    """What was done so that r and d never fall, and where they do."""
    lines = []
    for key, fact in formula.provenance.get("curves", {}).items():
        direction, name = key.split("_")
        if fact.get("smoothed"):
            change = f"x {fact['price']:.2f} in leave-one-out error"
            lines.append(f"{direction}: {_NAMES[name]} was smoothed so that it never falls with the budget ({change})")
        elif fact.get("falls"):
            low, high = (format_count(c * formula.base_macs) for c in fact["falls"])
            why = "" if fact["price"] is None else f"; a curve that never falls has {fact['price']:.2f} times its error"
            lines.append(f"{direction}: {_NAMES[name]} FALLS with the budget between {low} and {high} MACs{why}")
    return lines


def _grid(formula: FormulaCurves) -> list[str]:
    """How the grid of compound rules was scored."""
    found = formula.provenance.get("compound")
    if found is None:
        return []
    near = "0.1 points" if formula.score.is_accuracy else "a thousandth of the range"
    alike = ", ".join(f"{name} {low:.2f} to {high:.2f}" for name, (low, high) in found["within_0.1_points"].items())
    return [
        f"{found['grid_points']} rules at {found['pairs'] // found['grid_points']} budgets: "
        f"{found['pairs_near_a_training']} of {found['pairs']} pairs have a training within 5 %, the others rest "
        f"on the surrogate alone; {found['outside_the_trainings']} rules leave the range of the trainings, or of what "
        "can be built",
        *(["MOST of the grid lies outside the trainings: the best is the best of few"] * found["mostly_outside"]),
        f"within {near} of the best: {alike}",
        _anchor(found, formula),
    ]


def _anchor(found: dict[str, Any], formula: FormulaCurves) -> str:
    """What a compound rule passes through, and what the other anchor would have given."""
    one, marks = found["anchor"], found["left_out_accuracy"]
    name = training_name(one) if "macs" in one else "the base network"
    through = {name: formula.score.text(mark) for name, mark in marks.items()}
    both = f"{through['through_training']} through the best training of the middle budget"
    return (
        f"it passes through {name} (r {one['r']:.3f}, d {one['d']:.3f}); expected at budgets left out of the choice: "
        f"{through['through_base']} through the base network, {both}"
    )


def _prior(formula: FormulaCurves) -> list[str]:
    """What a prior was worth to each curve."""
    given = formula.provenance.get("prior")
    if given is None:
        return []
    lines, unit = [], _unit(formula)
    for key, fact in formula.provenance["curves"].items():
        direction, name = key.split("_")
        head = f"{direction}: prior {given['name']} for {_NAMES[name]}"
        worth = fact.get("prior")
        if worth is None:
            lines.append(f"{head}: it has no curve in this direction")
            continue
        errors = f"{worth['leave_one_out_with']:.3f} with, {worth['leave_one_out_without']:.3f} without"
        lines.append(f"{head}: weight {worth['weight']:.1f}, leave-one-out RMSE of {unit}{name} {errors}")
    return lines


def _surrogate(formula: FormulaCurves) -> list[str]:
    """How well the surrogate predicts trainings that were held out, beside a linear model."""
    if formula.surrogate is None:
        return []

    def pair(name: str, factor: float = 1.0, form: str = ".2f") -> str:
        both = (formula.errors.get(f"surrogate_{one}{name}") for one in ("", "linear_"))
        ours, linear = ("-" if one is None else f"{factor * one:{form}}" for one in both)
        return f"{ours} ({linear})"

    covered = ", ".join(f"{level} %: {pair(f'coverage_{level}', 100, '.0f')}" for level in (50, 80, 90))
    return [
        f"surrogate on trainings held out (and a linear model): RMSE {_errors(pair, formula)}, "
        f"Kendall {pair('kendall')}, in the best fifth {pair('kendall_top20')}",
        f"share inside its intervals of {covered}",
    ]


def _errors(pair: Callable[..., str], formula: FormulaCurves) -> str:
    """The surrogate's and the linear model's error, in points or in the score's own unit."""
    if formula.score.is_accuracy:
        return f"{pair('rmse', 100)} points"
    return f"{pair('rmse', form='.3g')} {formula.score.unit}".rstrip()


def _plain(difference: float, formula: FormulaCurves) -> str:
    """A difference of merits, as `Score.gap` without the word."""
    return formula.score.gap(difference).removesuffix(" points")
