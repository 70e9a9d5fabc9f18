"""How trainings go: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from planner.text.quantities import format_count
from sampler import BaseNetwork
from trainer.declared.images import described
from trainer.observation import Observation

_PATIENCE = 20.0  # seconds of silence that nobody takes for a defect


class TerminalProgress:
    """Progress on stderr: a tqdm bar with the best accuracy so far, or one line per training."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.best: float | None = None
        self.total = self.ended = 0
        self.epochs: dict[int, float] = {}
        self.started = time.monotonic()

    def start(self, waiting: int, finished: int) -> None:
        """Trainings begin."""
        self.total, self.ended, self.started = waiting, 0, time.monotonic()
        self.note(f"{waiting} trainings to do, {finished} done before")
        if sys.stderr.isatty():
            from tqdm import tqdm

            form = "{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}{postfix}]"
            self.bar = tqdm(total=waiting, desc="training", bar_format=form, leave=True)

    def epoch(self, number: int, epoch: int, of: int) -> None:
        """A training finished an epoch; the last one counts when the training is done."""
        if self.bar is not None and epoch < of:
            self._advance(number, epoch / of)

    def done(self, number: int, observation: Observation) -> None:
        """A training ended."""
        self.ended += 1
        judged = observation.score
        if observation.accuracy is not None:
            better = min if judged.lower else max
            self.best = observation.accuracy if self.best is None else better(self.best, observation.accuracy)
        if self.bar is not None:
            self._advance(number, 1.0)
            if self.best is not None:
                self.bar.set_postfix_str(f"best {judged.text(judged.merit(self.best))}")
            return
        left = (time.monotonic() - self.started) / self.ended * (self.total - self.ended)
        score: str = observation.status
        if observation.accuracy is not None:
            score = f"{judged.name} {judged.text(judged.merit(observation.accuracy))}"
        self.note(
            f"[{self.ended}/{self.total}] trial {number}: {format_count(observation.macs)} MACs, {score}, "
            f"{observation.seconds:.0f} s; about {left / 60:.0f} min left"
        )

    def note(self, text: str) -> None:
        """A line that does not disturb the bar."""
        if self.bar is not None:
            self.bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """No more trainings."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _advance(self, number: int, share: float) -> None:
        self.bar.update(share - self.epochs.get(number, 0.0))
        self.epochs[number] = share


@contextmanager
def patience(what: str, first: float = _PATIENCE) -> Iterator[None]:
    """Says on stderr what a long step is doing, after some seconds and then at twice that time, four times ..

    Args:
        what: The work, as a verb.
        first: Seconds until the first line; a step that is done before is silent.
    """
    ended, started = threading.Event(), time.monotonic()

    def tell() -> None:
        wait = first
        while not ended.wait(wait):
            print(f"{what}: {time.monotonic() - started:.0f} s so far", file=sys.stderr, flush=True)
            wait *= 2

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


class Tracing:
    """Progress of deriving what a declared network costs, on stderr; at the end what it took, where it took anything.

    A context manager, and called with (what, done, total).
    """

    def __init__(self) -> None:
        self.told = False

    def __enter__(self) -> Self:
        return self

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows how far it is, where somebody looks on."""
        self.told = True
        if sys.stderr.isatty():
            print(f"\r{what}: {done}/{total}\033[K", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.told and sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def done(self, network: BaseNetwork) -> None:
        """Says what it took, where it was done now and not read."""
        found = described(network.name)
        if not self.told or found is None:
            return
        facts = found.derived
        how = (
            f"closed terms, equal to {facts['checked']} traces of random sizes" if found.counts else "traced each time"
        )
        what = f"{network.name}: {how}; {facts['traces']} traces, {facts['seconds']} s"
        print(f"{what}; {facts['why']}" if "why" in facts else what, file=sys.stderr, flush=True)


def decoding(what: str, done: int, total: int) -> None:
    """Progress of decoding images, on stderr, only where somebody looks on."""
    if sys.stderr.isatty():
        end = "\n" if done >= total else ""
        print(f"\r{what}: {done}/{total}", end=end, file=sys.stderr, flush=True)
