"""A trainer that is a program: it is begun for a job, what it prints is read while it runs, and it ends with its job.

What it prints goes to files in the job's folder, and is read there: a program never waits for us, and what it said last
is there after any accident. A keeper of its own (`trainer.keeper`) ends it, with its children, wherever we end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from sampler import InputError
from trainer import keeper
from trainer.command_line import filled
from trainer.device_errors import says_out_of_memory
from trainer.observation import Command
from trainer.protocol import Job, TimeIsOver, TrainerError
from trainer.score_texts import ScoreLine, is_score, score_keys, score_of_file, score_of_line, whole_epoch

# In the job's folder: what the program printed, and what it printed as errors.
OUTPUT, ERRORS = "output.log", "errors.log"
# Between SIGTERM and SIGKILL: time to write a checkpoint.
END_GRACE = 10.0
_LOOK_SECONDS = 0.05
_TAIL_BYTES = 20_000  # of the errors, in which their last line is looked for
_LONGEST = 300  # characters of a message


class ProgramTrainer:
    """A `Trainer` that runs a program.

    Args:
        command: Program.
    """

    def __init__(self, command: Command) -> None:
        self.command = command

    def __call__(self, job: Job) -> float | None:
        """Runs the program for a job; reports every epoch that it tells, and gives its last score.

        Raises:
            Stopped: If `job.report` raised it; the program is ended then.
            TimeIsOver: If the job's time is over; likewise.
            InputError: If a score or an epoch is impossible, or its file is.
            MemoryError: If the program says that it ran out of memory.
            TrainerError: If it failed, or told no score.
        """
        parts, score_file = filled(self.command, job)
        folder = job.folder.absolute()
        began = _size(folder / ERRORS)
        _report_again(job, folder / OUTPUT)
        with ExitStack() as stack:
            tail = stack.enter_context(_Tail(folder / OUTPUT))
            process = stack.enter_context(_kept(parts, folder, job))
            last = _followed(process, tail, job)
        _check_ending(process.returncode, parts[0], _last_line(folder / ERRORS, began))
        if score_file is not None:
            last = score_of_file(folder / score_file, score_keys(job.score))
        if last is None and job.history and job.history[-1].epoch == job.epochs:
            return None  # all was told before it was interrupted, and nothing was left to do
        if last is None:
            where = f"{score_file} holds none" if score_file else 'print one as a line: {"score": 0.71}'
            raise TrainerError(f"{parts[0]} ended well and told no score: {where}")
        return _told_last(job, last)


def _told_last(job: Job, last: ScoreLine) -> float | None:
    """Has the last score be that of the last epoch, whatever was reported for it before."""
    done = bool(job.history) and job.history[-1].epoch == job.epochs
    if not done or last.epoch is None or whole_epoch(last.epoch) != job.epochs:
        job.report(job.epochs, last.score, last.loss, **last.facts)  # type: ignore[arg-type]
    return None


def _followed(process: subprocess.Popen[bytes], tail: _Tail, job: Job) -> ScoreLine | None:
    """Reads what the program prints until it ends; gives the last score."""
    last = None
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_SECONDS)
        ended = process.returncode is not None
        for line in tail.lines(ended):
            if (found := score_of_line(line, score_keys(job.score))) is not None:
                last = found
                if found.epoch is not None:
                    _report(job, found)
        if ended:
            return last
        if time.monotonic() > job.deadline:
            raise TimeIsOver


def _report(job: Job, found: ScoreLine) -> None:
    """Reports an epoch that the program told.

    Raises:
        InputError: If there is no such epoch, or the score is none.
    """
    epoch = whole_epoch(found.epoch)
    if not 1 <= epoch <= job.epochs:
        raise InputError(f"--command: the program told epoch {epoch}; count epochs from 1 to {{epochs}}: {job.epochs}")
    job.report(epoch, found.score, found.loss, **found.facts)  # type: ignore[arg-type]  # which is checked there


def _report_again(job: Job, output: Path) -> None:
    """Reports what a try before this one told at last, and nobody had read when it was killed."""
    if not output.is_file():
        return
    with output.open("rb") as file:
        lines = [line.decode("utf-8", "replace") for line in file if line.endswith(b"\n")]
    for line in lines:
        found, wanted = score_of_line(line, score_keys(job.score)), len(job.history) + 1
        if found is not None and found.epoch == wanted <= job.epochs and is_score(found.score, job.score):
            job.report(wanted, found.score, found.loss, **found.facts)  # type: ignore[arg-type]


class _Tail:
    """What is added to a file, line by line, from where it ends now."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("ab+")
        self.file.seek(-1 if _size(path) else 0, os.SEEK_END)
        if self.file.read(1) not in (b"", b"\n"):  # a line that a kill tore ends here
            self.file.write(b"\n")
            self.file.flush()
        self.rest = b""

    def __enter__(self) -> _Tail:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def lines(self, ended: bool) -> Iterator[str]:
        """The lines that are whole by now, and the rest where nothing more comes."""
        *lines, self.rest = (self.rest + self.file.read()).split(b"\n")
        if ended and self.rest:
            lines, self.rest = [*lines, self.rest], b""
        yield from (line.decode("utf-8", "replace") for line in lines)


class _kept:  # noqa: N801  used as a function
    """The program at work, with a keeper; ended when it is left."""

    def __init__(self, parts: list[str], folder: Path, job: Job) -> None:
        with (folder / OUTPUT).open("ab") as output, (folder / ERRORS).open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, str(END_GRACE), *parts],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                env=_environment(job),
                start_new_session=True,
            )

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()  # which the keeper takes for our end
        try:
            self.process.wait(END_GRACE + 10)
        except subprocess.TimeoutExpired:
            self.process.kill()  # and the system ends its program
            self.process.wait()


def _environment(job: Job) -> dict[str, str]:
    """The program's environment: its threads, and lines that are written when they are printed."""
    return {**os.environ, "OMP_NUM_THREADS": str(job.threads), "PYTHONUNBUFFERED": "1"}


def _check_ending(code: int, program: str, errors: str) -> None:
    """Refuses an ending that is none.

    Raises:
        MemoryError: If the last line of the errors says so.
        TrainerError: If the exit code is not 0.
    """
    if not code:
        return
    if says_out_of_memory(errors):
        raise MemoryError(errors)
    ending = f"exit code {code}"
    if code > 128 and (code - 128) in {*signal.Signals}:
        ending = f"signal {signal.Signals(code - 128).name}"
    raise TrainerError(f"{program} ended with {ending}{f': {errors}' if errors else ''}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _last_line(path: Path, start: int) -> str:
    """The last line of a file that says something, of what was added to it since it had so many bytes."""
    with path.open("rb") as file:
        file.seek(max(start, _size(path) - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").replace("\r", "\n").splitlines()
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:_LONGEST] if said else ""
