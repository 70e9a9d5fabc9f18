"""Storages of ledgers: their errors, and settings that all who share one agree on."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from planner.errors import PlannerError
from planner.study.ledger_file import BUSY_SECONDS, damaged, is_damage, reading
from planner.study.optuna_rows import DamagedError, read_fast
from planner.study.settings import StudySettings
from planner.study.urls import file_of, safe_url
from trainer.score import ACCURACY, Score

if TYPE_CHECKING:
    import optuna

# The attribute of a study in a shared storage that says what it is.
SETTINGS = "settings"


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
            f"{safe_url(url)}: written by another version of Optuna; run `optuna storage upgrade --storage URL`, or "
            "use the version that wrote it"
        ) from error
    except (DamagedError, StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
        drivers = _of_driver(error)
        if isinstance(error, DamagedError) or is_damage(drivers):
            raise damaged(file_of(url) or safe_url(url), str(drivers or error)) from error
        reason = str(drivers or error.__cause__ or error).split("\n")[0]
        raise PlannerError(
            f"{safe_url(url)}: the ledger refuses ({reason}); free space or mend the storage, "
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
        raise PlannerError(f"{safe_url(url)}: needs a driver that is not installed ({error}); {remedy}") from error


def storage_of(url: str, made: bool = False) -> Any:
    """The storage of a URL, which reads fast.

    Args:
        url: URL of the storage.
        made: Whether its tables are there, so that none needs to be made.
    """
    from optuna.storages import RDBStorage

    # One that reads may be slow, on a busy machine: nobody gives up for that. A server may have been started again.
    sqlite = url.startswith("sqlite")
    waits: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}} if sqlite else {"pool_pre_ping": True}
    return read_fast(RDBStorage(url, engine_kwargs=waits, skip_table_creation=made))


def storage_to_read(url: str) -> Any:
    """The storage of a URL, from which nothing but reading is done: neither a file nor a table is made.

    Raises:
        PlannerError: If there is no ledger, or it is damaged.
    """
    from optuna.storages import RDBStorage
    from sqlalchemy.pool import StaticPool

    path = file_of(url)
    if path is not None:
        connection = reading(path)
        single = {"creator": lambda: connection, "poolclass": StaticPool}
        return read_fast(RDBStorage(url, engine_kwargs=single, skip_table_creation=True))
    if not _has_tables(url):
        raise PlannerError(f"{safe_url(url)}: no ledger is there; restore it, or queue trainings with `planner sample`")
    return storage_of(url, made=True)


def _has_tables(url: str) -> bool:
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.pool import NullPool

    return bool(inspect(create_engine(url, poolclass=NullPool)).has_table("trials"))


def study_name(storage: Any, folder: Path, own: bool) -> str:
    """The name in the storage: the folder's, or what it was when a folder with a ledger of its own was renamed."""
    names = [study.study_name for study in storage.get_all_studies()] if own else []
    return str(names[0]) if len(names) == 1 else folder.name


def new_study(storage: Any, name: str, seed: int, score: Score) -> optuna.Study:
    """Makes a study in a storage, or opens the one that somebody made meanwhile."""
    import optuna

    study = optuna.create_study(
        study_name=name,
        storage=storage,
        directions=directions_of(score),
        sampler=optuna.samplers.RandomSampler(seed=seed),
        load_if_exists=True,
    )
    name_values(study, score)
    return study


def value_names(score: Score) -> list[str]:
    """What dashboards call a trial's two values."""
    return [score.name, "macs"]


def directions_of(score: Score) -> list[Literal["minimize", "maximize"]]:
    """Which way each of a trial's two values is better."""
    return ["minimize" if score.lower else "maximize", "minimize"]


def name_values(study: optuna.Study, score: Score) -> None:
    """Names a study's values for dashboards."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(value_names(score))


def annotate(study: optuna.Study, trial: optuna.trial.FrozenTrial, facts: Mapping[str, Any]) -> None:
    """Writes attributes of a trial, whatever its state."""
    import optuna

    live = optuna.trial.Trial(study, trial._trial_id)
    for name, value in facts.items():
        live.set_user_attr(name, value)


def set_state(study: optuna.Study, trial: optuna.trial.FrozenTrial, state: optuna.trial.TrialState) -> None:
    """Gives a trial another state by its storage: Optuna's studies cannot have a running trial wait again.

    The one place that writes past `optuna.Study`; `BaseStorage.set_trial_state_values` is documented there.
    """
    study._storage.set_trial_state_values(trial._trial_id, state=state)


def write_study(
    path: Path, name: str, seed: int, trials: Sequence[optuna.trial.FrozenTrial], score: Score = ACCURACY
) -> None:
    """Writes a new SQLite file that holds one study.

    Args:
        path: The file.
        name: Name of the study.
        seed: Random seed of its sampler.
        trials: Which it shall hold.
        score: Number that its trainings are judged by.
    """
    storage = storage_of(f"sqlite:///{path}")
    try:
        new_study(storage, name, seed, score).add_trials(trials)
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
    without: dict[str, Any] = {"storage": True, "data": {"source"}, "network": {"given"}, **settings.left_out()}
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
