"""Trials as runs of a tool that shows trainings (TensorBoard, Weights & Biases, MLflow), each trial's once.

A tool's own store says what it has: a study that was killed and goes on, or that is logged only now, adds what is
missing and repeats nothing. `--log tensorboard` and the like are made here of what `planner.training.tensorboard_log`
and its neighbours write.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from planner.errors import PlannerError
from planner.study.rebuilding import observations_in
from planner.study.trials import parameters
from sampler import Architecture
from trainer.engines.engine import observation_path
from trainer.observation import EpochRecord, Observation, Training

# Folder of the tools' files in the study's, and the pattern of the names of runs.
LOGS, RUNS = "logs", "trial-[0-9]*[0-9]"
# What a run says at its end beside the score, of an observation.
AT_THE_END = ("macs", "params", "activations", "seconds")
# RunFacts of trainings as the tools take them.
RunFacts = Mapping[str, int | float | str]


class RunStore(Protocol):
    """Where a tool keeps runs, one for each trial; what fails raises whatever the tool raises."""

    def ended(self) -> set[int]:
        """Trials whose runs are complete."""

    def begin(self, number: int, facts: RunFacts, names: Sequence[str]) -> int:
        """Opens a trial's run, or one that was left incomplete.

        Args:
            number: Number of the trial.
            facts: Hyper-parameters.
            names: Names of the numbers that each epoch gives, and the end.

        Returns:
            How many epochs it has.
        """

    def epoch(self, number: int, epoch: int, values: Mapping[str, float]) -> None:
        """Writes the numbers of an epoch, all or none."""

    def end(self, number: int, epoch: int, values: Mapping[str, float], observation: Observation) -> None:
        """Writes the numbers of a whole training and completes its run."""

    def close(self) -> None:
        """Closes what is open; incomplete runs stay so."""


class RunLog:
    """A listener that keeps the runs of a tool: what the study's folder has is written when it is made.

    Args:
        folder: Folder of the study.
        runs: The tool's store.
    """

    def __init__(self, folder: Path, runs: RunStore) -> None:
        self.runs, self.finished = runs, runs.ended()
        self.epochs: dict[int, int] = {}  # of the runs that are open
        self.scores: dict[int, str] = {}  # what they are judged by
        for number, observation in left_observations(folder, self.finished):
            self.done(number, observation)

    def start(self, waiting: int, finished: int) -> None:
        """Trainings begin."""

    def begun(self, number: int, training: Training) -> None:
        """The training of a trial begins, or goes on."""
        if number not in self.finished and number not in self.epochs:
            self._begin(number, training)

    def epoch(self, number: int, epoch: int, of: int) -> None:
        """A training finished an epoch, of which nothing else is known."""

    def scored(self, number: int, history: Sequence[EpochRecord], of: int) -> None:
        """A training finished an epoch."""
        if number in self.epochs:
            self._catch_up(number, history)

    def done(self, number: int, observation: Observation) -> None:
        """A training ended."""
        if number in self.finished:
            return
        if number not in self.epochs:
            self._begin(number, observation)
        self._catch_up(number, observation.history)
        values = {self.scores.pop(number): observation.accuracy, "loss": observation.loss}
        values |= {name: getattr(observation, name) for name in AT_THE_END}
        last = max([self.epochs.pop(number), *(record.epoch for record in observation.history)])
        self.runs.end(number, last, _finite(values), observation)
        self.finished.add(number)

    def note(self, text: str) -> None:
        """Something worth a line."""

    def close(self) -> None:
        """No more trainings."""
        self.runs.close()

    def _begin(self, number: int, asked: Training | Observation) -> None:
        facts = hyper_parameters(asked.architecture, asked.fidelity.epochs, asked.seed)
        score = self.scores[number] = asked.score.name
        self.epochs[number] = self.runs.begin(number, facts, (score, "loss", "training_loss", *AT_THE_END))

    def _catch_up(self, number: int, history: Sequence[EpochRecord]) -> None:
        for record in history:
            if record.epoch > self.epochs[number]:
                self.runs.epoch(number, record.epoch, _finite(epoch_numbers(record, self.scores[number])))
                self.epochs[number] = record.epoch


def left_observations(folder: Path, told: Set[int]) -> Iterator[tuple[int, Observation]]:
    """The trainings of a study that ended and of which somebody was not told, as their processes left them.

    Args:
        folder: Folder of the study.
        told: Numbers of the trials that are known.

    Yields:
        Numbers and observations; those that cannot be read are left to the ledger.
    """
    for number in observations_in(folder):
        if number not in told:
            with suppress(OSError, ValueError):
                text = observation_path(folder / "observations", number).read_text()
                yield number, Observation.from_json(text)


def hyper_parameters(architecture: Architecture, epochs: int, seed: int) -> dict[str, int | float | str]:
    """What a training is made with: base network, resolution, widths, depths and knobs as tables name them, and how."""
    sizes = parameters(architecture, sorted(architecture.knobs))
    return {"base": architecture.base, **sizes, "epochs": epochs, "seed": seed}


def epoch_numbers(record: EpochRecord, score: str) -> dict[str, float]:
    """The numbers that an epoch gave, by the names that people know: the score's own, losses, further ones."""
    named = {score: record.accuracy, "loss": record.loss, "training_loss": record.training_loss}
    return record.facts | {name: value for name, value in named.items() if value is not None}


def run_name(number: int) -> str:
    """Name of a trial's run.

    >>> run_name(7)
    'trial-0007'
    """
    return f"trial-{number:04d}"


def trial_of(name: str) -> int:
    """The number of the trial of a run, by its name."""
    return int(name.rpartition("-")[2])


def has_score(observation: Observation) -> bool:
    """Whether a training gave a score; tools show the others as failed."""
    return observation.status in ("ok", "stopped")


def imported(module: str, tool: str) -> Any:
    """A tool's module.

    Args:
        module: Name of the module.
        tool: Name of the listener and of the package.

    Raises:
        PlannerError: If it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise PlannerError(f"--log {tool} needs {tool} ({reason}): pip install 'scaling-planner[log]'") from error


def _finite(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}
