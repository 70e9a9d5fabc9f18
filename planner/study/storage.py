"""Storages of ledgers: their URLs, their errors, and settings that all who share one agree on."""

from __future__ import annotations

import re
import sqlite3
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from planner.errors import PlannerError
from planner.study.ledger_file import PATIENCE, damaged, is_damage, reading

if TYPE_CHECKING:
    import optuna
    from sqlalchemy import URL

    from planner.study.settings import StudySettings

NAMES = ["accuracy", "macs"]  # what dashboards call the two values
# Parameters of a URL that no error shows, and what it shows instead.
SECRET = re.compile("pass|pwd|secret|token", re.IGNORECASE)
_HIDDEN = "***"
# The attribute of a study in a shared storage that says what it is.
SETTINGS = "settings"


def with_driver(url: str) -> str:
    """A PostgreSQL URL with a driver that is installed, first that of our extra, where it names none.

    SQLAlchemy takes another driver by default from 2.1 on (psycopg) than before (psycopg2).
    """
    scheme, separator, rest = url.partition("://")
    there = [name for name in ("psycopg2", "psycopg") if find_spec(name)]
    if separator and scheme in ("postgresql", "postgres") and there:
        return f"postgresql+{there[0]}://{rest}"
    return url


@cache
def shown(url: str) -> str:
    """A storage's URL without its secrets, as the parser that opens it sees them.

    Example:
        >>> shown("postgresql://me:pa/ss@host/planner?password=secret&sslmode=require")
        'postgresql://me:***@host/planner?password=***&sslmode=require'
    """
    parsed = _parsed(url)
    if parsed is None:  # nobody can say where its secrets are
        scheme, separator, _ = url.partition("://")
        return f"{scheme}://{_HIDDEN}" if separator and scheme.replace("+", "").isalnum() else _HIDDEN
    if parsed.password is None and not parsed.query:
        return url
    query = {name: _HIDDEN if SECRET.search(f"{name}={value}") else value for name, value in parsed.query.items()}
    return parsed.set(query=query).render_as_string(hide_password=True).replace(quote(_HIDDEN), _HIDDEN)


def has_secret(url: str) -> bool:
    """Whether a storage's URL holds what others must not see."""
    return _HIDDEN in shown(url)


def check_url(url: str) -> None:
    """Refuses a storage that could not keep a study.

    Raises:
        PlannerError: If it is no URL, or a database in memory.
    """
    parsed = _parsed(url)
    if parsed is None:
        raise PlannerError(
            f"storage {shown(url)} is no URL; give one such as postgresql://user@host/database or sqlite:///FILE "
            "(@ : / in a password are written %40 %3A %2F)"
        )
    file = parsed.database or ""
    if parsed.get_backend_name() == "sqlite" and (
        file in ("", ":memory:") or file.startswith("file::memory:") or parsed.query.get("mode") == "memory"
    ):
        raise PlannerError(f"storage {shown(url)} is in memory, and gone when the command ends; give sqlite:///FILE")


def _parsed(url: str) -> URL | None:
    """What SQLAlchemy makes of a URL; None where that is nothing, or not what was meant."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
        wrong = "\0" in url or "@" in (parsed.host or "") or not 0 < (parsed.port or 1) < 2**16
        return None if wrong else parsed
    except (ArgumentError, ValueError):
        return None


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turns what a storage refuses (a full disk, a damaged file, a server away) into one line.

    Raises:
        PlannerError: Instead of the storage's own errors.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    from planner.study.optuna_rows import DamagedError

    try:
        yield
    except RuntimeError as error:
        if "table schema" not in str(error):  # Optuna's own words, for which it has no class
            raise
        raise PlannerError(
            f"{shown(url)}: written by another version of Optuna; run `optuna storage upgrade --storage URL`, or use "
            "the version that wrote it"
        ) from error
    except (StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
        drivers = _of_driver(error)
        if isinstance(error, DamagedError) or is_damage(drivers):
            raise damaged(file_of(url) or shown(url), str(drivers or error)) from error
        reason = str(drivers or error.__cause__ or error).split("\n")[0]
        raise PlannerError(
            f"{shown(url)}: the ledger refuses ({reason}); free space or mend the storage, "
            "then run the same command again"
        ) from error


def _of_driver(error: BaseException) -> BaseException | None:
    """The database driver's own error below one of Optuna's or SQLAlchemy's."""
    from sqlalchemy.exc import DBAPIError

    found: BaseException | None = error
    while found is not None and not isinstance(found, DBAPIError | sqlite3.Error):
        found = found.__cause__
    return found.orig if isinstance(found, DBAPIError) else found


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


def file_of(url: str) -> Path | None:
    """The file of an SQLite storage; None for servers, and for what only SQLite understands."""
    from sqlalchemy import make_url

    found = make_url(url)
    plain = found.get_backend_name() == "sqlite" and found.database not in (None, "", ":memory:") and not found.query
    return Path(str(found.database)) if plain else None


def storage_of(url: str, made: bool = False) -> Any:
    """The storage of a URL, which reads fast.

    Args:
        url: Of the storage.
        made: Whether its tables are there, so that none needs to be made.
    """
    from planner.study.optuna_rows import FastStorage

    # One that reads may be slow, on a busy machine: nobody gives up for that. A server may have been started again.
    sqlite = url.startswith("sqlite")
    waits: dict[str, Any] = {"connect_args": {"timeout": PATIENCE}} if sqlite else {"pool_pre_ping": True}
    return FastStorage(url, engine_kwargs=waits, skip_table_creation=made)


def storage_to_read(url: str) -> Any:
    """The storage of a URL, from which nothing but reading is done: neither a file nor a table is made.

    Raises:
        PlannerError: If there is no ledger, or it is damaged.
    """
    from sqlalchemy.pool import StaticPool

    from planner.study.optuna_rows import FastStorage

    path = file_of(url)
    if path is not None:
        connection = reading(path)
        single = {"creator": lambda: connection, "poolclass": StaticPool}
        return FastStorage(url, engine_kwargs=single, skip_table_creation=True)
    if not _has_tables(url):
        raise PlannerError(f"{shown(url)}: no ledger is there; restore it, or queue trainings with `planner sample`")
    return storage_of(url, made=True)


def _has_tables(url: str) -> bool:
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.pool import NullPool

    return bool(inspect(create_engine(url, poolclass=NullPool)).has_table("trials"))


def study_name(storage: Any, folder: Path, own: bool) -> str:
    """The name in the storage: the folder's, or what it was when a folder with a ledger of its own was renamed."""
    names = [study.study_name for study in storage.get_all_studies()] if own else []
    return str(names[0]) if len(names) == 1 else folder.name


def new_study(storage: Any, name: str, seed: int) -> optuna.Study:
    """Makes a study in a storage, or opens the one that somebody made meanwhile."""
    import optuna

    study = optuna.create_study(
        study_name=name,
        storage=storage,
        directions=["maximize", "minimize"],
        sampler=optuna.samplers.RandomSampler(seed=seed),
        load_if_exists=True,
    )
    name_values(study)
    return study


def name_values(study: optuna.Study) -> None:
    """Names a study's values for dashboards."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(NAMES)


def write_study(path: Path, name: str, seed: int, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
    """Writes a new SQLite file that holds one study.

    Args:
        path: The file.
        name: Of the study.
        seed: Of its sampler.
        trials: Which it shall hold.
    """
    storage = storage_of(f"sqlite:///{path}")
    try:
        new_study(storage, name, seed).add_trials(trials)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def agree(study: optuna.Study, settings: StudySettings, write: bool) -> None:
    """Refuses a study of the same name that another folder made otherwise; the first one to come decides.

    Args:
        study: In the storage.
        settings: The folder's.
        write: Whether they are written down where there are none yet.

    Raises:
        PlannerError: Naming what differs.
    """
    without: dict[str, Any] = {"storage": True, "data": {"source"}, **dict.fromkeys(settings.left_out(), True)}
    ours = _flat(settings.model_dump(mode="json", exclude=without))
    theirs = study.user_attrs.get(SETTINGS)
    if theirs is None:
        if write:
            study.set_user_attr(SETTINGS, ours)
    elif not isinstance(theirs, dict):
        raise damaged(study.study_name, f"its settings are {theirs!r}")
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
