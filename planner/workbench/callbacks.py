"""Functions that are called after each training of `Study.run`, as those of Optuna's `optimize`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from planner.errors import PlannerError
from planner.training.progress import Listener
from sampler import Architecture
from trainer.observation import Observation

_METHODS = ("start", "epoch", "done", "note", "close")


@dataclass(frozen=True)
class EndedTrial:
    """A trial whose training ended, and is recorded.

    Attributes:
        number: Number of the trial.
        observation: Record of what came of it.
    """

    number: int
    observation: Observation

    @property
    def score(self) -> float | None:
        """What it reached; None where it failed."""
        return self.observation.accuracy

    @property
    def status(self) -> str:
        """`ok`, `stopped`, or why there is no score."""
        return self.observation.status

    @property
    def architecture(self) -> Architecture:
        """The network."""
        return self.observation.architecture


class CallbackListener:
    """A listener that calls a function of a study and a trial after each training.

    Args:
        study: The study.
        function: Function to call.
    """

    def __init__(self, study: Any, function: Callable[[Any, EndedTrial], object]) -> None:
        self.study, self.function = study, function

    def start(self, waiting: int, finished: int) -> None:
        """Trainings begin."""

    def epoch(self, number: int, epoch: int, of: int) -> None:
        """A training finished an epoch."""

    def done(self, number: int, observation: Observation) -> None:
        """A training ended."""
        self.function(self.study, EndedTrial(number, observation))

    def note(self, text: str) -> None:
        """Something worth a line."""

    def close(self) -> None:
        """No more trainings."""


def listeners_of(study: Any, callbacks: Iterable[Any]) -> list[tuple[str, Listener]]:
    """Callbacks as listeners, with the names by which their failures are told.

    Args:
        study: The study that functions are given.
        callbacks: Functions of a study and an `EndedTrial`, or listeners (`planner.training.progress.Listener`).

    Raises:
        PlannerError: If one is neither.
    """
    found: list[tuple[str, Listener]] = []
    for one in callbacks:
        listens = not isinstance(one, type) and all(callable(getattr(one, name, None)) for name in _METHODS)
        if not listens and not callable(one):
            raise PlannerError(f"callbacks: {one!r} is neither a function of a study and a trial nor a listener")
        name = getattr(one, "__name__", type(one).__name__)
        found.append((name, one if listens else CallbackListener(study, one)))
    return found
