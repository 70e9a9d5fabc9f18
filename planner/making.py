"""Making a study: by one process at a time, and only once there is something to queue in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.coordination import remedy_of
from planner.errors import PlannerError
from planner.study import folder_of, opened, remember, settings_of
from trainer.files import open_lock

if TYPE_CHECKING:
    from planner.designs import Design
    from planner.store import Ledger
    from sampler import Architectures, Limit
    from trainer.image_data import Progress


@dataclass(frozen=True)
class Wanted:
    """Architectures to be queued.

    Attributes:
        n: How many.
        more: Whether `n` are added to those that are there; else there shall be `n` in all.
        method: `stratified`, `random` or `sobol`; or what `design` is called.
        limits: What those added may not pass.
        seeds: How often each of those added is trained.
        design: Gives them, instead of a method of that name.
    """

    n: int
    more: bool = False
    method: str = "stratified"
    limits: Sequence[Limit] = ()
    seeds: int = 1
    design: Design | None = None


def queue_in(
    name: str | None, options: dict[str, Any], wanted: Wanted, tell: Progress | None = None
) -> tuple[Ledger, int]:
    """Queues architectures in a study, which is made from options where there is none; it becomes the last one used.

    Args:
        name: The study's name; the last one used, or `study`, by default.
        options: What the user asked for, by the names of `settings_of`; None where nothing was said.
        wanted: What to queue.
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
    from planner.loop import queue

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


def _made(folder: Path, options: dict[str, Any], wanted: Wanted, tell: Progress | None) -> tuple[Ledger, Architectures]:
    """The ledger of a new study and what to queue first, once they and its settings are known to be possible."""
    from planner.designs import drawn
    from planner.settings import write_settings
    from planner.store import Ledger

    new = not folder.exists()
    try:
        _make_folder(folder)
        settings, doubts = settings_of(folder, options, tell)
        space = replace(settings.search_space(), limits=tuple(wanted.limits))
        if wanted.design is not None:
            design = wanted.design(space, n=wanted.n, seed=settings.seed, seen=None)
        else:
            design = drawn(space, wanted.n, wanted.method, settings.seed, apart=settings.space.apart)
        ledger = Ledger(folder, settings)
        if not settings.storage and any(ledger.counts().values()):
            raise PlannerError(f"{folder}: a ledger without its study.toml; put that back, or take another --study")
        write_settings(folder / "study.toml", settings)
    except BaseException:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    for doubt in doubts:
        print(doubt, file=sys.stderr)
    return ledger, design


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "remove it" if isinstance(error, FileExistsError) else "free space or rights there"
        raise PlannerError(f"{folder}: {error.strerror}; {remedy}, then run again") from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Moments in which no other process makes the study of a folder: one that does is waited for.

    The lock is a file beside the folder, removed afterwards, as folders are that were made for it and stay empty.
    """
    new = [one for one in folder.parents if not one.exists()]
    path = folder.with_name(f".{folder.name}.making")
    descriptor = _locked(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        for one in new:
            with suppress(OSError):  # there is something in it
                one.rmdir()


def _locked(path: Path) -> int:
    """A descriptor that holds a lock file, which others remove once they have held it.

    Raises:
        PlannerError: If it cannot be locked.
    """
    told = False
    try:
        while True:
            _make_folder(path.parent)
            try:
                descriptor = open_lock(path)
            except FileNotFoundError:  # another process made the folder, and removed it again
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    print(f"{path.parent}: another process makes this study; waits for it", file=sys.stderr)
                told = True
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                    return descriptor
            os.close(descriptor)
    except OSError as error:
        raise PlannerError(f"{path}: cannot be locked ({error.strerror}); {remedy_of(error)}") from error
