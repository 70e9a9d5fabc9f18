"""What this machine has: processors, memory, disk, rights; and what of it would stop a training."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from planner.study.folder import RESULTS
from planner.text.quantities import format_bytes
from trainer.cores import THREADS, affinity, asked_threads, cores, quota, shared_cores

LEAST_DISK = 1_000_000_000
# Queues between worker processes live there; containers have 64 MB unless told otherwise.
_LEAST_SHARED = 32_000_000
SHARED = Path("/dev/shm")
_MEMORY = Path("/proc/meminfo")
DRIVER = Path("/proc/driver/nvidia/version")
_TESTED = ((3, 11), (3, 13))


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: Name of the thing.
        found: Words for what there is.
        problem: Words for what is wrong with it; "" where it is fine.
        mend: The command that mends it.
    """

    name: str
    found: str
    problem: str = ""
    mend: str = ""


def machine_checks() -> list[Check]:
    """Everything that needs no package."""
    folder = RESULTS if RESULTS.is_dir() else Path()
    return [python_check(), cores_check(), memory_check(), disk_check(folder), rights_check(folder), shared_check()]


def python_check() -> Check:
    """The interpreter."""
    low, high = (".".join(map(str, version)) for version in _TESTED)
    now = tuple(map(int, platform.python_version_tuple()[:2]))
    found = f"{platform.python_version()} ({platform.system()} {platform.machine()})"
    if now < _TESTED[0]:
        return Check("python", found, f"older than {low}", f"python{high} -m venv .venv")
    return Check("python", found + (f", not tested above {high}" if now > _TESTED[1] else ""))


def cores_check() -> Check:
    """Cores that this process may use, and the settings of threads."""
    there, usable, most = os.cpu_count() or 1, affinity(), quota()
    found = f"{usable}" + (f" of {there}" if usable < there else "")
    if most is not None and most < usable:
        found += f", of whose time the container has {most:g}"
    found += f"; trainings here by default: {_workers(cores())}, with --workers 1: {_workers(1)}"
    given = {name: os.environ[name] for name in THREADS if name in os.environ}
    found += "".join(f", {name}={value}" for name, value in given.items())
    for name, value in given.items():
        wanted = asked_threads(name)
        if wanted is None or wanted > usable:
            return Check("cores", found, f"{name}={value} is no number of threads for {usable} cores", f"unset {name}")
    return Check("cores", found)


def _workers(processes: int) -> str:
    """Processes and the threads of each, as trainings are placed."""
    threads = shared_cores(processes)
    of_each = f"{threads} thread{'s' * (threads > 1)}"
    return f"{processes} of {of_each} each" if processes > 1 else f"1 of {of_each}"


def memory_check() -> Check:
    """Memory of the machine."""
    try:
        lines = _MEMORY.read_text(encoding="utf-8").splitlines()
        sizes = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines if line.endswith(" kB")}
        total, free = (format_bytes(sizes[name]) for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return Check("memory", "unknown")
    return Check("memory", f"{free} free of {total}")


def disk_check(folder: Path) -> Check:
    """Disk under the studies."""
    usage = shutil.disk_usage(folder)
    found = f"{format_bytes(usage.free)} free of {format_bytes(usage.total)}"
    if usage.free < LEAST_DISK:
        wanted = format_bytes(LEAST_DISK)
        return Check(
            "disk", found, f"less than {wanted} free in {folder.resolve()}", f"du -xh {folder} | sort -h | tail"
        )
    return Check("disk", found)


def rights_check(folder: Path) -> Check:
    """Whether studies can be written."""
    if RESULTS.exists() and not RESULTS.is_dir():
        return Check(
            "rights", "none", f"{RESULTS} is a file, and studies are folders in it", f"mv {RESULTS} results.old"
        )
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"planner")
    except OSError as error:
        return Check("rights", "none", f"{folder.resolve()}: {error.strerror}", f"chmod u+rwx {folder.resolve()}")
    return Check("rights", f"{folder}/ can be written" if folder == RESULTS else "this folder can be written")


def shared_check() -> Check:
    """Shared memory between processes."""
    if not SHARED.is_dir():
        return Check("shared", "none of its own")
    free = shutil.disk_usage(SHARED).free
    found, mend = f"{format_bytes(free)} free", f"mount -o remount,size=1G {SHARED}"
    if not os.access(SHARED, os.W_OK):
        return Check("shared", found, f"{SHARED} cannot be written, so worker processes cannot start", mend)
    if free < _LEAST_SHARED:
        return Check("shared", found, f"less than {format_bytes(_LEAST_SHARED)} free in {SHARED}", mend)
    return Check("shared", found)
