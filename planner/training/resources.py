"""Where and how long to train, and the engines that do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from planner.errors import PlannerError
from sampler.registry import Registry
from trainer.engines.engine import Engine, Workplace
from trainer.engines.inline import InlineEngine
from trainer.engines.local import LocalEngine
from trainer.engines.placement import place
from trainer.engines.ray import RayEngine
from trainer.engines.slurm import SlurmEngine

# Engines of this machine alone.
HERE = ("local", "inline")
# Options that not every engine has, and the engines that do.
_OF_ENGINES = {"address": ("ray",), "slurm_option": ("slurm",), "threads": ("local", "inline")}


@dataclass(frozen=True)
class Resources:
    """Where and how long to train.

    Attributes:
        workers: Processes; 0 for one per core, or as many as a GPU's memory holds.
        device: Torch device; `cuda` for all GPUs, `auto` for those or else the CPU.
        minutes: Time after which no training begins; None for no limit.
        stop_early: Whether trainings end that cannot reach the front any more.
        per_device: Processes on each GPU; 0 for as many as its memory holds.
        hours: Wall-clock time to spend: trainings begin only if, by those measured, they end within so many hours, and
            those that do not are ended then with their checkpoints kept; None for no limit.
        engine: Name of the engine, one of `ENGINES`. `local`: processes here; `ray`: tasks of a Ray cluster; `slurm`:
            jobs; `inline`: this process.
        address: Address of the Ray cluster; None for a private one on this machine.
        cpus_per_training: CPUs of each training, with `ray` and `slurm`.
        gpus_per_training: GPUs of each training, likewise; with `ray` also a fraction. None for what `device` and
            `per_device` say.
        slurm_option: Options of sbatch, as `partition=gpu`.
        threads: Torch threads of each process here; 0 for what OMP_NUM_THREADS says, or else the workers' share of the
            cores. With `ray` and `slurm`, `cpus_per_training` are the threads.
        log: Names of further listeners, of `planner.training.progress.LISTENERS`.
        limit: Seconds after which a training by a function or a program of the user's is ended and given up, with those
            before it was interrupted; None for no limit.

    Raises:
        PlannerError: If the engine is unknown, or something is said that is of another engine.
    """

    workers: int = 0
    device: str = "auto"
    minutes: float | None = None
    stop_early: bool = False
    per_device: int = 0
    hours: float | None = None
    engine: str = "local"
    address: str | None = None
    cpus_per_training: float = 1.0
    gpus_per_training: float | None = None
    slurm_option: tuple[str, ...] = ()
    threads: int = 0
    log: tuple[str, ...] = ()
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            ENGINES[self.engine]  # which says so
        for name, engines in _OF_ENGINES.items():
            if getattr(self, name) and self.engine not in engines:
                option = name.replace("_", "-")
                raise PlannerError(f"--{option} is of --engine {engines[0]}; leave it out, or take that engine")


# Makes an engine of what the user asks for and where the study keeps its files; the engine begins when it is entered.
MakeEngine = Callable[[Resources, Workplace], Engine]
ENGINES: Registry[MakeEngine] = Registry("engine", "scaling_planner.engines", "--engine")


def register_engine(name: str) -> Callable[[MakeEngine], MakeEngine]:
    """A decorator that makes an engine known by a name, to `--engine NAME`.

    An installed package does the same by an entry point of the group `scaling_planner.engines`.

    Args:
        name: Name of the engine, of letters, digits, `_`, `-` and `.`.

    Raises:
        PlannerError: If the name is taken.
    """
    return lambda make: ENGINES.register(name, make)


@register_engine("local")
def local_engine(asked: Resources, where: Workplace) -> Engine:
    """Processes of this machine, no more than there are trainings.

    Raises:
        InputError: If the device is not there.
    """
    needed = where.bytes_needed()
    placement = place(asked.device, asked.workers, asked.per_device, needed, asked.threads)
    devices = placement.devices[: max(1, where.waiting)]
    return LocalEngine(where.observations, devices, placement.threads, where.checkpoints, where.stops)


@register_engine("ray")
def ray_engine(asked: Resources, where: Workplace) -> Engine:
    """Tasks of a Ray cluster.

    Raises:
        PlannerError: If the device is one of this machine.
    """
    workers, cpus, gpus = asked.workers, asked.cpus_per_training, gpus_of(asked)
    return RayEngine(where.observations, where.checkpoints, where.stops, asked.address, workers, cpus, gpus)


@register_engine("slurm")
def slurm_engine(asked: Resources, where: Workplace) -> Engine:
    """Jobs of Slurm.

    Raises:
        PlannerError: If the device is one of this machine, or an option is no pair.
    """
    workers, cpus, gpus = asked.workers, asked.cpus_per_training, gpus_of(asked)
    folders = where.observations, where.jobs, where.checkpoints
    return SlurmEngine(*folders, where.stops, workers, cpus, gpus, asked.slurm_option)


@register_engine("inline")
def inline_engine(asked: Resources, where: Workplace) -> Engine:
    """This process.

    Raises:
        InputError: If the device is not there.
    """
    placement = place(asked.device, 1, asked.per_device, where.bytes_needed(), asked.threads)
    return InlineEngine(where, placement.devices[0], placement.threads)


def gpus_of(asked: Resources) -> float | None:
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
