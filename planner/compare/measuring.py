"""Accuracies of contenders: trained on a study's ledger, never twice; or looked up in a table of trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from planner.errors import PlannerError
from planner.study.ledger import Ledger
from planner.study.trials import asked_key
from planner.tables.status import is_ok
from planner.training.loop import train_queued
from planner.training.progress import Listener
from planner.training.resources import Resources
from sampler import Architecture, LayeredArchitecture
from sampler.moves import column_names, stage_of_column

if TYPE_CHECKING:
    import pandas as pd

_ORIGIN = "compare"
# The same training as the study's own: a trial of the study, or one whose network is kept besides.
_ALIKE: tuple[Mapping[str, Any], ...] = ({}, {"keep": True})
# Of those, what says something of the network: not that it was stopped early, or killed, or met a smaller device.
_TELLING = (None, "ok", "diverged")
FLATTERED = "chosen by its training of seed {seed} on these very images, which flatters that seed"
_Pair = tuple[Architecture, int]  # a network, and how far its seed is above the study's
ScoredOn = Literal["validation", "held-out", "table"]


@dataclass(frozen=True)
class SeedScore:
    """What one training of a network gave.

    Attributes:
        seed: Random seed of the training.
        status: `ok`, or why there is no accuracy.
        accuracy: Top-1, in [0, 1], or the merit of another score; None unless `ok`.
        seconds: How long it took; None where nobody knows.
    """

    seed: int
    status: str
    accuracy: float | None
    seconds: float | None


class Measure(Protocol):
    """Gives accuracies of networks.

    Attributes:
        scored_on: The images, or the table.
        epochs: Number of epochs of each training; 0 where nobody knows.
        flatters: Sentence about a method that chose its network by accuracies which are, or may be, the very ones that
            are measured here; nothing where none can be.
    """

    scored_on: ScoredOn
    epochs: int
    flatters: str

    def __call__(self, architectures: Sequence[Architecture]) -> dict[Architecture, list[SeedScore]]:
        """The scores of each distinct network, by seed; none where nothing is known of it."""


class Trained:
    """Trains networks on a study's ledger, all with the same seeds.

    The trainings say how they differ from the study's, or repeat its epochs: so fits, fronts and counts of the study
    leave them out, and a formula is never compared on networks that it was taught by their own comparison.

    Args:
        ledger: The study's ledger.
        cache: Folder of its decoded images.
        resources: Where and how long to train.
        progress: Told of every epoch and ending.
        seeds: How many trainings of each, from the study's seed upwards.
        final: Whether to train on all training images and score on the validation split.
        epochs: Number of epochs of each training; the study's by default.
    """

    def __init__(
        self,
        ledger: Ledger,
        cache: Path,
        resources: Resources,
        progress: Listener,
        seeds: int,
        final: bool = False,
        epochs: int | None = None,
    ) -> None:
        self.ledger, self.cache, self.resources, self.progress, self.seeds = ledger, cache, resources, progress, seeds
        settings = ledger.settings
        self.epochs = settings.fidelity.epochs if epochs is None else epochs
        self.asks: dict[str, Any] = {}
        if final and settings.data.holdout:
            self.asks["holdout"] = 0
        # Alike the study's, then; else only what differs is said, as everywhere.
        self.alike = _ALIKE if not self.asks and self.epochs == settings.fidelity.epochs else ()
        if self.alike or self.epochs != settings.fidelity.epochs:
            self.asks["epochs"] = self.epochs
        self.scored_on: ScoredOn = "validation" if final or not settings.data.holdout else "held-out"
        self.flatters = FLATTERED.format(seed=settings.seed) if self.alike else ""

    def __call__(self, architectures: Sequence[Architecture]) -> dict[Architecture, list[SeedScore]]:
        """Trains what was not trained before.

        Raises:
            PlannerError: If trainings remain when the time is over; the same comparison goes on with them.
        """
        wanted = self._wanted(architectures)
        with self.ledger.coordinating():
            known = self._attempts(wanted)
            for one, repeat in wanted:
                if (one, repeat) not in known:
                    self.ledger.ask_for(one, _ORIGIN, self.asks, self.ledger.settings.seed + repeat)
        known = self._attempts(wanted)
        if left := [number for number, status in known.values() if status is None]:
            with self.ledger.training_only(left):
                train_queued(self.ledger, self.cache, self.resources, self.progress)
        if missing := self.missing(architectures):
            raise PlannerError(f"{missing} of {len(wanted)} trainings remain; the same command goes on with them")
        return self._scores(self._attempts(wanted))

    def missing(self, architectures: Sequence[Architecture]) -> int:
        """How many trainings of these networks have not ended."""
        wanted = self._wanted(architectures)
        return len(wanted) - sum(status is not None for _, status in self._attempts(wanted).values())

    def _wanted(self, architectures: Sequence[Architecture]) -> list[_Pair]:
        # Seed by seed: where the time runs out, all networks have as many trainings.
        return [(one, repeat) for repeat in range(self.seeds) for one in dict.fromkeys(architectures)]

    def _attempts(self, wanted: Sequence[_Pair]) -> dict[_Pair, tuple[int, str | None]]:
        """The trials that count: those of the study's own that are the same training, else the newest for this."""
        first, found = self.ledger.settings.seed, {}
        newest = [self.ledger.attempts(first + repeat) for repeat in range(self.seeds)]
        for one, repeat in wanted:
            own = [newest[repeat].get((one, asked_key(asks))) for asks in self.alike]
            trials = [trial for trial in own if trial and trial[1] in _TELLING]
            asked = newest[repeat].get((one, asked_key(self.asks)))
            # One that `planner train --stop-early` ended is none to compare by.
            trials += [asked] if asked and asked[1] != "stopped" else []
            if trials:
                found[one, repeat] = min(trials, key=lambda trial: trial[1] != "ok")
        return found

    def _scores(self, attempts: Mapping[_Pair, tuple[int, str | None]]) -> dict[Architecture, list[SeedScore]]:
        rows = {row["trial"]: row for row in self.ledger.frame().to_dict("records")}
        scores: dict[Architecture, list[SeedScore]] = {one: [] for one, _ in attempts}
        for (one, repeat), (number, _) in attempts.items():
            row = rows[number]
            accuracy = float(row["accuracy"]) if is_ok(row) else None
            seconds = None if np.isnan(row["seconds"]) else float(row["seconds"])
            scores[one].append(SeedScore(self.ledger.settings.seed + repeat, str(row["status"]), accuracy, seconds))
        return scores


class LookedUp:
    """Looks networks up in a table of trainings; a network is found where all its integers are equal.

    Args:
        frame: Finished trainings with resolution, width_1 .., depth_1 .., accuracy (in [0, 1]) and, where known, stem,
            head, seed, seconds, epochs: `every` row of a table.
        name: Name of it in errors.
        seeds: At most so many trainings of each network, by the smallest seeds; all by default.
        epochs: Trainings of so many epochs count; of the most that the table has, by default.

    Raises:
        PlannerError: If a column is missing, or no row is left.
    """

    scored_on: ScoredOn = "table"
    flatters = "chosen by accuracies of this very table, which flatters it"

    def __init__(self, frame: pd.DataFrame, name: str, seeds: int | None = None, epochs: int | None = None) -> None:
        kinds = [found[0] for column in frame if (found := stage_of_column(str(column)))]
        stages = kinds.count("width")
        every = column_names(stages)
        self.columns = [column for column in every if column in frame]
        missing = [one for one in every if one not in frame and one not in ("stem", "head")]
        if missing or not stages:
            raise PlannerError(
                f"{name}: no column {' or '.join(missing) or 'width_1'}; a table to look networks up in has the "
                "integers resolution, width_1 .., depth_1 .."
            )
        self.places = [every.index(column) for column in self.columns]
        frame, self.epochs = _of_epochs(frame, name, epochs)
        self.scores = self._by_network(frame)
        self.seeds = seeds

    def __call__(self, architectures: Sequence[Architecture]) -> dict[Architecture, list[SeedScore]]:
        """The scores that the table has."""
        return {one: self._of(one)[: self.seeds] for one in dict.fromkeys(architectures)}

    def _of(self, one: Architecture) -> list[SeedScore]:
        # A table's rows have a width per stage and no knobs: they are other networks than one with a width per layer.
        other = isinstance(one, LayeredArchitecture) or one.knobs
        return [] if other else self.scores.get(self._key(one), [])

    def _key(self, one: Architecture) -> tuple[int, ...]:
        row = (one.resolution, one.stem, *one.widths, *one.depths, one.head)
        return tuple(row[place] for place in self.places)

    def _by_network(self, frame: pd.DataFrame) -> dict[tuple[int, ...], list[SeedScore]]:
        found: dict[tuple[int, ...], list[SeedScore]] = {}
        for row in frame.dropna(subset=self.columns).to_dict("records"):
            scores = found.setdefault(tuple(int(row[column]) for column in self.columns), [])
            seed, seconds = (row.get(name, np.nan) for name in ("seed", "seconds"))
            seed = len(scores) if seed != seed else int(seed)  # without seeds: by their order
            scores.append(SeedScore(seed, "ok", float(row["accuracy"]), None if seconds != seconds else float(seconds)))
        return {key: sorted(scores, key=lambda one: one.seed) for key, scores in found.items()}


def _of_epochs(frame: pd.DataFrame, name: str, epochs: int | None) -> tuple[pd.DataFrame, int]:
    """The rows of so many epochs, or of the most there are; and how many that is, 0 where the table does not say."""
    if "epochs" not in frame:
        if epochs is not None:
            raise PlannerError(f"{name}: no column epochs; leave --epochs out")
        return frame, 0
    known = sorted({int(one) for one in frame["epochs"].dropna()})
    wanted = epochs if epochs is not None else (known[-1] if known else 0)
    if wanted not in known:
        raise PlannerError(f"{name}: no training of {wanted} epochs; it has {', '.join(map(str, known)) or 'none'}")
    return frame[frame["epochs"] == wanted], wanted
