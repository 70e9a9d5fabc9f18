"""The ladder of a formula file: integer answers by rising MACs, that a reader without the planner finds by bisection.

A rung is the best buildable network of some budget by all that the trainings taught (`planner.fitting.ladder` finds
them). It stands where the answer changes, so that the answer to a budget is the last rung whose MACs are within it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from planner.errors import PlannerError
from sampler import Architecture, BaseNetwork, architecture_complexity
from sampler.complexity import count
from sampler.families import family_of
from sampler.knobs import stack_alike

_Document = dict[str, Any]


@dataclass(frozen=True)
class Rung:
    """One answer.

    Attributes:
        architecture: Network, integers only.
        macs: Exact MACs of the network: the least budget that it answers.
        accuracy: Accuracy that a training of it is expected to reach, at answers.
        lower: Lower end of that expectation's 90 % interval.
        upper: Upper end.
    """

    architecture: Architecture
    macs: int
    accuracy: float
    lower: float
    upper: float

    def as_dict(self) -> _Document:
        """In JSON's types, as the formula file holds it."""
        expected = {"accuracy": self.accuracy, "lower": self.lower, "upper": self.upper}
        return {"macs": self.macs, **self.architecture.as_dict(), **expected}


def rung_at(ladder: Sequence[Rung], budget: float) -> Rung | None:
    """The answer to a budget of MACs: never above it; None where even the first rung is."""
    place = bisect_right(ladder, budget, key=lambda rung: rung.macs)
    return ladder[place - 1] if place else None


def ladder_in(documents: list[_Document], network: BaseNetwork, classes: int) -> tuple[Rung, ...]:
    """The ladder of a formula file that keeps to the schema.

    Raises:
        PlannerError: If rungs do not ascend, a network cannot be built or costs other MACs, or a mean lies outside its
            interval; names the rung.
    """
    networks = [_network_in(one, f"ladder[{index}]", network) for index, one in enumerate(documents)]
    ladder = tuple(
        Rung(network, macs, one["accuracy"], one["lower"], one["upper"])
        for one, network, macs in zip(documents, networks, _macs_of(network, networks, classes), strict=True)
    )
    for index, (document, rung) in enumerate(zip(documents, ladder, strict=True)):
        if rung.macs != document["macs"]:
            raise PlannerError(f"ladder[{index}].macs is {document['macs']}; its network costs {rung.macs}")
    for index, (one, other) in enumerate(pairwise(ladder), start=1):
        if other.macs <= one.macs:
            raise PlannerError(f"ladder[{index}].macs is {other.macs} after {one.macs}; rising MACs are wanted")
    return ladder


def _network_in(one: _Document, place: str, network: BaseNetwork) -> Architecture:
    if not one["lower"] <= one["accuracy"] <= one["upper"]:
        raise PlannerError(f"{place}.accuracy is {one['accuracy']}, outside its own interval")
    try:
        shape = (one["resolution"], one["stem"], tuple(one["widths"]), tuple(one["depths"]), one["head"])
        found = Architecture(network.name, *shape).with_knobs(one.get("knobs", {}))
        family_of(network).with_knobs(network, found.knobs)  # refuses those that it lacks
        return found
    except PlannerError as error:
        raise PlannerError(f"{place} cannot be built: {error}") from error


def _macs_of(network: BaseNetwork, networks: Sequence[Architecture], classes: int) -> list[int]:
    """The exact MACs of networks, counted together: one by one takes as long as all else of reading a file."""
    if len({(len(one.widths), len(one.depths)) for one in networks}) == 1:
        try:
            return [int(macs) for macs in count(stack_alike(network, networks), classes).macs]
        except PlannerError:
            pass  # which of them it is, counting each says
    found = []
    for index, one in enumerate(networks):
        try:
            found.append(architecture_complexity(one, classes).macs)
        except PlannerError as error:
            raise PlannerError(f"ladder[{index}] cannot be built: {error}") from error
    return found
