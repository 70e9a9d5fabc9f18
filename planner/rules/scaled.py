"""What a published rule answers."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from planner.formulas.budgeted import ScaledNetwork
from sampler import Architecture, SolvedWidth, architecture_complexity

# Type of an inherited field, which tools look for where a class that inherits it is defined.
_FIELD_TYPES = (Architecture,)


@dataclass(frozen=True, kw_only=True)
class RuleAnswer(ScaledNetwork):
    """The network that a rule gives for a budget.

    Attributes:
        method: Name of the rule.
        classes: Outputs of the classifier that the costs count.
        parameters: Numbers that the rule was given or found, such as phi.
        pure: Answer of the rule by itself, where that misses the budget by more than the tolerance; else None.
        notes: Sentences that a reader should know.
    """

    method: str
    classes: int
    parameters: dict[str, float] = field(default_factory=dict)
    pure: RuleAnswer | None = None
    notes: tuple[str, ...] = ()

    def at_exactly(self, solved: SolvedWidth, w: float) -> RuleAnswer:
        """This answer moved to the budget by its width, with itself beside it."""
        pixels = solved.architecture.resolution
        return replace(
            self,
            architecture=solved.architecture,
            macs=solved.macs,
            params=architecture_complexity(solved.architecture, self.classes).params,
            r=self.r * pixels / self.architecture.resolution,
            w=w,
            pixels_nudged=solved.pixels_nudged,
            stage_nudged=solved.stage_nudged,
            channels_nudged=solved.channels_nudged,
            finer=solved.finer,
            pure=self,
        )

    def as_predicted(self, found: ScaledNetwork) -> RuleAnswer:
        """This answer moved to the budget as a formula has it, with itself beside it; itself where that is the same."""
        if found.architecture == self.architecture:
            return self
        own = {one.name: getattr(found, one.name) for one in fields(ScaledNetwork) if one.name != "budget"}
        return replace(self, **own, pure=self)

    def nudges(self) -> list[str]:
        """What was moved to meet the budget, in words; nothing for a rule's own answer."""
        if self.pure is None:
            return []
        words = [f"width x {self.w:.3f} instead of {self.pure.w:.3f}"]
        if self.d != self.pure.d:
            words.append(f"depth x {self.d:.3f} instead of {self.pure.d:.3f}")
            words.append(f"{self.architecture.resolution} px instead of {self.pure.architecture.resolution}")
        if self.pixels_nudged:
            words.append(f"resolution {self.pixels_nudged:+d} px")
        if self.stage_nudged is not None:
            words.append(f"stage {self.stage_nudged + 1} {self.channels_nudged:+d} channels")
        return [*words, *self.finer]

    def as_dict(self) -> dict[str, Any]:
        """Everything a reader needs to build the network, in JSON's types."""
        return {
            **self.integers(),
            "classes": self.classes,
            "error": self.error,
            "method": self.method,
            "notes": list(self.notes),
            "parameters": self.parameters,
            "pure": None if self.pure is None else self.pure.as_dict(),
        }
