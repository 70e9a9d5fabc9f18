"""Pieces of HTML that pages and notebooks share. Whatever comes in as text is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of text."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def code(text: str) -> str:
    """Something to type."""
    return f"<code>{escape(text)}</code>"


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


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
