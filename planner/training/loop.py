"""From nothing to a prediction: queue, train, fit. What the commands `sample`, `train` and `run` do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from planner.errors import PlannerError
from planner.study.designs import Design, drawn
from planner.study.ledger import IN_LEDGER, Ledger
from planner.study.trials import LearningCurve
from planner.training.engines import check_engine, remote_engine
from planner.training.hours import Budget
from planner.training.interruption import Interruption
from planner.training.leftovers import remove_left
from planner.training.stopping import cannot_reach_front
from sampler import Limit
from sampler.seeds import offset_seed
from trainer.engines.engine import Engine, Event
from trainer.engines.local import LocalEngine
from trainer.engines.placement import Placement, place, training_bytes
from trainer.faults import reach
from trainer.mending import told
from trainer.observation import Observation, Training

# So many times as long as it took to write the study's tables, before they are written again while training.
EXPORTS_APART = 20
# Between looks at what other coordinators do, where there are any.
_LOOK_SECONDS = 0.5


class Progress(Protocol):
    """What wants to know how the trainings go."""

    def start(self, waiting: int, finished: int) -> None:
        """Trainings begin; so many wait, so many were finished before."""

    def epoch(self, number: int, epoch: int, of: int) -> None:
        """A training finished an epoch."""

    def done(self, number: int, observation: Observation) -> None:
        """A training ended."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def close(self) -> None:
        """No more trainings."""


@dataclass(frozen=True)
class Resources:
    """Where and how long to train.

    Attributes:
        workers: Processes; 0 for one per core, or as many as a GPU's memory holds.
        device: A torch device; `cuda` for all GPUs, `auto` for those or else the CPU.
        minutes: Trainings begin no later than this; None for no limit.
        stop_early: Whether trainings end that cannot reach the front any more.
        per_device: Processes on each GPU; 0 for as many as its memory holds.
        hours: Trainings begin only if, by those measured, they end within so many hours, and those that do not are
            ended then with their checkpoints kept; None for no limit.
        engine: `local`: processes here; `ray`: tasks of a Ray cluster; `slurm`: jobs.
        address: Of the Ray cluster; None for a private one on this machine.
        cpus_per_training: With `ray` and `slurm`.
        gpus_per_training: Likewise; with `ray` also a fraction. None for what `device` and `per_device` say.
        slurm_option: Of sbatch, as `partition=gpu`.
        threads: Torch threads of each process here; 0 for what OMP_NUM_THREADS says, or else the workers' share of the
            cores. With `ray` and `slurm`, `cpus_per_training` are the threads.

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

    def __post_init__(self) -> None:
        check_engine(self.engine)
        for name, engine in (("address", "ray"), ("slurm_option", "slurm"), ("threads", "local")):
            if getattr(self, name) and self.engine != engine:
                option = name.replace("_", "-")
                raise PlannerError(f"--{option} is of --engine {engine}; leave it out, or take that engine")


def queue(
    ledger: Ledger,
    n: int,
    method: str = "stratified",
    limits: Sequence[Limit] = (),
    seeds: int = 1,
    design: Design | None = None,
) -> int:
    """Queues architectures until the study has asked for `n` in all.

    Args:
        ledger: The study's ledger.
        n: Architectures in all, those already queued or trained included.
        method: `stratified`, `random` or `sobol`; or what `design` is called.
        limits: What those added may not pass.
        seeds: How often each of those added is trained.
        design: Gives them, instead of a method of that name.

    Returns:
        How many architectures were added.

    Raises:
        PlannerError: If the method is unknown.
    """
    asked = ledger.asked()
    if n <= asked:
        return 0
    # Offset by what is there, so that adding 10 twice does not draw the same 10 again.
    space = replace(ledger.space, limits=tuple(limits))
    seed, wanted = offset_seed(ledger.settings.seed, asked), n - asked
    if design is not None:
        found = design(space, n=wanted, seed=seed, seen=ledger.tried())
    else:
        apart = ledger.settings.space.apart
        found = drawn(space, wanted, method, seed, apart=apart, before=asked, seen=ledger.tried())
    ledger.enqueue(found, method, seeds)
    return len(found)


def train_queued(ledger: Ledger, cache: Path, resources: Resources, progress: Progress) -> int:
    """Trains what is queued; resumes what a dead coordinator left.

    Args:
        ledger: The study's ledger.
        cache: Folder of decoded images.
        resources: Where and how long.
        progress: Told of every epoch and ending.

    Returns:
        How many trainings ended.

    Raises:
        PlannerError: If the images, the disk or the device refuse; nothing recorded is lost.
    """
    ledger.tell = progress.note
    try:
        with _told(), ledger.coordinating(), ledger.exporting(again=True):
            return _trained(ledger, cache, resources, progress)
    finally:
        progress.close()


@contextmanager
def _told() -> Iterator[None]:
    """Turns what the system refuses into one line.

    Raises:
        PlannerError: Instead of the system's error.
    """
    try:
        yield
    except OSError as error:
        raise PlannerError(told(error)) from error


def _trained(ledger: Ledger, cache: Path, resources: Resources, progress: Progress) -> int:
    """Does what `train_queued` says, while it coordinates."""
    reach("reconcile.begun")
    found, queued = ledger.reconcile()
    reach("reconcile.done")
    remove_left(ledger, alone=resources.engine == "local" and not ledger.shared)
    if found or queued:
        progress.note(f"resumed: {found} finished trainings recorded, {queued} interrupted ones queued again")
    counts = ledger.counts()
    if not counts["waiting"] and not ledger.elsewhere():
        return found
    images = check_images(ledger, cache)
    # Other machines are not this one: there the cluster places.
    placement = placement_of(ledger, resources, images) if resources.engine == "local" else None
    progress.start(counts["waiting"], counts["ok"])
    return found + _Coordinator(ledger, cache, resources, placement, progress).run()


def check_images(ledger: Ledger, cache: Path) -> int:
    """Decodes the images once, before the workers map them, and refuses others than the study was made with.

    Returns:
        How many there are.

    Raises:
        PlannerError: If the images are not the same.
    """
    from trainer.images import load_images

    wanted = ledger.settings.data
    found = load_images(wanted.source, wanted.side, cache=cache)
    if found.fingerprint != wanted.fingerprint:
        raise PlannerError(
            f"{wanted.source}: not the images that study {ledger.folder.name} was made with (older versions read "
            "hidden files and did not turn pictures by EXIF); put them back, or make another --study"
        )
    return len(found.train.labels) + len(found.validation.labels)


def placement_of(ledger: Ledger, resources: Resources, images: int) -> Placement:
    """Workers and devices, by what the largest of the study's architectures needs.

    Args:
        ledger: The study's ledger.
        resources: What the user asked for.
        images: How many a training keeps on its device at most.

    Raises:
        InputError: If the device is not there.
    """
    settings, architectures = ledger.settings, ledger.tried(otherwise=True)
    assert architectures is not None, "nothing is queued"
    batch, side = settings.recipe.batch_size, settings.data.side
    need = training_bytes(architectures, settings.data.classes, batch, images, side)
    return place(resources.device, resources.workers, resources.per_device, need, resources.threads)


class _Coordinator:
    """Hands trainings to the engine and writes down what comes back."""

    def __init__(
        self, ledger: Ledger, cache: Path, resources: Resources, placement: Placement | None, progress: Progress
    ) -> None:
        self.ledger, self.resources, self.placement, self.progress = ledger, resources, placement, progress
        self.cache = cache
        self.looked = time.monotonic()  # for trainings of dead coordinators
        self.deadline = None if resources.minutes is None else time.monotonic() + 60 * resources.minutes
        self.budget = None if resources.hours is None else _budget_of(ledger, resources.hours)
        self.stops = self._judged if resources.stop_early else None
        self.epochs: dict[int, int] = {}  # of each training
        self.running: set[int] = set()
        self.answered = 0  # trainings whose observations were there before they began
        self.export_at, self.export_failed = 0.0, False
        left = self.budget.left if self.budget else None
        self.interruption = Interruption(None, left, progress.note if progress else lambda _: None)

    def run(self) -> int:
        waiting = self.ledger.counts()["waiting"]
        if self.budget:
            at_once = min(waiting, len(self.placement.devices) if self.placement else self.resources.workers or 1)
            self.progress.note(self.budget.plan(self.ledger.waiting_work(), at_once))
        with self.interruption:
            try:
                ended = self._train(waiting)
                self._put_back("interrupted")  # what an engine ended without a word
            except BaseException:
                with suppress(Exception):  # it may be the ledger that failed: then the next start does this
                    self._put_back("interrupted")
                raise
        if self.budget:
            self.progress.note(self.budget.account(self.ledger.waiting_work()))
        if self.interruption.by_user:
            raise KeyboardInterrupt
        return ended + self.answered

    def _train(self, waiting: int) -> int:
        """Runs the engine until nothing is left or something interrupts it; gives how many trainings ended."""
        ended = 0
        with self._engine(waiting) as engine:
            self.interruption.engine = engine
            while True:
                for event in engine.run(self._next):
                    reach("event.received")
                    with self.interruption.whole():
                        ended += self._handle(event)
                if not self._others_left():
                    return ended

    def _put_back(self, reason: str) -> None:
        """Queues again what was running, once its worker is gone; records what ended meanwhile."""
        with self.interruption.whole():
            for number in sorted(self.running):
                observation = self.ledger.on_disk(number)
                if observation is None:
                    self.ledger.put_back(number, reason)
                else:
                    self.ledger.record(number, observation, again=True)
                self.running.discard(number)

    def _engine(self, waiting: int) -> Engine:
        checkpoints = self.ledger.folder / "checkpoints"
        if self.placement is None:
            return remote_engine(self.resources, self.ledger.folder, self.ledger.observations, checkpoints, self.stops)
        devices = self.placement.devices[: max(1, waiting)]
        return LocalEngine(self.ledger.observations, devices, self.placement.threads, checkpoints, self.stops)

    def _others_left(self) -> bool:
        """Waits while other coordinators train; whether one of them died, and left something to do."""
        with self.interruption.whole():
            if self.ledger.counts()["waiting"] or self._over():
                return False  # what waits now is what may not begin any more
        if others := self._elsewhere():
            self.progress.note(f"{others} trainings run at other coordinators; waits for them (Ctrl-C: does not)")
        while self._elsewhere() and not self._over():
            time.sleep(_LOOK_SECONDS)
        with self.interruption.whole():
            self.ledger.reconcile()
            return self.ledger.counts()["waiting"] > 0

    def _elsewhere(self) -> int:
        """Trainings of other coordinators."""
        with self.interruption.whole():
            return self.ledger.elsewhere()

    def _over(self) -> bool:
        """Whether nothing may begin any more."""
        if self.interruption.asked:
            return True
        return self.deadline is not None and time.monotonic() > self.deadline

    def _judged(self, event: Event) -> bool:
        with self.interruption.whole():
            return self._stops(event)

    def _stops(self, event: Event) -> bool:
        """Whether a training cannot reach the front any more, by its accuracies so far and those of its own kind."""
        finished = self.ledger.curves(event.key)
        if not finished:
            return False
        so_far = tuple(record.accuracy for record in event.history if record.accuracy is not None)
        running = LearningCurve(self.ledger.macs_of(event.key), so_far)
        return bool(so_far) and cannot_reach_front(running, finished, epochs=len(finished[0].accuracies))

    def _next(self) -> tuple[int, Training] | None:
        if self._over():
            return None
        with self.interruption.whole():
            if self.ledger.shared and time.monotonic() > self.looked + _LOOK_SECONDS:
                self.ledger.reconcile()
                self.looked = time.monotonic()
            if self.budget and (waiting := self.ledger.waiting_work()) and not self.budget.admits(waiting[0]):
                return None
            return self._claimed()

    def _claimed(self) -> tuple[int, Training] | None:
        """The next training, once those are recorded whose observations are there: the ledger may be an older one."""
        while (claimed := self.ledger.claim()) is not None:
            number, _, _ = claimed
            self.running.add(number)
            if (observation := self.ledger.on_disk(number)) is None:
                break
            self._record(number, observation)
            self.answered += 1
        else:
            return None
        if self.budget:
            self.budget.begins(number, self.ledger.work_of(number))
        training = self.ledger.training(number)
        self.epochs[number] = training.fidelity.epochs
        return number, replace(training, data=replace(training.data, cache=str(self.cache)))

    def _record(self, number: int, observation: Observation) -> None:
        """Records what came of a training, and shows it in the study's tables, for a small part of the time."""
        self.ledger.record(number, observation, again=True)
        self.running.discard(number)
        self.progress.done(number, observation)
        if (began := time.monotonic()) < self.export_at:
            return
        try:
            self.ledger.export()
        except PlannerError as error:  # it is recorded, and at the end they are written once more
            if not self.export_failed:
                self.progress.note(f"{error} {IN_LEDGER}")
            self.export_failed = True
        self.export_at = time.monotonic() + EXPORTS_APART * (time.monotonic() - began)

    def _handle(self, event: Event) -> int:
        """Acts on one event; gives how many trainings it ended."""
        number = event.key
        if event.kind == "epoch":
            done = len(event.history)
            if self.budget:
                self.budget.epoch(number, done, self.epochs[number])
            self.ledger.progress(number, done)
            self.progress.epoch(number, done, self.epochs[number])
            return 0
        if event.kind == "silent":
            self.progress.note(f"trial {number}: {event.text}")
            return 0
        if event.kind == "refused":
            raise PlannerError(event.text)
        self.running.discard(number)
        # One that died may have died after its work.
        observation = self.ledger.on_disk(number) if event.kind in ("done", "died") else None
        if self.budget:
            self.budget.ends(number, observation.status if observation else event.kind)
        if observation is not None:
            self._record(number, observation)
            return 1
        assert event.kind != "done", f"trial {number} reported an observation that is not on disk"
        if event.kind == "paused" or (event.kind == "died" and self.interruption.asked):
            self.ledger.put_back(number, "interrupted")
            return 0
        if event.kind == "died":
            again = "queued again" if self.ledger.requeue(number, event.text) else "given up after several tries"
            self.progress.note(f"trial {number}: {event.text}; {again}")
            return 0
        self.ledger.put_back(number, event.text)
        raise RuntimeError(f"trial {number} failed, which is a defect:\n{event.text}")


def _budget_of(ledger: Ledger, hours: float) -> Budget:
    """A budget that knows how long the study's trainings took."""
    work, seconds = ledger.timings()
    return Budget(hours, work.tolist(), seconds.tolist())
