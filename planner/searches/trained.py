"""A scorer that trains: every score is a trial of a study's ledger, and none is trained twice.

A candidate without a parent is a training of the study like any other. One with a parent inherits the weights of the
network that the parent was scored by, and is fine-tuned by the recipe `amplify`: a score beside other fine-tunes only,
which fits and fronts leave out. Where a family's networks have no weights to inherit, all are trained from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from planner.errors import PlannerError
from planner.searches.scoring import Candidate, Tell
from planner.study.ledger import Ledger
from planner.study.trials import asked_key
from planner.training.loop import train_queued
from planner.training.progress import Listener
from planner.training.resources import Resources
from sampler import Architecture, base
from trainer.inherit import refusal
from trainer.inheritance.stages import inheritable

# Network Amplification, section 4.1.
_FINE_TUNE, FINE_TUNE_EPOCHS = "amplify", 20
Asks = Mapping[str, Any]


class TrainedScorer:
    """Scores candidates by training them.

    Args:
        ledger: The study's ledger.
        cache: Folder of its decoded images.
        resources: Where and how long to train.
        progress: Told of every epoch and ending.
        origin: Name of the search, which its trials carry.
        tell: Told what could not be scored.
        epochs: Number of epochs of the fine-tune of inherited weights.
    """

    def __init__(
        self,
        ledger: Ledger,
        cache: Path,
        resources: Resources,
        progress: Listener,
        origin: str,
        tell: Tell,
        epochs: int = FINE_TUNE_EPOCHS,
    ) -> None:
        self.ledger, self.cache, self.resources, self.progress = ledger, cache, resources, progress
        self.origin, self.tell, self.epochs = origin, tell, epochs
        network = base(ledger.settings.base)
        self.inherits = inheritable(network)
        if not self.inherits:
            tell(
                f"{network.name}: family {network.family!r} has no parts(), so every candidate is trained from scratch"
            )
        self.scored_by: dict[Architecture, int] = {}  # trials, whose networks are kept
        self.trials: dict[int, str] = {}  # labels of all that were asked for

    def __call__(self, candidates: Sequence[Candidate]) -> list[float | None]:
        """Accuracy of each, in [0, 1]; None where a training diverged, or weights cannot be inherited exactly.

        Raises:
            PlannerError: If trainings remain when the time is over; the same search goes on with them.
        """
        if not self.inherits:
            candidates = [replace(one, parent=None) for one in candidates]
        parents = dict.fromkeys(one.parent for one in candidates if one.parent is not None)
        orphans = [Candidate(one) for one in parents if one not in self.scored_by]
        if orphans:
            self(orphans)
        asks = [self._asks(one) for one in candidates]
        self._train([(one.architecture, own) for one, own in zip(candidates, asks, strict=True) if own is not None])
        ended = self.ledger.attempts()
        return [self._score(one, own, ended) for one, own in zip(candidates, asks, strict=True)]

    def _asks(self, candidate: Candidate) -> Asks | None:
        """What the trial of a candidate asks for; None where it cannot be trained so."""
        if candidate.parent is None:
            return {"keep": True}
        reason = refusal(candidate.parent, candidate.architecture, self.ledger.settings.seed)
        trial = self.scored_by.get(candidate.parent)
        if reason or trial is None:
            self.tell(f"{candidate.label}: not scored, {reason or 'its parent has no score'}")
            return None
        return {"keep": True, "parent": trial, "epochs": self.epochs, "recipe": _FINE_TUNE}

    def _train(self, wanted: Sequence[tuple[Architecture, Asks]]) -> None:
        """Trains what was not trained before."""
        keys = {(one, asked_key(asks)): asks for one, asks in wanted}
        with self.ledger.queueing():
            known = self.ledger.attempts()
            for key, asks in keys.items():
                if key not in known:
                    self.ledger.ask_for(key[0], self.origin, asks)
        if all(key in known and known[key][1] is not None for key in keys):
            return
        train_queued(self.ledger, self.cache, self.resources, self.progress)
        known = self.ledger.attempts()
        left = sum(known[key][1] is None for key in keys)
        if left:
            raise PlannerError(f"{left} trainings of {self.origin} remain; the same command goes on with them")

    def _score(
        self, candidate: Candidate, asks: Asks | None, ended: Mapping[Any, tuple[int, str | None]]
    ) -> float | None:
        if asks is None:
            return None
        number, status = ended[candidate.architecture, asked_key(asks)]
        self.trials.setdefault(number, candidate.label)
        accuracy = self.ledger.accuracy_of(number)
        if accuracy is None:
            self.tell(f"{candidate.label}: not scored, trial {number} ended as {status}")
        else:
            self.scored_by.setdefault(candidate.architecture, number)
        return accuracy
