"""Workers that are kept from one call of `train_queued` to the next: torch and the images are loaded once.

Only processes of this machine are: a cluster's engines keep their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Self

from planner.training.resources import ENGINES, Resources
from trainer.engines.engine import Engine, Event, NextTraining, Workplace
from trainer.engines.local import LocalEngine


class KeptWorkers:
    """Makes engines, as `train_queued` takes them; those of this machine share their processes until the end.

    Each call begins as many as it can use beside those that are there. What needs more memory on a GPU than they were
    placed for gets new ones. Use it as a context manager: leaving it ends them.
    """

    def __init__(self) -> None:
        self.engine: LocalEngine | None = None
        self.asked: Resources | None = None
        self.needed = 0
        self.devices: tuple[str, ...] = ()  # of all that may run at once

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __call__(self, asked: Resources, where: Workplace) -> Engine:
        """An engine for what waits."""
        if asked.engine != "local":
            return ENGINES[asked.engine](asked, where)
        needed, engine = where.bytes_needed(), self.engine
        if engine and (asked != self.asked or (engine.stops is None) != (where.stops is None)):
            self.close()
        elif engine and needed > self.needed and not all(device == "cpu" for device in self.devices):
            self.close()  # what they hold on a GPU is not free for those that are placed next
        if self.engine is None or needed > self.needed:
            made = ENGINES["local"](asked, replace(where, waiting=_ALL))
            if not isinstance(made, LocalEngine):
                return made
            if self.engine is None or len(made.devices) < len(self.engine.workers):
                self.close()
                self.engine = made
            self.asked, self.needed, self.devices = asked, needed, made.devices
        engine = self.engine
        engine.stops = where.stops
        engine.resize(self.devices[: max(1, where.waiting, len(engine.workers))])
        return _Kept(engine, self)

    def close(self) -> None:
        """Ends the processes, whatever they are doing."""
        if self.engine is not None:
            self.engine.__exit__()
        self.engine = None


_ALL = 1_000_000  # more than any machine runs at once


class _Kept:
    """An engine whose processes outlive it, unless it is left by an error."""

    def __init__(self, engine: LocalEngine, owner: KeptWorkers) -> None:
        self.engine, self.owner = engine, owner

    @property
    def at_once(self) -> int:
        """Its processes."""
        return self.engine.at_once

    def __enter__(self) -> Self:
        self.engine.start()
        return self

    def __exit__(self, *error: object) -> None:
        if any(error) or self.engine.pausing.value or any(one.job for one in self.engine.workers):
            self.owner.close()

    def run(self, next_training: NextTraining) -> Iterator[Event]:
        """Runs trainings until there are none left."""
        return self.engine.run(next_training)

    def pause(self) -> None:
        """Asks what runs to end with its checkpoint."""
        self.engine.pause()

    def end(self) -> None:
        """Ends what runs."""
        self.engine.end()
