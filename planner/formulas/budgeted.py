"""A network for a budget of MACs: one record of it, whoever chose the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sampler import Architecture, architecture_complexity
from sampler.solve import TOLERANCE


@dataclass(frozen=True, eq=False, kw_only=True)
class BudgetedNetwork:
    """A network for a budget.

    Attributes:
        budget: MACs asked for.
        architecture: Network, integers only.
        macs: Exact MACs of it.
        params: Exact params of it.
    """

    budget: float
    architecture: Architecture
    macs: int
    params: int

    @classmethod
    def counted(cls, budget: float, architecture: Architecture, classes: int) -> BudgetedNetwork:
        """A network for a budget, with its exact costs."""
        cost = architecture_complexity(architecture, classes)
        return BudgetedNetwork(budget=budget, architecture=architecture, macs=cost.macs, params=cost.params)

    @property
    def error(self) -> float:
        """Distance of its MACs from the budget, as a share of it; negative below."""
        return self.macs / self.budget - 1

    @property
    def at_budget(self) -> bool:
        """Whether its MACs are within 1 % of the budget."""
        return abs(self.error) <= TOLERANCE

    def integers(self) -> dict[str, Any]:
        """What a reader needs to build it and what it costs, in JSON's types."""
        one = self.architecture
        return {
            "base": one.base,
            "budget_macs": self.budget,
            "depths": list(one.depths),
            "head": one.head,
            "macs": self.macs,
            "params": self.params,
            "resolution": one.resolution,
            "stem": one.stem,
            "widths": list(one.widths),
            **({"knobs": one.as_dict()["knobs"]} if one.knobs else {}),
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class ScaledNetwork(BudgetedNetwork):
    """A network for a budget that a rule made of the base network's multiples.

    Attributes:
        r: Resolution over the base network's.
        d: Depth multiplier, before rounding.
        w: Width multiplier, before rounding.
        rule: Name of the scaling rule that made the integers.
        pixels_nudged: Pixels that the resolution was moved to meet the budget.
        stage_nudged: Index of the stage whose width was moved to meet the budget, or None.
        channels_nudged: Channels by which it was moved.
        finer: Sizes that moved beside these, in words, where no width of a network with coarse steps meets the budget.
    """

    r: float
    d: float
    w: float
    rule: str
    pixels_nudged: int = 0
    stage_nudged: int | None = None
    channels_nudged: int = 0
    finer: tuple[str, ...] = ()

    def integers(self) -> dict[str, Any]:
        """As a `BudgetedNetwork`'s, and what it was made of."""
        own = ("r", "d", "w", "rule", "pixels_nudged", "stage_nudged", "channels_nudged")
        finer = {"finer": list(self.finer)} if self.finer else {}
        return {**super().integers(), **{name: getattr(self, name) for name in own}, **finer}
