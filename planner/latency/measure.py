"""Measuring: timings of a list of architectures, what a sweep of them says, and the table they make."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.latency.designs import Sweep
from planner.latency.staircase import CostStaircase, staircase
from planner.tables.table import csv_text
from planner.text.documents import write_out
from sampler import Architecture
from sampler.architecture import stack
from sampler.complexity import count

if TYPE_CHECKING:
    import pandas as pd

    from trainer.latency import Stopwatch, Timing
    from trainer.runtimes import Setting

SECONDS_BETWEEN_LINES = 15.0


@dataclass(eq=False)
class Measurement:
    """Architectures, their exact counts and, once measured, their timings.

    Attributes:
        architectures: Architectures of one base network.
        classes: Outputs of the classifier.
        sweep: Sweep along whose size they were made, if along one.
        setting: Way of measuring; None before.
        timings: Timings, one per architecture, None where the time was up or Ctrl-C came before its turn.
        stopped: Whether Ctrl-C ended it.

    Raises:
        InputError: If an architecture is impossible, or a sweep has too few sizes.
    """

    architectures: Sequence[Architecture]
    classes: int = 1000
    sweep: Sweep | None = None
    setting: Setting | None = None
    timings: list[Timing | None] = field(default_factory=list)
    stopped: bool = False

    def __post_init__(self) -> None:
        self.macs: list[int] = count(stack(self.architectures), self.classes).macs.tolist()
        self.counted = staircase(self.sweep.sizes, self.macs) if self.sweep else None

    @property
    def timed(self) -> list[Timing]:
        """The timings there are."""
        return [timing for timing in self.timings if timing is not None]

    @property
    def complete(self) -> bool:
        """Whether every architecture was timed."""
        return len(self.timed) == len(self.architectures)

    @cached_property
    def measured(self) -> CostStaircase | None:
        """Jumps of the latency; None where not every size was timed.

        They are looked for in the first quartiles: what else runs on a machine only ever adds time, so that these
        are steadier than medians where it is busy, and much the same where it is quiet.
        """
        if self.sweep is None or not self.complete:
            return None
        low, errors = [timing.low_ms for timing in self.timed], [timing.low_error_ms for timing in self.timed]
        return staircase(self.sweep.sizes, low, errors)

    @property
    def spread(self) -> float:
        """How far apart the quartiles are, as a share of the median: the median over all that was timed."""
        return statistics.median((timing.high_ms - timing.low_ms) / timing.median_ms for timing in self.timed)

    def measure(self, watch: Stopwatch, minutes: float) -> None:
        """Times everything, in rounds; Ctrl-C ends it early.

        Args:
            watch: Stopwatch over the same architectures.
            minutes: Most minutes.

        Raises:
            InputError: If a runtime cannot run it here.
            KeyboardInterrupt: If nothing was timed before it.
        """
        progress = RoundProgress(len(self.architectures), 60 * minutes)
        try:
            watch.run(60 * minutes, on_timed=progress)
        except KeyboardInterrupt:
            if not any(watch.runs):
                raise
            self.stopped = True
        finally:
            progress.close()
        self.setting, self.timings = watch.setting, watch.timings()

    def write(self, path: Path) -> None:
        """Writes the table as CSV, whole or not at all."""
        write_out(path, csv_text(measurement_table(self.architectures, self.classes, self.timings, self.setting)))


def measurement_table(
    architectures: Sequence[Architecture],
    classes: int,
    timings: Sequence[Timing | None] = (),
    setting: Setting | None = None,
) -> pd.DataFrame:
    """One row per architecture: its integers, exact counts and, where it was timed, its latency.

    Args:
        architectures: Architectures of one base network.
        classes: Outputs of the classifier.
        timings: Timings, one per architecture; rows without one are left out. Empty where nothing was measured.
        setting: Way of measuring.
    """
    import pandas as pd

    rows = stack(architectures)
    frame = pd.DataFrame({"base": rows.base, "resolution": rows.resolution, "stem": rows.stem, "head": rows.head})
    frame["classes"] = classes
    for name, values in (("width", rows.widths), ("depth", rows.depths)):
        for stage in range(values.shape[1]):
            frame[f"{name}_{stage + 1}"] = values[:, stage]
    counts = count(rows, classes)
    frame = frame.assign(macs=counts.macs, params=counts.params, activations=counts.activations)
    if setting is None:
        return frame
    timed = [timing for timing in timings if timing is not None]
    frame = frame[[timing is not None for timing in timings]].reset_index(drop=True)
    for key in ("median_ms", "low_ms", "high_ms"):
        rounded = [round(getattr(timing, key), 6) for timing in timed]
        frame["latency_ms" if key == "median_ms" else f"latency_{key}"] = rounded
    frame["runs"] = [timing.runs for timing in timed]
    return frame.assign(**_described(setting))


def _described(setting: Setting) -> dict[str, Any]:
    """How it was measured, as the table's last columns."""
    return {
        "runtime": setting.runtime,
        "device": setting.device_name,
        "threads": setting.threads,
        "batch": setting.batch,
        "dtype": setting.dtype,
    }


class RoundProgress:
    """Progress of a measurement on stderr: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, n: int, seconds: float) -> None:
        self.n, self.seconds, self.started = n, seconds, time.monotonic()
        self.bar: Any = None
        self.told = self.started
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=n, desc="round 1", leave=False)
        elif n > 1:
            print(f"measuring {n} architectures for at most {seconds / 60:g} min", file=sys.stderr, flush=True)

    def __call__(self, number: int, done: int) -> None:
        """One architecture was timed in a round."""
        if self.bar is not None:
            if done == 1:
                self.bar.reset()
                self.bar.set_description(f"round {number}")
            self.bar.update(1)
        elif time.monotonic() - self.told > SECONDS_BETWEEN_LINES:
            self.told = time.monotonic()
            spent = self.told - self.started
            print(f"round {number}: {done}/{self.n}, {spent:.0f} s of at most {self.seconds:.0f} s", file=sys.stderr)

    def close(self) -> None:
        """Nothing more to measure."""
        if self.bar is not None:
            self.bar.close()
