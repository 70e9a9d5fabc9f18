"""Pieces of HTML that pages and notebooks share. Whatever comes in as text is escaped here.

A `Card` is what an object shows of itself in a notebook: small tables without scripts. Colours are inherited, lines are
grey and half transparent: readable on light and on dark pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from planner.text.quantities import format_count
from trainer.score import ACCURACY, ACCURACY_NAME, Score

MOST_POINTS = 12  # of a front on a card
_CARD_STYLE = (
    ".planner-shown table{border-collapse:collapse;margin:.3em 0 .8em;color:inherit;background:none}"
    ".planner-shown caption{text-align:left;font-weight:600;color:inherit}"
    ".planner-shown th,.planner-shown td{padding:.15em .7em;text-align:left;color:inherit;"
    "border-bottom:1px solid rgba(128,128,128,.4)}"
    ".planner-shown .number{text-align:right;font-variant-numeric:tabular-nums}"
    ".planner-shown .scroll{overflow-x:auto}"
)
_POINT_COLUMNS = ("trial", "resolution", "r", "d", "w", "macs", "accuracy")


@dataclass(frozen=True)
class CardTable:
    """A table on a card.

    Attributes:
        caption: Words above it.
        header: Names of the columns.
        rows: Cells, as `html_table` takes them; a table without rows is not shown.
        texts: Numbers of the columns that hold words; all others are aligned as numbers.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    texts: Sequence[int] = (0,)


@dataclass(frozen=True)
class Card:
    """What a notebook shows of an object.

    Attributes:
        title: Kind of the object.
        facts: Values by what they are; those that are None are not shown.
        tables: Tables below the facts.
    """

    title: str
    facts: Mapping[str, Any]
    tables: Sequence[CardTable] = ()


def drawn(card: Card) -> str:
    """The HTML of a card."""
    facts = [(name, value) for name, value in card.facts.items() if value is not None]
    parts = [html_table(card.title, ("", ""), facts, texts=(0, 1))]
    parts += [html_table(below.caption, below.header, below.rows, below.texts) for below in card.tables if below.rows]
    return f'<div class="planner-shown"><style>{_CARD_STYLE}</style>\n{"".join(parts)}\n</div>'


def points_table(caption: str, points: Sequence[Mapping[Any, Any]], score: Score = ACCURACY) -> CardTable:
    """Points of a front: all, or as many as a glance takes in, the cheapest and the most expensive among them.

    Args:
        caption: Words above the table.
        points: Values of each by their names, cheapest first; of those that a card shows, the missing are dashes.
        score: Number that they are judged by; `accuracy` is its merit.
    """
    n = len(points)
    some = points if n <= MOST_POINTS else [points[i * (n - 1) // (MOST_POINTS - 1)] for i in range(MOST_POINTS)]
    names = [name for name in _POINT_COLUMNS if any(name in point for point in some)]
    title = caption if n == len(some) else f"{caption} ({len(some)} of {n})"
    header = [{"macs": "MACs", ACCURACY_NAME: score.name}.get(name, name) for name in names]
    return CardTable(title, header, [_point_cells(point, names, score) for point in some])


def _point_cells(point: Mapping[Any, Any], names: Sequence[str], score: Score) -> list[Any]:
    formats = {"macs": format_count, ACCURACY_NAME: score.text, **dict.fromkeys("rdw", "{:.3f}".format)}
    values = [(name, point.get(name)) for name in names]
    # What is missing in a table is NaN, which differs from itself.
    return [None if value is None or value != value else formats.get(name, str)(value) for name, value in values]


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of text."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def code(text: str) -> str:
    """Something to type."""
    return f"<code>{escape(text)}</code>"


def details(summary: str, *parts: str) -> str:
    """Something that is shown when asked for."""
    return f"<details><summary>{escape(summary)}</summary>\n{''.join(parts)}\n</details>"


def html_table(caption: str, header: Sequence[str], rows: Sequence[Sequence[Any]], texts: Sequence[int] = (0,)) -> str:
    """A table that copies as text.

    Args:
        caption: Words above it.
        header: Names of the columns.
        rows: Cells; None is shown as a dash.
        texts: Numbers of the columns that hold words; all others are aligned as numbers.
    """
    kinds = ["" if i in texts else "number" for i in range(len(header))]
    heads = "".join(f"<th{_class(kind)}>{escape(name)}</th>" for kind, name in zip(kinds, header, strict=True))
    lines = "\n".join(
        "<tr>" + "".join(_cell(value, kind) for kind, value in zip(kinds, row, strict=True)) + "</tr>" for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>"
    )


def _cell(value: Any, kind: str) -> str:
    told = "-" if value is None or value == "" else str(value)
    return f"<td{_class('wide' if len(told) > 60 else kind)}>{escape(told)}</td>"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
