"""The record of an answer: a network, what it is expected to reach, and what others would have answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from planner.formulas.prediction import Prediction
from planner.formulas.stages import shares_of
from planner.formulas.trainings import TrainedNetwork
from planner.text.markup import Card, CardTable, drawn
from planner.text.quantities import format_accuracy, format_count
from sampler import Architecture

AnsweredBy = Literal["search", "training", "formula", "published rule"]


@dataclass(frozen=True, eq=False)
class Answer:
    """The network for a budget, what it is expected to reach, and what others would have answered.

    Attributes:
        prediction: The answer: its integers, exact costs, and expected accuracy, corrected for being the best of many.
        by: Origin of the answer: `search` among all networks; a `training`, whose own result is the best that is known;
            the `formula`'s curves, where the trainings taught too little; or a `published rule`.
        reason: Why it is not the formula's network, or why the formula answers; one sentence.
        left: Share of the budget that decides which it does not spend.
        formula: Prediction of the formula's curves, or None.
        best: The best training within the budget, or None.
        published: Prediction of compound scaling within the budget, or None.
        out_of_range: The columns of integers that leave what was trained, and by how much.
        notes: Further remarks, a line each.
    """

    prediction: Prediction
    by: AnsweredBy
    reason: str
    left: float
    formula: Prediction | None = None
    best: TrainedNetwork | None = None
    published: Prediction | None = None
    out_of_range: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Answer({repr(self.prediction).partition('(')[2][:-1]}; by {self.by})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return drawn(self.card())

    def card(self) -> Card:
        """Its network, why it is this one, and what others would have answered."""
        shown, score = self.prediction.card(), self.prediction.formula.score
        facts: dict[str, str | None] = {**shown.facts, "by": self.by, "why": self.reason}
        facts |= {f"note {i}" if i > 1 else "note": note for i, note in enumerate(self.notes, 1)}
        others = {"the answer": self.prediction, "the formula": self.formula, "compound scaling": self.published}
        rows: list[tuple[str, str, str | None]] = [
            (name, format_count(other.macs), format_accuracy(other.accuracy, score))
            for name, other in others.items()
            if other is not None
        ]
        if self.best is not None:
            rows.append((f"best training ({self.best.name})", format_count(self.best.macs), self.best.words))
        beside = CardTable("Beside it", ("", "MACs", score.name), rows, texts=(0, 2))
        return Card("Answer", facts, (*shown.tables, beside))

    @property
    def architecture(self) -> Architecture:
        """The network."""
        return self.prediction.architecture

    @property
    def accuracy(self) -> dict[str, Any] | None:
        """What one training of it is expected to reach, as `Prediction.accuracy`."""
        return self.prediction.accuracy

    @property
    def score(self) -> dict[str, Any] | None:
        """The same in the values that trainers report, as `Prediction.score`."""
        return self.prediction.score

    @cached_property
    def shares(self) -> dict[str, float]:
        """Of its MACs, the share of each part: `stem`, `1` .., `head`; they sum up to 1."""
        formula = self.prediction.formula
        return shares_of(formula.network, self.architecture, formula.classes)

    def as_dict(self) -> dict[str, Any]:
        """Everything in JSON's types: the answer's own facts at the top, the others' beside them."""
        others = {"formula_answer": self.formula, "compound": self.published, "best_training": self.best}
        return {
            **self.prediction.as_dict(),
            "by": self.by,
            "reason": self.reason,
            "left": self.left,
            "out_of_range": dict(self.out_of_range),
            "notes": list(self.notes),
            "shares": self.shares,
            **{name: None if one is None else one.as_dict() for name, one in others.items()},
        }
