"""A report as a file: its numbers drawn and written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import PlannerError
from planner.report.numbers import numbers_of
from planner.report.page import page_of
from planner.report.source import ReportSource
from planner.text.documents import write_out, write_own


@dataclass(frozen=True)
class Report:
    """A page that was written.

    Attributes:
        path: File of the report.
        size: Size of the file, in bytes.
        numbers: All that it shows, in JSON's types.
    """

    path: Path
    size: int
    numbers: dict[str, Any]


def check_path(path: Path) -> None:
    """Refuses a file that could not be written, before minutes of work.

    Raises:
        PlannerError: If a folder of its path is a file.
    """
    if not all(folder.is_dir() or not folder.exists() for folder in path.parents):
        raise PlannerError(f"{path}: a folder of its path is a file; choose another --out")


def write_report(source: ReportSource, path: Path, own: bool) -> Report:
    """Writes a page.

    Args:
        source: Study or table that the report is about.
        path: File of the report.
        own: Whether that is a file of ours, not one that a user named.

    Raises:
        PlannerError: If it cannot be written.
    """
    numbers = numbers_of(source)
    page = page_of(numbers, source.formula, source.command)
    (write_own if own else write_out)(path, page)
    return Report(path, len(page.encode()), numbers)
