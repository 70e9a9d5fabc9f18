"""Trainings as jobs of Slurm, by submitit: one job each, on a file system that all machines share."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sampler import InputError
from trainer.engines import own_packages
from trainer.engines.engine import Event, NextTraining
from trainer.engines.remote import Assignment, Desk, Outcome, perform
from trainer.files import write_atomically
from trainer.observation import EpochRecord

# Jobs submitted at once, where nothing is said.
MOST_JOBS = 32
_POLL_SECONDS = 0.5
_SINFO_SECONDS = 30.0
# Options of sbatch by which a user asks for GPUs himself.
GPU_OPTIONS = {"gres", "gpus", "gpus_per_node", "gpus_per_task"}
MINUTES = 24 * 60
_INSTALL = "pip install 'scaling-planner[slurm]'"


@dataclass(frozen=True)
class Submission:
    """What a job does: a callable that submitit can also queue anew when its time is over or it is preempted.

    Attributes:
        assignment: The training.
        folder: Where epochs and answers are files.
    """

    assignment: Assignment
    folder: str

    def __call__(self) -> Outcome:
        """Does the training."""
        return perform(self.assignment, None, self._on_epoch)

    def checkpoint(self) -> Any:
        """The same job again: the training goes on from its checkpoint."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)

    def _on_epoch(self, history: tuple[EpochRecord, ...]) -> bool:
        text = json.dumps([asdict(record) for record in history], allow_nan=False)
        write_atomically(_epochs(Path(self.folder), self.assignment.key), text)
        return _stop(Path(self.folder), self.assignment.key).exists()


class SlurmEngine:
    """Runs trainings as Slurm jobs.

    Args:
        folder: Where observations are written, as `KEY.json`.
        jobs: Where jobs keep what they are and their logs; all machines see it.
        checkpoints: Where trainings keep what they have done so far.
        stops: Asked at every `epoch` event whether that training shall end; its answer counts from the epoch after.
        workers: Jobs submitted at once; 0 for `MOST_JOBS`.
        cpus: CPUs of a training, which are its torch threads.
        gpus: GPUs of a training; whole ones. None for one where the cluster, or the partition asked for, has any.
        options: Options of sbatch, as `partition=gpu`; `timeout_min=90`, and `cluster=local` for jobs on this machine.
    """

    def __init__(
        self,
        folder: Path,
        jobs: Path,
        checkpoints: Path | None = None,
        stops: Callable[[Event], bool] | None = None,
        workers: int = 0,
        cpus: float = 1.0,
        gpus: float | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.folder, self.checkpoints, self.stops = folder, checkpoints, stops
        self.jobs = jobs.absolute()
        self.workers, self.cpus, self.gpus = workers or MOST_JOBS, max(1, int(cpus)), _whole(gpus)
        self.options = _parsed(options)
        self.said = gpus is not None or not GPU_OPTIONS.isdisjoint(self.options)  # whether GPUs were spoken of
        self.paused, self.at_once = False, workers or 1

    def __enter__(self) -> Self:
        """Ends jobs that a dead coordinator left, and prepares submission.

        Raises:
            InputError: If submitit is not installed, Slurm is not there, or an option is wrong.
        """
        submitit = _submitit()
        cluster = str(self.options.pop("cluster", "slurm"))
        if not self.said and cluster == "slurm":
            self.gpus = int(has_gpus(self.options))
        on_gpu = self.gpus or not GPU_OPTIONS.isdisjoint(self.options)
        self.desk = Desk(self.folder, self.checkpoints, self.cpus, "cuda" if on_gpu else "cpu")
        _end_orphans(self.jobs, submitit)
        self.own = self.jobs / uuid.uuid4().hex[:12]
        self.own.mkdir(parents=True)
        self.lock = (self.own / "lock").open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        try:
            self.executor = submitit.AutoExecutor(folder=self.own / "logs", cluster=cluster)
            self.executor.update_parameters(**self._parameters())
        except (RuntimeError, NameError, TypeError, ValueError, AssertionError) as error:
            self._leave()
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"--engine slurm: {reason}; run it where sbatch is, or mend --slurm-option") from error
        self.running: dict[int, tuple[Any, Assignment]] = {}
        self.heard: dict[int, int] = {}  # epochs told of each
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the jobs that still run or wait."""
        for job in [job for job, _ in self.running.values()]:
            job.cancel(check=False)
        self._leave()

    def pause(self) -> None:
        """Ends what runs, wherever it is; it goes on from its last checkpoint where that is seen."""
        self.paused = True

    end = pause

    def run(self, next_training: NextTraining) -> Iterator[Event]:
        """Runs trainings until there are none left, as every engine does."""
        while True:
            while len(self.running) < self.workers and (claimed := next_training()) is not None:
                self._submit(self.desk.assignment(*claimed))
            if not self.running or self.paused:
                return
            events = [event for key in list(self.running) for event in self._news(key)]
            yield from events
            if not events:
                time.sleep(_POLL_SECONDS)

    def _parameters(self) -> dict[str, Any]:
        """What submitit is told; options that it has no name for go to sbatch as they are."""
        from submitit import AutoExecutor, SlurmExecutor

        parameters: dict[str, Any] = {"timeout_min": MINUTES, "cpus_per_task": self.cpus, "name": "planner"}
        if self.gpus:
            parameters["gpus_per_node"] = self.gpus
        others = {}
        for name, value in self.options.items():
            if name in AutoExecutor._valid_parameters():
                parameters[name] = value
            elif name in SlurmExecutor._valid_parameters():
                parameters[f"slurm_{name}"] = value
            else:
                others[name] = value
        return {**parameters, "slurm_additional_parameters": others} if others else parameters

    def _submit(self, assignment: Assignment) -> None:
        with own_packages.first_for_programs():
            job = self.executor.submit(Submission(assignment, str(self.own)))
        self.running[assignment.key] = job, assignment
        (self.own / f"{assignment.key:06d}.job").write_text(str(job.job_id))

    def _news(self, key: int) -> Iterator[Event]:
        """Epochs of a job since the last time, and its end."""
        job, assignment = self.running[key]
        ended = job.done()  # before its epochs, so that none of them is missed
        history = _history(_epochs(self.own, key))
        if len(history) > self.heard.get(key, 0):
            self.heard[key] = len(history)
            event = Event("epoch", key, history)
            if self.stops and self.stops(event):
                _stop(self.own, key).touch()
            yield event
        if ended:
            del self.running[key]
            (self.own / f"{key:06d}.job").unlink()
            yield self._ended(job, assignment)

    def _ended(self, job: Any, assignment: Assignment) -> Event:
        try:
            outcome: Outcome = job.result()
        except Exception as error:  # whatever submitit or Slurm made of it: there is no outcome
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            return Event("died", assignment.key, text=f"job {job.job_id} was lost ({reason})")
        return self.desk.filed(assignment, outcome)

    def _leave(self) -> None:
        self.lock.close()
        if not self.jobs.is_dir() or any(self.own.glob("*.job")):
            return  # cancelled jobs may still write there; the next start removes it
        shutil.rmtree(self.own, ignore_errors=True)


def _end_orphans(jobs: Path, submitit: Any) -> None:
    """Cancels the jobs of coordinators that died: the ledger queues their trainings again."""
    for folder in jobs.iterdir() if jobs.is_dir() else ():
        try:
            with (folder / "lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for file in folder.glob("*.job"):
                    # Without Slurm they were processes of this machine, whose numbers may be others' by now.
                    if shutil.which("scancel"):
                        submitit.SlurmJob(folder / "logs", file.read_text()).cancel(check=False)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # held by a coordinator that lives, or gone
            continue


def _parsed(options: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE` texts as a dictionary, whole numbers as such.

    Raises:
        InputError: If one is no pair.
    """
    parsed: dict[str, Any] = {}
    for text in options:
        name, equals, value = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals or not name.isidentifier():
            raise InputError(f"--slurm-option {text!r} is no NAME=VALUE such as partition=gpu")
        parsed[name] = int(value) if value.isdecimal() else value
    return parsed


def has_gpus(options: Mapping[str, Any]) -> bool:
    """Whether Slurm's nodes have GPUs, those of the partition that options of sbatch name; False where it is silent."""
    partition = options.get("partition")
    command = ["sinfo", "--noheader", "--format=%G", *([f"--partition={partition}"] if partition else [])]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=_SINFO_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0 and "gpu" in asked.stdout


def _whole(gpus: float | None) -> int:
    if gpus is not None and gpus != int(gpus):
        raise InputError(f"--gpus-per-training {gpus}: Slurm gives whole GPUs; say 1, or take --engine ray")
    return int(gpus or 0)


def _submitit() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise InputError(f"--engine slurm needs submitit, which is not installed; {_INSTALL}") from error
    return submitit


def _epochs(folder: Path, key: int) -> Path:
    return folder / f"{key:06d}.epochs.json"


def _stop(folder: Path, key: int) -> Path:
    return folder / f"{key:06d}.stop"


def _history(path: Path) -> tuple[EpochRecord, ...]:
    try:
        return tuple(EpochRecord(**record) for record in json.loads(path.read_text()))
    except (OSError, ValueError):
        return ()
