"""Storages of ledgers: their URLs, their errors, and settings that all who share one agree on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import PlannerError

if TYPE_CHECKING:
    import optuna

    from planner.settings import StudySettings

# The attribute of a study in a shared storage that says what it is.
SETTINGS = "settings"
# Seconds that a process waits for another that is writing to an SQLite file; 5 are the default.
PATIENCE = 120


def with_driver(url: str) -> str:
    """A PostgreSQL URL with a driver that is installed, first that of our extra, where it names none.

    SQLAlchemy takes another driver by default from 2.1 on (psycopg) than before (psycopg2).
    """
    scheme, separator, rest = url.partition("://")
    there = [name for name in ("psycopg2", "psycopg") if find_spec(name)]
    if separator and scheme in ("postgresql", "postgres") and there:
        return f"postgresql+{there[0]}://{rest}"
    return url


def shown(url: str) -> str:
    """A storage's URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turns what a storage refuses (a full disk, a damaged file, a server away) into one line.

    Raises:
        PlannerError: Instead of the storage's own errors.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except RuntimeError as error:
        if "table schema" not in str(error):  # Optuna's own words, for which it has no class
            raise
        raise PlannerError(
            f"{shown(url)}: written by another version of Optuna; run `optuna storage upgrade --storage URL`, or use "
            "the version that wrote it"
        ) from error
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = str(error.__cause__ or error).split("\n")[0]
        raise PlannerError(
            f"{shown(url)}: the ledger refuses ({reason}); free space or mend the storage, "
            "then run the same command again"
        ) from error


@contextmanager
def driver_errors(url: str) -> Iterator[None]:
    """Turns a missing database driver into one line.

    Raises:
        PlannerError: Instead of the import's error.
    """
    try:
        yield
    except ImportError as error:
        remedy = "install it with pip"
        if url.startswith("postgres"):
            remedy += ": pip install 'scaling-planner[postgres]'"
        raise PlannerError(f"{shown(url)}: needs a driver that is not installed ({error}); {remedy}") from error


def storage_of(url: str) -> Any:
    """The storage of a URL, which reads fast."""
    from planner.fast_storage import FastStorage

    # One that reads may be slow, on a busy machine: nobody gives up for that.
    waits = {"connect_args": {"timeout": PATIENCE}} if url.startswith("sqlite") else {}
    return FastStorage(url, engine_kwargs=waits)


def study_name(storage: Any, folder: Path, own: bool) -> str:
    """The name in the storage: the folder's, or what it was when a folder with a ledger of its own was renamed."""
    names = [study.study_name for study in storage.get_all_studies()] if own else []
    return str(names[0]) if len(names) == 1 else folder.name


def agree(study: optuna.Study, settings: StudySettings) -> None:
    """Refuses a study of the same name that another folder made otherwise; the first one to come decides.

    Raises:
        PlannerError: Naming what differs.
    """
    ours = _flat(settings.model_dump(mode="json", exclude={"storage": True, "data": {"source"}}))
    theirs = study.user_attrs.get(SETTINGS)
    if theirs is None:
        study.set_user_attr(SETTINGS, ours)
    elif theirs != ours:
        name = next(name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name))
        raise PlannerError(
            f"the storage has a study {study.study_name} with {name} = {theirs.get(name)}, not {ours.get(name)}; "
            "copy its study.toml, or take another --study"
        )


def _flat(document: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        flat.update(_flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value})
    return flat
