"""Trainings as tasks of a Ray cluster: an existing one, or a private one on this machine.

Ray places each training where its CPUs and its share of a GPU are free, and does it again where a machine is lost.
What is lost more often is reported as `died`, so that the ledger decides.
"""

from __future__ import annotations

import math
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from sampler import InputError
from trainer.cores import cores
from trainer.engines.engine import Event, NextTraining
from trainer.engines.own_packages import importer
from trainer.engines.remote import Assignment, Desk, Outcome, Work, perform
from trainer.engines.shipping import Arrays
from trainer.observation import EpochRecord

# Of a training whose machine or process was lost, by Ray; the ledger tries again after that, boundedly too.
MOST_RETRIES = 2
_POLL_SECONDS = 0.5
CONNECT_SECONDS = 5
_INSTALL = "pip install 'scaling-planner[ray]'"
# From this version on a cluster asks for a token; before, whoever reached it ran code there.
TOKENS = (2, 52)
# A private cluster is for this process alone: it listens on the loopback interface, as Ray does by itself on macOS and
# Windows (read when Ray is imported), and answers only those who know its token.
PRIVATE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


class RayEngine:
    """Runs trainings on a Ray cluster.

    Args:
        folder: Where observations are written, as `KEY.json`.
        checkpoints: Where trainings keep what they have done so far; used by machines that see this very folder.
        stops: Asked at every `epoch` event whether that training shall end; its answer counts from the epoch after.
        address: `HOST:PORT` of a cluster, `auto` for the one of this machine; None for a private one. Where Ray is
            connected already, that connection is used and left as it is.
        workers: Trainings at once; 0 for as many as the cluster's CPUs and GPUs hold.
        cpus: CPUs of a training, which are its torch threads.
        gpus: GPUs of a training, also a fraction; 0 trains on CPUs, None on a GPU each if the cluster has any.
        work: Function that does an assignment on a machine.
    """

    def __init__(
        self,
        folder: Path,
        checkpoints: Path | None = None,
        stops: Callable[[Event], bool] | None = None,
        address: str | None = None,
        workers: int = 0,
        cpus: float = 1.0,
        gpus: float | None = None,
        work: Work = perform,
    ) -> None:
        self.folder, self.checkpoints, self.stops = folder, checkpoints, stops
        self.address, self.workers, self.cpus, self.gpus, self.work = address, workers, cpus, gpus, work
        self.paused = False

    @property
    def at_once(self) -> int:
        """Trainings at the same time that were asked for; of a cluster that grows nobody knows."""
        return self.workers or 1

    def __enter__(self) -> Self:
        """Connects.

        Raises:
            InputError: If Ray is not installed, or the cluster cannot be reached.
        """
        self.environment = dict(os.environ)
        private = self.address is None and not _connected()
        if private:
            os.environ.update(PRIVATE, RAY_AUTH_TOKEN=secrets.token_hex(32))
        try:
            self._begin(_ray())
        except BaseException:
            self._restore()
            raise
        return self

    def _begin(self, ray: Any) -> None:
        self.ours = not ray.is_initialized()
        if self.ours:
            _connect(ray, self.address, math.ceil(max(self.workers, 1) * self.cpus))
        if self.gpus is None:
            self.gpus = 1.0 if ray.cluster_resources().get("GPU") else 0.0
        self.desk = Desk(
            self.folder, self.checkpoints, max(1, int(self.cpus)), "cuda" if self.gpus else "cpu", self.gpus >= 1
        )
        self.reports = _beside_us(ray, _Reports)
        options: dict[str, Any] = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": MOST_RETRIES}
        self.task = ray.remote(**options)(_do)
        self.running: dict[Any, Assignment] = {}
        self.sent: dict[str, Any] = {}  # references to images, by fingerprint

    def _restore(self) -> None:
        """The environment as it was: the token is no other cluster's."""
        for name in (*PRIVATE, "RAY_AUTH_TOKEN"):
            if name in self.environment:
                os.environ[name] = self.environment[name]
            else:
                os.environ.pop(name, None)

    def __exit__(self, *_: object) -> None:
        """Ends what still runs, and the cluster if it is ours."""
        ray = _ray()
        for reference in self.running:
            ray.cancel(reference, force=True)
        ray.kill(self.reports)
        if self.ours:
            ray.shutdown()
        self._restore()

    def pause(self) -> None:
        """Ends what runs, wherever it is; it goes on from its last checkpoint where that is seen."""
        self.paused = True

    end = pause

    def run(self, next_training: NextTraining) -> Iterator[Event]:
        """Runs trainings until there are none left, as every engine does."""
        ray = _ray()
        while True:
            while len(self.running) < self._slots(ray) and (job := next_training()) is not None:
                self._submit(self.desk.assignment(*job))
            if not self.running or self.paused:
                return
            ready, _ = ray.wait(list(self.running), num_returns=1, timeout=_POLL_SECONDS)
            for key, history in ray.get(self.reports.taken.remote()):
                yield self._heard(Event("epoch", key, history))
            for reference in ready:
                event = self._received(ray, reference)
                if event is not None:
                    yield event

    def _slots(self, ray: Any) -> int:
        """Trainings at once: machines come and go."""
        if self.workers:
            return self.workers
        there = ray.cluster_resources()
        slots = there.get("CPU", 0) / self.cpus
        if self.gpus:
            slots = min(slots, there.get("GPU", 0) / self.gpus)
        return max(1, int(slots))

    def _submit(self, assignment: Assignment) -> None:
        # In a list, so that a machine fetches the images only when it needs them.
        wanted = assignment.images.fingerprint if assignment.images else ""
        images = [self.sent[wanted]] if wanted in self.sent else []
        task = self.task if assignment.alone == self.desk.alone else self.task.options(**self._all_of_one())
        self.running[task.remote(self.work, assignment, images, self.reports)] = assignment

    def _all_of_one(self) -> dict[str, float]:
        """What a training asks for so that it has its GPU, or without one its machine, for itself."""
        if self.gpus:
            return {"num_gpus": 1.0}
        cores_of = (node["Resources"].get("CPU", 0.0) for node in _ray().nodes() if node["Alive"])
        return {"num_cpus": max(self.cpus, *cores_of)}

    def _heard(self, event: Event) -> Event:
        if self.stops and self.stops(event):
            self.reports.stop.remote(event.key)
        return event

    def _received(self, ray: Any, reference: Any) -> Event | None:
        """What a task's end means; None where it goes again, with its images."""
        assignment = self.running.pop(reference)
        try:
            outcome: Outcome = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            return _task_error(assignment.key, error)
        except ray.exceptions.RayError as error:
            lost = f"its machine or process was lost {MOST_RETRIES + 1} times ({type(error).__name__})"
            return Event("died", assignment.key, text=lost)
        if outcome.kind == "crowded":
            self._submit(replace(assignment, alone=True))
            return Event("crowded", assignment.key, text=f"{outcome.text}; it begins again alone")
        if outcome.kind != "unseen":
            return self.desk.filed(assignment, outcome)
        assert assignment.images is not None
        if assignment.images.fingerprint not in self.sent:
            self.sent[assignment.images.fingerprint] = ray.put(self.desk.arrays(assignment))
        self._submit(assignment)
        return None


class _Reports:
    """An actor beside the coordinator: epochs in one direction, answers in the other."""

    def __init__(self) -> None:
        self.epochs: list[tuple[int, tuple[EpochRecord, ...]]] = []
        self.stopped: set[int] = set()

    def epoch(self, key: int, history: tuple[EpochRecord, ...]) -> bool:
        """Takes what was seen; gives whether the training shall end."""
        self.epochs.append((key, history))
        return key in self.stopped

    def taken(self) -> list[tuple[int, tuple[EpochRecord, ...]]]:
        """What came since the last call."""
        taken, self.epochs = self.epochs, []
        return taken

    def stop(self, key: int) -> None:
        """Ends a training at its next epoch."""
        self.stopped.add(key)


def _do(work: Work, assignment: Assignment, images: list[Any], reports: Any) -> Outcome:
    """The task: on some machine of the cluster."""
    import ray

    def fetch() -> Arrays:
        arrays: Arrays = ray.get(images[0])
        return arrays

    def on_epoch(history: tuple[EpochRecord, ...]) -> bool:
        return bool(ray.get(reports.epoch.remote(assignment.key, history)))

    return work(assignment, fetch if images else None, on_epoch)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it asks, and reports, otherwise
    try:
        import ray
    except ImportError as error:
        raise InputError(f"--engine ray needs Ray, which is not installed; {_INSTALL}") from error
    return ray


def _connect(ray: Any, address: str | None, least_cpus: int) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    quiet["runtime_env"] = {"worker_process_setup_hook": importer()}
    if address is None:
        _check_tokens(ray.__version__)
        # Ray's workers yield to every other process otherwise: beside some, trainings took four times as long.
        os.environ.setdefault("RAY_worker_niceness", "0")
        ray.init(address="local", num_cpus=max(cores(), least_cpus), include_dashboard=False, **quiet)
        return
    remedy = (
        f"start one there (`ray start --head`), name another --address, or leave it out; Ray {ray.__version__} here"
    )
    try:
        if address != "auto":
            host, _, port = address.rpartition(":")
            # Ray itself tries for minutes, and then ends the process.
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        ray.init(address=address, **quiet)
    except (OSError, ValueError, OverflowError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"--address {address}: no Ray cluster to be reached ({reason}); {remedy}") from error


def _connected() -> bool:
    """Whether Ray is in use already, without importing it."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _check_tokens(version: str) -> None:
    """Refuses a Ray whose private cluster would do what any stranger says.

    Raises:
        InputError: Saying which version does not.
    """
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < TOKENS:
        least = ".".join(map(str, TOKENS))
        raise InputError(
            f"--engine ray: Ray {version} has no tokens, so anybody who reaches this machine could run code on it; "
            f"pip install --upgrade 'ray>={least}'"
        )


def _beside_us(ray: Any, actor: type) -> Any:
    """An actor on the coordinator's own machine, so that no other machine's loss can take it."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return (
        ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(actor).options(scheduling_strategy=here).remote()
    )


def _task_error(key: int, error: Any) -> Event:
    """A task that could not even begin: most often its machine lacks this package."""
    text = str(error)
    if isinstance(error.cause, ImportError) or "failed to import" in text or "ModuleNotFoundError" in text:
        reason = text.strip().splitlines()[-1]
        return Event(
            "refused", key, text=f"a machine of the cluster lacks what trainings need ({reason}); {_INSTALL} there"
        )
    return Event("failed", key, text=text)
