"""What trainings are judged by: the name of a number, its direction, its best possible value, its unit.

    value   as a trainer reports it, as the ledger keeps it and as people read it: 0.31 of an RMSE
    merit   what every model here maximises: the value, or its negative where lower is better

That map is the same for every table: it knows no data. What turns values into merits is `planner.study.trials`, which
reads the ledger; what turns merits into values are the methods here that show them. Of an accuracy both are the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from sampler import InputError
from sampler.checks import shown

if TYPE_CHECKING:  # numpy, which help does without
    from sampler.architecture import FloatArray

_V = TypeVar("_V", float, "FloatArray")
ACCURACY_NAME = "accuracy"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_LONGEST_UNIT = 20
# Columns of the tables of trainings, and keys of what commands print: no name of a number that a trainer reports.
TAKEN_NAMES = frozenset(
    "trial status base rule origin base_resolution classes resolution stem head r d w c macs params activations memory "
    "latency_ms epochs epoch data_share proxy_resolution seed asks seconds cpu_seconds threads device message repeats "
    "micro_batches alone peak_bytes source front selected training_loss expected score reached mean lower upper gain "
    "points budget".split()
)
_NUMBERED = re.compile(r"(width|depth)_\d+")


def is_taken(name: str) -> bool:
    """Whether a table of trainings has a column of this name already."""
    return name in TAKEN_NAMES or _NUMBERED.fullmatch(name) is not None


def is_free(name: str) -> bool:
    """Whether a further number may have this name: a word that no table of trainings has, nor a report an argument."""
    return _NAME.fullmatch(name) is not None and not is_taken(name) and name not in ("self", ACCURACY_NAME)


@dataclass(frozen=True)
class Score:
    """What trainings are judged by.

    Attributes:
        name: Name of the number, which is its column in tables; `accuracy` is top-1 accuracy, a share in [0, 1].
        lower: Whether lower is better.
        limit: Best possible value, such as 0 of an error; None where nobody knows one.
        unit: Unit behind a printed value.

    Raises:
        InputError: If a name or a limit is impossible.

    Example:
        >>> rmse = Score("rmse", lower=True, unit="K")
        >>> rmse.merit(0.31), rmse.text(-0.31)
        (-0.31, '0.31 K')
        >>> Score().text(0.8125)
        '81.2%'
    """

    name: str = ACCURACY_NAME
    lower: bool = False
    limit: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InputError(f"--score {shown(self.name)}: a name of letters, digits, _, . and - is wanted, as rmse")
        if is_taken(self.name):
            raise InputError(f"--score {self.name}: tables of trainings have a column of that name; take another one")
        if not isinstance(self.lower, bool):
            raise InputError(f"score {self.name}: lower is {shown(self.lower)}; true or false is wanted")
        if not isinstance(self.unit, str) or len(self.unit) > _LONGEST_UNIT or not self.unit.isprintable():
            raise InputError(f"--unit {shown(self.unit)}: at most {_LONGEST_UNIT} printable letters are wanted")
        if self.limit is not None:
            object.__setattr__(self, "limit", _finite(self.limit))
        if self.name != ACCURACY_NAME:
            return
        if self.lower or self.unit or self.limit not in (None, 1.0):
            raise InputError("--score accuracy: higher is better, and 1 the most; give another number another name")
        object.__setattr__(self, "limit", 1.0)

    @property
    def is_accuracy(self) -> bool:
        """Whether it is top-1 accuracy, which is printed in percent."""
        return self.name == ACCURACY_NAME

    def merit(self, value: _V) -> _V:
        """A value as models see it: more is better. And the other way round."""
        return -value if self.lower else value

    def bounded(self, merits: Iterable[float]) -> Score:
        """The score with a limit: its own, or one that some finite merits do not reach.

        Without a limit that is 0 where lower is better and all values are positive, as of errors and losses; else the
        best value, and as far beyond it as the worst lies below it.
        """
        values = [self.merit(float(one)) for one in merits]
        if self.limit is not None or not values:
            return self
        if self.lower and min(values) > 0:
            return replace(self, limit=0.0)
        best, worst = (min(values), max(values)) if self.lower else (max(values), min(values))
        return replace(self, limit=2 * best - worst if best != worst else best + self.merit(1.0))

    @property
    def most(self) -> float:
        """Merit of the limit; infinite without one."""
        return math.inf if self.limit is None else self.merit(self.limit)

    def clipped(self, merit: float) -> float:
        """An expected merit within what can be: of an accuracy within [0, 1], else not beyond the limit."""
        return min(1.0, max(0.0, merit)) if self.is_accuracy else min(self.most, merit)

    def text(self, merit: float) -> str:
        """A merit's value for people, with its unit."""
        if self.is_accuracy:
            return f"{merit:.1%}"
        return f"{self.merit(merit):.4g}{self._behind}"

    def gap(self, merits: float, digits: str = ".1f") -> str:
        """A difference of merits for people.

        Args:
            merits: Difference.
            digits: Format of the points of an accuracy.

        Example:
            >>> Score().gap(0.013), Score("rmse", lower=True, unit="K").gap(0.013)
            ('1.3 points', '0.013 K')
        """
        return f"{100 * merits:{digits}} points" if self.is_accuracy else f"{merits:.3g}{self._behind}"

    def span(self, lower: float, upper: float, between: str = " to ") -> str:
        """An interval of merits for people, its lower value first."""
        ends = (upper, lower) if self.lower else (lower, upper)
        return between.join(self.text(one) for one in ends)

    def drawn(self, merit: _V) -> _V:
        """A merit on an axis: an accuracy in percent, else the value."""
        return 100 * merit if self.is_accuracy else self.merit(merit)

    @property
    def title(self) -> str:
        """Name in a sentence."""
        return "top-1 accuracy" if self.is_accuracy else self.name

    @property
    def axis(self) -> str:
        """Unit and direction, behind what an axis shows."""
        if self.is_accuracy:
            return " (%)"
        said = [*([self.unit] if self.unit else []), *(["lower is better"] if self.lower else [])]
        return f" ({', '.join(said)})" if said else ""

    @property
    def _behind(self) -> str:
        return f" {self.unit}" if self.unit else ""

    @property
    def typed(self) -> str:
        """As one types it on a command line, behind `--score`."""
        direction = "" if self.is_accuracy else " --lower" if self.lower else " --higher"
        limit = "" if self.limit is None or self.is_accuracy else f" --limit-score {self.limit:g}"
        return f"{self.name}{direction}{limit}" + (f" --unit '{self.unit}'" if self.unit else "")

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return asdict(self)

    def outward(self, document: Any) -> Any:
        """What programs are given: a document of JSON's types with values instead of merits, under the score's name.

        Members called `accuracy` are numbers, or objects with `mean`, `lower` and `upper`; `reached` and `expected`
        are numbers. Of an accuracy the document is as it was.
        """
        if self.is_accuracy:
            return document
        if isinstance(document, list | tuple):
            return [self.outward(one) for one in document]
        if not isinstance(document, Mapping):
            return document
        return dict(self._member(name, value) for name, value in document.items())

    def _member(self, name: str, value: Any) -> tuple[str, Any]:
        if name in ("reached", "expected") and isinstance(value, float):
            return name, self.merit(value)
        if name != ACCURACY_NAME:
            return name, self.outward(value)
        if isinstance(value, Mapping):
            ends = {end: self.merit(value[end]) for end in ("mean", "lower", "upper")}
            if self.lower:
                ends["lower"], ends["upper"] = ends["upper"], ends["lower"]
            return self.name, {**value, **ends}
        return self.name, None if value is None else self.merit(value)


ACCURACY = Score()


def score_from(document: Mapping[str, Any] | None) -> Score:
    """The score of a document that `Score.as_dict` gave; accuracy for None.

    Raises:
        InputError: If a field is unknown or impossible.
    """
    if document is None:
        return ACCURACY
    if unknown := set(document) - {"name", "lower", "limit", "unit"}:
        raise InputError(f"score: {shown(sorted(unknown)[0])} is unknown; known: name, lower, limit, unit")
    return Score(**document)


def _finite(limit: Any) -> float:
    try:
        value = float(limit)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if isinstance(limit, bool) or not math.isfinite(value):
        raise InputError(f"--limit-score {shown(limit)}: a finite number is wanted, the best possible score")
    return value
