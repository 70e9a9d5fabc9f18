"""When to say that a training shows no sign of life, and when to end it.

A sign is a step, or a batch that was scored: a process that is stopped, or waits for what never comes, gives none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

LOOK_SECONDS = 5.0
# Without a sign: then it is said, then it is ended; at once where the process is known to be stopped.
STOPPED_SECONDS = 10.0
TELL_SECONDS = 120.0
END_SECONDS = 1800.0
# A network whose steps are slow is not dead: so many times its longest silence so far is waited, if that is more.
SLOW_TIMES = 10


class Vigil:
    """Watches one training.

    Attributes:
        silent: Seconds without a sign in which the coordinator itself was awake.
    """

    def __init__(self) -> None:
        self.silent = self.longest = 0.0
        self.signs = -1
        self.told = False

    def look(self, signs: int, seconds: float, stopped: bool = False) -> Literal["", "tell", "end"]:
        """What is to be done now.

        Args:
            signs: Signs of life so far.
            seconds: Since the last look. More than two looks' time is not counted: then the coordinator was asleep.
            stopped: Whether the process is known to be stopped.
        """
        if signs != self.signs:
            self.longest = max(self.longest, self.silent)
            self.signs, self.silent, self.told = signs, 0.0, False
            return ""
        self.silent += min(seconds, 2 * LOOK_SECONDS)
        slow = SLOW_TIMES * self.longest
        if self.silent >= max(END_SECONDS, slow):
            return "end"
        if not self.told and self.silent >= (STOPPED_SECONDS if stopped else max(TELL_SECONDS, slow)):
            self.told = True
            return "tell"
        return ""

    def words(self) -> str:
        """How long there was no sign."""
        if self.silent < 100:
            return f"no sign of life for {self.silent:.0f} s"
        return f"no sign of life for {self.silent / 60:.0f} min"

    def left(self) -> str:
        """When it is ended."""
        limit = max(END_SECONDS, SLOW_TIMES * self.longest)
        return f"without one for {limit / 60:.0f} min it is ended and tried again"


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped (SIGSTOP, a debugger); False where the system does not say."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in "Tt"
