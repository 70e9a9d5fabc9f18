"""Trainings in this process, one after the other: for trainers that no other process could import, and for tests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Self

from trainer import pausing
from trainer.engines.engine import (
    Event,
    NextTraining,
    Workplace,
    checkpoint_path,
    clear_checkpoint,
    explained,
    write_observation,
)
from trainer.observation import EpochRecord, Training
from trainer.protocol import Conditions, TrainingTask
from trainer.tasks import task_named


class InlineEngine:
    """Runs trainings in the process that calls it.

    Its events come when a training has ended, those of its epochs first; whether it shall stop early is asked after
    every epoch none the less. It cannot end what gives no sign: `end` is as `pause`.

    Args:
        place: Folders, and what judges epochs.
        device: Torch device of every training.
        threads: Threads of every training.
    """

    at_once = 1

    def __init__(self, place: Workplace, device: str = "cpu", threads: int = 1) -> None:
        self.place, self.device, self.threads = place, device, threads
        self.paused = False
        self.tasks: dict[str, TrainingTask] = {}

    def __enter__(self) -> Self:
        """Has trainings of this process ask it whether they shall pause."""
        pausing.listen(lambda: self.paused, lambda: None)
        return self

    def __exit__(self, *_: object) -> None:
        pausing.listen(lambda: False, lambda: None)

    def pause(self) -> None:
        """Asks the training to write its checkpoint and end; at its next step, or report."""
        self.paused = True

    end = pause

    def run(self, next_training: NextTraining) -> Iterator[Event]:
        """Runs trainings until there are none left, as every engine does."""
        while not self.paused and (claimed := next_training()) is not None:
            epochs: list[Event] = []
            ending = self._ending(*claimed, epochs)
            yield from epochs
            yield ending

    def _ending(self, key: int, training: Training, epochs: list[Event]) -> Event:
        """Does a training; gives the event of its end, and adds those of its epochs."""
        folder = self.place.checkpoints
        checkpoint = checkpoint_path(folder, training) if folder else None
        conditions = Conditions(self.device, self.threads, partial(self._stops, key, epochs), checkpoint)
        try:
            if training.trainer not in self.tasks:
                self.tasks = {training.trainer: task_named(training.trainer)}
            observation = self.tasks[training.trainer].observe(training, conditions)
            write_observation(self.place.observations, key, training, observation)
            if checkpoint:
                clear_checkpoint(checkpoint)
        except pausing.PausedError:
            return Event("paused", key)
        except Exception as error:
            return _told(explained(key, error))
        return Event("done", key)

    def _stops(self, key: int, epochs: list[Event], history: tuple[EpochRecord, ...]) -> bool:
        event = Event("epoch", key, history)
        epochs.append(event)
        return self.place.stops is not None and self.place.stops(event)


def _told(event: Event) -> Event:
    """Where a device failed, this process can do nothing more on it, and there is no other: the user begins one."""
    if event.kind != "died":
        return event
    return Event("refused", event.key, text=f"{event.text}: run the same command again, in a new process")
