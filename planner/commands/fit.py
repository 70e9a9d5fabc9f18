"""`planner fit`: the formula of a table or a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.commands.options import SEED, as_json, echo_first, echo_json, study, table_of
from planner.commands.together import needs
from planner.commands.types import Number
from planner.text.quantities import format_count

if TYPE_CHECKING:
    from planner.answers.formula import Formula
    from planner.formulas.coefficients import Coefficients

_NAMES = {"r": "resolution", "d": "depth"}


@click.command(
    name="fit",
    epilog="Example: planner fit results/published/efficientnet_b0.csv --out f.json",
    short_help="Fit budget -> (r, d, w); writes a JSON file.",
)
@needs("--base", "TABLE")
@click.argument("table", required=False)
@study
@click.option(
    "--kind",
    type=click.Choice(["loglinear", "tinynet", "compound"]),
    default="loglinear",
    show_default=True,
    help="loglinear: a power law plus a Gaussian process on log c; tinynet: the paper's zero-mean RBF on c; "
    "compound: the best single alpha, beta, gamma, by grid search.",
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
@click.option("--base", metavar="NAME", help="Base network, where a table does not say.")
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
) -> None:
    """Fits the formula to the trainings of TABLE (a CSV file) or of a study, and writes it as JSON.

    The CSV needs the columns accuracy and macs, and r and d or the integers that give them; a study's own
    export has them all. With --prior the earlier formula counts as far as leave-one-out on the new data bears it out.
    """
    from planner.fitting.fit import fit
    from planner.formulas.codec import dumps
    from planner.study.folder import folder_of
    from planner.text.documents import write_own

    formula = fit(table_of(table, study, base), kind, share, seed, raw=raw, prior=prior)
    path = Path(out) if out else Path("formula.json") if table else folder_of(study) / "formula.json"
    if out or table:
        formula.save(path)
    else:
        write_own(path, dumps(formula))
    answer = summary(formula, path)
    if json_:
        echo_json(answer)
    else:
        show_fit(formula, path)


def summary(formula: Formula, path: Path) -> dict[str, Any]:
    """What `fit --json` prints."""
    from planner.formulas.coefficients import EFFICIENTNET, coefficients_of
    from planner.front.pareto import distinct_budgets

    facts = formula.provenance
    return {
        "formula": str(path),
        "base": formula.base,
        "kind": formula.kind,
        "points": len(formula.front),
        "distinct_budgets": distinct_budgets([one["macs"] for one in formula.front]),
        "non_dominated": len(formula.non_dominated),
        "not_fitted": [_name(one) for one in formula.unfitted],
        "warnings": list(formula.warnings),
        "rows": facts["rows"],
        "macs_range": list(formula.macs_range),
        "slopes": {name: {key: one.value for key, one in found.items()} for name, found in formula.exponents.items()},
        "exponents": {
            name: {key: one.as_dict() for key, one in found.items()} for name, found in formula.exponents.items()
        },
        "coefficients": {name: one.as_dict() for name in formula.branches if (one := coefficients_of(formula, name))},
        "efficientnet": EFFICIENTNET.as_dict(),
        "leave_one_out_rmse": formula.errors,
        "selection": facts.get("selection"),
        "curves": facts.get("curves"),
        "distilled": facts.get("distilled"),
        "prior": facts.get("prior"),
        "compound": facts.get("compound"),
    }


def show_fit(formula: Formula, path: Path) -> None:
    """Prints a fit for people."""
    from planner.front.pareto import distinct_budgets

    echo_first(formula.warnings)
    low, high = (format_count(value) for value in formula.macs_range)
    used = [one for one in formula.front if one not in formula.unfitted]
    budgets = distinct_budgets([one["macs"] for one in used])
    rows, sides = formula.provenance["rows"], formula.provenance.get("distilled", {}).values()
    of = f"{len(used)} of {rows} trainings ({budgets} distinct budgets)"
    if sides and all(one["used"] for one in sides):
        of = f"the answers that {rows} trainings give"
    click.echo(f"fitted {formula.kind} to {of}, {low} to {high} MACs")
    for line in (
        *_selection(formula),
        *_front(formula),
        *_branches(formula),
        *_distilled(formula),
        *_shapes(formula),
        *_grid(formula),
        *_prior(formula),
        *_surrogate(formula),
    ):
        click.echo(f"  {line}")
    click.echo(f"formula: {path}")


def _selection(formula: Formula) -> list[str]:
    selection = formula.provenance.get("selection")
    if selection is None:
        return []
    rows, learned = formula.provenance["rows"], formula.surrogate and formula.surrogate.provenance.get("rows")
    of_some = f", of a surrogate of {learned} of them drawn by chance" if learned and learned < rows else ""
    return [f"selected for the fit by {selection['by']}" + (f" ({selection['why']})" if selection["why"] else of_some)]


def _front(formula: Formula) -> list[str]:
    """How many trainings are on the front, and which of those selected were left out for want of others."""
    lines = []
    if formula.non_dominated:
        n, best = len(formula.non_dominated), max(one["accuracy"] for one in formula.non_dominated)
        lines.append(
            f"on the front, dominated by no other: {n} of {formula.provenance['rows']}; the best has {best:.1%}"
        )
    if formula.unfitted:
        direction = "enlarge" if "shrink" in formula.branches else "shrink"
        names = ", ".join(_name(one) for one in formula.unfitted)
        lines.append(f"{direction}: too few distinct budgets for a curve of its own, so these are left out: {names}")
    return lines


def _name(point: dict[str, Any]) -> str:
    """A training, as its table calls it."""
    macs = f"{format_count(point['macs'])} MACs"
    return f"trial {point['trial']} ({macs})" if "trial" in point else macs


def _branches(formula: Formula) -> list[str]:
    """What each direction's curves are, how they grow with the budget, and their errors."""
    from planner.formulas.coefficients import EFFICIENTNET, coefficients_of
    from planner.formulas.exponents import sentences

    lines: list[str] = []
    known: list[str] = []
    for name in formula.branches:
        drawn = formula.provenance.get("distilled", {}).get(name, {}).get("used")
        what = {
            "distilled": "distilled from the answers over the whole range; near-best networks lie about it with RMSE",
            "loglinear": "a power law and a learned departure; leave-one-out RMSE",
            "tinynet": "zero-mean Gaussian process on c; leave-one-out RMSE",
            "compound": "a power law and nothing else; what was selected lies about it with RMSE",
        }["distilled" if drawn else formula.kind]
        unit = "" if formula.kind == "tinynet" else "log "
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


def _distilled(formula: Formula) -> list[str]:
    """What the formula's networks are expected to lose against the answers."""
    loss, sides = formula.errors.get("formula_loss"), formula.provenance.get("distilled", {}).values()
    if loss is None:
        return []
    expected = f"the formula's networks are expected to lose {100 * loss:.1f} points against the answers"
    if not any(one["used"] for one in sides):
        return [f"{expected}; curves distilled from the answers were no better than those through the front"]
    budgets = sum(one["budgets"] for one in sides)
    before = sum(one["budgets"] * (one["loss_of_front"] or 0.0) for one in sides) / budgets
    return [f"by cross-validation over {budgets} budgets {expected} ({100 * before:.1f} by curves through the front)"]


def _coefficients(one: Coefficients) -> str:
    return f"alpha {one.alpha:.3f}, beta {one.beta:.3f}, gamma {one.gamma:.3f}, alpha beta^2 gamma^2 {one.cost:.2f}"


def _shapes(formula: Formula) -> list[str]:
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


def _grid(formula: Formula) -> list[str]:
    """How the grid of compound rules was scored."""
    found = formula.provenance.get("compound")
    if found is None:
        return []
    alike = ", ".join(f"{name} {low:.2f} to {high:.2f}" for name, (low, high) in found["within_0.1_points"].items())
    return [
        f"{found['grid_points']} rules at {found['pairs'] // found['grid_points']} budgets: "
        f"{found['pairs_near_a_training']} of {found['pairs']} pairs have a training within 5 %, the others rest "
        f"on the surrogate alone; {found['outside_the_trainings']} rules leave the range of the trainings, or of what "
        "can be built",
        *(["MOST of the grid lies outside the trainings: the best is the best of few"] * found["mostly_outside"]),
        f"within 0.1 points of the best: {alike}",
        _anchor(found),
    ]


def _anchor(found: dict[str, Any]) -> str:
    """What a compound rule passes through, and what the other anchor would have given."""
    one, marks = found["anchor"], found["left_out_accuracy"]
    name = _name(one) if "macs" in one else "the base network"
    both = f"{marks['through_training']:.1%} through the best training of the middle budget"
    return (
        f"it passes through {name} (r {one['r']:.3f}, d {one['d']:.3f}); expected at budgets left out of the choice: "
        f"{marks['through_base']:.1%} through the base network, {both}"
    )


def _prior(formula: Formula) -> list[str]:
    """What a prior was worth to each curve."""
    given = formula.provenance.get("prior")
    if given is None:
        return []
    lines, unit = [], "" if formula.kind == "tinynet" else "log "
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


def _surrogate(formula: Formula) -> list[str]:
    """How well the surrogate predicts trainings that were held out, beside a linear model."""
    if formula.surrogate is None:
        return []

    def pair(name: str, factor: float = 1.0, digits: int = 2) -> str:
        both = (formula.errors.get(f"surrogate_{one}{name}") for one in ("", "linear_"))
        ours, linear = ("-" if one is None else f"{factor * one:.{digits}f}" for one in both)
        return f"{ours} ({linear})"

    covered = ", ".join(f"{level} %: {pair(f'coverage_{level}', 100, 0)}" for level in (50, 80, 90))
    return [
        f"surrogate on trainings held out (and a linear model): RMSE {pair('rmse', 100)} points, "
        f"Kendall {pair('kendall')}, in the best fifth {pair('kendall_top20')}",
        f"share inside its intervals of {covered}",
    ]
