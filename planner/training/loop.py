"""From nothing to trainings: queue, train. What the commands `sample`, `train` and `run` do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from planner.errors import PlannerError
from planner.study.designs import Design, draw_design
from planner.study.ledger import Ledger
from planner.study.network import check_given
from planner.study.settings import StudySettings
from planner.training.coordinator import Coordinator
from planner.training.leftovers import remove_left
from planner.training.progress import LISTENERS, Listener, Listeners
from planner.training.resources import ENGINES, HERE, MakeEngine, Resources
from sampler import Limit
from sampler.seeds import offset_seed
from trainer.command_line import check_program
from trainer.declared.images import check_images
from trainer.faults import reach
from trainer.mending import told
from trainer.tasks import task_named


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
        limits: Limits that those added keep.
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
        found = draw_design(space, wanted, method, seed, apart=apart, before=asked, seen=ledger.tried())
    ledger.enqueue(found, method, seeds)
    return len(found)


def train_queued(
    ledger: Ledger, cache: Path, resources: Resources, progress: Listener, engine: MakeEngine | None = None
) -> int:
    """Trains what is queued; resumes what a dead coordinator left.

    Args:
        ledger: The study's ledger.
        cache: Folder of decoded images.
        resources: Where and how long.
        progress: Told of every epoch and ending, before the listeners that `resources` names.
        engine: Makes the engine; that of `ENGINES` by default which `resources` names.

    Returns:
        How many trainings ended.

    Raises:
        PlannerError: If the data, the disk or the device refuse, there is no such listener, or the study's trainer
            cannot be used; nothing recorded is lost.
    """
    makes = [(name, LISTENERS[name]) for name in resources.log]
    listeners = Listeners(progress)
    ledger.tell = listeners.note
    try:
        with _told(), ledger.coordinating(), ledger.exporting(again=True):
            listeners.others += [(name, make(ledger.folder)) for name, make in makes]
            return _trained(ledger, cache, resources, listeners, engine or ENGINES[resources.engine])
    finally:
        listeners.close()


def check_trainable(settings: StudySettings, resources: Resources) -> None:
    """Refuses, before anything begins, what could not be trained, or not so.

    Raises:
        PlannerError: If the images are not for the network, the program is not here where it shall run here, or a limit
            is set that nothing keeps.
    """
    if not settings.trainer:
        check_images(settings.base)
        if resources.limit is not None:
            raise PlannerError(
                "--limit is for trainings by --trainer or --command; --hours bounds those on images, leave --limit out"
            )
    if settings.command is not None and resources.engine in HERE:
        check_program(settings.command.line)


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


def _trained(ledger: Ledger, cache: Path, resources: Resources, progress: Listener, engine: MakeEngine) -> int:
    """Does what `train_queued` says, while it coordinates."""
    reach("reconcile.begun")
    found, queued = ledger.reconcile()
    reach("reconcile.done")
    remove_left(ledger, alone=resources.engine in HERE and not ledger.shared)
    if found or queued:
        progress.note(f"resumed: {found} finished trainings recorded, {queued} interrupted ones queued again")
    counts = ledger.counts()
    if not counts["waiting"] and not ledger.elsewhere():
        return found
    settings = ledger.settings
    check_given(ledger.folder, settings.network)
    check_trainable(settings, resources)
    task = task_named(settings.trainer)
    task.prepare(settings.data_spec(cache), settings.data.fingerprint, ledger.folder.name)
    coordinator = Coordinator(ledger, cache, resources, engine, progress, task)
    progress.start(counts["waiting"], counts["ok"])
    return found + coordinator.run()
