"""What an engine is: it is given trainings, one at a time, and reports what becomes of them.

Also what all engines share: how one training is done, where its files are, and how its errors are told.
"""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self

from sampler import InputError
from trainer.files import write_atomically
from trainer.mending import told
from trainer.observation import EpochRecord, Observation, Training

if TYPE_CHECKING:
    from trainer.images import ImageData

Kind = Literal["epoch", "silent", "done", "died", "paused", "refused", "failed"]
NextTraining = Callable[[], tuple[int, Training] | None]
# Called with the history after every epoch; whether the training shall stop there.
OnEpoch = Callable[[tuple[EpochRecord, ...]], bool]


@dataclass(frozen=True)
class Event:
    """Something an engine reports.

    Attributes:
        kind: `epoch` (one more epoch), `silent` (no sign of life for a while), `done` (the observation is written),
            `died` (its process or its machine was lost without an observation), `paused` (it was asked to, and its
            checkpoint is written), `refused` (the user can mend it: one line in `text`), `failed` (a defect: the
            traceback in `text`).
        key: The training's key.
        history: What was seen in each epoch so far, of an `epoch` event.
        text: Why, of `silent`, `died`, `refused` and `failed`.
    """

    kind: Kind
    key: int
    history: tuple[EpochRecord, ...] = ()
    text: str = ""


class Engine(Protocol):
    """Where trainings run. A context manager: leaving it ends what still runs.

    No engine touches the ledger. What it reports as `done` lies in its folder of observations (`observation_path`),
    so that a coordinator that dies before it records it finds it at the next start.
    """

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
            Events, in the order in which they arrive; exactly one per training that is neither `epoch` nor `silent`.
        """

    def pause(self) -> None:
        """Asks what runs to write its checkpoint and end; called by the handler of a signal, or another thread."""

    def end(self) -> None:
        """Ends what runs, whatever it is doing; called likewise."""


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
    """Where a training's state is written: by what was asked and not by its key, which another try does not keep."""
    asked = asdict(training)
    del asked["data"]["cache"], asked["keep"]
    return folder / f"{hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]}.pt"


def train_one(
    training: Training, images: ImageData, threads: int, device: str, on_epoch: OnEpoch, checkpoint: Path | None
) -> Observation:
    """Does one training in this process.

    Args:
        training: What is asked.
        images: Its data.
        threads: Torch threads.
        device: A torch device.
        on_epoch: Told of every epoch.
        checkpoint: File of its state, resumed from where it is there; None for none.

    Returns:
        The observation.

    Raises:
        InputError: If the user can mend it.
        OSError: If a file cannot be read or written.
    """
    import torch

    from trainer.inherit import inherited_weights
    from trainer.proxy import train

    torch.set_num_threads(threads)
    weights = inherited_weights(training, len(images.classes)) if training.parent else None
    return train(
        training, images, device, on_epoch, checkpoint, weights, Path(training.keep) if training.keep else None
    )


def explained(key: int, error: Exception) -> Event:
    """One line for what the user can mend, the traceback for a defect."""
    if isinstance(error, InputError):
        return Event("refused", key, text=str(error))
    if isinstance(error, OSError):
        return Event("refused", key, text=told(error))
    return Event("failed", key, text="".join(traceback.format_exception(error)))
