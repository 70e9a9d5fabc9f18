"""Who is told how trainings go: the protocol of listeners, several of them at once, and their names."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from sampler.registry import Registry
from trainer.observation import Observation


class Listener(Protocol):
    """What wants to know how the trainings go; called in the coordinator's process, one call at a time.

    `planner.training.conformance` checks a listener, whoever wrote it.
    """

    def start(self, waiting: int, finished: int) -> None:
        """Trainings begin; so many wait, so many were finished before."""

    def epoch(self, number: int, epoch: int, of: int) -> None:
        """The training of a trial finished an epoch."""

    def done(self, number: int, observation: Observation) -> None:
        """The training of a trial ended, and is recorded."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def close(self) -> None:
        """No more trainings; called once, also where something failed."""


# Makes a listener for a study, whose folder is given.
MakeListener = Callable[[Path], Listener]
LISTENERS: Registry[MakeListener] = Registry("listener", "scaling_planner.listeners", "--log")


def register_listener(name: str) -> Callable[[MakeListener], MakeListener]:
    """A decorator that makes a listener known by a name, to `--log NAME`.

    An installed package does the same by an entry point of the group `scaling_planner.listeners`.

    Args:
        name: Name of the listener, of letters, digits, `_`, `-` and `.`.

    Raises:
        PlannerError: If the name is taken.
    """
    return lambda make: LISTENERS.register(name, make)


class Listeners:
    """Several listeners as one; one of the others that fails is told nothing more, and no training is lost by it.

    Args:
        first: Listener that is told of the others' failures, too; what it raises is raised.
        others: Further ones, by their names.
    """

    def __init__(self, first: Listener, others: Sequence[tuple[str, Listener]] = ()) -> None:
        self.first, self.others = first, list(others)

    def start(self, waiting: int, finished: int) -> None:
        """Trainings begin."""
        self.first.start(waiting, finished)
        self._tell(lambda one: one.start(waiting, finished))

    def epoch(self, number: int, epoch: int, of: int) -> None:
        """A training finished an epoch."""
        self.first.epoch(number, epoch, of)
        self._tell(lambda one: one.epoch(number, epoch, of))

    def done(self, number: int, observation: Observation) -> None:
        """A training ended."""
        self.first.done(number, observation)
        self._tell(lambda one: one.done(number, observation))

    def note(self, text: str) -> None:
        """Something worth a line."""
        self.first.note(text)
        self._tell(lambda one: one.note(text))

    def close(self) -> None:
        """No more trainings."""
        self._tell(lambda one: one.close())
        self.first.close()

    def _tell(self, act: Callable[[Listener], None]) -> None:
        for named in list(self.others):
            name, listener = named
            try:
                act(listener)
            except Exception as error:  # whatever somebody else's code does
                self.others.remove(named)
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                self.first.note(f"listener {name} failed and is told nothing more ({reason})")


@register_listener("jsonl")
class JsonLines:
    """Writes `trainings.jsonl` in the study's folder, one line of JSON for each thing that happens, at once.

    Args:
        folder: Folder of the study.
    """

    def __init__(self, folder: Path) -> None:
        self.file = (folder / "trainings.jsonl").open("a", encoding="utf-8")

    def start(self, waiting: int, finished: int) -> None:
        """Trainings begin."""
        self._write("start", waiting=waiting, finished=finished)

    def epoch(self, number: int, epoch: int, of: int) -> None:
        """A training finished an epoch."""
        self._write("epoch", trial=number, epoch=epoch, of=of)

    def done(self, number: int, observation: Observation) -> None:
        """A training ended."""
        facts = {name: getattr(observation, name) for name in ("status", "macs", "seconds", "message")}
        self._write("done", trial=number, **facts, **{observation.score.name: observation.accuracy})

    def note(self, text: str) -> None:
        """Something worth a line."""
        self._write("note", text=text)

    def close(self) -> None:
        """No more trainings."""
        self.file.close()

    def _write(self, what: str, **facts: Any) -> None:
        line = {"time": round(time.time(), 3), "event": what, **facts}
        self.file.write(json.dumps(line, allow_nan=False) + "\n")
        self.file.flush()
