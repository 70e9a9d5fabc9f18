"""Numbers of networks that took time to compute, as JSON lines: each once, whatever is killed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.errors import PlannerError
from planner.text.documents import number, parse, read_text

LARGEST_MEMORY = 100_000_000
BEGINNING = '{"base": "'  # of every line, since keys are sorted


class Memory:
    """Remembers one or more numbers of facts.

    Args:
        path: The file, which is made where it is missing; None for none.
        names: Names of the numbers in a line; the facts are what else it holds, an architecture's base among them.
        what: A line of it in words, such as `remembered Zen-score`.

    Raises:
        PlannerError: If the file is no such memory, or cannot be read.
    """

    def __init__(self, path: Path | None, names: tuple[str, ...], what: str) -> None:
        self.path, self.names, self.what = path, names, what
        self.known: dict[str, tuple[float, ...]] = {} if path is None else self._read(path)

    def __contains__(self, facts: Mapping[str, Any]) -> bool:
        return _key(facts) in self.known

    def get(self, facts: Mapping[str, Any]) -> tuple[float, ...]:
        """The numbers of facts that it holds."""
        return self.known[_key(facts)]

    def keep(self, facts: Mapping[str, Any], numbers: tuple[float, ...]) -> None:
        """Adds numbers, to the file as well.

        Raises:
            PlannerError: If it cannot be written.
        """
        if self.path is not None:
            _append(self.path, {**facts, **dict(zip(self.names, numbers, strict=True))})
        self.known[_key(facts)] = numbers

    def _read(self, path: Path) -> dict[str, tuple[float, ...]]:
        """Lines of a file; a last one that was cut off by a kill is left out."""
        if not path.exists():
            return {}
        text = read_text(path, LARGEST_MEMORY, "no memory of scores", "name another file")
        *lines, cut_off = text.split("\n")
        if not BEGINNING.startswith(cut_off[: len(BEGINNING)]):  # some other file, which is not ours to cut
            raise PlannerError(f"{path}: line {len(lines) + 1} is no {self.what}; name another file")
        known = {}
        for line_number, line in enumerate(lines, start=1):
            try:
                facts = parse(line)
                numbers = tuple(number(facts.pop(name), name) for name in self.names)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise PlannerError(f"{path}: line {line_number} is no {self.what}; name another file") from error
            known[_key(facts)] = numbers
        return known


def _key(facts: Mapping[str, Any]) -> str:
    """Equal for equal facts, whether they were tuples or the lists that JSON makes of them."""
    return json.dumps(facts, sort_keys=True)


def _append(path: Path, facts: Mapping[str, Any]) -> None:
    """Adds a line, in place of one that was cut off."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            if whole < end:
                file.truncate(whole)
            file.write(json.dumps(facts, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise PlannerError(f"{path}: {error.strerror or error}; name another file") from error
