"""Scores in what a program writes: lines of JSON among others, a JSON file, the last row of a CSV file."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampler import InputError
from sampler.checks import shown
from trainer.protocol import checked_score
from trainer.score import Score, is_free

# What a score may be called, the first one first.
SCORE_KEYS = ("score", "accuracy")


@dataclass(frozen=True)
class ScoreLine:
    """A score that a program told.

    Attributes:
        score: Whatever stood there; NaN for null.
        epoch: Epoch after which it was reached; None where it does not say.
        loss: Loss on the same data; None likewise.
        facts: Further finite numbers that stood there, by names that no table of trainings has.
    """

    score: object
    epoch: object = None
    loss: float | None = None
    facts: dict[str, float] = field(default_factory=dict)


def score_of_line(line: str, keys: Sequence[str] = SCORE_KEYS) -> ScoreLine | None:
    """The score in a line of JSON, `{"score": 0.7, "epoch": 3}`; None for any other line."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return _score_of(document, keys)


def score_of_file(path: Path, keys: Sequence[str] = SCORE_KEYS) -> ScoreLine | None:
    """The score in a file: a JSON object, or the last of a list or of lines of them; the last row of a CSV file.

    Returns:
        None where there is no such file, or no score in it.

    Raises:
        InputError: If it cannot be read as what its name says.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(text.splitlines())) if path.suffix == ".csv" else _documents(text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise InputError(f"--score-file {path}: cannot be read ({error})") from error
    found = [one for row in rows if (one := _score_of(row, keys)) is not None]
    return found[-1] if found else None


def _documents(text: str) -> list[Any]:
    """What a JSON file holds: its one document, or the members of a list, or its lines' documents."""
    if not text.strip():
        return []
    try:
        document = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return document if isinstance(document, list) else [document]


def _score_of(document: object, keys: Sequence[str]) -> ScoreLine | None:
    if not isinstance(document, Mapping):
        return None
    key = next((one for one in keys if one in document), None)
    if key is None:
        return None
    score, loss = document[key], document.get("loss")
    others = (name for name in document if isinstance(name, str) and name not in (*keys, "loss") and is_free(name))
    facts = {name: number for name in others if (number := _number(document[name])) is not None}
    return ScoreLine(math.nan if score is None else score, document.get("epoch"), _number(loss), facts)


def _number(value: object) -> float | None:
    """A finite number, or None: a loss is shown, and nothing depends on it."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def score_keys(score: Score) -> tuple[str, ...]:
    """What a study's score may be called in what a program writes, the first one first."""
    return (SCORE_KEYS[0], score.name)


def is_score(value: object, score: Score) -> bool:
    """Whether something is a number that can be reported."""
    try:
        return math.isfinite(checked_score(value, "", score))
    except InputError:
        return False


def whole_epoch(value: object) -> int:
    """An epoch's number, which a CSV file or JavaScript may have written as a text or as 3.0.

    Raises:
        InputError: If it is no whole number.
    """
    number = _number(value)
    if number is None or isinstance(value, bool) or number != int(number):
        raise InputError(f"epoch {shown(value)} is no whole number; count epochs from 1")
    return int(number)
