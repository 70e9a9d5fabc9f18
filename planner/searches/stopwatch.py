"""Latency of candidates as a cost: each is timed on the device itself, once.

Thesis of RBIS, section 4.2. Timing happens in this process while no training of the search runs, so that only what else
the machine does disturbs it: how far apart the quartiles of the passes are says how much that was.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from planner.errors import PlannerError
from planner.searches.memory import Memory
from planner.searches.scoring import Tell
from sampler.architecture import Architectures, FloatArray
from trainer.latency import Stopwatch

if TYPE_CHECKING:
    from trainer.runtimes import Setting

_SECONDS = 6.0  # of one network at most; it ends as soon as its median is known to 0.5 %
_STEADY = 0.1  # apart as a share of the median; an increment of RBIS is about as much
_NAMES = ("low_ms", "median_ms", "high_ms")


class MeasuredCost:
    """Milliseconds of architectures, measured where they are not known: a cost for RBIS.

    Args:
        setting: How and where a forward pass runs.
        classes: Outputs of the classifier.
        memory: A JSON-lines file that remembers them, of this setting on this device alone.
        tell: Told of what is measured.
        seconds: Longest that one network is timed.

    Raises:
        PlannerError: If the file is no such memory.
    """

    def __init__(
        self, setting: Setting, classes: int, memory: Path, tell: Tell = lambda line: None, seconds: float = _SECONDS
    ) -> None:
        self.setting, self.classes, self.tell, self.seconds = setting, classes, tell, seconds
        self.memory = Memory(memory, _NAMES, "measured latency")
        self.how = {**asdict(setting), "device_name": setting.device_name, "classes": classes}
        self.spreads: list[float] = []

    def __call__(self, architectures: Architectures) -> FloatArray:
        """Median of each, `(n,)` ms of one pass of the batch.

        Raises:
            InputError: If one cannot be run here.
        """
        wanted = [{**asdict(one), **self.how} for one in architectures]
        missing = [row for row, facts in enumerate(wanted) if facts not in self.memory]
        if missing:
            watch = Stopwatch([architectures[row] for row in missing], self.setting, self.classes)
            watch.run(self.seconds * len(missing))
            for row, timing in zip(missing, watch.timings(), strict=True):
                if timing is None:
                    raise PlannerError(f"a network took longer than {self.seconds:g} s; give a quieter device")
                self.memory.keep(wanted[row], (timing.low_ms, timing.median_ms, timing.high_ms))
                self.spreads.append((timing.high_ms - timing.low_ms) / timing.median_ms)
            self.tell(f"timed {len(missing)} networks on {self.setting.device_name}; {self.disturbance()}")
        return np.array([self.memory.get(facts)[1] for facts in wanted])

    def disturbance(self) -> str:
        """How steady the timings of this run were, in words."""
        if not self.spreads:
            return "all latencies were known"
        apart = statistics.median(self.spreads)
        doubt = ", too far to rank networks that grow by less: something else runs here" if apart > _STEADY else ""
        return f"quartiles {100 * apart:.1f} % of the median apart{doubt}"
