"""Wall-clock hours to spend: which trainings still fit, and what became of the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from planner.study.pace import Pace

Clock = Callable[[], float]
RECENT = 9  # trainings by which it is judged how crowded the machine is


class Hours:
    """Admits trainings that will end in time, by the seconds of those that did.

    Before each training the time within which nine of ten such end is reserved; it begins only if so much is left.
    Before anything was measured one training alone begins, and its first epoch is the first measurement. Those measured
    before say how seconds follow from MACs, on cores of their own; those of now, how crowded the machine is today.

    Args:
        hours: Hours of wall clock, from now.
        macs: MACs of trainings measured before, whose seconds are given.
        seconds: Seconds of those, on cores of their own.
        clock: Seconds that never go back.
    """

    def __init__(
        self, hours: float, macs: Sequence[float] = (), seconds: Sequence[float] = (), clock: Clock = time.monotonic
    ) -> None:
        self.hours, self.clock = hours, clock
        self.start = clock()
        self.before = Pace.of(macs, seconds)
        self.measured: list[tuple[float, float]] = []  # MACs and seconds of those that ended since
        self.running: dict[int, tuple[float, float]] = {}  # MACs, and when it began
        self.projected: dict[int, tuple[float, float]] = {}  # MACs, and seconds by its epochs so far
        self.spent = self.wasted = 0.0
        self.ended: dict[str, int] = {}

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.start + 3600 * self.hours - self.clock()

    @property
    def pace(self) -> Pace | None:
        """Seconds over MACs; of running trainings only where none has ended."""
        if self.before is not None:
            return self.before.beside(*_columns(self.measured[-RECENT:]))
        return Pace.of(*_columns(self.measured or list(self.projected.values())))

    def admits(self, macs: float) -> bool:
        """Whether a training of so many MACs would end in time."""
        pace = self.pace
        if pace is None:
            return not self.running and self.left > 0
        return float(pace.reserved(macs)[0]) <= self.left

    def begins(self, key: int, macs: float) -> None:
        """A training begins."""
        self.running[key] = macs, self.clock()

    def epoch(self, key: int, done: int, of: int) -> None:
        """A training has done some of its epochs."""
        macs, began = self.running[key]
        self.projected[key] = macs, (self.clock() - began) * of / done

    def ends(self, key: int, status: str) -> None:
        """A training ended; whatever is not `ok` was wasted, and measures nothing. One that paused is only spent."""
        macs, began = self.running.pop(key)
        self.projected.pop(key, None)
        taken = self.clock() - began
        self.spent += taken
        if status == "paused":
            return
        self.ended[status] = self.ended.get(status, 0) + 1
        if status == "ok":
            self.measured.append((macs, taken))
        else:
            self.wasted += taken

    def plan(self, waiting: Sequence[float], workers: int) -> str:
        """What is expected of the hours, in words."""
        pace = self.pace
        if pace is None:
            return f"plan: {self.hours:.3g} h; nothing was measured yet, so one training begins alone"
        share = sum(float(seconds) for seconds in pace.expected(waiting)) / max(workers, 1) / 3600
        fit = "all of it" if share <= self.hours else f"about {self.hours / share:.0%} of it"
        return (
            f"plan: {self.hours:.3g} h; the {len(waiting)} that wait are expected to take {share:.2g} h on {workers} "
            f"workers, so {fit} fits"
        )

    def account(self, waiting: Sequence[float]) -> str:
        """What became of the hours, in words."""
        used = self.hours - self.left / 3600
        lost = ", ".join(f"{n} {status}" for status, n in sorted(self.ended.items()) if status != "ok")
        wasted = f", {self.wasted / 3600:.2g} h of it wasted ({lost})" if lost else ""
        pace = self.pace
        ahead = ""
        if waiting and pace is not None:
            needs = float(pace.reserved(waiting[0])[0]) / 3600
            ahead = f"; {len(waiting)} wait, the next of which may need {needs:.2g} h"
        return (
            f"spent: {used:.2g} of {self.hours:.3g} h, with {self.spent / 3600:.2g} h of training{wasted}; "
            f"{self.ended.get('ok', 0)} trained{ahead}"
        )


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [macs for macs, _ in pairs], [seconds for _, seconds in pairs]
