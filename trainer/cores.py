"""Cores, threads and memory: what this process may use, and how many threads it was asked to take."""

from __future__ import annotations

import os
from pathlib import Path

# Of a container (cgroup 2): microseconds in which its processes may run, of so many.
QUOTA = Path("/sys/fs/cgroup/cpu.max")
# Memory of this machine; and of a container, what it may use and what it does.
MEMORY = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")
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


def available_bytes() -> int | None:
    """Bytes that new processes may take, of the machine or its container if that is less; None where nobody says."""
    found = []
    try:
        (line,) = (one for one in MEMORY.read_text(encoding="utf-8").splitlines() if one.startswith("MemAvailable:"))
        found.append(1024 * int(line.split()[1]))
    except (OSError, ValueError):  # no Linux
        pass
    try:
        most, used = (int((GROUP / name).read_text(encoding="utf-8")) for name in ("memory.max", "memory.current"))
        facts = dict(line.split() for line in (GROUP / "memory.stat").read_text(encoding="utf-8").splitlines())
        found.append(most - used + int(facts.get("inactive_file", 0)))  # files it read, which it would give up
    except (OSError, ValueError):  # not in a container, or "max"
        pass
    return max(0, min(found)) if found else None
