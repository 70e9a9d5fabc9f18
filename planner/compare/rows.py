"""A comparison as a table: one row for each method, budget and seed; both ways, without loss."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.compare.contender import Contender
from planner.compare.measuring import Measure, SeedScore
from planner.errors import PlannerError
from planner.tables.cells import source_of
from planner.tables.frames import read_frame
from planner.tables.table import csv_text
from planner.text.documents import write_out, write_own
from sampler import Architecture, LayeredArchitecture
from trainer.score import ACCURACY, ACCURACY_NAME, Score, score_from

if TYPE_CHECKING:
    import pandas as pd

ABSENT, _UNKNOWN = "no network", "not in the table"
_SECONDS = 3600
# What may have moved beside the dimension that a method scales alone, in the note of a network moved to its budget.
_PIXELS, _CHANNELS = re.compile(r"resolution [+-]\d+ px"), re.compile(r"width x [\d.]+|stage \d+ [+-]\d+ channels")
_ALONE = {"width": (_PIXELS,), "depth": (_PIXELS, _CHANNELS), "resolution": (_CHANNELS,)}


@dataclass(frozen=True)
class Row:
    """One training of one method's network, or why there is none.

    Attributes:
        method: The method.
        budget: MACs aimed at.
        macs: Exact MACs.
        error: Distance from the budget, as a share of it.
        params: Exact params.
        resolution: Input side, in pixels.
        depths: Blocks of each stage, separated by blanks.
        widths: Channels of each stage.
        layers: Channels of each layer and how blocks are padded, where the stages do not say them; else None.
        stem: Channels of the first convolution.
        head: Channels of the last one; 0 for none.
        seed: Random seed of the training.
        accuracy: Top-1, in [0, 1], or the merit of another score; None where the training gave none.
        seconds: Seconds of this training.
        trainings_needed: How many trainings the method needed to find the network; the comparison's are none of them.
        hours_needed: Hours of those.
        scored_on: `validation`, `held-out` or `table`.
        epochs: Number of epochs of this training; 0 where nobody knows.
        base: Name of the base network.
        classes: Outputs of the classifier.
        status: `ok`, or why there is no accuracy.
        note: Sentences that a reader should know.
        score: Number that the trainings are judged by.
    """

    method: str
    budget: float
    macs: int | None
    error: float | None
    params: int | None
    resolution: int | None
    depths: str | None
    widths: str | None
    layers: str | None
    stem: int | None
    head: int | None
    seed: int | None
    accuracy: float | None
    seconds: float | None
    trainings_needed: int
    hours_needed: float
    scored_on: str
    epochs: int
    base: str
    classes: int
    status: str
    note: str | None
    score: Score = ACCURACY

    @property
    def label(self) -> str:
        """The method; with what else had to move to meet the budget, where it is to scale one dimension alone."""
        moved = [found[0] for pattern in _ALONE.get(self.method, ()) for found in pattern.finditer(self.note or "")]
        return f"{self.method} ({', '.join(moved)})" if moved else self.method

    def as_dict(self) -> dict[str, Any]:
        """Its values by column; of another score than accuracy its value, by its name, and what it is."""
        values = {**asdict(self), "label": self.label}
        told: dict[str, Any] = self.score.outward({column: values[column] for column in COLUMNS})
        return told if self.score.is_accuracy else {**told, _SCORE: json.dumps(self.score.as_dict())}

    @property
    def network(self) -> tuple[Any, ...] | None:
        """What two methods share that have the same network; None without one."""
        one = (self.resolution, self.stem, self.widths, self.depths, self.head, self.layers)
        return None if self.resolution is None else one


_SCORE = "score"  # the column that says what is compared, where it is no accuracy
FIELDS = tuple(one.name for one in fields(Row) if one.name != _SCORE)
COLUMNS = (FIELDS[0], "label", *FIELDS[1:])  # the label follows from the note: it is written, and not read
# By these a file is known as a comparison.
_MARKS = {"method", "budget", "seed", "trainings_needed", "scored_on"}


def _whole_numbers(text: str) -> str:
    """The text, which must be whole numbers and blanks."""
    for part in text.split():
        int(part)
    return text


_KINDS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(("depths", "widths"), _whole_numbers),
    **dict.fromkeys(("macs", "params", "resolution", "stem", "head", "seed"), int),
    **dict.fromkeys(("trainings_needed", "epochs", "classes"), int),
    **dict.fromkeys(("budget", "error", "accuracy", "seconds", "hours_needed"), float),
}
_OPTIONAL = {one.name for one in fields(Row) if "None" in str(one.type)}


def rows_of_contenders(
    contenders: Sequence[Contender],
    scores: Mapping[Architecture, Sequence[SeedScore]],
    measure: Measure,
    base: str,
    classes: int,
    score: Score = ACCURACY,
) -> list[Row]:
    """The rows of a comparison, in the order of its contenders.

    Args:
        contenders: Who competes.
        scores: Scores of their networks.
        measure: Measure that gave these.
        base: Name of the base network.
        classes: Outputs of the classifier.
        score: Number that the scores are merits of.
    """
    rows = []
    for one in contenders:
        facts: dict[str, Any] = {**_network(one), "base": base, "classes": classes}
        flattered = [measure.flatters] if measure.flatters and one.for_its_score else []
        note = "; ".join([*one.notes, *flattered]) or None
        facts.update(scored_on=measure.scored_on, epochs=measure.epochs, note=note)
        found = [] if one.architecture is None else scores.get(one.architecture, [])
        empty = ABSENT if one.architecture is None else _UNKNOWN
        for seen in found or [SeedScore(0, empty, None, None)]:
            known = {**asdict(seen), "seed": seen.seed if found else None}
            rows.append(Row(**facts, **known, score=score))
    return rows


def _network(one: Contender) -> dict[str, Any]:
    facts: dict[str, Any] = dict.fromkeys(NETWORK)
    if one.architecture is not None:
        network = asdict(one.architecture)
        facts.update({name: network[name] for name in ("resolution", "stem", "head")})
        facts.update({name: " ".join(map(str, network[name])) for name in ("depths", "widths")})
        if isinstance(one.architecture, LayeredArchitecture):
            facts["layers"] = " ".join(map(str, [*one.architecture.layers, one.architecture.padding]))
        facts.update(macs=one.macs, error=one.error, params=one.params)
    needed = {"trainings_needed": one.trainings, "hours_needed": one.seconds / _SECONDS}
    return {"method": one.method, "budget": one.budget, **facts, **needed}


NETWORK = ("macs", "error", "params", "resolution", "depths", "widths", "layers", "stem", "head")


def write_rows(path: Path, rows: Sequence[Row], own: bool = False) -> None:
    """Writes a comparison as CSV: to where a user said, or to a study's own file.

    Raises:
        PlannerError: If it cannot be written.
    """
    import pandas as pd

    columns = list(rows[0].as_dict() if rows else COLUMNS)
    frame = pd.DataFrame([row.as_dict() for row in rows], columns=columns)
    whole = {name: "Int64" for name, kind in _KINDS.items() if kind is int}
    (write_own if own else write_out)(path, csv_text(frame.astype(whole)))


def is_comparison(frame: pd.DataFrame) -> bool:
    """Whether a table is a comparison that was written earlier."""
    return set(frame) >= _MARKS and bool({ACCURACY_NAME, _SCORE} & set(frame))


def read_table(path: Path) -> pd.DataFrame:
    """A file of trainings, or of a comparison; numbers as they are written.

    Raises:
        PlannerError: If it cannot be read.
    """
    return read_frame(path, "training", "trainings, or a comparison", text=True)


def rows_in(frame: pd.DataFrame) -> list[Row]:
    """The rows of a comparison that was written earlier, in what `read_table` gives; their numbers to the digit.

    Raises:
        PlannerError: If a column is missing, or a value is none of its kind.
    """
    source = source_of(frame)
    name = source.name
    frame, score = _with_merits(frame, name)
    missing = [column for column in FIELDS if column not in frame]
    if missing:
        raise PlannerError(f"{name}: no column {' or '.join(missing)}; give a file that `planner compare` wrote")
    if frame.empty:
        raise PlannerError(f"{name}: a comparison without rows; compare again")
    return [
        _merited(
            {column: _value(row[column], column, f"{name}: {column} of {source.place(i)}") for column in FIELDS}, score
        )
        for i, row in enumerate(frame.to_dict("records"))
    ]


def _with_merits(frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, Score]:
    """The rows with their score's values in the column `accuracy`, and what the score is."""
    if _SCORE not in frame or frame.empty:
        return frame, ACCURACY
    try:
        score = score_from(json.loads(str(frame[_SCORE].iloc[0])))
    except (ValueError, TypeError) as error:
        raise PlannerError(
            f"{name}: its column score says no score ({error}); give a file of `planner compare`"
        ) from error
    return frame.rename(columns={score.name: ACCURACY_NAME}), score


def _merited(values: dict[str, Any], score: Score) -> Row:
    value = values[ACCURACY_NAME]
    return Row(**{**values, ACCURACY_NAME: None if value is None else score.merit(value)}, score=score)


def _value(text: Any, column: str, where: str) -> Any:
    if text != text or text is None:  # NaN: an empty cell
        if column in _OPTIONAL:
            return None
        raise PlannerError(f"{where} is empty; give a file that `planner compare` wrote")
    kind = _KINDS.get(column, str)
    try:
        value = kind(text)
    except ValueError as error:
        wanted = "whole numbers are" if kind is _whole_numbers else "a number is"
        raise PlannerError(f"{where} is {text[:40]!r}; {wanted} wanted") from error
    if kind is float and not math.isfinite(value):
        raise PlannerError(f"{where} is {text!r}; a finite number is wanted")
    return value
