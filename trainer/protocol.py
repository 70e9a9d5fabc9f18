"""What a trainer is: it is given a job, reports scores, and ends. Any framework, any task; nothing here imports torch.

Two views of the same: a `Trainer` is what a user writes, a function of a job; a `TrainingTask` is what engines and the
planner ask of a study's trainings, whoever trains them. `trainer.images_task` is the one that a study has by default,
`trainer.function_task` makes one of any `Trainer`.

    def train(job):
        model = job.build()
        for epoch in range(1, job.epochs + 1):
            ...
            job.report(epoch, score)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import trainer
from sampler import Architecture, Architectures, InputError
from trainer.observation import DataSpec, EpochRecord, Observation, Training
from trainer.score import ACCURACY, ACCURACY_NAME, Score, is_taken

if TYPE_CHECKING:
    from torch import nn

# Called with the history after every epoch; whether the training shall stop there.
OnEpoch = Callable[[tuple[EpochRecord, ...]], bool]


class Stopped(Exception):
    """Raised by `Job.report`: the job ends here, because it cannot pay any more or is to go on another time.

    A trainer that catches it may write its checkpoint, and returns or raises it again.
    """


class NoScore(Exception):
    """Raised by `Job.report` of a score that is not finite: the training diverged."""


class TimeIsOver(Exception):
    """Raised by a trainer whose job took longer than it may: the training is not tried again."""


@dataclass
class Job:
    """One training to do, as its trainer sees it.

    Attributes:
        architecture: Network to train: its integers, whatever they mean to the trainer.
        classes: Outputs of the classifier.
        epochs: Epochs to train; what an epoch is, the trainer knows.
        share: Share of the training data to use, in (0, 1].
        seed: Random seed of the initial weights and of the order of the data.
        device: Torch device, such as "cpu" or "cuda:1".
        threads: Threads to compute with.
        folder: Folder of this job for checkpoints: the same when it is begun again after it was killed or paused, and
            removed when it is done.
        history: Records of the epochs that were reported, by those before it was killed too.
        score: Number that the training is judged by: the name and the direction of what is reported.
        deadline: Reading of `time.monotonic()` at which the job's time is over (`--limit`); infinite where it has no
            limit. A report after it ends the job; without one its process ends some seconds later.
    """

    architecture: Architecture
    classes: int
    epochs: int
    share: float
    seed: int
    device: str
    threads: int
    folder: Path
    history: list[EpochRecord] = field(default_factory=list)
    score: Score = ACCURACY
    deadline: float = math.inf
    _told: Callable[[], bool] = lambda: False

    def build(self) -> nn.Module:
        """The network, with random weights that the seed decides (it seeds torch), on the CPU.

        Raises:
            InputError: If its family cannot be built.
        """
        import torch

        torch.set_num_threads(self.threads)
        torch.manual_seed(self.seed)
        return trainer.build(self.architecture, self.classes)

    def report(self, epoch: int, score: float, loss: float | None = None, **facts: float) -> None:
        """Tells how good the network is after an epoch; kept at once, so that no kill loses it.

        A trainer that writes checkpoints reports an epoch before its checkpoint says that it is done: a kill in between
        then repeats the epoch and its report, instead of losing the report.

        Args:
            epoch: Epochs done, from 1 to `epochs`; each once, but again where a job began again before it.
            score: Score on data that was not trained on: an accuracy in [0, 1], or what the study's score is.
            loss: Loss on the same data, which is shown; None where there is none, as of one that is not finite.
            facts: Further numbers, such as `energy_j=12.5`, each a column of the study's table with its last value;
                those that are not finite are left out. `seconds` are those of the whole training so far, where the
                trainer knows better than the clock.

        Raises:
            Stopped: If the training shall end here. The last epoch's report never does.
            NoScore: If the score is not finite.
            InputError: If score or epoch is impossible, or a fact has the name of another column or is no number.
        """
        if not isinstance(epoch, int) or not 1 <= epoch <= self.epochs:
            raise InputError(f"job.report({epoch!r}, ..): epochs count from 1 to job.epochs, which is {self.epochs}")
        value = checked_score(score, f"job.report({epoch}, {score!r})", self.score)
        if not math.isfinite(value):
            raise NoScore(f"the score is {value} after epoch {epoch}")
        kept = [record for record in self.history if record.epoch < epoch]
        where = f"job.report({epoch}, ..)"
        told, shown_loss = (
            _checked_facts(facts, where, self.score),
            None if loss is None else _fact("loss", loss, where),
        )
        self.history[:] = [*kept, EpochRecord(epoch, None, value, shown_loss, told)]
        if self._told() and epoch < self.epochs:
            raise Stopped


def checked_score(score: object, where: str, by: Score = ACCURACY) -> float:
    """A score as a number, NaN and infinities included.

    Args:
        score: Whatever a trainer gave: a number, or an array or tensor of one.
        where: Start of the error.
        by: Number that the training is judged by.

    Raises:
        InputError: If it is none, an accuracy is not in [0, 1], or another score is better than its limit.
    """
    try:
        value = _number(score)
    except (TypeError, ValueError, OverflowError):
        wanted = "a number in [0, 1]; give the share that is right, say" if by.is_accuracy else "a number"
        raise InputError(f"{where}: a score is {wanted}") from None
    if not math.isfinite(value):
        return value
    if by.is_accuracy and not 0 <= value <= 1:
        raise InputError(f"{where}: a score is in [0, 1], higher is better; scale it")
    if by.merit(value) > by.most:
        raise InputError(
            f"{where}: {by.name} is better than its limit, {by.limit:g}; mend the trainer, or take another "
            "--limit-score in another study"
        )
    return value


def _number(given: Any) -> float:
    """A number, or that of an array or tensor of one; a loss of torch is cut off from its gradients."""
    return float(given.detach() if hasattr(given, "detach") else given)


def _checked_facts(facts: Mapping[str, object], where: str, score: Score) -> dict[str, float]:
    """Further numbers that a trainer reports, without those that are not finite.

    Raises:
        InputError: If one has the name of another column, or is no number.
    """
    found = {}
    for name, fact in facts.items():
        if name in (score.name, ACCURACY_NAME, "loss") or (is_taken(name) and name != "seconds"):
            raise InputError(f"{where}: {name} is a column of every study's table; report it by another name")
        value = _fact(name, fact, where)
        if value is not None:
            found[name] = value
    return found


def _fact(name: str, fact: object, where: str) -> float | None:
    """A further number; None where it is not finite.

    Raises:
        InputError: If it is none.
    """
    try:
        value = _number(fact)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: {name} is {fact!r:.60}; a number is wanted") from None
    return value if math.isfinite(value) else None


class Trainer(Protocol):
    """Trains one network; a function will do."""

    def __call__(self, job: Job) -> float | None:
        """Trains.

        Args:
            job: Job to do.

        Returns:
            The final score, which is reported for the last epoch; None where all was reported.

        Raises:
            Stopped: If `job.report` raised it.
        """


@dataclass(frozen=True)
class Conditions:
    """Circumstances of one training on one machine.

    Attributes:
        device: Torch device.
        threads: Threads to compute with.
        on_epoch: Told of every epoch; answers whether the training shall stop there.
        checkpoint: Path of its state, a file or a folder as the task likes; the same when it is begun again. None for
            a training that need not go on after a kill.
        own_process: Whether the process is the engine's own, which may end it where a training takes too long.
        alone: Whether no other training of the engine shares its device. Where memory runs out beside others, a task
            raises `trainer.device_errors.CrowdedError` and is asked again alone: only then it is out of memory.
    """

    device: str
    threads: int
    on_epoch: OnEpoch
    checkpoint: Path | None
    own_process: bool = False
    alone: bool = True


class TrainingTask(Protocol):
    """How the trainings of a study are done, whoever does them; one object for all trainings of a process."""

    def prepare(self, data: DataSpec, fingerprint: str, study: str) -> None:
        """Makes ready once, before the workers begin, what all of them need, and refuses what cannot be trained on.

        Args:
            data: Data of the study.
            fingerprint: Fingerprint of the data that the study was made with.
            study: Name of the study, for errors.

        Raises:
            InputError: If the data are others, or there is no such trainer.
        """

    def bytes_needed(self, architectures: Architectures, classes: int, training: Training) -> int:
        """Memory on a GPU that the largest of some trainings needs, in bytes; called after `prepare`.

        Args:
            architectures: All that are trained.
            classes: Outputs of the classifier.
            training: One of the trainings.
        """

    def observe(self, training: Training, conditions: Conditions) -> Observation:
        """Does one training in this process.

        Raises:
            InputError: If the user can mend it.
            OSError: If a file cannot be read or written.
            PausedError: If `trainer.pausing` asked for it, with what is done kept at `conditions.checkpoint`.
            TrainerError: If code of the user raised something.
            CrowdedError: If memory ran out beside other trainings.
        """


class TrainerError(Exception):
    """Code of a user's trainer raised something; the message is one line: what, in which file and line."""
