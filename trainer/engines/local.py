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
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

from trainer import pausing
from trainer.engines.engine import (
    Event,
    NextTraining,
    OnEpoch,
    checkpoint_path,
    explained,
    train_one,
    write_observation,
)
from trainer.faults import reach
from trainer.observation import EpochRecord, Observation, Training


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    device: str
    key: int | None = None


class LocalEngine:
    """Runs trainings on processes of this machine, one for each of `devices`.

    Args:
        folder: Where observations are written, as `KEY.json`.
        checkpoints: Where trainings keep what they have done so far, each until its observation is written; None
            for nowhere.
        devices: The torch device of each process.
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
        self.workers = [self._start(device) for device in devices]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join(timeout=10)
            worker.pipe.close()

    def pause(self) -> None:
        """Asks every training to write its checkpoint and end, which comes as a `paused` event; takes a step's time."""
        self.pausing.value = 1

    def end(self) -> None:
        """Ends the processes, whatever they are doing; comes as `died` events."""
        self.pausing.value = 1
        for worker in self.workers:
            worker.process.terminate()

    def run(self, next_training: NextTraining) -> Iterator[Event]:
        """Runs trainings until there are none left, as every engine does; after `died` the worker is a new one."""
        while True:
            for worker in self.workers:
                if worker.key is None and (job := next_training()) is not None:
                    worker.key = job[0]
                    with suppress(BrokenPipeError, ConnectionResetError):  # it died meanwhile, which comes as an event
                        worker.pipe.send(job)
                    reach("worker.sent")
            busy = [worker for worker in self.workers if worker.key is not None]
            if not busy:
                return
            ready = wait([worker.pipe for worker in busy])
            for worker in busy:
                if worker.pipe in ready:
                    yield self._receive(worker)

    def _receive(self, worker: _Worker) -> Event:
        key = worker.key
        assert key is not None
        try:
            event: Event = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join(timeout=10)
            code = worker.process.exitcode
            if self.pausing.value:
                worker.key = None
            else:
                self.workers[self.workers.index(worker)] = self._start(worker.device)
            return Event("died", key, text=f"its process ended with exit code {code}")
        if event.kind != "epoch":
            worker.key = None
        elif self.stops:
            with suppress(BrokenPipeError, ConnectionResetError):  # it died meanwhile, which comes as an event
                worker.pipe.send(self.stops(event))
        return event

    def _start(self, device: str) -> _Worker:
        ours, theirs = self.context.Pipe()
        asks = self.stops is not None
        arguments = (theirs, self.folder, self.threads, device, self.checkpoints, asks, self.pausing)
        process = self.context.Process(target=_work, args=arguments, daemon=True)
        reach("worker.starting")
        # Until the worker ignores it, Ctrl-C waits: it goes to all processes of a terminal.
        resource_tracker.ensure_running()  # whose start would let it through again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return _Worker(process, ours, device)


def _work(
    pipe: Connection,
    folder: Path,
    threads: int,
    device: str,
    checkpoints: Path | None,
    asks: bool,
    flag: ctypes.c_byte,
) -> None:
    """The life of a worker: receive a training, run it, write and report, until the pipe closes.

    With `asks` it waits after every epoch for the answer whether to go on.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    pausing.listen(lambda: bool(flag.value))
    _end_with_parent()
    reach("worker.started")
    images: dict[Any, Any] = {}
    while True:
        try:
            key, training = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        reach("worker.received")
        checkpoint = checkpoint_path(checkpoints, training) if checkpoints else None
        try:
            observation = _train(training, images, threads, device, partial(_report_epoch, pipe, key, asks), checkpoint)
            reach("worker.trained")
            write_observation(folder, key, training, observation)
            reach("worker.observed")
            if checkpoint:
                checkpoint.unlink(missing_ok=True)
            reach("worker.cleared")
            pipe.send(Event("done", key))
            reach("worker.reported")
        except pausing.PausedError:
            pipe.send(Event("paused", key))
        except Exception as error:
            pipe.send(explained(key, error))


def _report_epoch(pipe: Connection, key: int, asks: bool, history: tuple[EpochRecord, ...]) -> bool:
    """Reports; gives whether the training shall stop."""
    pipe.send(Event("epoch", key, history))
    return bool(pipe.recv()) if asks else False


def _train(
    training: Training, images: dict[Any, Any], threads: int, device: str, on_epoch: OnEpoch, checkpoint: Path | None
) -> Observation:
    from trainer.images import load_images

    spec = training.data
    if spec not in images:
        images.clear()  # one data set in memory at a time
        images[spec] = load_images(spec.source, spec.side, cache=Path(spec.cache) if spec.cache else None)
    return train_one(training, images[spec], threads, device, on_epoch, checkpoint)


def _end_with_parent() -> None:
    """A worker must not outlive its coordinator, even one that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait_for_it() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_for_it, daemon=True).start()
