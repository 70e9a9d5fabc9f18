"""How notebooks show a study, a formula and what they answer: small tables without scripts, everything escaped.

Colours are inherited, lines are grey and half transparent: readable on light and on dark pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from planner.text.markup import html_table
from planner.text.quantities import format_bytes, format_cost, format_count

if TYPE_CHECKING:
    from planner.allocation.allocate import Allocation
    from planner.answers.answer import Answer
    from planner.formulas.formula import FormulaCurves
    from planner.formulas.prediction import Prediction
    from planner.study.reader import Records
    from planner.surrogates.surrogate import Surrogate

MOST_ROWS = 12
LINEAR = "linear_"  # before the errors of the model that the surrogate is compared with
STYLE = (
    ".planner-shown table{border-collapse:collapse;margin:.3em 0 .8em;color:inherit;background:none}"
    ".planner-shown caption{text-align:left;font-weight:600;color:inherit}"
    ".planner-shown th,.planner-shown td{padding:.15em .7em;text-align:left;color:inherit;"
    "border-bottom:1px solid rgba(128,128,128,.4)}"
    ".planner-shown .number{text-align:right;font-variant-numeric:tabular-nums}"
    ".planner-shown .scroll{overflow-x:auto}"
)
FRONT = ("trial", "resolution", "r", "d", "w", "macs", "accuracy")


def shown(caption: str, facts: Mapping[str, Any], *tables: str) -> str:
    """What a notebook shows of an object.

    Args:
        caption: What it is.
        facts: Values by what they are; those that are None are left out.
        tables: Of `planner.text.markup.table`.
    """
    rows = [(name, value) for name, value in facts.items() if value is not None]
    parts = html_table(caption, ("", ""), rows, texts=(0, 1)), *tables
    return f'<div class="planner-shown"><style>{STYLE}</style>\n{"".join(parts)}\n</div>'


def of_formula(formula: FormulaCurves) -> str:
    """A formula: what it covers, how its answers grow with the budget, and what it was fitted to."""
    from planner.formulas.exponents import sentences

    low, high = (format_count(macs) for macs in formula.macs_range)
    facts: dict[str, str | None] = {
        "base network": f"{formula.base} at {formula.resolution} px, {formula.classes} classes",
        "budgets": f"{low} to {high} MACs",
        "kind": formula.kind,
    }
    for name in formula.branches:
        facts[f"to {name}"] = "; ".join(sentences(formula, name, formula.exponents.get(name, {})))
    curve = "of the front, by its curve" if formula.accuracy else None
    facts["accuracy"] = "of each architecture, by a surrogate" if formula.surrogate else curve
    facts |= {f"warning {i}" if i > 1 else "warning": one for i, one in enumerate(formula.warnings, 1)}
    chosen, front = ([_multipliers(point) for point in points] for points in (formula.front, formula.non_dominated))
    tables = (front_table("Selected for the fit", chosen), front_table("Front", front))
    return shown("Formula", facts, *tables)


def _multipliers(point: Mapping[str, Any]) -> dict[str, Any]:
    """A point of a formula without its pixels: r says them."""
    return {name: value for name, value in point.items() if name != "resolution"}


def of_answer(answer: Answer) -> str:
    """An answer: its network, why it is this one, and what others would have answered."""
    facts: dict[str, str | None] = {"by": answer.by, "why": answer.reason}
    facts |= {f"note {i}" if i > 1 else "note": one for i, one in enumerate(answer.notes, 1)}
    rows = [("the answer", format_count(answer.prediction.macs), accuracy_words(answer.accuracy))]
    others = {"the formula": answer.formula, "compound scaling": answer.published}
    rows += [
        (name, format_count(one.macs), accuracy_words(one.accuracy)) for name, one in others.items() if one is not None
    ]
    if answer.best is not None:
        measured = answer.best.accuracy
        reached = "by its own result" if measured is None else "measured"
        value = answer.best.reached if measured is None else measured
        rows.append((f"best training ({answer.best.name})", format_count(answer.best.macs), f"{value:.1%} {reached}"))
    beside = html_table("Beside it", ("", "MACs", "accuracy"), rows, texts=(0, 2))
    return of_prediction(answer.prediction, "Answer", facts, beside)


def of_prediction(
    prediction: Prediction, caption: str = "Prediction", more: Mapping[str, str | None] | None = None, *tables: str
) -> str:
    """A prediction: what it costs and is expected to reach, and the network part by part.

    Args:
        prediction: The prediction.
        caption: What it is.
        more: Facts after its own.
        tables: Below its own.
    """
    formula, one = prediction.formula, prediction.architecture
    outside = "" if prediction.in_range else " (outside the fitted range: an extrapolation)"
    facts = {
        "base network": f"{formula.base}, {formula.classes} classes",
        "budget": f"{format_count(prediction.budget)} MACs{outside}",
        "resolution": f"{one.resolution} px",
        "MACs": f"{prediction.macs:,} ({prediction.macs / prediction.budget:.2%} of the budget)",
        "parameters": f"{prediction.params:,}",
        "memory of inference": format_bytes(prediction.memory),
        "r, d, w": f"{prediction.r:.3f}, {prediction.d:.3f}, {prediction.w:.3f}",
        "expected accuracy": accuracy_words(prediction.accuracy),
    }
    for name, limit in prediction.limits.items():
        facts[f"limit of {name}"] = f"{format_cost(name, prediction.costs[name])} of {format_cost(name, limit)}"
    rows: list[tuple[str, int | None, int]] = [("stem", None, one.stem)]
    rows += [
        (f"stage {i}", depth, width) for i, (depth, width) in enumerate(zip(one.depths, one.widths, strict=True), 1)
    ]
    rows += [("head", None, one.head)] if one.head else []
    network = html_table("Network", ("part", "blocks", "channels"), rows)
    return shown(caption, facts | dict(more or {}), network, *tables)


def of_allocation(allocation: Allocation) -> str:
    """Both ways to spend a budget on the stages, side by side."""
    options = allocation.options
    facts = {
        "budget": f"{format_count(allocation.budget)} MACs",
        "preferred": f"{allocation.preferred}; {allocation.reason}",
        **{f"no answer: {name}": why for name, why in allocation.missing.items()},
    }
    rows: list[list[Any]] = [
        ["resolution", *(f"{one.prediction.architecture.resolution} px" for one in options.values())],
        ["MACs", *(f"{one.prediction.macs:,}" for one in options.values())],
        ["expected accuracy", *(accuracy_words(one.accuracy) for one in options.values())],
    ]
    parts = list(allocation.best.shares)
    rows += [[_part(part), *(_spent(one, part) for one in options.values())] for part in parts]
    return shown("Allocation", facts, html_table("Ways to spend it", ("", *options), rows))


def of_surrogate(surrogate: Surrogate) -> str:
    """A surrogate: what it reads, and its errors on rows held out beside a linear model's."""
    facts = {
        "predicts": surrogate.target,
        "from": ", ".join((*surrogate.inputs, *([surrogate.cost] if surrogate.cost else []))),
        "fitted on": f"{surrogate.provenance['rows']} rows" if "rows" in surrogate.provenance else None,
    }
    errors = surrogate.errors
    names = [name for name in errors if not name.startswith(LINEAR)]
    rows = [[name, _three(errors[name]), _three(errors.get(LINEAR + name))] for name in names]
    head = ("", "surrogate", "linear model")
    return shown("Surrogate", facts, *([html_table("On rows held out", head, rows)] if rows else []))


def of_ledger(ledger: Records) -> str:
    """A study: its settings, what became of its trials, and its front."""
    from planner.advice.situation import Situation

    settings, situation = ledger.settings, Situation(ledger)
    facts = {
        "folder": str(ledger.folder),
        "base network": f"{settings.base} at {settings.space.resolution} px, {settings.data.classes} classes",
        "images": settings.data.source,
        "training": f"{settings.fidelity.epochs} epochs, recipe {settings.recipe.name}",
        "trials": ", ".join(f"{n} {name}" for name, n in situation.counts.items()),
    }
    front = situation.front.to_dict("records") if len(situation.rows) else []
    return shown("Study", facts, front_table("Front", front))


def front_table(caption: str, front: Sequence[Mapping[Any, Any]]) -> str:
    """Points of a front as a table: all, or as many as a glance takes in, the cheapest and the dearest among them."""
    n = len(front)
    if not n:
        return ""
    some = front if n <= MOST_ROWS else [front[i * (n - 1) // (MOST_ROWS - 1)] for i in range(MOST_ROWS)]
    names = [name for name in FRONT if any(name in row for row in some)]
    told = caption if n == len(some) else f"{caption} ({len(some)} of {n})"
    return html_table(
        told, ["MACs" if name == "macs" else name for name in names], [_cells(row, names) for row in some]
    )


def accuracy_words(accuracy: Mapping[str, Any] | None) -> str | None:
    """An expected accuracy and its interval, or None."""
    if accuracy is None:
        return None
    whose = ", of the front" if accuracy.get("of") == "front" else ""
    whose += "" if accuracy["in_range"] else ", outside what was trained"
    return (
        f"{accuracy['mean']:.1%} ({accuracy['lower']:.1%} to {accuracy['upper']:.1%}, {accuracy['level']:.0%}){whose}"
    )


def _cells(row: Mapping[Any, Any], names: Sequence[str]) -> list[Any]:
    forms = {"macs": format_count, "accuracy": "{:.1%}".format, **dict.fromkeys("rdw", "{:.3f}".format)}
    values = [(name, row.get(name)) for name in names]
    # What is missing in a table is NaN, which differs from itself.
    return [None if value is None or value != value else forms.get(name, str)(value) for name, value in values]


def _three(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _part(part: str) -> str:
    return f"stage {part}" if part.isdecimal() else part


def _spent(option: Any, part: str) -> str | None:
    """Blocks and channels of a part, and its share of the MACs."""
    one, share = option.prediction.architecture, option.shares.get(part)
    if share is None:
        return None
    if not part.isdecimal():
        return f"{getattr(one, part)} channels, {share:.1%}"
    return f"{one.depths[int(part) - 1]} x {one.widths[int(part) - 1]}, {share:.1%}"
