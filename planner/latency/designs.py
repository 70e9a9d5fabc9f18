"""What to measure: one scaled network, a grid of one size, or random versions of a base network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from planner.errors import PlannerError
from planner.study.windows import window_multiples
from sampler import Architecture, SearchSpace, base, rule_named, stratified_design
from sampler.architecture import MAX_CHANNELS, MAX_PIXELS, check_range
from sampler.scaling import buildable

AROUND = (0.75, 1.5)  # of the resolution, the default range of a sweep
BESIDE = 8  # buildable widths on each side of the stage's own, the default range of a sweep
_MOST = 2_000


@dataclass(frozen=True)
class Sweep:
    """Architectures that differ in one size.

    Attributes:
        axis: Size that differs.
        sizes: Values of it, rising: pixels, or channels.
        architectures: Architectures, one per size.
    """

    axis: Literal["resolution", "width"]
    sizes: tuple[int, ...]
    architectures: tuple[Architecture, ...]


def resolution_sweep(one: Architecture, start: int | None, stop: int | None, step: int) -> Sweep:
    """The same network at resolutions `start`, `start + step`, .. up to `stop`.

    The step is rounded up to what the network's resolutions are multiples of.

    Without a start it begins at 0.75 of the architecture's resolution (but not below the network's stride), without
    a stop it ends at 1.5 of it; both are brought onto the grid that holds the architecture's own.

    Raises:
        InputError: If the range is empty or impossible.
    """
    network = base(one.base)
    stride, own = network.stride, rule_named(network.rule).step
    step = -(-step // own) * own
    low, high = (one.resolution + step * int((share - 1) * one.resolution / step) for share in AROUND)
    low += step * max(0, -((low - stride) // step))
    sizes = _grid("resolution", low if start is None else start, high if stop is None else stop, step, MAX_PIXELS)
    return Sweep("resolution", sizes, tuple(replace(one, resolution=size) for size in sizes))


def width_sweep(one: Architecture, stage: int, start: int | None, stop: int | None) -> Sweep:
    """The same network with every buildable width of one stage between `start` and `stop`.

    Args:
        one: The architecture.
        stage: The stage, from 1.
        start: Fewest channels; the eighth buildable width below the stage's own by default.
        stop: Most channels; the eighth above by default.

    Raises:
        InputError: If there is no such stage, or the range is empty or impossible.
    """
    network, own = base(one.base), one.widths
    if not 1 <= stage <= len(own):
        raise PlannerError(f"--stage {stage}: {one.base} has stages 1 to {len(own)}")
    width = own[stage - 1]
    low, high = max(1, width // 2) if start is None else start, 2 * width if stop is None else stop
    if start is None and stop is not None:
        low = min(low, stop)
    every = np.array(_grid("width", low, high, 1, MAX_CHANNELS, most=MAX_CHANNELS))
    widths = np.tile(np.array(own), (len(every), 1))
    widths[:, stage - 1] = every
    possible = every[(buildable(network, widths) == widths).all(axis=1)]
    if start is None:
        possible = np.concatenate([possible[possible < width][-BESIDE:], possible[possible >= width]])
    if stop is None:
        possible = np.concatenate([possible[possible <= width], possible[possible > width][:BESIDE]])
    if not len(possible):
        raise PlannerError(f"stage {stage} of {one.base} can have no width from {low} to {high}; widen the range")
    sizes = tuple(_few(possible.tolist(), "--from and --to closer together"))
    return Sweep("width", sizes, tuple(replace(one, widths=(*own[: stage - 1], size, *own[stage:])) for size in sizes))


def _grid(name: str, start: int, stop: int, step: int, largest: int, most: int = _MOST) -> tuple[int, ...]:
    for flag, value in (("--from", start), ("--to", stop)):
        check_range(f"{name} {flag}", value, largest)
    if start >= stop:
        raise PlannerError(f"--from {start} must be below --to {stop}")
    sizes = range(start, stop + 1, step)
    return tuple(_few(sizes, "a larger --step") if most == _MOST else sizes)


def _few(sizes: Sequence[int], remedy: str) -> Sequence[int]:
    if len(sizes) > _MOST:
        raise PlannerError(f"{len(sizes)} sizes are too many to measure; use {remedy} ({_MOST} at most)")
    return sizes


def random_architectures(
    name: str, n: int, resolution: int | None, classes: int, rule: str | None, window: tuple[str, str] | None, seed: int
) -> list[Architecture]:
    """Distinct architectures with widths and depths of their own in every stage, spread evenly over log MACs.

    Args:
        name: The base network.
        n: Number of architectures.
        resolution: The resolution that r multiplies; the base network's own by default.
        classes: Outputs of the classifier.
        rule: Scaling rule; `inverse` by default, as in a study.
        window: Lowest and highest MACs: quantities, or multiples of the base network's.
        seed: Random seed.

    Raises:
        InputError: If the window is impossible, or holds too few.
    """
    pixels = base(name).resolution if resolution is None else resolution
    space = SearchSpace(name, pixels, classes, rule or "inverse", "stage")
    if window is not None:
        space = replace(space, window=window_multiples(window, name, pixels, classes))
    return list(stratified_design(space, n, seed))
