"""What a search found, as a file: `METHOD-BUDGET.json` in the folder `searches` of its study."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt
from pydantic import PlainValidator, Strict, TypeAdapter

from planner.searches.scoring import ChosenBy, Gain, SearchResult
from planner.text.documents import Format, read_as, write_own
from sampler import Architecture, architecture_from

_SCHEMA = "planner-search/1"
FOLDER = "searches"


@dataclass(frozen=True)
class SearchRecord:
    """A search that ended.

    Attributes:
        method: Name of the search.
        budget: MACs that it aimed at.
        classes: Outputs of the classifier that its MACs count.
        architecture: The network that it found.
        trainings: How many trainings it needed, fine-tunes included.
        seconds: How long those took, summed up.
        notes: Remarks of the search, a line each.
        chosen_by: Scores that its networks were chosen by; "" in records that do not say.
        seeds: How many trainings each score is the mean of.
        gain: Gain of the growth beside a control; None where no control was scored.
    """

    method: str
    budget: Annotated[float, Strict(), Gt(0)]
    classes: Annotated[int, Strict(), Ge(0)]
    architecture: Annotated[Architecture, PlainValidator(architecture_from)]
    trainings: Annotated[int, Strict(), Ge(0)]
    seconds: Annotated[float, Strict()]
    notes: tuple[str, ...] = ()
    chosen_by: ChosenBy = ""
    seeds: Annotated[int, Strict(), Ge(1)] = 1
    gain: Gain | None = None


def write_found(
    folder: Path,
    found: SearchResult,
    budget: float,
    classes: int,
    trainings: int,
    seconds: float,
    chosen_by: ChosenBy = "",
    seeds: int = 1,
) -> Path:
    """Writes what a search found; the same search for the same budget is replaced.

    Args:
        folder: The folder `searches` of the study, which is made.
        found: Result of the search.
        budget: MACs that it aimed at.
        classes: Outputs of the classifier.
        trainings: How many trainings it needed.
        seconds: How long those took, summed up.
        chosen_by: Scores that its networks were chosen by.
        seeds: How many trainings each score is the mean of.

    Returns:
        The file.

    Raises:
        PlannerError: If the file cannot be written.
    """
    record = SearchRecord(
        found.method,
        float(budget),
        classes,
        found.architecture,
        trainings,
        float(seconds),
        found.notes,
        chosen_by,
        seeds,
        found.gain,
    )
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", found.method)
    path = folder / f"{name}-{round(budget)}.json"
    text = json.dumps({"schema": _SCHEMA, **asdict(record)}, allow_nan=False, sort_keys=True, indent=1)
    write_own(path, text + "\n")
    return path


def read_found(folder: Path) -> list[SearchRecord]:
    """What the searches of a study found, in the order of their files' names; nothing where there is no folder.

    Raises:
        PlannerError: If a file is damaged; names it.
    """
    return [_FORMAT.load(path, _FORMAT.again) for path in sorted(folder.glob("*.json"))]


_MODEL = TypeAdapter(SearchRecord)
_FORMAT = Format(_SCHEMA, "search", "remove it, and run the search again", partial(read_as, _MODEL), largest=1_000_000)
