"""What a published rule answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from planner.formulas.prediction import Prediction
from sampler import Architecture, SolvedWidth, architecture_complexity


@dataclass(frozen=True)
class Scaled:
    """A network that a rule gives for a budget.

    Attributes:
        method: The rule.
        architecture: The network, integers only.
        budget: MACs aimed at.
        macs: Its exact MACs.
        params: Its exact params.
        classes: Outputs of the classifier that both count.
        r: Its resolution over the base network's.
        d: Depth multiplier, before rounding.
        w: Width multiplier, before rounding.
        rounding: The scaling rule that made the integers.
        parameters: What the rule was given and what it found, such as phi.
        pixels_nudged: Pixels the resolution was moved to meet the budget.
        stage_nudged: Index of the stage whose width was moved to meet the budget, or None.
        channels_nudged: Channels by which it was moved.
        pure: What the rule gives by itself, where it misses the budget by more than the tolerance; else None.
        notes: What a reader should know, one sentence each.
    """

    method: str
    architecture: Architecture
    budget: float
    macs: int
    params: int
    classes: int
    r: float
    d: float
    w: float
    rounding: str
    parameters: dict[str, float] = field(default_factory=dict)
    pixels_nudged: int = 0
    stage_nudged: int | None = None
    channels_nudged: int = 0
    pure: Scaled | None = None
    notes: tuple[str, ...] = ()

    @property
    def error(self) -> float:
        """Distance from the budget, as a share of it; negative below."""
        return self.macs / self.budget - 1

    def at_exactly(self, solved: SolvedWidth, w: float) -> Scaled:
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
            pure=self,
        )

    def as_predicted(self, found: Prediction) -> Scaled:
        """This answer moved to the budget as a formula has it, with itself beside it; itself where that is the same."""
        if found.architecture == self.architecture:
            return self
        return replace(
            self,
            architecture=found.architecture,
            macs=found.macs,
            params=found.params,
            r=found.r,
            d=found.d,
            w=found.w,
            rounding=found.rule,
            pixels_nudged=found.pixels_nudged,
            stage_nudged=found.stage_nudged,
            channels_nudged=found.channels_nudged,
            pure=self,
        )

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
        return words

    def as_dict(self) -> dict[str, Any]:
        """Everything a reader needs to build the network, in JSON's types."""
        one = self.architecture
        return {
            "base": one.base,
            "budget_macs": self.budget,
            "channels_nudged": self.channels_nudged,
            "classes": self.classes,
            "d": self.d,
            "depths": list(one.depths),
            "error": self.error,
            "head": one.head,
            **({"knobs": one.as_dict()["knobs"]} if one.knobs else {}),
            "macs": self.macs,
            "method": self.method,
            "notes": list(self.notes),
            "parameters": self.parameters,
            "params": self.params,
            "pixels_nudged": self.pixels_nudged,
            "pure": None if self.pure is None else self.pure.as_dict(),
            "r": self.r,
            "resolution": one.resolution,
            "rule": self.rounding,
            "stage_nudged": self.stage_nudged,
            "stem": one.stem,
            "w": self.w,
            "widths": list(one.widths),
        }
