"""What an engine is: it is given trainings, one at a time, and reports what becomes of them.

Also what all engines share: where a training's files are, and how its errors are told. `trainer.engines.conformance`
checks an engine, whoever wrote it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, Self

from sampler import InputError
from trainer.device_errors import CrowdedError, first_line, is_device_failure
from trainer.files import write_atomically
from trainer.mending import told
from trainer.observation import EpochRecord, Observation, Training
from trainer.protocol import TrainerError

EventKind = Literal["epoch", "silent", "crowded", "done", "died", "paused", "refused", "raised", "failed"]
# Of the kinds those after which a training goes on; each has one of the others in the end.
ON_THE_WAY = ("epoch", "silent", "crowded")
NextTraining = Callable[[], tuple[int, Training] | None]


@dataclass(frozen=True)
class Event:
    """Something an engine reports.

    Attributes:
        kind: `epoch` (one more epoch), `silent` (no sign of life for a while), `crowded` (memory ran out
            beside others; it begins again alone on its device), `done` (the observation is written),
            `died` (its process or its machine was lost without an observation), `paused` (it was asked to, and its
            checkpoint is written), `refused` (the user can mend it: one line in `text`), `raised` (the user's trainer
            raised something: one line in `text`), `failed` (a defect: the traceback in `text`).
        key: Key of the training.
        history: Records of each epoch so far, of an `epoch` event.
        text: Reason of `silent`, `crowded`, `died`, `refused`, `raised` and `failed`.
    """

    kind: EventKind
    key: int
    history: tuple[EpochRecord, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Workplace:
    """All that an engine is made with, beside what the user asks for.

    Attributes:
        observations: Folder where it writes observations (`write_observation`), as `KEY.json`.
        checkpoints: Folder where trainings keep what they have done so far (`checkpoint_path`), each until its
            observation is written; None for nowhere.
        jobs: Folder in which an engine may keep files of its own while it runs.
        stops: Asked at every `epoch` event whether that training shall end there; None for never.
        waiting: Trainings that wait when it is made.
        bytes_needed: Memory on a GPU that the largest of the study's trainings needs, in bytes; asked only where that
            matters.
    """

    observations: Path
    checkpoints: Path | None = None
    jobs: Path = Path("jobs")
    stops: Callable[[Event], bool] | None = None
    waiting: int = 1
    bytes_needed: Callable[[], int] = lambda: 0


class Engine(Protocol):
    """Where trainings run. A context manager: entering it begins, leaving it ends what still runs.

    No engine touches the ledger. What it reports as `done` lies in its folder of observations (`observation_path`),
    so that a coordinator that dies before it records it finds it at the next start. A training is what
    `trainer.tasks.task_named` of its trainer observes.

    Attributes:
        at_once: Trainings at the same time, as far as that is known; at least 1.
    """

    @property
    def at_once(self) -> int:
        """Trainings at the same time, as far as that is known; at least 1."""

    def __enter__(self) -> Self:
        """Begins."""

    def __exit__(self, *_: object) -> None:
        """Ends what still runs."""

    def run(self, next_training: NextTraining) -> Iterator[Event]:
        """Runs trainings until there are none left.

        Args:
            next_training: Gives the next key and training, or None where there is none at present; asked
                again after every event.

        Yields:
            Events, in the order in which they arrive; exactly one per training of no kind in `ON_THE_WAY`.
        """

    def pause(self) -> None:
        """Asks what runs to write its checkpoint and end; called by the handler of a signal, or another thread.

        After it nothing begins in this engine any more; what can go on later comes as a `paused` event, or not at all.
        """

    def end(self) -> None:
        """Ends what runs, whatever it is doing, as far as it can; called likewise."""


def observation_path(folder: Path, key: int) -> Path:
    """Where a training's observation is written."""
    return folder / f"{key:06d}.json"


def write_observation(folder: Path, key: int, training: Training, observation: Observation) -> None:
    """Writes a training's observation whole, with what was asked for: its key alone may come to mean another one.

    Raises:
        OSError: If it cannot be written.
    """
    write_atomically(observation_path(folder, key), replace(observation, asked=training.facts()).to_json())


def checkpoint_path(folder: Path, training: Training) -> Path:
    """Where a training's state is written: by what was asked and not by its key, which another try does not keep.

    A file for the image trainer, a folder for others.
    """
    asked = training.key()
    del asked["data"]["cache"], asked["keep"]
    name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
    return folder / (name if training.trainer else f"{name}.pt")


def clear_checkpoint(path: Path) -> None:
    """Removes a training's state, a file or a folder; nothing where none is.

    Raises:
        OSError: If it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def explained(key: int, error: Exception) -> Event:
    """What an error means, in one line; the traceback for a defect.

    Where its device failed, the training has `died`: no other can be done in the same process, which has to end.
    """
    if isinstance(error, CrowdedError):
        return Event("crowded", key, text=f"memory ran out beside other trainings ({error})")
    if isinstance(error, InputError):
        return Event("refused", key, text=str(error))
    if isinstance(error, OSError):
        return Event("refused", key, text=told(error))
    if is_device_failure(error):
        return Event("died", key, text=f"its device failed ({first_line(error)})")
    if isinstance(error, TrainerError):
        return Event("raised", key, text=str(error))
    return Event("failed", key, text="".join(traceback.format_exception(error)))
