"""A study is a folder: what it is called, which there are, which was used last."""

from __future__ import annotations

import re
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from planner.errors import PlannerError
from trainer.files import write_atomically

RESULTS = Path("results")
LAST = RESULTS / ".last-study"
_DEFAULT_NAME = "study"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_NAMED = 5  # studies in an error


def folder_of(name: str | None) -> Path:
    """The folder of a study: the one named, else the last one used in this folder.

    Raises:
        PlannerError: If the name cannot be a folder's.
    """
    if name is None:
        name = LAST.read_text(encoding="utf-8", errors="replace").strip() if LAST.is_file() else _DEFAULT_NAME
    if not _NAME.fullmatch(name):
        raise PlannerError(f"--study {name!r}: letters, digits, dot, dash and underscore are wanted")
    return RESULTS / name


def existing(name: str | None) -> Path:
    """The folder of a study that exists.

    Raises:
        PlannerError: If there is none; names those that there are.
    """
    folder = folder_of(name)
    if not (folder / "study.toml").is_file():
        known = [one.name for one in folders()]
        named = get_close_matches(folder.name, known, n=1) or known[:_MOST_NAMED]
        others = f": {', '.join(named)}{'' if len(known) == len(named) else ' ..'} (`planner studies` lists them)"
        raise PlannerError(
            f"no study in {folder}; make one with `planner run --study {folder.name}`, or name another"
            f"{others if known else ''}"
        )
    return folder


def folders() -> list[Path]:
    """The folders of the studies here, by name."""
    try:
        return sorted(one for one in RESULTS.iterdir() if (one / "study.toml").is_file() and _NAME.fullmatch(one.name))
    except OSError:
        return []


def remember(folder: Path) -> None:
    """Makes a study the last one used; where that cannot be written, nothing is lost."""
    with suppress(OSError):
        write_atomically(LAST, folder.name + "\n")


def cache_of(folder: Path) -> Path:
    """Where a study keeps its decoded images."""
    return folder / "cache"
