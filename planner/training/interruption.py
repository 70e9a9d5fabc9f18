"""Ends trainings in order: on Ctrl-C, when the machine asks for it, or when the hours are over."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from trainer.engines.engine import Engine

# After the hours: within so many seconds trainings write their checkpoints, or are ended without.
GRACE_SECONDS = 10.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Watches for a reason to end; a context manager around the run of an engine.

    The first Ctrl-C (or SIGTERM) lets nothing begin and asks trainings to write their checkpoints and end; the second
    raises KeyboardInterrupt at once, or at the end of what is `whole`. The end of the hours is a first one, and after
    `GRACE_SECONDS` ends the workers.

    Args:
        engine: Engine that trains; None until it has begun.
        seconds: Seconds until the hours are over; None for no such end.
        note: Told in one line what happens.

    Attributes:
        asked: Whether trainings shall end.
        by_user: Whether a signal asked for it.
    """

    def __init__(self, engine: Engine | None, seconds: float | None, note: Callable[[str], None]) -> None:
        self.engine, self.note = engine, note
        self.asked = self.by_user = False
        self._whole, self._again = 0, False
        self.timers: list[threading.Timer] = []
        if seconds is not None:
            ends = ((seconds, self._over), (seconds + GRACE_SECONDS, self._end))
            self.timers = [threading.Timer(max(0.0, after), act) for after, act in ends]
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self.previous = {number: signal.signal(number, self._signalled) for number in SIGNALS}
        for timer in self.timers:
            timer.daemon = True
            timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self.timers:
            timer.cancel()
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What a second Ctrl-C does not cut: a query of the ledger that ends in its middle keeps SQLite's lock."""
        self._whole += 1
        try:
            yield
        finally:
            self._whole -= 1
        if self._again and not self._whole:
            self._again = False
            raise KeyboardInterrupt

    def _signalled(self, *_: object) -> None:
        if self.by_user and self._whole:
            self._again = True
            return
        if self.by_user:
            raise KeyboardInterrupt
        self.by_user = True
        self._pause("stopping: running trainings write their checkpoints; once more to stop at once")

    def _over(self) -> None:
        self._pause("the hours are over: running trainings write their checkpoints and wait for the next run")

    def _pause(self, why: str) -> None:
        self.asked = True
        if self.engine is not None:
            self.engine.pause()
        with suppress(RuntimeError):  # a signal in the middle of another line
            self.note(why)

    def _end(self) -> None:
        if self.engine is not None:
            self.engine.end()
