"""Trainings that somebody asks for, does on their own, and tells the result of: Optuna's ask and tell.

What was asked for is claimed in the ledger, so that no two askers, and no coordinator, get the same. It is the asker's
as long as that lives, its object at most as long as its process; or until a time that stands in the ledger, whoever
tells of it then. What was never told is put back by the next asker or coordinator.
"""

from __future__ import annotations

import math
import os
import shutil
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from planner.errors import PlannerError
from planner.study.ledger import ASKER, Ledger
from planner.study.storage import storage_errors
from planner.study.trials import parameters
from sampler import Architecture, Complexity, architecture_complexity
from sampler import base as base_named
from sampler.checks import shown
from sampler.knobs import every_knob
from trainer.engines.engine import write_observation
from trainer.mending import told
from trainer.observation import STATUSES, EpochRecord, Observation
from trainer.protocol import Job, checked_score
from trainer.score import Score

# Types of a job's fields, which tools look for where a class that inherits them is defined.
_FIELD_TYPES = (Architecture, EpochRecord)
# Folders of the jobs that are asked for, by their trials' numbers, in the study's.
_JOBS = "asked"


@dataclass
class Trial(Job):
    """A job that was asked for, to be done by whoever asked; what a trainer is given, and its place in the ledger.

    Attributes:
        number: Number of the trial.
        macs: Exact multiply-accumulates of one image.
        until: Time, in seconds since 1970, after which it is handed out again where nobody told of it; None for as long
            as the asker lives.
    """

    number: int = field(kw_only=True)
    macs: int = field(kw_only=True)
    until: float | None = field(default=None, kw_only=True)

    @property
    def params(self) -> dict[str, int]:
        """Resolution, `width_1` .. and `depth_1` .. of the stages, as a table of the study names them."""
        return parameters(self.architecture, sorted(self.architecture.knobs))

    @property
    def cost(self) -> Complexity:
        """What one image costs: exact MACs, learnable parameters, activations, memory."""
        return architecture_complexity(self.architecture, self.classes)

    @property
    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        """The network's further whole numbers, such as heads, by name; those that follow rules too."""
        return every_knob(base_named(self.architecture.base), self.architecture)


class Asker:
    """One that takes a study's trainings and tells what came of them.

    Args:
        ledger: The study's ledger, this asker's alone.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._life = ExitStack()
        weakref.finalize(self, self._life.close)

    def ask(
        self, n: int, fill: Callable[[int], object], device: str = "cpu", within: float | None = None
    ) -> list[Trial]:
        """Takes what waits, the oldest first.

        Args:
            n: Number of trainings wanted.
            fill: Queues as many as are missing.
            device: Torch device of the jobs.
            within: Seconds after which what was not told of is handed out again, whether this asker lives or not; None
                for once it does not.

        Returns:
            As many, or fewer where no more can be queued.

        Raises:
            PlannerError: If somebody else trains the study at the moment and there can be no other, or the storage
                refuses.
        """
        ledger = self.ledger
        with storage_errors(ledger.url), ledger.locks.taking(), ledger.exporting(again=False):
            if within is None and ledger.locks.number is None:
                self._life.enter_context(ledger.locks.asking())
            ledger.finish_queueing()
            ledger.reconcile()
            self._clear_folders()
            if (missing := n - ledger.counts()["waiting"]) > 0:
                fill(missing)
            until = None if within is None else time.time() + within
            claimed = (ledger.claim(ASKER, until or 0.0) for _ in range(n))
            return [self._trial(taken[0], device, until) for taken in claimed if taken is not None]

    def _trial(self, number: int, device: str, until: float | None) -> Trial:
        training, folder = self.ledger.training(number), self._folder(number)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PlannerError(told(error)) from error
        return Trial(
            architecture=training.architecture,
            classes=self.ledger.settings.data.classes,
            epochs=training.fidelity.epochs,
            share=training.fidelity.data_share,
            seed=training.seed,
            device=device,
            threads=os.cpu_count() or 1,
            folder=folder,
            score=training.score,
            number=number,
            macs=self.ledger.macs_of(number),
            until=until,
        )

    def _folder(self, number: int) -> Path:
        return self.ledger.folder / _JOBS / f"{number:06d}"

    def _clear_folders(self) -> None:
        """Removes the folders of jobs that nobody does any more."""
        needed = {self._folder(number) for number in self.ledger.unfinished()}
        for folder in (self.ledger.folder / _JOBS).glob("*"):
            if folder not in needed:
                shutil.rmtree(folder, ignore_errors=True)

    def tell(self, number: int, score: Any, status: str, facts: dict[str, Any]) -> bool:
        """Records what came of a training.

        Args:
            number: Number of the trial.
            score: Score that it reached, in [0, 1]; None unless the status is `ok`.
            status: One of `trainer.observation.STATUSES`; `killed` queues it again.
            facts: Further fields of its `Observation`.

        Returns:
            Whether its training waits again.

        Raises:
            PlannerError: If the trial is not being trained or belongs to somebody else, or the result is impossible.
        """
        ledger, value = self.ledger, _score(number, score, status, self.ledger.settings.score)
        again = handed_back = False
        with storage_errors(ledger.url), ledger.exporting(again=False), ledger.locks.telling():
            self._check_is_ours(number)
            if status == "killed":
                handed_back = not any(one.number == number for one in ledger.running())
                again = handed_back or ledger.requeue(number, facts.get("message") or "given up by who asked for it")
            else:
                self._record(number, value, status, facts)
        if not handed_back:
            shutil.rmtree(self._folder(number), ignore_errors=True)
        return again

    def _record(self, number: int, score: float | None, status: Any, facts: dict[str, Any]) -> None:
        training = self.ledger.training(number)
        cost = architecture_complexity(training.architecture, self.ledger.settings.data.classes)
        costs = {name: getattr(cost, name) for name in ("macs", "params", "activations", "memory")}
        try:
            observation = Observation(
                training.architecture, training.fidelity, training.seed, status, score, **costs, **facts
            )
            write_observation(self.ledger.observations, number, training, observation)
        except OSError as error:
            raise PlannerError(told(error)) from error
        except ValueError as error:
            raise PlannerError(f"trial {number}: {error}") from error
        self.ledger.record(number, replace(observation, asked=training.facts()))

    def _check_is_ours(self, number: int) -> None:
        """Refuses a trial that is not being trained, or by somebody else who lives."""
        if self.ledger.asked_for(number):  # refuses one that is not there
            return
        trial = next((one for one in self.ledger.running() if one.number == number), None)
        if trial is None:
            became = self.ledger.became_of(number)
            raise PlannerError(f"{self.ledger.folder}: trial {number} is not being trained: {became}")
        locks, asker = self.ledger.locks, trial.user_attrs.get(ASKER)
        if asker is None or (asker != locks.number and asker in locks.alive()):
            raise PlannerError(f"{self.ledger.folder}: trial {number} is trained by somebody else")


def _score(number: int, score: Any, status: str, by: Score) -> float | None:
    """A score that a training of some status can have.

    Raises:
        PlannerError: If it is impossible, or does not go with the status.
    """
    if status not in STATUSES:
        raise PlannerError(f"status {shown(status)} is unknown; known: {', '.join(STATUSES)}")
    if status != "ok":
        if score is not None:
            raise PlannerError(f"a training that ended as {status} has no score; leave {shown(score)} out")
        return None
    value = checked_score(score, f"trial {number}, score {shown(score)}", by)
    if not math.isfinite(value):
        raise PlannerError(f"trial {number}: the score is {value}; tell status='diverged' instead")
    return value
