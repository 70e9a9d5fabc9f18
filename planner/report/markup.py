"""Pieces of a page in HTML. Whatever comes in as text is escaped here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from planner.report.svg import SHAPES


def section(identity: str, heading: str, *parts: str) -> str:
    """A section with a heading."""
    body = "\n".join(part for part in parts if part)
    return f'<section id="{identity}">\n<h2>{escape(heading)}</h2>\n{body}\n</section>'


def figure(drawing: str, caption: str, legend: str = "") -> str:
    """A drawing with what is to be seen in it."""
    return f"<figure>{legend}{drawing}<figcaption>{escape(caption)}</figcaption></figure>" if drawing else ""


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
