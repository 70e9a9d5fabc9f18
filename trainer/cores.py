"""Cores and threads: what this process may use, and how many threads it was asked to take."""

from __future__ import annotations

import os
from pathlib import Path

# Of a container (cgroup 2): microseconds in which its processes may run, of so many.
QUOTA = Path("/sys/fs/cgroup/cpu.max")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def affinity() -> int:
    """Cores that this process may run on; all of the machine where the system does not say."""
    if hasattr(os, "sched_getaffinity"):  # Linux has it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quota() -> float | None:
    """Cores' worth of time that a container may use; None for no limit."""
    try:
        most, period = QUOTA.read_text(encoding="utf-8").split()
        return int(most) / int(period)
    except (OSError, ValueError):  # not in a container, or "max"
        return None


def cores() -> int:
    """Cores to plan with: those this process may run on, or what its container has of their time if that is less."""
    return max(1, min(affinity(), int(quota() or affinity())))


def asked_threads(name: str = THREADS[0]) -> int | None:
    """The threads that the environment asks for; None where it says nothing that can be used.

    Of a list, which is for nested regions, the first number counts.
    """
    first = os.environ.get(name, "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) >= 1 else None


def shared_cores(processes: int) -> int:
    """Threads of each of some processes: its share of the cores, and no more than the environment asks for."""
    return max(1, min(cores() // max(1, processes), asked_threads() or cores()))
