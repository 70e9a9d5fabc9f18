"""A method's network for a budget, with its exact costs and what a reader should know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampler import Architecture, architecture_complexity
from sampler.solve import TOLERANCE

if TYPE_CHECKING:
    from planner.compare.background import Background

REFERENCE = "compound"
RANDOM = "random"
DRAWN = tuple(f"{RANDOM}-{place}" for place in (1, 2, 3))  # one network each; the method's score is their mean


@dataclass(frozen=True)
class Contender:
    """A method's network for a budget.

    Attributes:
        method: Its name.
        budget: MACs.
        architecture: The network, or None where the method has none.
        macs: Its exact MACs; 0 without.
        params: Its exact params; 0 without.
        trainings: Trainings that the method needed to find it; the comparison's own are none of them.
        seconds: How long those took, summed up.
        notes: What a reader should know; without a network, why.
        for_its_score: Whether it was taken because a training of this very network scored well.
    """

    method: str
    budget: float
    architecture: Architecture | None
    macs: int = 0
    params: int = 0
    trainings: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    for_its_score: bool = False

    @property
    def error(self) -> float:
        """Distance of its MACs from the budget, as a share of it; negative below."""
        return self.macs / self.budget - 1

    @property
    def at_budget(self) -> bool:
        """Whether its MACs are within 1 % of the budget."""
        return self.architecture is not None and abs(self.error) <= TOLERANCE


def made(
    method: str,
    budget: float,
    one: Architecture,
    background: Background,
    notes: Sequence[str] = (),
    own: bool = False,
    for_its_score: bool = False,
) -> Contender:
    """A contender with its exact costs, and what is odd about it; `own` charges it the study's own trainings."""
    cost = architecture_complexity(one, background.classes)
    said = list(notes)
    if background.side and one.resolution > background.side:
        said.append(f"its {one.resolution} px are more than the images' {background.side}: they are enlarged")
    trainings, seconds = (background.trainings, background.seconds) if own else (0, 0.0)
    return Contender(method, budget, one, cost.macs, cost.params, trainings, seconds, tuple(said), for_its_score)


def family(method: str) -> str:
    """What a method is called beside others: `random` for each of the random networks."""
    return RANDOM if method in DRAWN else method
