"""URLs of storages: which can keep a ledger, and what of them may be shown."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from planner.errors import PlannerError

if TYPE_CHECKING:
    from sqlalchemy import URL

# Parameters of a URL that no error shows, and what it shows instead.
_SECRET = re.compile("pass|pwd|secret|token", re.IGNORECASE)
_HIDDEN = "***"


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
def safe_url(url: str) -> str:
    """A storage's URL without its secrets, as the parser that opens it sees them.

    Example:
        >>> safe_url("postgresql://me:pa/ss@host/planner?password=secret&sslmode=require")
        'postgresql://me:***@host/planner?password=***&sslmode=require'
    """
    parsed = _parsed(url)
    if parsed is None:  # nobody can say where its secrets are
        scheme, separator, _ = url.partition("://")
        return f"{scheme}://{_HIDDEN}" if separator and scheme.replace("+", "").isalnum() else _HIDDEN
    if parsed.password is None and not parsed.query:
        return url
    query = {name: _HIDDEN if _SECRET.search(f"{name}={value}") else value for name, value in parsed.query.items()}
    return parsed.set(query=query).render_as_string(hide_password=True).replace(quote(_HIDDEN), _HIDDEN)


def has_secret(url: str) -> bool:
    """Whether a storage's URL holds what others must not see."""
    return _HIDDEN in safe_url(url)


def check_url(url: str) -> None:
    """Refuses a storage that could not keep a study.

    Raises:
        PlannerError: If it is no URL, or a database in memory.
    """
    parsed = _parsed(url)
    if parsed is None:
        raise PlannerError(
            f"storage {safe_url(url)} is no URL; give one such as postgresql://user@host/database or sqlite:///FILE "
            "(@ : / in a password are written %40 %3A %2F)"
        )
    file = parsed.database or ""
    if parsed.get_backend_name() == "sqlite" and (
        file in ("", ":memory:") or file.startswith("file::memory:") or parsed.query.get("mode") == "memory"
    ):
        raise PlannerError(f"storage {safe_url(url)} is in memory, and gone when the command ends; give sqlite:///FILE")


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


def file_of(url: str) -> Path | None:
    """The file of an SQLite storage; None for servers, and for what only SQLite understands."""
    from sqlalchemy import make_url

    found = make_url(url)
    plain = found.get_backend_name() == "sqlite" and found.database not in (None, "", ":memory:") and not found.query
    return Path(str(found.database)) if plain else None
