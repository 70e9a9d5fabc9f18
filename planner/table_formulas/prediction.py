"""What a table's formula answers: rows of the table or of its grid, and what stands beside an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

AnswerOrigin = Literal["search", "training", "curves"]
EXPECTED_LEVEL = 0.9


@dataclass(frozen=True)
class KnownRow:
    """A row of the table, of its pool, or a cell of its grid.

    Attributes:
        values: Values of the dimensions, in the formula's order.
        cost: Cost in the table's own unit; an estimate where nobody measured it.
        score: Score that was measured, in the table's own unit; None of what was not trained.
        cost_upper: Upper end of the 90 % interval of an estimated cost; None where the cost was measured.
    """

    values: tuple[float, ...]
    cost: float
    score: float | None = None
    cost_upper: float | None = None

    @property
    def within(self) -> float:
        """The least budget that pays for it: an estimated cost counts with its upper end."""
        return self.cost if self.cost_upper is None else self.cost_upper


@dataclass(frozen=True)
class TableRung:
    """The best row of some budgets, by all that the table taught.

    Attributes:
        row: The row.
        mean: Score that a training of it is expected to reach.
        lower: Lower end of the 90 % interval of that.
        upper: Upper end.
    """

    row: KnownRow
    mean: float
    lower: float
    upper: float

    def expected(self) -> dict[str, float]:
        """The expectation in JSON's types."""
        return {"mean": self.mean, "lower": self.lower, "upper": self.upper, "level": EXPECTED_LEVEL}


@dataclass(frozen=True)
class TablePrediction:
    """The dimensions for one cost.

    Attributes:
        budget: The cost that was asked for, in the table's own unit.
        in_range: Whether the table's rows have such costs.
        by: Origin of the answer: `training` and `search` for the row of which most is expected, trained or not;
            `curves` where the curves answer.
        reason: Sentence on why it is this one.
        dims: The answer: the value of each dimension, by name.
        row: The row whose values these are; None where they lie on the curves, between the rows.
        expected: Expected score of that row with its interval; None where nothing expects one.
        curve: Values on the curves alone, by name.
        nearest: The row within the cost that is nearest to the curves; None where none is within it.
        best: The best row within the cost that was trained; None where none is within it.
    """

    budget: float
    in_range: bool
    by: AnswerOrigin
    reason: str
    dims: dict[str, float]
    row: KnownRow | None
    expected: dict[str, float] | None
    curve: dict[str, float]
    nearest: KnownRow | None
    best: KnownRow | None

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types; rows with the names of the dimensions."""
        names = list(self.dims)
        return {
            "budget": self.budget,
            "in_range": self.in_range,
            "by": self.by,
            "reason": self.reason,
            "dims": self.dims,
            "answer": row_told(names, self.row),
            "expected": self.expected,
            "curve": self.curve,
            "nearest": row_told(names, self.nearest),
            "best_trained": row_told(names, self.best),
        }


def row_told(names: list[str], row: KnownRow | None) -> dict[str, Any] | None:
    """A row in JSON's types, its values by name."""
    if row is None:
        return None
    values = dict(zip(names, row.values, strict=True))
    return {"dims": values, "cost": row.cost, "cost_upper": row.cost_upper, "score": row.score}
