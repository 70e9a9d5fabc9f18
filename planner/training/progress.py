"""Who is told how trainings go: the protocol of listeners, several of them at once, and their names."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from planner.errors import PlannerError
from planner.training.run_logs import epoch_numbers, left_observations
from sampler.registry import Registry
from trainer.observation import EpochRecord, Observation, Training
from trainer.score import ACCURACY_NAME


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


@runtime_checkable
class TrialListener(Listener, Protocol):
    """A listener that also wants to know what is trained, and the scores of each epoch."""

    def begun(self, number: int, training: Training) -> None:
        """The training of a trial begins, or goes on where it was interrupted."""

    def scored(self, number: int, history: Sequence[EpochRecord], of: int) -> None:
        """Called in place of `epoch`: with the records of all epochs so far, those before an interruption too."""


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
    """Several listeners as one; one of the others that fails is closed and told nothing more, and no training is lost.

    Args:
        first: Listener that is told of the others' failures, too; what it raises is raised.
        others: Further ones, by their names.
    """

    def __init__(self, first: Listener, others: Sequence[tuple[str, Listener]] = ()) -> None:
        self.first, self.others = first, list(others)

    def add(self, name: str, make: MakeListener, folder: Path) -> None:
        """Makes a further listener of a study; one that cannot be made is told of in a line, and left out.

        Raises:
            PlannerError: If the user can mend it before anything is trained.
        """
        try:
            self.others.append((name, make(folder)))
        except PlannerError:
            raise
        except Exception as error:  # whatever somebody else's code does
            self._failed(name, error)

    def start(self, waiting: int, finished: int) -> None:
        """Trainings begin."""
        self.first.start(waiting, finished)
        self._tell(lambda one: one.start(waiting, finished))

    def epoch(self, number: int, epoch: int, of: int) -> None:
        """A training finished an epoch."""
        self.first.epoch(number, epoch, of)
        self._tell(lambda one: one.epoch(number, epoch, of))

    def begun(self, number: int, training: Training) -> None:
        """A training begins."""
        tell_begun(self.first, number, training)
        self._tell(lambda one: tell_begun(one, number, training))

    def scored(self, number: int, history: Sequence[EpochRecord], of: int) -> None:
        """A training finished an epoch; told in place of `epoch`."""
        tell_epoch(self.first, number, history, of)
        self._tell(lambda one: tell_epoch(one, number, history, of))

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
                self._failed(name, error)
                with suppress(Exception):  # what it holds open
                    listener.close()

    def _failed(self, name: str, error: Exception) -> None:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        self.first.note(f"listener {name} failed and is told nothing more ({reason})")


def tell_begun(listener: Listener, number: int, training: Training) -> None:
    """Tells a listener that a training begins, where it wants to know."""
    if isinstance(listener, TrialListener):
        listener.begun(number, training)


def tell_epoch(listener: Listener, number: int, history: Sequence[EpochRecord], of: int) -> None:
    """Tells a listener of the last epoch of some, with its scores where it wants to know them."""
    if isinstance(listener, TrialListener):
        listener.scored(number, history, of)
    else:
        listener.epoch(number, len(history), of)


@register_listener("jsonl")
class JsonLines:
    """Writes `trainings.jsonl` in the study's folder, one line of JSON for each thing that happens, at once.

    What ended while nobody wrote it down is written first.

    Args:
        folder: Folder of the study.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "trainings.jsonl"
        told = set(_trials_done(path))
        self.scores: dict[int, str] = {}  # what trials that began are judged by
        self.file = path.open("a", encoding="utf-8")
        if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            self.file.write("\n")  # after a line that a killed process did not end
        for number, observation in left_observations(folder, told):
            self.done(number, observation)

    def start(self, waiting: int, finished: int) -> None:
        """Trainings begin."""
        self._write("start", waiting=waiting, finished=finished)

    def epoch(self, number: int, epoch: int, of: int) -> None:
        """A training finished an epoch."""
        self._write("epoch", trial=number, epoch=epoch, of=of)

    def begun(self, number: int, training: Training) -> None:
        """A training begins."""
        network, self.scores[number] = training.architecture, training.score.name
        sizes = {"resolution": network.resolution, "widths": network.widths, "depths": network.depths}
        self._write("begin", trial=number, **sizes, epochs=training.fidelity.epochs, seed=training.seed)

    def scored(self, number: int, history: Sequence[EpochRecord], of: int) -> None:
        """A training finished an epoch."""
        last = epoch_numbers(history[-1], self.scores.get(number, ACCURACY_NAME))
        self._write("epoch", trial=number, epoch=len(history), of=of, **last)

    def done(self, number: int, observation: Observation) -> None:
        """A training ended."""
        facts = {name: getattr(observation, name) for name in ("status", "macs", "seconds", "message")}
        self._write("done", trial=number, **facts, **{observation.score.name: observation.accuracy})
        self.scores.pop(number, None)

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


def _trials_done(path: Path) -> Iterator[int]:
    """Numbers of the trials whose ends a file of events has."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):  # half a line, or not ours
            event = json.loads(line)
            if event["event"] == "done":
                yield int(event["trial"])
