"""Fault points: named places at which a test kills this process as a power cut would, without a word.

Nothing happens unless the environment variable `PLANNER_FAULT` names a point as `POINT`, or `POINT:N` for the Nth time
that one process reaches it, or `POINT:N:FILE`: then only the first process to make FILE dies, in a study of several.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "PLANNER_FAULT"
# Every point, so that a test can go through all of them.
POINTS = (
    "queue.written",
    "queue.added",
    "queue.done",
    "claim.before",
    "claim.done",
    "worker.starting",
    "worker.started",
    "worker.sent",
    "worker.received",
    "worker.trained",
    "worker.observed",
    "worker.cleared",
    "worker.reported",
    "file.part",
    "file.whole",
    "event.received",
    "record.annotated",
    "record.told",
    "requeue.queued",
    "requeue.annotated",
    "requeue.told",
    "reconcile.begun",
    "reconcile.done",
    "export.begun",
    "export.trials",
    "export.done",
)
_reached: dict[str, int] = {}


def reach(point: str) -> None:
    """Says that a point is reached; ends this process there if the environment asks for it."""
    wanted = os.environ.get(VARIABLE)
    if wanted:
        _reached[point] = _reached.get(point, 0) + 1
        name, _, rest = wanted.partition(":")
        time, _, file = rest.partition(":")
        if name == point and _reached[point] == int(time or 1) and _first(file):
            os.kill(os.getpid(), signal.SIGKILL)


def _first(file: str) -> bool:
    """Whether no process made the file before; True without one."""
    if not file:
        return True
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
