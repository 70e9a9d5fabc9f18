"""Pieces of HTML. Whatever comes in as text is escaped here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from planner.report.svg import SHAPES


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of text."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def code(text: str) -> str:
    """Something to type."""
    return f"<code>{escape(text)}</code>"


def section(identity: str, heading: str, *parts: str) -> str:
    """A section with a heading."""
    body = "\n".join(part for part in parts if part)
    return f'<section id="{identity}">\n<h2>{escape(heading)}</h2>\n{body}\n</section>'


def figure(drawing: str, caption: str, legend: str = "") -> str:
    """A drawing with what is to be seen in it."""
    return f"<figure>{legend}{drawing}<figcaption>{escape(caption)}</figcaption></figure>" if drawing else ""


def details(summary: str, *parts: str) -> str:
    """Something that is shown when asked for."""
    return f"<details><summary>{escape(summary)}</summary>\n{''.join(parts)}\n</details>"


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[Any]], texts: Sequence[int] = (0,)) -> str:
    """A table that copies as text.

    Args:
        caption: What it holds.
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


def legend(entries: Sequence[tuple[str, str, str]]) -> str:
    """What marks and lines mean: (shape, or `line` or `band`; class; words)."""
    items = []
    for shape, kind, words in entries:
        if shape == "band":
            drawn = f'<path class="band {kind}" d="M0 2H22V12H0Z"/><path class="line {kind}" d="M0 7H22"/>'
        elif shape == "line":
            drawn = f'<path class="line {kind}" d="M0 7H22"/>'
        elif shape == "bar":
            drawn = f'<rect class="bar {kind}" x="2" y="1" width="18" height="12"/>'
        else:
            drawn = f'<path class="mark {kind}" d="{SHAPES[shape]}" transform="translate(11 7)"/>'
        items.append(f'<li><svg viewBox="0 0 22 14" aria-hidden="true">{drawn}</svg>{escape(words)}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>'


def embedded(document: Any) -> str:
    r"""JSON that may stand inside a script element: no `<` ends it early.

    Example:
        >>> embedded({"name": "</script>"})
        '{"name": "\\u003c/script>"}'
    """
    return inert(json.dumps(document, sort_keys=True, allow_nan=False))


def inert(text: str) -> str:
    """JSON text without `<`, which occurs inside its strings only."""
    return text.replace("<", "\\u003c")


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
