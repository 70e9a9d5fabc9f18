"""Timed forward passes: an architecture and a setting in, milliseconds per forward pass of the batch out.

Many architectures are timed in rounds, each round in a new shuffled order, so that a machine that drifts slows all
of them alike. One round gives one number per architecture, the median of a few passes; the answer is the median of
these over the rounds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sampler import Architecture, architecture_complexity
from trainer.runtimes import Forward, Setting, make_forward, running

WARM_UPS = 10  # at most, before a round's passes; they end as soon as a pass is no faster than those before
PASSES = (3, 100)  # fewest and most of one round
BLOCK_MS = 20.0  # a round's passes of one architecture go on for as long: one short pass is at the clock's mercy
ROUNDS = (5, 40)
PRECISION = 0.005  # rounds end when every median's standard error is below this share of it
FEWEST_FOR_ERROR = 4
# Weights kept between rounds; beyond, an architecture is built anew in every round (far cheaper than memory).
HELD_PARAMS = 200_000_000


@dataclass(frozen=True)
class Timing:
    """How long one architecture takes.

    Attributes:
        median_ms: Median over the rounds, in ms per forward pass of the whole batch.
        low_ms: First quartile over the rounds.
        high_ms: Third quartile over the rounds.
        runs: Timed passes of all rounds together.
        error_ms: Standard error of the median; infinite where fewer than four rounds leave it unknown.
        low_error_ms: Standard error of the first quartile, likewise.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    runs: int
    error_ms: float
    low_error_ms: float


def timing_of(rounds_ms: Sequence[float], runs: int) -> Timing:
    """Median, quartiles and standard error of one number per round.

    Example:
        >>> timing_of([2.0, 1.0, 3.0, 2.0, 2.0], runs=15).median_ms
        2.0
    """
    low, median, high = (float(value) for value in np.quantile(rounds_ms, [0.25, 0.5, 0.75]))
    return Timing(median, low, high, runs, _quantile_error(rounds_ms, 0.5), _quantile_error(rounds_ms, 0.25))


def _quantile_error(values: Sequence[float], share: float) -> float:
    """Standard error of a quantile, for any distribution: the rank's own (binomial) error, read off the values."""
    n = len(values)
    if n < FEWEST_FOR_ERROR:
        return math.inf
    rank_error = math.sqrt(share * (1 - share) / n)
    low, high = np.quantile(values, [max(share - rank_error, 0), min(share + rank_error, 1)])
    return float(high - low) / 2


class Stopwatch:
    """Times architectures in rounds; what has been timed can be read at any moment, after Ctrl-C too.

    Args:
        architectures: Networks to time; those that differ in resolution only share one module.
        setting: How to run them.
        classes: Outputs of the classifier.
        seed: Random seed of the order in each round, the weights and the images.

    Raises:
        InputError: If a runtime or device is not there, or an architecture cannot be built.
    """

    def __init__(
        self, architectures: Sequence[Architecture], setting: Setting, classes: int = 1000, seed: int = 0
    ) -> None:
        self.architectures, self.setting, self.classes = list(architectures), setting, classes
        self.params = [int(architecture_complexity(one, classes).params) for one in self.architectures]
        self.rounds_ms: list[list[float]] = [[] for _ in self.architectures]
        self.runs = [0] * len(self.architectures)
        self.rng = np.random.default_rng(seed)
        self.held: dict[Architecture, tuple[int, Forward]] = {}

    def run(
        self,
        seconds: float,
        rounds: tuple[int, int] = ROUNDS,
        on_timed: Callable[[int, int], None] | None = None,
    ) -> None:
        """Goes through rounds until all medians are precise, the rounds are done or the time is up.

        Args:
            seconds: No pass begins later than this; one architecture at least is timed.
            rounds: Fewest and most rounds.
            on_timed: Called after every architecture with the round and how many are done in it, both from 1.

        Raises:
            InputError: If an architecture does not fit into memory, or the runtime cannot run it.
        """
        end = time.monotonic() + seconds
        with running(self.setting):
            for number in range(1, rounds[1] + 1):
                for done, row in enumerate(self.rng.permutation(len(self.architectures)), start=1):
                    self._time(int(row))
                    if on_timed:
                        on_timed(number, done)
                    if time.monotonic() >= end:
                        return
                if number >= rounds[0] and self._precise():
                    return

    def timings(self) -> list[Timing | None]:
        """One per architecture, in the order given; None where it was never timed."""
        return [timing_of(ms, runs) if ms else None for ms, runs in zip(self.rounds_ms, self.runs, strict=True)]

    def _time(self, row: int) -> None:
        forward = self._forward(row)
        resolution = self.architectures[row].resolution
        run = forward(resolution)
        _warm_up(run)
        passes = _passes(run)
        self.rounds_ms[row].append(float(np.median(passes)))
        self.runs[row] += len(passes)

    def _forward(self, row: int) -> Forward:
        """The built (and compiled) architecture, kept while there is room; the longest unused goes first."""
        key = self.setting.key(self.architectures[row])
        if key in self.held:
            self.held[key] = self.held.pop(key)
            return self.held[key][1]
        while self.held and sum(size for size, _ in self.held.values()) + self.params[row] > HELD_PARAMS:
            self.held.pop(next(iter(self.held)))
        forward = make_forward(key, self.setting, self.classes)
        self.held[key] = (self.params[row], forward)
        return forward

    def _precise(self) -> bool:
        return all(one is not None and one.error_ms <= PRECISION * one.median_ms for one in self.timings())


def _timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def _warm_up(run: Callable[[], None]) -> None:
    """Passes that are not counted: allocations, kernels chosen by trial, a clock that must rise."""
    fastest = math.inf
    for _ in range(WARM_UPS):
        ms = _timed(run)
        if ms > 0.9 * fastest:
            return
        fastest = min(fastest, ms)


def _passes(run: Callable[[], None]) -> list[float]:
    passes: list[float] = []
    while len(passes) < PASSES[0] or (sum(passes) < BLOCK_MS and len(passes) < PASSES[1]):
        passes.append(_timed(run))
    return passes
