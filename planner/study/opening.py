"""Opening the ledger of a study: to write it, to read it, or by options that describe it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from planner.errors import PlannerError
from planner.study.folder import existing, folder_of, remember
from planner.study.ledger import Ledger
from planner.study.network import check_given
from planner.study.options import StudyOptions, changed_option
from planner.study.reader import Records
from planner.study.settings import StudySettings, read_settings

_R = TypeVar("_R", bound=Records)


def open_ledger(name: str | None) -> Ledger:
    """The ledger of a study that exists, to be written too; the study becomes the last one used.

    Raises:
        PlannerError: If there is no such study.
    """
    return _opened(name, Ledger)


def read_ledger(name: str | None) -> Records:
    """The ledger of a study that exists, to be read: where it is nothing is written, nor need one be allowed to.

    Raises:
        PlannerError: If there is no such study.
    """
    return _opened(name, Records)


def _opened(name: str | None, kind: Callable[[Path, StudySettings], _R]) -> _R:
    folder = existing(name)
    ledger = kind(folder, read_settings(folder / "study.toml"))
    if folder != folder_of(None):
        remember(folder)
    return ledger


def opened(folder: Path, options: StudyOptions) -> Ledger:
    """The ledger of a study that exists, which options may describe but not change.

    Raises:
        PlannerError: If an option says something else than the study was made with.
    """
    settings = read_settings(folder / "study.toml")
    check_given(folder, settings.network, options.base)
    changed = changed_option(folder.name, settings, options)
    if not changed:
        return Ledger(folder, settings)
    if not settings.storage and not any(Records(folder, settings).counts().values()):
        changed += f"; nothing was queued in it: `planner studies rm {folder.name}` removes it"
    raise PlannerError(changed)
