"""The proposers by their names: ours, those that a program registers, and those of installed packages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from planner.proposers.gain import ExpectedGain
from planner.proposers.names import PROPOSER_NAMES
from planner.proposers.optuna_proposer import OptunaProposer
from planner.proposers.protocol import ProposalTask, Proposer
from sampler.registry import Registry

PROPOSERS = Registry[Proposer]("proposer", "scaling_planner.proposers", "--method")
_OURS: dict[str, Proposer] = {"bayes": ExpectedGain()}
for _name in PROPOSER_NAMES:
    PROPOSERS.register(_name, _OURS.get(_name) or OptunaProposer(_name))
_P = TypeVar("_P", bound=Proposer)


def register_proposer(name: str) -> Callable[[_P], _P]:
    """A decorator: makes a proposer known by a name.

    Args:
        name: Name of it, as `planner propose --method` takes it.

    Raises:
        PlannerError: If the name is taken, or is no name.

    Example:
        >>> @register_proposer("dearest")
        ... def dearest(observed, pool, n, task):
        ...     return list(pool[task.cost].nlargest(n).index)
        >>> "dearest" in PROPOSERS
        True
    """

    def registered(proposer: _P) -> _P:
        PROPOSERS.register(name, proposer)
        return proposer

    return registered


def trait(proposer: Proposer, name: str) -> Any:
    """An attribute that a proposer may have (see `Proposer`), or None."""
    return getattr(proposer, name, None)


def about(name: str, proposer: Proposer, task: ProposalTask) -> str:
    """A sentence that says what a proposer chose by."""
    said = trait(proposer, "about")
    return f"{name}: its own choice" if said is None else str(said(name, task))
