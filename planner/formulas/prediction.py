"""The architecture for one budget: its exact costs, and what it is expected to reach."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from planner.formulas.budgeted import ScaledNetwork
from planner.formulas.columns import check_reads, columns_of
from planner.formulas.record import FormulaRecord
from planner.text.markup import Card, CardTable, drawn
from planner.text.quantities import format_accuracy, format_bytes, format_cost, format_count
from sampler import Architecture, stack
from sampler.solve import TOLERANCE
from trainer.score import ACCURACY, ACCURACY_NAME, Score

_NOTABLE = 0.002  # of accuracy: less than that is no reason to look at a training instead


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction(ScaledNetwork):
    """The answer of a formula to one budget: the network, and what it is expected to reach.

    Attributes:
        formula: Formula whose answer it is; its curves gave r and d, and w was solved on the exact count.
        memory: Peak bytes of inference with one image in float32.
        c: Budget over the base network's MACs.
        in_range: Whether the budget lies in the range that the fit saw.
        binding: Budget that decides: `macs`, the name of a limit, or `range` where the fitted range ends before.
        costs: Costs of each limit's kind, by name.
        limits: Largest costs that were allowed, by the same names.
        expected: Value of `accuracy`, where somebody knows better than the formula's surrogate alone; else None.
    """

    formula: FormulaRecord
    memory: int
    c: float
    in_range: bool
    binding: str = "macs"
    costs: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    expected: dict[str, Any] | None = None

    def __repr__(self) -> str:
        one = self.architecture
        depths, widths = (" ".join(map(str, numbers)) for numbers in (one.depths, one.widths))
        network = f"{one.base} at {one.resolution} px, depths {depths}, widths {widths}"
        return f"Prediction({format_count(self.budget)} MACs: {network})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return drawn(self.card())

    def card(self) -> Card:
        """What it costs and is expected to reach, and the network part by part."""
        formula, network = self.formula, self.architecture
        outside = "" if self.in_range else " (outside the fitted range: an extrapolation)"
        facts = {
            "base network": f"{formula.base}, {formula.classes} classes",
            "budget": f"{format_count(self.budget)} MACs{outside}",
            "resolution": f"{network.resolution} px",
            "MACs": f"{self.macs:,} ({self.macs / self.budget:.2%} of the budget)",
            "parameters": f"{self.params:,}",
            "memory of inference": format_bytes(self.memory),
            "r, d, w": f"{self.r:.3f}, {self.d:.3f}, {self.w:.3f}",
            f"expected {formula.score.name}": format_accuracy(self.accuracy, formula.score),
        }
        for name, limit in self.limits.items():
            facts[f"limit of {name}"] = f"{format_cost(name, self.costs[name])} of {format_cost(name, limit)}"
        return Card("Prediction", facts, (network_table(network),))

    @cached_property
    def accuracy(self) -> dict[str, Any] | None:
        """Expected top-1 accuracy, or merit of another score, with its 90 % interval; or None.

        `of` says whose: this `architecture`'s, by the surrogate, or that of the `front` at this budget. `in_range` says
        whether it lies within what was trained: outside, the interval is wider.
        """
        surrogate = self.formula.surrogate
        if self.expected is not None:
            return self.expected
        if surrogate is not None:
            check_reads(self.formula)
            columns = columns_of(self.formula, stack([self.architecture]))
            # Integers do not say what they were rounded from, which is what the surrogate was taught.
            columns |= {name: np.array([getattr(self, name)]) for name in "rdw"}
            inputs = np.column_stack([columns[name] for name in surrogate.inputs])
            cost = columns[surrogate.cost] if surrogate.cost else None
            mean, low, high = (float(part[0]) for part in surrogate.intervals_of(inputs, cost))
            of, inside = "architecture", bool(surrogate.in_range_of(inputs, cost)[0])
        elif self.formula.accuracy is not None:
            error_low, error_high = self.formula.accuracy.interval(self.c, seen=self.formula.c_range)
            most = self.formula.score.most
            mean, low, high = most - float(self.formula.accuracy(self.c)[0]), most - error_high, most - error_low
            of, inside = "front", self.in_range
        else:
            return None
        return bounded_accuracy(mean, low, high, of, inside, self.formula.score)

    @property
    def score(self) -> dict[str, Any] | None:
        """What it is expected to reach, as `accuracy`, in the values that trainers report: an RMSE, say."""
        document: dict[str, Any] = self.formula.score.outward({ACCURACY_NAME: self.accuracy})
        found: dict[str, Any] | None = document[self.formula.score.name]
        return found

    @property
    def trained(self) -> dict[str, Any] | None:
        """The best training up to the budget, where it reached more than is expected here; else None.

        A formula is smooth, and integers are not: the network trained may be the better answer. Its accuracy is that
        of one training, and the best of many flatters itself.
        """
        accuracy, formula = self.accuracy, self.formula
        # Applied to another resolution or number of classes, the formula is not that of its points any more.
        known = formula.non_dominated or formula.front
        own = [one for one in known if math.isclose(one["macs"], one["c"] * formula.base_macs, rel_tol=1e-6)]
        near = [one for one in own if one["macs"] <= self.budget * (1 + TOLERANCE)]
        if accuracy is None or not near:
            return None
        best = max(near, key=lambda one: float(one["accuracy"]))
        notable = _NOTABLE if formula.score.is_accuracy else 0.0
        return best if best["accuracy"] > accuracy["mean"] + notable else None

    def as_dict(self) -> dict[str, Any]:
        """Everything a reader needs to build the network, in JSON's types; the score by its name."""
        score = self.formula.score
        document = {
            **self.integers(),
            "accuracy": self.accuracy,
            "binding": self.binding,
            "c": self.c,
            "c_range": list(self.formula.c_range),
            "classes": self.formula.classes,
            "costs": self.costs,
            "in_range": self.in_range,
            "kind": self.formula.kind,
            "limits": self.limits,
            "macs_range": list(self.formula.macs_range),
            "memory": self.memory,
            "trained": self.trained,
            "warnings": list(self.formula.warnings),
        }
        said = {} if score.is_accuracy else {"score": score.as_dict()}
        told: dict[str, Any] = score.outward(document | said)
        return told


def network_table(network: Architecture) -> CardTable:
    """An architecture part by part: blocks and channels."""
    rows: list[tuple[str, int | None, int]] = [("stem", None, network.stem)]
    stages = zip(network.depths, network.widths, strict=True)
    rows += [(f"stage {number}", depth, width) for number, (depth, width) in enumerate(stages, 1)]
    rows += [("head", None, network.head)] if network.head else []
    return CardTable("Network", ("part", "blocks", "channels"), rows)


def bounded_accuracy(
    mean: float, lower: float, upper: float, of: str, inside: bool, score: Score = ACCURACY
) -> dict[str, Any]:
    """An expected merit and its 90 % interval, as `Prediction.accuracy`, of numbers that may pass what is possible."""
    ends = (("mean", mean), ("lower", lower), ("upper", upper))
    return {**{name: score.clipped(one) for name, one in ends}, "level": 0.9, "of": of, "in_range": inside}
