"""Trainings by a trainer of the user's: its job is made, its reports are kept, what it raises is told in one line."""

from __future__ import annotations

import json
import math
import os
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from sampler import Architectures, InputError, architecture_complexity
from trainer import pausing
from trainer.declared.loading import know_shipped
from trainer.device_errors import CrowdedError, first_line, is_out_of_memory
from trainer.engines.placement import UNKNOWN_BYTES
from trainer.files import write_atomically
from trainer.observation import DataSpec, EpochRecord, Observation, Status, Training
from trainer.protocol import Conditions, Job, NoScore, Stopped, TimeIsOver, Trainer, TrainerError, checked_score
from trainer.trainers import trainer_named

# What was reported so far, in the job's folder.
REPORTS = "reports.json"
# Seconds between signs of life.
_SIGN_SECONDS = 5.0
# After a job's time is over, until its process ends itself: so long its next report is waited for.
OVERTIME = 30.0
# Exit code of such a process, as of `timeout`.
_TIMED_OUT = 124


class FunctionTask:
    """A `TrainingTask` that calls a trainer.

    Args:
        name: Name of the trainer, as `trainer_named` takes it.
    """

    # Whether trainings spend their processor time in this process, where it can be read.
    here = True

    def __init__(self, name: str) -> None:
        self.name = name

    def prepare(self, data: DataSpec, fingerprint: str, study: str) -> None:
        """Imports the trainer, which looks after its own data."""
        trainer_named(self.name)

    def bytes_needed(self, architectures: Architectures, classes: int, training: Training) -> int:
        """All of a GPU: nobody knows what a trainer keeps there."""
        return UNKNOWN_BYTES

    def observe(self, training: Training, conditions: Conditions) -> Observation:
        """Does one training, as `TrainingTask` says."""
        if training.network is not None:
            know_shipped(training.network)
        trainer = self.trainer_of(training)
        with ExitStack() as stack:
            folder = conditions.checkpoint or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_threads(conditions.threads))
            stack.enter_context(_signs_of_life())
            attempt = stack.enter_context(_Attempt(trainer, self.name, training, conditions, folder))
            return attempt.observation(cpu=self.here and conditions.device == "cpu")

    def trainer_of(self, training: Training) -> Trainer:
        """The trainer of a training.

        Raises:
            InputError: If there is none.
        """
        return trainer_named(self.name)


@dataclass
class _Ending:
    """How a training ended.

    Attributes:
        status: Status of the observation.
        message: Reason, in one line.
    """

    status: Status = "ok"
    message: str = ""


class _Attempt:
    """One try of a training: the first, or one after a kill or a pause, which goes on in the same folder."""

    def __init__(self, trainer: Trainer, name: str, training: Training, conditions: Conditions, folder: Path) -> None:
        self.trainer, self.name, self.training = trainer, name, training
        self.conditions, self.folder = conditions, folder
        before = _read(folder / REPORTS)
        self.start = time.perf_counter() - before.seconds
        self.cpu_start = time.process_time() - before.cpu_seconds
        self.paused = self.stopped = self.over = False
        left = training.limit - before.seconds if training.limit else math.inf
        self.ended = threading.Event()
        self.job = Job(
            architecture=training.architecture,
            classes=training.classes,
            epochs=training.fidelity.epochs,
            share=training.fidelity.data_share,
            seed=training.seed,
            device=conditions.device,
            threads=conditions.threads,
            folder=folder,
            history=before.history,
            score=training.score,
            deadline=time.monotonic() + left,
            _told=self._told,
        )

    def __enter__(self) -> _Attempt:
        """Watches its time, where it has a limit and a process that may be ended."""
        if self.training.limit and self.conditions.own_process:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()

    def _watch(self) -> None:
        """Ends this process where the trainer goes on after its time: the next try finds that it is over."""
        if not self.ended.wait(max(0.0, self.job.deadline - time.monotonic()) + OVERTIME):
            self._keep()
            os._exit(_TIMED_OUT)

    def _keep(self) -> None:
        spent = _Spent(self.seconds(), self.cpu_seconds(), self.job.history)
        write_atomically(self.folder / REPORTS, spent.to_json())

    def _told(self) -> bool:
        """Keeps what was just reported, and says whether the job shall end."""
        self._keep()
        last = self.job.history[-1].epoch >= self.job.epochs
        self.stopped = bool(self.conditions.on_epoch(tuple(self.job.history))) and not last
        self.over = time.monotonic() > self.job.deadline and not last and not self.stopped
        self.paused = pausing.asked() and not last and not self.stopped and not self.over
        return self.stopped or self.paused or self.over

    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def cpu_seconds(self) -> float:
        return time.process_time() - self.cpu_start

    def observation(self, cpu: bool) -> Observation:
        """Trains; gives what came of it, with its processor time if that is known."""
        ending = self._ending()
        job, training = self.job, self.training
        cost = architecture_complexity(training.architecture, training.classes)
        last = job.history[-1] if job.history and ending.status in ("ok", "stopped") else None
        seconds = job.history[-1].facts.get("seconds", self.seconds()) if job.history else self.seconds()
        return Observation(
            architecture=training.architecture,
            fidelity=training.fidelity,
            seed=training.seed,
            status=ending.status,
            accuracy=last.accuracy if last else None,
            loss=last.loss if last else None,
            macs=cost.macs,
            params=cost.params,
            activations=cost.activations,
            seconds=round(seconds, 3),
            device=self.conditions.device,
            message=ending.message,
            history=tuple(job.history),
            memory=cost.memory,
            asked=training.facts(),
            cpu_seconds=round(self.cpu_seconds(), 3) if cpu else None,
            threads=self.conditions.threads,
            alone=self.conditions.alone,
        )

    def _ending(self) -> _Ending:
        """Calls the trainer.

        Raises:
            PausedError: If it was paused.
            CrowdedError: If memory ran out beside other trainings.
            TrainerError: If it raised anything else, or what it reports or returns is no score.
        """
        try:
            self._call()
        except Stopped:
            pass
        except TimeIsOver:
            self.over = True
        except NoScore as error:
            return _Ending("diverged", str(error))
        except InputError as error:
            raise TrainerError(str(error)) from error
        except TrainerError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                if not self.conditions.alone:
                    raise CrowdedError(first_line(error)) from error
                return _Ending("out_of_memory", first_line(error))
            raise TrainerError(_told_where(error)) from error
        if self.over:
            return _Ending("killed", f"it took longer than its limit, {self.training.limit:g} s")
        if self.paused:
            raise pausing.PausedError
        return _Ending("stopped" if self.stopped else "ok")

    def _call(self) -> None:
        if time.monotonic() > self.job.deadline:  # it was, before it was interrupted
            raise TimeIsOver
        returned, job = self.trainer(self.job), self.job
        if self.stopped or self.paused or self.over:
            return
        done = bool(job.history) and job.history[-1].epoch == job.epochs
        if returned is not None and not done:
            value = checked_score(returned, f"--trainer {self.name} returned {returned!r}", job.score)
            job.report(job.epochs, value)
        elif returned is not None:
            if not math.isfinite(checked_score(returned, f"--trainer {self.name} returned", job.score)):
                raise NoScore(f"the score that was returned is {returned}")
        elif not done:
            raise InputError(
                f"--trainer {self.name} neither returned a score nor reported one for the last epoch, "
                f"{job.epochs}; return it, or call job.report(job.epochs, score)"
            )


@dataclass
class _Spent:
    """What a training came to before it was interrupted.

    Attributes:
        seconds: Wall-clock seconds until the last report.
        cpu_seconds: Processor seconds likewise.
        history: Records of all epochs that were reported.
    """

    seconds: float
    cpu_seconds: float
    history: list[EpochRecord]

    def to_json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)


def _read(path: Path) -> _Spent:
    """What `_told` wrote; nothing where it was never there, or is not whole."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        history = [EpochRecord(**record) for record in document["history"]]
        return _Spent(float(document["seconds"]), float(document["cpu_seconds"]), history)
    except (OSError, ValueError, KeyError, TypeError):
        return _Spent(0.0, 0.0, [])


def _told_where(error: Exception) -> str:
    """An exception of the user's code in one line: what, and the innermost place that is the user's."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = str(Path(__file__).parent)
    theirs = [one for one in frames if not one.filename.startswith(ours) and "site-packages" not in one.filename]
    place = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {first_line(error)}{place}"


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Libraries of linear algebra that are loaded take as many threads, and those loaded later what they take."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=n):
        yield


@contextmanager
def _signs_of_life() -> Iterator[None]:
    """While this process is not stopped, its training is alive: nobody knows how long a trainer's epochs take."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(_SIGN_SECONDS):
            pausing.alive()

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
