"""Making a study: by one process at a time, and only once there is something to queue in it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from planner.errors import PlannerError
from planner.study.designs import Design, draw_design
from planner.study.folder import folder_of, remember
from planner.study.ledger import Ledger
from planner.study.locks import alone, make_folder
from planner.study.network import keep_network
from planner.study.opening import opened
from planner.study.options import StudyOptions, settings_of
from planner.study.settings import StudySettings, write_settings
from planner.training.loop import queue
from sampler import Architectures, Limit
from trainer.image_data import Progress


@dataclass(frozen=True)
class Wanted:
    """Architectures to be queued.

    Attributes:
        n: Architectures to queue.
        more: Whether `n` are added to those that are there; else there shall be `n` in all.
        method: `stratified`, `random` or `sobol`; or what `design` is called.
        limits: Limits that those added keep.
        seeds: Number of trainings of each of those added.
        design: Function that gives them, instead of a method of that name.
    """

    n: int
    more: bool = False
    method: str = "stratified"
    limits: Sequence[Limit] = ()
    seeds: int = 1
    design: Design | None = None


def queue_in(
    name: str | None, options: StudyOptions, wanted: Wanted, tell: Progress | None = None
) -> tuple[Ledger, int]:
    """Queues architectures in a study, which is made from options where there is none; it becomes the last one used.

    Args:
        name: The study's name; the last one used, or `study`, by default.
        options: Options of the user.
        wanted: Architectures to queue.
        tell: Called with (what, done, total) while images are decoded.

    Returns:
        The study's ledger, and how many architectures were added.

    Raises:
        PlannerError: If the study exists with other settings, or settings or design are impossible: then nothing is
            left of a study that was to be made.
    """
    folder = folder_of(name)
    if not (folder / "study.toml").is_file():
        with alone(folder):
            if not (folder / "study.toml").is_file():  # nobody made it meanwhile
                ledger, design = _made(folder, options, wanted, tell)
                return ledger, _queued(ledger, wanted, design)
    ledger = opened(folder, options)
    return ledger, _queued(ledger, wanted)


def _queued(ledger: Ledger, wanted: Wanted, design: Architectures | None = None) -> int:
    """Queues what is wanted; the design of a new study, where nobody else has queued anything in its storage."""
    with ledger.queueing():
        before = ledger.asked()
        if design is not None and not before:
            ledger.enqueue(design, wanted.method, wanted.seeds)
            added = len(design)
        else:
            n = wanted.n + (before if wanted.more else 0)
            added = queue(ledger, n, wanted.method, wanted.limits, wanted.seeds, wanted.design)
    remember(ledger.folder)
    return added


def make_study(name: str, options: StudyOptions, tell: Progress | None = None) -> Ledger | None:
    """Makes a study in which nothing is queued yet; it becomes the last one used.

    Args:
        name: The study's name.
        options: Options of the user.
        tell: Called with (what, done, total) while images are decoded.

    Returns:
        The study's ledger; None where there is a study of that name.

    Raises:
        PlannerError: If settings are impossible: then nothing is left of the study.
    """
    folder = folder_of(name)
    with alone(folder):
        if (folder / "study.toml").is_file():
            return None
        ledger, _ = _made(folder, options, None, tell)
    remember(folder)
    return ledger


def _made(
    folder: Path, options: StudyOptions, wanted: Wanted | None, tell: Progress | None
) -> tuple[Ledger, Architectures | None]:
    """The ledger of a new study and what to queue first, once they and its settings are known to be possible."""
    new = not folder.exists()
    try:
        make_folder(folder)
        settings, doubts = settings_of(folder, options, tell)
        design = None if wanted is None else _design(settings, wanted)
        ledger = Ledger(folder, settings)
        if not settings.storage and any(ledger.counts().values()):
            raise PlannerError(f"{folder}: a ledger without its study.toml; put that back, or take another --study")
        keep_network(folder, settings.base)
        write_settings(folder / "study.toml", settings)
    except BaseException:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    for doubt in doubts:
        print(doubt, file=sys.stderr)
    return ledger, design


def _design(settings: StudySettings, wanted: Wanted) -> Architectures:
    """The first architectures of a study."""
    space = replace(settings.search_space(), limits=tuple(wanted.limits))
    if wanted.design is not None:
        return wanted.design(space, n=wanted.n, seed=settings.seed, seen=None)
    return draw_design(space, wanted.n, wanted.method, settings.seed, apart=settings.space.apart)
