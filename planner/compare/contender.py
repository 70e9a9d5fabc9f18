"""A method's network for a budget, with its exact costs and what a reader should know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.formulas.budgeted import BudgetedNetwork
from sampler import Architecture

if TYPE_CHECKING:
    from planner.compare.background import Background

REFERENCE = "compound"
RANDOM = "random"
DRAWN = tuple(f"{RANDOM}-{place}" for place in (1, 2, 3))  # one network each; the method's score is their mean


@dataclass(frozen=True, eq=False)
class Contender:
    """A method's network for a budget, and what it took to find it.

    Attributes:
        method: Name of the method.
        budget: MACs.
        network: Network with its exact costs; None where the method has none.
        trainings: Trainings that the method needed to find it; the comparison's own are none of them.
        seconds: Seconds that those took, summed up.
        notes: Sentences that a reader should know; without a network, why.
        for_its_score: Whether it was taken because a training of this very network scored well.
    """

    method: str
    budget: float
    network: BudgetedNetwork | None
    trainings: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    for_its_score: bool = False

    @property
    def architecture(self) -> Architecture | None:
        """The network's integers, or None."""
        return None if self.network is None else self.network.architecture

    @property
    def macs(self) -> int:
        """Exact MACs; 0 without a network."""
        return 0 if self.network is None else self.network.macs

    @property
    def params(self) -> int:
        """Exact params; 0 without a network."""
        return 0 if self.network is None else self.network.params

    @property
    def error(self) -> float:
        """Distance of its MACs from the budget, as a share of it; -1 without a network."""
        return -1.0 if self.network is None else self.network.error

    @property
    def at_budget(self) -> bool:
        """Whether its MACs are within 1 % of the budget."""
        return self.network is not None and self.network.at_budget


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
    network, said = BudgetedNetwork.counted(budget, one, background.classes), list(notes)
    if background.side and one.resolution > background.side:
        said.append(f"its {one.resolution} px are more than the images' {background.side}: they are enlarged")
    trainings, seconds = (background.trainings, background.seconds) if own else (0, 0.0)
    return Contender(method, budget, network, trainings, seconds, tuple(said), for_its_score)


def family(method: str) -> str:
    """What a method is called beside others: `random` for each of the random networks."""
    return RANDOM if method in DRAWN else method
