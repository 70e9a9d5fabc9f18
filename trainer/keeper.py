"""Keeps a program: begins it, ends as it ended, and ends it with all its children where nobody waits for it any more.

Run as a file by a bare Python, so that it begins at once: `python -I -S keeper.py SECONDS PROGRAM ARGUMENTS..`. Its
standard input is a pipe that only its parent holds open: however the parent ends, by SIGKILL too, the pipe is closed
then, and the program gets SIGTERM, and SIGKILL so many seconds later. On Linux the children of the program that outlive
it come to the keeper, so that those that have left the program's group are ended as well.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

# Exit codes of shells, for a program that cannot be begun.
NOT_FOUND, NOT_RUNNABLE = 127, 126
_LOOK_SECONDS = 0.05
_SUBREAPER, _DEATH_SIGNAL = 36, 1  # of Linux's prctl(2)


def keep(command: list[str], grace: float) -> int:
    """Runs a program to its end, or to that of this process's parent.

    Args:
        command: Program and its arguments.
        grace: Seconds between SIGTERM and SIGKILL.

    Returns:
        The program's exit code; 128 and the signal's number where a signal ended it.
    """
    _prctl(_SUBREAPER, 1)
    try:
        # In a session of its own: signals of a terminal do not reach it, and its group is its own.
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_us)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUNNABLE
    _wait(program, grace)
    code = program.wait()
    _end_orphans(program.pid)
    return code if code >= 0 else 128 - code


def _wait(program: subprocess.Popen[bytes], grace: float) -> None:
    """Waits for the program's end; brings it about once the parent is gone."""
    parent, ends = os.getppid(), None
    while program.poll() is None:
        gone = os.getppid() != parent or ends is not None
        if not gone and select.select([0], [], [], _LOOK_SECONDS)[0]:
            gone = not os.read(0, 4096)
        if gone and ends is None:
            ends = time.monotonic() + grace
            _signal_group(program.pid, signal.SIGTERM)
        elif ends is not None:
            if time.monotonic() > ends:
                _signal_group(program.pid, signal.SIGKILL)
            time.sleep(_LOOK_SECONDS)


def _end_orphans(group: int) -> None:
    """Ends what the program left running."""
    _signal_group(group, signal.SIGKILL)
    while True:
        for child in _children():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    """Processes whose parent this one is; none where the system does not say."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        with suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{int(name)}/stat") as file:
                if int(file.read().rpartition(")")[2].split()[1]) == os.getpid():
                    found.append(int(name))
    return found


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _die_with_us() -> None:
    """Has Linux end the program where the keeper itself is killed."""
    _prctl(_DEATH_SIGNAL, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    # What asks others to end does not end the keeper before its program, which does not inherit handlers.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    sys.exit(keep(sys.argv[2:], float(sys.argv[1])))
