"""Trainings on this machine: one spawned process per worker, kept for many trainings.

A worker writes its observation to a file before it reports it, so that a coordinator that dies in between finds
it at the next start. A worker that dies takes nothing with it but its own training.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

from trainer import pausing
from trainer.engines import own_packages
from trainer.engines.crowding import Crowding
from trainer.engines.engine import (
    Event,
    NextTraining,
    checkpoint_path,
    clear_checkpoint,
    explained,
    write_observation,
)
from trainer.engines.vigil import LOOK_SECONDS, Vigil, is_stopped
from trainer.faults import reach
from trainer.observation import EpochRecord, Training
from trainer.protocol import Conditions, TrainingTask
from trainer.tasks import task_named


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    device: str
    signs: ctypes.c_ulonglong
    job: tuple[int, Training] | None = None
    away: bool = False  # its process was ended, so that another training has the device for itself
    vigil: Vigil = field(default_factory=Vigil)
    ended: str = ""  # why we ended it

    @property
    def key(self) -> int | None:
        return self.job[0] if self.job else None


class LocalEngine:
    """Runs trainings on processes of this machine, one for each of `devices`.

    Args:
        folder: Where observations are written, as `KEY.json`.
        checkpoints: Where trainings keep what they have done so far, each until its observation is written; None
            for nowhere.
        devices: Torch device of each process.
        threads: Torch threads of each process. Two processes of two threads each on two cores are four times
            slower than two of one: keep processes times threads at the number of cores.
        stops: Asked at every `epoch` event whether that training shall end there; None for never.

    Use it as a context manager: leaving it ends the processes, whatever they are doing.
    """

    def __init__(
        self,
        folder: Path,
        devices: Sequence[str] = ("cpu",),
        threads: int = 1,
        checkpoints: Path | None = None,
        stops: Callable[[Event], bool] | None = None,
    ) -> None:
        self.folder, self.threads, self.checkpoints = folder, threads, checkpoints
        self.stops = stops
        self.context = multiprocessing.get_context("spawn")
        self.pausing = self.context.RawValue("b", 0)  # without a lock, which a killed worker would keep
        self.devices = tuple(devices)
        self.workers: list[_Worker] = []
        self.crowding = Crowding(self.devices)

    @property
    def at_once(self) -> int:
        """Its processes."""
        return len(self.devices)

    def __enter__(self) -> Self:
        """Starts the processes."""
        self.start()
        return self

    def start(self) -> None:
        """Starts those processes that are not there yet."""
        for device in self.devices[len(self.workers) :]:
            self.workers.append(self._start(device))

    def resize(self, devices: Sequence[str]) -> None:
        """Says which processes there shall be from the next start on, while nothing runs; those there are stay.

        Args:
            devices: Torch device of each process, those of the present ones first.
        """
        self.devices = tuple(devices)
        self.crowding = Crowding(self.devices)

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.process.kill()  # and not terminate, which one that is stopped would not hear
        for worker in self.workers:
            worker.process.join(timeout=10)
            worker.pipe.close()
        self.workers = []

    def pause(self) -> None:
        """Asks every training to write its checkpoint and end, which comes as a `paused` event; takes a step's time."""
        self.pausing.value = 1

    def end(self) -> None:
        """Ends the processes, whatever they are doing; comes as `died` events."""
        self.pausing.value = 1
        for worker in self.workers:
            worker.process.kill()

    def run(self, next_training: NextTraining) -> Iterator[Event]:
        """Runs trainings until there are none left, as every engine does; after `died` the worker is a new one."""
        looked = time.monotonic()
        while True:
            for worker in self.workers:
                if worker.job is None:
                    self._give(worker, next_training)
            busy = [worker for worker in self.workers if worker.key is not None]
            if not busy:
                return
            ready = wait([worker.pipe for worker in busy], LOOK_SECONDS)
            for worker in busy:
                if worker.pipe in ready:
                    yield self._receive(worker)
            passed = time.monotonic() - looked
            if passed >= LOOK_SECONDS:
                looked += passed
                yield from (event for worker in busy if (event := _watched(worker, passed)))

    def _give(self, worker: _Worker, next_training: NextTraining) -> None:
        """Gives a worker what is next for it, if anything may begin on its device."""
        others = [one for one in self.workers if one.device == worker.device and one is not worker]
        busy = sum(one.job is not None for one in others)
        job = None
        if self.crowding.waits(worker.device):
            if not busy and not self.pausing.value:
                job = self.crowding.taken(worker.device)
                for one in others:
                    self._send_away(one)
                worker = self._replace(worker)  # of its memory some may be in pieces
        elif self.crowding.admits(worker.device, busy):
            job = next_training()
        if job is None:
            return
        if worker.away:
            worker = self._replace(worker)
        worker.job, worker.vigil = job, Vigil()
        alone = not others or self.crowding.is_alone(worker.device)
        with suppress(BrokenPipeError, ConnectionResetError):  # it died meanwhile, which comes as an event
            worker.pipe.send((*job, alone))
        reach("worker.sent")

    def _send_away(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join(timeout=10)
        worker.away = True

    def _replace(self, worker: _Worker) -> _Worker:
        """Puts a new process in the place of a worker's, whatever that is doing."""
        worker.process.kill()
        worker.process.join(timeout=10)
        worker.pipe.close()
        new = self.workers[self.workers.index(worker)] = self._start(worker.device)
        return new

    def _receive(self, worker: _Worker) -> Event:
        job = worker.job
        assert job is not None
        try:
            event: Event = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join(timeout=10)
            why = worker.ended or f"its process ended with exit code {worker.process.exitcode}"
            event = Event("died", job[0], text=why)
        if event.kind == "epoch":
            if self.stops:
                with suppress(BrokenPipeError, ConnectionResetError):  # it died meanwhile, which comes as an event
                    worker.pipe.send(self.stops(event))
            return event
        if event.kind == "crowded":
            busy = sum(one.job is not None and one.device == worker.device for one in self.workers)
            self.crowding.add(worker.device, job, busy)
            event = replace(event, text=f"{event.text}; it begins again when it has {worker.device} for itself")
        else:
            self.crowding.ended(worker.device)
        worker.job = None
        if event.kind == "died" and not self.pausing.value:
            self._replace(worker)
        return event

    def _start(self, device: str) -> _Worker:
        ours, theirs = self.context.Pipe()
        asks, signs = self.stops is not None, self.context.RawValue(ctypes.c_ulonglong, 0)
        arguments = (theirs, self.folder, self.threads, device, self.checkpoints, asks, self.pausing, signs)
        process = self.context.Process(target=_work, args=arguments, daemon=True)
        reach("worker.starting")
        # Until the worker ignores it, Ctrl-C waits: it goes to all processes of a terminal.
        resource_tracker.ensure_running()  # whose start would let it through again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with own_packages.first_for_processes():
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return _Worker(process, ours, device, signs)


def _watched(worker: _Worker, seconds: float) -> Event | None:
    """Says that a training shows no sign of life, or ends its process: then it comes as a `died` event."""
    pid = worker.process.pid
    if worker.key is None or worker.ended or pid is None:
        return None
    stopped = is_stopped(pid)
    act, vigil = worker.vigil.look(worker.signs.value, seconds, stopped), worker.vigil
    if act == "end":
        worker.ended = f"{vigil.words()}, so its process {pid} was ended"
        worker.process.kill()
    if act != "tell":
        return None
    state = f"is stopped (`kill -CONT {pid}` lets it go on)" if stopped else "lives"
    return Event("silent", worker.key, text=f"{vigil.words()}; its process {pid} {state}; {vigil.left()}")


def _work(
    pipe: Connection,
    folder: Path,
    threads: int,
    device: str,
    checkpoints: Path | None,
    asks: bool,
    flag: ctypes.c_byte,
    signs: ctypes.c_ulonglong,
) -> None:
    """The life of a worker: receive a training, run it, write and report, until the pipe closes.

    With `asks` it waits after every epoch for the answer whether to go on.
    """
    own_packages.found()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    pausing.listen(lambda: bool(flag.value), partial(_count, signs))
    _end_with_parent()
    reach("worker.started")
    tasks: dict[str, TrainingTask] = {}
    while True:
        try:
            key, training, alone = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        reach("worker.received")
        checkpoint = checkpoint_path(checkpoints, training) if checkpoints else None
        try:
            if training.trainer not in tasks:
                tasks = {training.trainer: task_named(training.trainer)}
            conditions = Conditions(device, threads, partial(_report_epoch, pipe, key, asks), checkpoint, True, alone)
            observation = tasks[training.trainer].observe(training, conditions)
            reach("worker.trained")
            write_observation(folder, key, training, observation)
            reach("worker.observed")
            if checkpoint:
                clear_checkpoint(checkpoint)
            reach("worker.cleared")
            pipe.send(Event("done", key))
            reach("worker.reported")
        except pausing.PausedError:
            pipe.send(Event("paused", key))
        except Exception as error:
            event = explained(key, error)
            pipe.send(event)
            if event.kind == "died":
                return


def _count(signs: ctypes.c_ulonglong) -> None:
    signs.value += 1


def _report_epoch(pipe: Connection, key: int, asks: bool, history: tuple[EpochRecord, ...]) -> bool:
    """Reports; gives whether the training shall stop."""
    pipe.send(Event("epoch", key, history))
    return bool(pipe.recv()) if asks else False


def _end_with_parent() -> None:
    """A worker must not outlive its coordinator, even one that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait_for_it() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_for_it, daemon=True).start()
