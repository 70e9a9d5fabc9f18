"""The page: one HTML file that needs nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape
from importlib.resources import files

from planner.formulas.codec import dumps
from planner.formulas.formula import FormulaCurves
from planner.report import evidence, found, sections
from planner.report.markup import embedded, inert
from planner.report.plots import Numbers

LARGEST_FORMULA = 600_000  # characters; a longer one goes without its surrogate, which the page does not read


def page_of(numbers: Numbers, formula: FormulaCurves | None, command: str) -> str:
    """The text of a report.

    Args:
        numbers: Numbers of the report, of `planner.report.numbers.numbers_of`.
        formula: Formula that the slider evaluates; None for a page without one.
        command: The beginning of the command that answers a budget to 1 %.
    """
    body = (
        sections.answer_section(numbers, command),
        sections.advice_section(numbers),
        sections.front_section(numbers),
        sections.curves_section(numbers),
        sections.parts_section(numbers),
        found.searches_section(numbers),
        evidence.trust_section(numbers),
        evidence.time_section(numbers),
        evidence.data_section(numbers),
    )
    holes = {
        "title": f"{escape(numbers['name'])}: scaling report",
        "style": _read("planner.report", "style.css"),
        "header": sections.header_section(numbers),
        "sections": "\n".join(part for part in body if part),
        "numbers": embedded(numbers),
        "formula": "" if formula is None else _formula_element(formula),
        "evaluator": _read("planner.formulas", "evaluator.js"),
        "solver": _read("planner.formulas", "solver.js"),
        "quantity": _read("planner.report", "quantity.js"),
        "script": _read("planner.report", "page.js"),
    }
    # All at once, so that braces in what was filled in stay as they are.
    text = re.sub(r"\{\{(\w+)\}\}", lambda hole: holes[hole[1]], _read("planner.report", "template.html"))
    return text.encode("utf-8", "backslashreplace").decode()  # a file's name may hold bytes that are no UTF-8


def _formula_element(formula: FormulaCurves) -> str:
    """The formula's file, as `planner predict --formula` reads it."""
    text = dumps(formula)
    if len(text) > LARGEST_FORMULA:
        text = dumps(replace(formula, surrogate=None, answers=None))
    return f'<script type="application/json" id="formula">{inert(text)}</script>'


def _read(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
