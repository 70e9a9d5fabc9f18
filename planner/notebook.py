"""How notebooks show a study, a formula and what they answer: small tables without scripts, everything escaped.

Colours are inherited, lines are grey and half transparent: readable on light and on dark pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from planner.text.markup import html_table
from planner.text.quantities import format_count

if TYPE_CHECKING:
    from planner.allocation.allocation import Allocation
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
        tables: Of `planner.text.markup.html_table`.
    """
    rows = [(name, value) for name, value in facts.items() if value is not None]
    parts = html_table(caption, ("", ""), rows, texts=(0, 1)), *tables
    return f'<div class="planner-shown"><style>{STYLE}</style>\n{"".join(parts)}\n</div>'


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
