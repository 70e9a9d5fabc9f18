"""The studies of a folder: which there are and how they stand, other names for them, removing them."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from planner.errors import PlannerError
from planner.study.folder import LAST, existing, folder_of, folders, remember
from planner.study.locks import FolderLock, alone, locks_of
from planner.study.network import passing
from planner.study.reader import Records
from planner.study.settings import StudySettings, read_settings
from planner.study.storage import storage_errors
from planner.study.urls import safe_url, with_driver


@dataclass(frozen=True)
class Standing:
    """How a study stands, as its folder says without being opened.

    Attributes:
        name: Name of the study.
        base: Base network; None where study.toml cannot be read.
        trained: Trainings that ended well; None where the ledger is elsewhere or cannot be read.
        waiting: Trainings queued or running; likewise.
        formula: Whether one was fitted.
        used: When something was last written in its folder, local time.
        last: Whether it is the one that commands take by default.
    """

    name: str
    base: str | None
    trained: int | None
    waiting: int | None
    formula: bool
    used: datetime
    last: bool


def standings() -> list[Standing]:
    """How every study here stands, the last used first."""
    found = []
    for folder in folders():
        with passing():
            found.append(_standing(folder))
    return sorted(found, key=lambda one: one.used, reverse=True)


def rename(name: str, new: str) -> Path:
    """Gives a study another name.

    Returns:
        Its folder.

    Raises:
        PlannerError: If there is no such study, the name is taken or cannot be one, the study is being trained, or its
            ledger could not be found under another name.
    """
    folder, target = existing(name), folder_of(new)
    _check_free(target)
    with alone(target), _untouched(folder) as settings:
        _check_free(target)  # nobody made it meanwhile
        if settings.storage:
            raise PlannerError(
                f"{folder}: its ledger in {safe_url(settings.storage)} keeps the name {name}; keep it here too"
            )
        if len(names := _names(folder / "ledger.db")) > 1:
            raise PlannerError(f"{folder}: its ledger holds {len(names)} studies, of which it is the one of its name")
        last = folder_of(None) == folder
        folder.rename(target)
    if last:
        remember(target)
    return target


def remove(name: str) -> str:
    """Removes a study with all that is in its folder; links in it are removed, not followed.

    Returns:
        What is left of it elsewhere; empty where nothing is.

    Raises:
        PlannerError: If there is no such study, its folder is a link, or it is being trained.
    """
    folder = existing(name)
    if folder.is_symlink():
        raise PlannerError(f"{folder} is a link to {os.readlink(folder)}; remove the link itself, or name a folder")
    with _untouched(folder) as settings:
        last = folder_of(None) == folder
        gone = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.removed")
        folder.rename(gone)  # all at once, whatever happens now
        try:
            shutil.rmtree(gone)
        except OSError as error:
            raise PlannerError(f"{gone}: {error.strerror}; what is left of {folder} is there") from error
    if last:
        LAST.unlink(missing_ok=True)
    return f"its trainings in {safe_url(settings.storage)} stay there" if settings.storage else ""


def _check_free(target: Path) -> None:
    if os.path.lexists(target):
        raise PlannerError(f"{target} is there already; take another name, or remove it first")


@contextmanager
def _untouched(folder: Path) -> Iterator[StudySettings]:
    """The settings of a study, while nobody trains it.

    Raises:
        PlannerError: If somebody does.
    """
    settings = read_settings(folder / "study.toml")
    with FolderLock(folder).coordinating():
        url = with_driver(settings.storage)
        with storage_errors(url):
            others = locks_of(url, folder, folder.name).alive()
            if others:
                raise PlannerError(f"{folder}: {len(others)} other processes are training this study; stop them first")
        yield settings


def _standing(folder: Path) -> Standing:
    settings = None
    with suppress(PlannerError):
        settings = read_settings(folder / "study.toml")
    counts = _counts(folder, settings) if settings and not settings.storage else None
    return Standing(
        name=folder.name,
        base=settings.base if settings else None,
        trained=None if counts is None else counts["ok"],
        waiting=None if counts is None else counts["waiting"] + counts["running"],
        formula=(folder / "formula.json").is_file(),
        used=datetime.fromtimestamp(max(one.lstat().st_mtime for one in folder.iterdir())),
        last=folder_of(None) == folder,
    )


def _counts(folder: Path, settings: StudySettings) -> dict[str, int] | None:
    """Trials of a ledger by what became of them, as `planner status` counts them; None where it cannot be read."""
    try:
        return Records(folder, settings).counts()
    except PlannerError:
        return None


def _names(ledger: Path) -> list[str]:
    """What the studies in a ledger are called there, read without Optuna, which would write to it."""
    try:
        with closing(sqlite3.connect(f"{ledger.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return [name for (name,) in connection.execute("SELECT study_name FROM studies")]
    except (sqlite3.Error, OSError):
        return []
