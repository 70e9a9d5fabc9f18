"""Engines on other machines, by what the user asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from planner.errors import PlannerError
from trainer.engines.engine import Engine, Event

ENGINES = ("local", "ray", "slurm")


class _Asked(Protocol):
    """What is read of `planner.training.loop.Resources`."""

    @property
    def engine(self) -> str:
        """`ray` or `slurm`."""

    @property
    def device(self) -> str:
        """`auto`, `cpu` or `cuda`."""

    @property
    def workers(self) -> int:
        """Trainings at once; 0 for what there is."""

    @property
    def per_device(self) -> int:
        """Trainings on each GPU; 0 where nothing is said."""

    @property
    def address(self) -> str | None:
        """Of a Ray cluster."""

    @property
    def cpus_per_training(self) -> float:
        """CPUs of each training."""

    @property
    def gpus_per_training(self) -> float | None:
        """GPUs of each training; None where nothing is said."""

    @property
    def slurm_option(self) -> tuple[str, ...]:
        """Options of sbatch."""


def remote_engine(
    asked: _Asked, study: Path, observations: Path, checkpoints: Path, stops: Callable[[Event], bool] | None
) -> Engine:
    """The engine that trains on other machines; Ray and submitit are imported only where it is theirs.

    Args:
        asked: By the user.
        study: The study's folder.
        observations: Where observations are written.
        checkpoints: Where trainings keep what they have done so far.
        stops: Whether a training shall end at an epoch; None for never.

    Raises:
        InputError: If an option does not fit the engine.
    """
    check_engine(asked.engine)
    workers, cpus, gpus = asked.workers, asked.cpus_per_training, gpus_of(asked)
    if asked.engine == "ray":
        from trainer.engines.ray import RayEngine

        return RayEngine(observations, checkpoints, stops, asked.address, workers, cpus, gpus)
    from trainer.engines.slurm import SlurmEngine

    return SlurmEngine(observations, study / "jobs", checkpoints, stops, workers, cpus, gpus, asked.slurm_option)


def check_engine(name: str) -> None:
    """Refuses an engine that is none.

    Raises:
        PlannerError: Naming those that are.
    """
    if name not in ENGINES:
        raise PlannerError(f"--engine {name}: there is no such engine; one of: {', '.join(ENGINES)}")


def gpus_of(asked: _Asked) -> float | None:
    """GPUs of a training: as said, or by the device and how many trainings share one; None leaves it to the engine.

    Raises:
        PlannerError: If the device is one of this machine.
    """
    if asked.gpus_per_training is not None:
        return asked.gpus_per_training
    if asked.device == "cpu":
        return 0.0
    if asked.device not in ("auto", "cuda"):
        raise PlannerError(
            f"--device {asked.device} is one of this machine; --engine {asked.engine} places trainings itself: "
            "say cpu, cuda, or --gpus-per-training"
        )
    if asked.per_device:
        return 1 / asked.per_device
    return 1.0 if asked.device == "cuda" else None
