"""A training's steps as one graph of kernels: recorded once, launched as a whole, where a GPU would wait for launches.

A small network's step is a thousand kernels that take less time than launching them does. A graph replays what was
recorded, on the same memory, so that everything that changes from step to step has to lie there: images and labels are
copied into buffers, learning rates are tensors, and random numbers go on from the seed that is set before (torch
registers its generator with the graph).

Nothing is taken on trust: the step that is recorded is done both ways from the same state, with other numbers than
those it was recorded with, and where the results differ, or anything fails, steps are done as without it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import nn

from trainer.device_errors import first_line

# 0 does without.
GRAPHS_SWITCH = "SCALING_PLANNER_CUDA_GRAPHS"
# Steps that are done before: libraries choose their kernels, optimisers make their state.
WARM_UP = 3
# Distance of the two results, over the length of the step itself: kernels add in any order, 16 bits round.
_TOLERANCE = 0.1

_Work = Callable[[], torch.Tensor]
_Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Recorder(Protocol):
    """How a device records."""

    def warm(self, work: _Work) -> torch.Tensor:
        """Does some work as it has to be done before it is recorded; gives what it gives."""

    def record(self, work: _Work) -> _Work:
        """Records some work without doing it; what it gives does it, and gives the same tensor each time."""


class CudaRecorder:
    """CUDA graphs of torch, on the current device."""

    def __init__(self) -> None:
        self.side = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def warm(self, work: _Work) -> torch.Tensor:
        """On another stream than the usual one: what autograd remembers of that cannot be recorded."""
        now = torch.cuda.current_stream()
        self.side.wait_stream(now)
        with torch.cuda.stream(self.side):
            loss = work()
        now.wait_stream(self.side)
        return loss

    def record(self, work: _Work) -> _Work:
        """As a `torch.cuda.CUDAGraph`."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.side):
            loss = work()

        def replay() -> torch.Tensor:
            graph.replay()
            return loss

        return replay


def recorder_for(device: torch.device) -> Recorder | None:
    """How a device records; None where it does not, or where `GRAPHS_SWITCH` says so."""
    if device.type != "cuda" or torch.version.hip is not None or os.environ.get(GRAPHS_SWITCH) == "0":
        return None
    return CudaRecorder()


class RecordedStep:
    """Steps of one shape: at first as they are, then replayed.

    Args:
        step: Does a whole step with images and labels, and gives its loss; draws its seed anew itself.
        recordable: Function that does the same without the seed, and without looking at any number on the host.
        reseed: Seeds what the next step draws.
        model: Network that is trained.
        optimizer: Optimiser of its weights.
        recorder: How the device records.

    Attributes:
        problem: Reason why steps are not replayed, in one line; "" where they are, or as long as nobody knows.
    """

    def __init__(
        self,
        step: _Step,
        recordable: _Step,
        reseed: Callable[[], None],
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        recorder: Recorder,
    ) -> None:
        self.step, self.recordable, self.reseed = step, recordable, reseed
        self.model, self.optimizer, self.recorder = model, optimizer, recorder
        self.done, self.problem = 0, ""
        self.replay: _Work | None = None
        self.rates: list[torch.Tensor] = []
        self.images = self.labels = torch.empty(0)

    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Does a step; gives its loss, which the next step may overwrite."""
        if self.replay is not None:
            return self._replayed(images, labels)
        if self.problem:
            return self.step(images, labels)
        self.done += 1
        if self.done <= WARM_UP:
            return self.recorder.warm(lambda: self.step(images, labels))
        return self._first(images, labels)

    def _first(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """A step as it is, then recorded and done once more from where it began; the one or the other stays."""
        before = [one.clone() for one in self._state()]
        loss = self.recorder.warm(lambda: self.step(images, labels)).clone()
        after = [one.clone() for one in self._state()]
        rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        try:
            self._record(images, labels)
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
            self._put(before)
            again = self._replayed(images, labels)
            if not self._agrees(loss, again, before, after):
                self.problem = "a recorded step gave other numbers"
        except Exception as error:  # whatever libraries say of what cannot be recorded; a broken device says it again
            self.problem = first_line(error)
        if self.problem:
            self.replay, self.rates = None, []
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
            self._put(after)
        return loss

    def _record(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Records with images, labels and rates of nothing: whatever is not read anew in a replay shows then."""
        self.images, self.labels = torch.zeros_like(images), torch.zeros_like(labels)
        self.rates = [torch.zeros((), device=images.device) for _ in self.optimizer.param_groups]
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate
            if "capturable" in group:
                group["capturable"] = True
        self.replay = self.recorder.record(lambda: self.recordable(self.images, self.labels))

    def _replayed(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        assert self.replay is not None
        self.images.copy_(images)
        self.labels.copy_(labels)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            if group["lr"] is not rate:  # schedules set a number
                rate.fill_(float(group["lr"]))
                group["lr"] = rate
        self.reseed()
        return self.replay()

    def _state(self) -> Iterator[torch.Tensor]:
        """Every tensor that a step changes, but for those that an optimiser keeps on the host."""
        yield from self.model.parameters()
        yield from self.model.buffers()
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                values = self.optimizer.state.get(parameter, {}).values()
                yield from (one for one in values if torch.is_tensor(one) and one.device == parameter.device)

    @torch.no_grad()
    def _put(self, values: list[torch.Tensor]) -> None:
        for one, value in zip(self._state(), values, strict=True):
            one.copy_(value)

    @torch.no_grad()
    def _agrees(
        self, loss: torch.Tensor, again: torch.Tensor, before: list[torch.Tensor], after: list[torch.Tensor]
    ) -> bool:
        """Whether the state now is that after the step, as far as kernels give the same twice."""
        now = list(self._state())
        parts, start = [len(list(self.model.parameters())), len(list(self.model.buffers())), len(now)], 0
        for part in parts:
            chosen = range(start, min(start + part, len(now)))
            moved = _distance((after[i], before[i]) for i in chosen)
            if not _distance((after[i], now[i]) for i in chosen) <= _TOLERANCE * moved:  # so that NaN is none, too
                return False
            start += part
        return abs(loss.item() - again.item()) <= _TOLERANCE * abs(loss.item())


def _distance(pairs: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Euclidean distance of two lists of tensors."""
    return math.sqrt(float(sum((one.double() - other.double()).square().sum() for one, other in pairs)))
