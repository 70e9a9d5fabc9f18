"""What an allocation is: the ways to spend one budget on the stages, and which of them to take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from planner.formulas.prediction import Prediction
from planner.text.markup import Card, CardTable, drawn
from planner.text.quantities import format_accuracy, format_count

Name = Literal["curves", "search"]
CAUTION = 1.28  # standard deviations below the mean: nine networks of ten are better


@dataclass(frozen=True, eq=False)
class Option:
    """One way to spend the budget.

    Attributes:
        prediction: The architecture and its exact costs.
        shares: Shares of its MACs by part: `stem`, `1` .., `head`; they sum up to 1.
        mean: Expected accuracy by the surrogate, or None without one.
        std: Standard deviation of that, without the noise of a training: what is compared.
        at_bounds: Columns in which it lies at or beyond the ends of what the surrogate was taught.
        notes: Further things to say.
    """

    prediction: Prediction
    shares: dict[str, float]
    mean: float | None = None
    std: float | None = None
    at_bounds: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def accuracy(self) -> dict[str, Any] | None:
        """As `Prediction.accuracy`, by the surrogate: in nine of ten networks a training reaches what is inside."""
        return None if self.mean is None else self.prediction.accuracy

    def score(self, cautious: bool) -> float:
        """What is compared: the mean, or so many standard deviations below it."""
        assert self.mean is not None and self.std is not None
        return self.mean - CAUTION * self.std * cautious

    def spent_on(self, part: str) -> str | None:
        """Blocks and channels of a part, and its share of the MACs; None where there is no such part."""
        one, share = self.prediction.architecture, self.shares.get(part)
        if share is None:
            return None
        if not part.isdecimal():
            return f"{getattr(one, part)} channels, {share:.1%}"
        return f"{one.depths[int(part) - 1]} x {one.widths[int(part) - 1]}, {share:.1%}"

    def as_dict(self) -> dict[str, Any]:
        """Everything in JSON's types; the accuracy is this architecture's, not the front's."""
        return {
            **self.prediction.as_dict(),
            **self.prediction.formula.score.outward({"accuracy": self.accuracy}),
            "shares": self.shares,
            "at_bounds": list(self.at_bounds),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False)
class Allocation:
    """Both ways to spend a budget, and which is preferred.

    Attributes:
        budget: MACs.
        options: By name: `curves`, `search`; what cannot be had is missing.
        missing: Why an option is missing, by name.
        preferred: Name of the preferred option.
        reason: Why.
        cautious: Whether lower bounds were compared.
    """

    budget: float
    options: dict[Name, Option]
    missing: dict[Name, str]
    preferred: Name
    reason: str
    cautious: bool

    def __repr__(self) -> str:
        return f"Allocation({format_count(self.budget)} MACs: {self.preferred} of {', '.join(self.options)})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return drawn(self.card())

    def card(self) -> Card:
        """The ways to spend the budget, side by side."""
        options, score = self.options, self.best.prediction.formula.score
        facts = {
            "budget": f"{format_count(self.budget)} MACs",
            "preferred": f"{self.preferred}; {self.reason}",
            **{f"no answer: {name}": why for name, why in self.missing.items()},
        }
        rows: list[list[Any]] = [
            ["resolution", *(f"{one.prediction.architecture.resolution} px" for one in options.values())],
            ["MACs", *(f"{one.prediction.macs:,}" for one in options.values())],
            [f"expected {score.name}", *(format_accuracy(one.accuracy, score) for one in options.values())],
        ]
        for part in self.best.shares:
            name = f"stage {part}" if part.isdecimal() else part
            rows.append([name, *(one.spent_on(part) for one in options.values())])
        return Card("Allocation", facts, (CardTable("Ways to spend it", ("", *options), rows),))

    @property
    def best(self) -> Option:
        """The preferred option."""
        return self.options[self.preferred]

    def as_dict(self) -> dict[str, Any]:
        """Everything in JSON's types."""
        return {
            "space": "stage",
            "budget_macs": self.budget,
            "cautious": self.cautious,
            "allocations": {name: option.as_dict() for name, option in self.options.items()},
            "missing": dict(self.missing),
            "preferred": self.preferred,
            "reason": self.reason,
        }
