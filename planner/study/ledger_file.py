"""A ledger's SQLite file: made whole or not at all, read without a write, and checked before anybody relies on it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from planner.errors import PlannerError
from trainer.mending import told

# Seconds that a process waits for another that is writing; 5 are the default.
BUSY_SECONDS = 120
# Of a file that is copied while it changes.
_COPIES = 10
TABLES = {
    *("studies", "study_directions", "study_user_attributes", "study_system_attributes"),
    *("trials", "trial_user_attributes", "trial_system_attributes", "trial_params", "trial_values"),
    *("trial_intermediate_values", "trial_heartbeats", "version_info", "alembic_version"),
}
# What a ledger is known by, beside the tables of another program.
_OURS = {"studies", "trials"}
WAL = b"\2\2"  # bytes 18 and 19 of a file whose newest pages are in another, until somebody writes
DATE = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9]*"
DATED = "typeof({0}) NOT IN ('null', 'text') OR (typeof({0}) = 'text' AND ({0} NOT GLOB '" + DATE + "'))"
# What no ledger holds: words, and the rows of which they are said, a trial's number and what is there.
WRONG_ROWS = (
    ("no study's name", "SELECT '?', study_name FROM studies WHERE typeof(study_name) <> 'text'"),
    (
        "no direction of a study",
        "SELECT '?', direction FROM study_directions WHERE typeof(objective) <> 'integer' OR "
        "typeof(direction) <> 'text' OR direction NOT IN ('MAXIMIZE', 'MINIMIZE', 'NOT_SET')",
    ),
    ("no whole number", "SELECT '?', number FROM trials WHERE typeof(number) <> 'integer' OR number < 0"),
    (
        "more than one trial",
        "SELECT number, count(*) FROM trials GROUP BY study_id, number HAVING count(*) > 1",
    ),
    (
        "no state",
        "SELECT number, state FROM trials WHERE typeof(state) <> 'text' OR "
        "state NOT IN ('RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING')",
    ),
    *(
        ("no date", f"SELECT number, {column} FROM trials WHERE {DATED.format(column)}")
        for column in ("datetime_start", "datetime_complete")
    ),
    (
        "no value",
        "SELECT number, coalesce(v.value, v.value_type) FROM trial_values v JOIN trials USING (trial_id) WHERE "
        "typeof(v.objective) <> 'integer' OR v.value_type NOT IN ('FINITE', 'INF_POS', 'INF_NEG') OR "
        "(v.value_type = 'FINITE') <> (typeof(v.value) IN ('real', 'integer'))",
    ),
    (
        "no parameter",
        "SELECT number, p.param_name FROM trial_params p JOIN trials USING (trial_id) WHERE "
        "typeof(p.param_name) <> 'text' OR typeof(p.param_value) NOT IN ('real', 'integer') OR "
        "typeof(p.distribution_json) <> 'text' OR NOT json_valid(p.distribution_json)",
    ),
)
ATTRIBUTES = (
    *(
        f"SELECT number, a.key, a.value_json FROM {table} a JOIN trials USING (trial_id)"
        for table in ("trial_user_attributes", "trial_system_attributes")
    ),
    *(
        f"SELECT NULL, a.key, a.value_json FROM {table} a"
        for table in ("study_user_attributes", "study_system_attributes")
    ),
)
NO_JSON = " WHERE typeof(a.key) <> 'text' OR typeof(a.value_json) <> 'text' OR NOT json_valid(a.value_json)"


def is_there(path: Path) -> bool:
    """Whether there is anything, and not an empty file: SQLite makes one of nothing, and takes an empty one for new."""
    return path.exists() and not (path.is_file() and path.stat().st_size == 0)


def make(path: Path, fill: Callable[[Path], None]) -> None:
    """Makes a file whole or not at all; one that somebody made meanwhile stays.

    Args:
        path: The file, missing or empty.
        fill: Writes a file of the name given.

    Raises:
        PlannerError: If it cannot be made.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        temporary.unlink(missing_ok=True)
        fill(temporary)
        _place(temporary, path)
    except OSError as error:
        raise PlannerError(told(error)) from error
    finally:
        for left in (temporary, temporary.with_name(f"{temporary.name}-journal")):
            left.unlink(missing_ok=True)


def _place(temporary: Path, path: Path) -> None:
    """Gives a file its name, unless another took it meanwhile."""
    if path.exists():
        if not is_there(path):
            os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        os.replace(temporary, path)


def reading(path: Path) -> sqlite3.Connection:
    """A connection to a ledger's file that cannot write, once nothing in it is found to be damaged.

    Where its newest pages are in another file, as after a kill in the middle of a write, a copy in memory is read.

    Raises:
        PlannerError: If it is damaged, no ledger, or must not be read.
        sqlite3.Error: If it cannot be read.
    """
    if not path.is_file():
        raise PlannerError(f"{path}: no file; move it away, or name another --study")
    connection = None
    try:
        connection = _connected(path)
        for problem in _problems(connection, path):
            raise damaged(path, problem)
        return connection
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        if is_damage(error):
            raise damaged(path, str(error)) from error
        raise
    except OSError as error:
        raise PlannerError(told(error)) from error
    except PlannerError:
        if connection is not None:
            connection.close()
        raise


def is_damage(error: BaseException | None) -> bool:
    """Whether SQLite says that a file is damaged, and not that it is away, in use, or full."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    return not isinstance(error, sqlite3.OperationalError) or any(
        words in str(error) for words in ("no such", "malformed", "not decode", "JSON", "corrupt")
    )


def damaged(path: Path | str, what: str) -> PlannerError:
    """What to say of a ledger that is damaged."""
    remedy = "restore it from a copy"
    if any((Path(path).parent / "observations").glob("*.json")):
        remedy += ", or move it away and run `planner train`, which makes it anew of the study's observations"
    return PlannerError(f"{path} is damaged ({' '.join(what.split())[:300]}): {remedy}")


def _connected(path: Path) -> sqlite3.Connection:
    with path.open("rb") as file:
        wal = file.read(20)[18:] == WAL
    if not wal:
        uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return connection
        except sqlite3.OperationalError:
            connection.close()
            if not path.with_name(f"{path.name}-journal").exists():
                raise
    return _copied(path)


def _copied(path: Path) -> sqlite3.Connection:
    """A file with what others hold of it, in memory."""
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    with tempfile.TemporaryDirectory() as folder:
        names = [path, *(path.with_name(path.name + end) for end in ("-wal", "-journal"))]
        for _ in range(_COPIES):
            before = [_state(one) for one in names]
            for one in names:
                (Path(folder) / one.name).unlink(missing_ok=True)
                if one.exists():
                    shutil.copyfile(one, Path(folder) / one.name)
            if [_state(one) for one in names] == before:
                break
        with closing(sqlite3.connect(Path(folder) / path.name)) as copy:
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.backup(memory)
    return memory


def _state(path: Path) -> tuple[int, int] | None:
    found = path.stat() if path.exists() else None
    return found and (found.st_size, found.st_mtime_ns)


def _problems(connection: sqlite3.Connection, path: Path) -> Iterator[str]:
    """What is wrong with a ledger, in words: its pages, its tables, its rows.

    Raises:
        PlannerError: If it is no ledger.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables & _OURS:
        what = f"holds {', '.join(sorted(tables)[:3])}" if tables else "holds no table"
        raise PlannerError(f"{path}: no ledger, but an SQLite file that {what}; name another --study or --storage")
    for (found,) in connection.execute("PRAGMA quick_check(1)"):
        if found != "ok":
            yield found
    for name in sorted(TABLES - tables):
        yield f"the table {name} is gone"
    for name in ("version_info", "alembic_version"):
        if connection.execute(f"SELECT count(*) FROM {name}").fetchone() != (1,):
            yield f"the row of {name} is gone"
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} belongs to a row of {parent} that is gone"
    for words, query in WRONG_ROWS:
        for number, value in connection.execute(query):
            yield f"trial {number}: {value!r} is {words}"
    yield from _attributes(connection)


def _attributes(connection: sqlite3.Connection) -> Iterator[str]:
    for query in ATTRIBUTES:
        for number, key, text in connection.execute(query + NO_JSON):
            try:
                json.loads(text) if isinstance(text, str) and isinstance(key, str) else json.loads("")
            except (ValueError, RecursionError):  # Python's JSON has numbers that SQLite's has not
                whose = "the study" if number is None else f"trial {number}"
                yield f"{whose}: attribute {key!r} is no JSON"
