"""A scorer that trains: every score is a trial of a study's ledger, and none is trained twice.

A candidate without a parent is a training of the study like any other. One with a parent inherits the weights of the
network that the parent was last scored by, and is fine-tuned by the recipe `amplify`, or another: a score beside other
fine-tunes only, which fits and fronts leave out. A candidate that is its own parent is trained on in the same way: the
control of those that grew from it, and from then on the network that its children inherit from, so that all networks of
an iteration have the same epochs behind them. Where a family's networks have no weights to inherit, all are trained
from scratch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from planner.errors import PlannerError
from planner.searches.scoring import Candidate, Tell
from planner.study.ledger import Ledger
from planner.study.trials import asked_key
from planner.training.loop import train_queued
from planner.training.progress import Listener
from planner.training.resources import MakeEngine, Resources
from sampler import Architecture, base
from trainer.inherit import refusal
from trainer.inheritance.stages import inheritable
from trainer.observation import INHERITANCE_NOISE

# Network Amplification, section 4.1.
FINE_TUNE, FINE_TUNE_EPOCHS = "amplify", 20
Asks = Mapping[str, Any]
Attempts = dict[int, dict[tuple[Architecture, str], tuple[int, str | None]]]  # by seed, as `Records.attempts`


@dataclass(frozen=True)
class FineTune:
    """How a search's networks are trained, beside the study's own recipe.

    Attributes:
        epochs: Number of epochs of the fine-tune of inherited weights.
        recipe: Recipe of it, a text of `planner.study.recipes`.
        noise: Noise on these, as `trainer.inherit.inherit` takes it.
        seeds: How often each network is trained, from the study's seed upwards; its score is their mean, and each
            inherits from the training of its parent with its own seed.
        pretraining: Epochs of a network without a parent; or the name of a network, kept among the study's, that it is
            fine-tuned from; None for the study's own epochs.
    """

    epochs: int = FINE_TUNE_EPOCHS
    recipe: str = FINE_TUNE
    noise: float = INHERITANCE_NOISE
    seeds: int = 1
    pretraining: int | str | None = None


class _Wish(NamedTuple):
    """A training that gives a candidate's score with one seed."""

    architecture: Architecture
    seed: int
    asks: Asks

    @property
    def key(self) -> tuple[Architecture, str]:
        """Its key among the attempts of its seed."""
        return self.architecture, asked_key(self.asks)


class TrainedScorer:
    """Scores candidates by training them.

    Args:
        ledger: The study's ledger.
        cache: Folder of its decoded images.
        resources: Where and how long to train.
        progress: Told of every epoch and ending.
        origin: Name of the search, which its trials carry.
        tell: Told what could not be scored.
        how: How they are trained.
        engine: Makes the engine of each call, such as one whose workers are kept; as `resources` name it by default.
    """

    def __init__(
        self,
        ledger: Ledger,
        cache: Path,
        resources: Resources,
        progress: Listener,
        origin: str,
        tell: Tell,
        how: FineTune | None = None,
        engine: MakeEngine | None = None,
    ) -> None:
        self.ledger, self.cache, self.resources, self.progress = ledger, cache, resources, progress
        self.origin, self.tell, self.how, self.engine = origin, tell, how or FineTune(), engine
        network = base(ledger.settings.base)
        self.inherits = inheritable(network)
        if not self.inherits:
            tell(
                f"{network.name}: family {network.family!r} has no parts(), so every candidate is trained from scratch"
            )
        # The last trials of each network, one per seed, whose weights are kept.
        self.scored_by: dict[Architecture, tuple[int, ...]] = {}
        self.trials: dict[int, str] = {}  # labels of all that were asked for

    @property
    def seeds(self) -> range:
        """Random seeds of each network's trainings."""
        first = self.ledger.settings.seed
        return range(first, first + self.how.seeds)

    def __call__(self, candidates: Sequence[Candidate]) -> list[float | None]:
        """Accuracy of each, in [0, 1], the mean over the seeds.

        None where a training diverged, or weights cannot be inherited exactly.

        Raises:
            PlannerError: If trainings remain when the time is over; the same search goes on with them.
        """
        if not self.inherits:
            candidates = [replace(one, parent=None) for one in candidates]
        parents = dict.fromkeys(one.parent for one in candidates if one.parent is not None)
        orphans = [Candidate(one) for one in parents if one not in self.scored_by]
        if orphans:
            self(orphans)
        wishes = [self._wishes(one) for one in candidates]
        self._train([wish for each in wishes for wish in each])
        ended = self._attempts()
        return [self._score(one, each, ended) for one, each in zip(candidates, wishes, strict=True)]

    def _wishes(self, candidate: Candidate) -> list[_Wish]:
        """The trainings of a candidate; none where it cannot be trained so."""
        one, parent = candidate.architecture, candidate.parent
        if parent is None:
            return [_Wish(one, seed, self._first_asks()) for seed in self.seeds]
        reasons = (None if parent == one else refusal(parent, one, seed) for seed in self.seeds)
        reason = next((why for why in reasons if why), None)
        trials = self.scored_by.get(parent)
        if reason or trials is None:
            self.tell(f"{candidate.label}: not scored, {reason or 'its parent has no score'}")
            return []
        return [_Wish(one, seed, self._heir_of(trial)) for seed, trial in zip(self.seeds, trials, strict=True)]

    def _first_asks(self) -> Asks:
        """What a network without a parent asks for."""
        given = self.how.pretraining
        if isinstance(given, str):
            return self._heir_of(given)
        usual = given in (None, self.ledger.settings.fidelity.epochs)
        return {"keep": True} if usual else {"keep": True, "epochs": given}

    def _heir_of(self, parent: int | str) -> Asks:
        how = self.how
        return {"keep": True, "parent": parent, "epochs": how.epochs, "recipe": how.recipe, "noise": how.noise}

    def _attempts(self) -> Attempts:
        return {seed: self.ledger.attempts(seed) for seed in self.seeds}

    def _train(self, wanted: Sequence[_Wish]) -> None:
        """Trains what was not trained before, and nothing else that waits."""
        wishes = {(wish.seed, wish.key): wish for wish in wanted}
        with self.ledger.queueing():
            known = self._attempts()
            for wish in wishes.values():
                if wish.key not in known[wish.seed]:
                    self.ledger.ask_for(wish.architecture, self.origin, wish.asks, wish.seed)
        if not self._unfinished(wishes.values()):
            return
        with self.ledger.training_only(self._unfinished(wishes.values())):
            train_queued(self.ledger, self.cache, self.resources, self.progress, self.engine)
        if left := len(self._unfinished(wishes.values())):
            raise PlannerError(f"{left} trainings of {self.origin} remain; the same command goes on with them")

    def _unfinished(self, wishes: Iterable[_Wish]) -> list[int]:
        """Trials of those trainings that have not ended."""
        known = self._attempts()
        found = [known[wish.seed][wish.key] for wish in wishes]
        return [number for number, status in found if status is None]

    def _score(self, candidate: Candidate, wishes: Sequence[_Wish], ended: Attempts) -> float | None:
        if not wishes:
            return None
        trials = [ended[wish.seed][wish.key] for wish in wishes]
        scores = [self.ledger.accuracy_of(number) for number, _ in trials]
        for (number, status), score in zip(trials, scores, strict=True):
            self.trials.setdefault(number, candidate.label)
            if score is None:
                self.tell(f"{candidate.label}: not scored, trial {number} ended as {status}")
        known = [score for score in scores if score is not None]
        if len(known) < len(scores):
            return None
        self.scored_by[candidate.architecture] = tuple(number for number, _ in trials)
        return sum(known) / len(known)
