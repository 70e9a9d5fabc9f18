"""What a report is about: a table of trainings, the formula that answers, and the surrogate that expects accuracies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planner.advice.situation import Situation
from planner.answers.formula import Formula
from planner.errors import PlannerError
from planner.fitting.fit import fit
from planner.formulas.selection import select
from planner.front.pareto import FRONT_SHARE
from planner.study.opening import read_ledger
from planner.surrogates.surrogate import Surrogate
from planner.tables.frames import path_shown, read_frame
from planner.tables.table import Table, as_study, from_outside

if TYPE_CHECKING:
    import pandas as pd


FITTED_HERE = "fitted for this page"


@dataclass(frozen=True, eq=False)
class ReportSource:
    """What a report is about.

    Attributes:
        name: Name of the study, or of the table's file.
        table: The trainings that can be used.
        finished: Every training that ended, however it did.
        formula: Formula that answers budgets; None where there are too few trainings.
        origin: The file that the formula is from, or that it was fitted for this page.
        doubts: Sentences that a reader must know of the formula.
        surrogate: Expects accuracies, fitted to this table; None where there are too few trainings.
        why: Why there is no formula or no surrogate, by those names.
        command: The beginning of the command that answers a budget by this formula.
        situation: Situation of a study; None of a table.
    """

    name: str
    table: Table
    finished: pd.DataFrame
    formula: Formula | None
    origin: str
    doubts: tuple[str, ...]
    surrogate: Surrogate | None
    why: dict[str, str]
    command: str
    situation: Situation | None = None


def of_study(name: str | None, formula: str | None = None) -> ReportSource:
    """What there is of a study; its `formula.json` answers, or a fit where it has none.

    Args:
        name: The study's name; the last one used by default.
        formula: Another formula's file.

    Raises:
        PlannerError: If there is no such study, it has no finished training, or the formula cannot be used.
    """
    ledger = read_ledger(name)
    situation, study = Situation(ledger), ledger.folder.name
    if not len(situation.rows):
        counts = situation.counts
        verb = "train" if counts["waiting"] or counts["running"] else "sample"
        raise PlannerError(f"{ledger.folder}: no finished training to report; run `planner {verb} --study {study}`")
    own = ledger.folder / "formula.json"
    path = Path(formula) if formula else own if own.is_file() else None
    return _source(study, ledger.table(), situation.finished, path, f"planner fit --study {study}", situation)


def of_table(path: Path, base: str | None = None, formula: str | None = None) -> ReportSource:
    """What there is of a CSV file; a fit to it answers, or the formula given.

    Raises:
        PlannerError: If the table or the formula cannot be used.
    """
    finished = read_frame(path, "training", "trainings")
    table, given = from_outside(finished, base), Path(formula) if formula else None
    return _source(path_shown(path.name), table, as_study(finished), given, f"planner fit {path_shown(path)}")


def _source(
    name: str,
    table: Table,
    finished: pd.DataFrame,
    path: Path | None,
    command: str,
    situation: Situation | None = None,
) -> ReportSource:
    formula, origin, doubts, why = None, FITTED_HERE, [], {}
    if path is not None:
        formula, origin, doubts = *_read(path, table), _doubts(path, table, command)
    else:
        try:
            formula = fit(table)
        except PlannerError as error:
            why["formula"] = str(error)
        if formula is not None and situation is not None:
            doubts = [f"The study has no formula yet, so this one was fitted for this page; `{command}` writes it."]
    # A formula that was fitted for the page is a file once it is downloaded from it.
    own = situation is not None and path == situation.ledger.folder / "formula.json"
    answers = f"planner predict --study {name}" if own else f"planner predict --formula {path or 'formula.json'}"
    surrogate, reason = _surrogate(table, formula)
    if reason is not None:
        why["surrogate"] = reason
    return ReportSource(name, table, finished, formula, origin, tuple(doubts), surrogate, why, answers, situation)


def _read(path: Path, table: Table) -> tuple[Formula, str]:
    """A formula's file, for the table's base network at the table's resolution and classes."""
    formula = Formula.load(path)
    if formula.base != table.base:
        raise PlannerError(f"{path} is a formula for {formula.base}, not for {table.base}; give another --formula")
    if (formula.resolution, formula.classes) != (table.resolution, table.classes):
        formula = formula.at(table.resolution, table.classes)
    return formula, str(path)


def _doubts(path: Path, table: Table, command: str) -> list[str]:
    """Whether a formula's file was fitted on other trainings than the table's."""
    facts = Formula.load(path).provenance
    if facts.get("table_sha256") == table.sha256:
        return []
    rows = facts.get("rows")
    seen = f"on {rows} trainings" if isinstance(rows, int) else "on other trainings"
    return [
        f"{path} was fitted {seen}, before or apart from the {len(table.frame)} shown here; `{command}` fits it again."
    ]


def _surrogate(table: Table, formula: Formula | None) -> tuple[Surrogate | None, str | None]:
    """The surrogate of a table, and why there is none."""
    if formula is not None and formula.surrogate is not None:
        if formula.provenance.get("table_sha256") == table.sha256:
            found: Surrogate = formula.surrogate
            return found, None
    selection = select(table, FRONT_SHARE, 0)
    return selection.surrogate, selection.why if selection.surrogate is None else None
