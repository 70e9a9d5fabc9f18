"""Iterated function systems: drawing one at random, and playing it to the points of its attractor.

An iterated function system (IFS) is a few affine maps of the plane that are applied in random order;
the points visited draw its attractor. Colours, clutter and pictures are the business of
`trainer.fractal`.

The same seed gives the same bytes. After the random numbers only `+ - * /`, comparisons and integer
counts are used, each of which IEEE 754 fixes to the last bit; `sin`, `matmul` and float sums differ
between processors.

Notation: `n` systems played at once, `k` maps of a system, `m` points, `s` cells along a side.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import cast

import numpy as np

# Each constant decides bytes, and `trainer.fractal.settings` reports it. Where the code below comes to give
# other points, raise `trainer.fractal.VERSION`.

# Fewer maps give clearer shapes than FractalDB's 2 to 8, at the few thousand points a picture has here.
MAPS = (2, 4)
# Larger and smaller stretch of a map. Below 1 even when jittered, so that every orbit stays bounded.
STRETCH_LARGE = (0.4, 0.75)
STRETCH_SMALL = (0.2, 0.6)
# Share of a 32 x 32 grid that an attractor must fill: neither a few dots nor a blob.
FILL = (0.18, 0.6)
FILL_GRID = 32
BURN_IN = 12
KEPT_STEPS = 8
PROBE_CHAINS = 256


class Stream(IntEnum):
    """Independent random streams of one seed: the first number of each key."""

    CLASS = 0
    DISTRACTOR = 1
    ORBIT = 2
    SCENE = 3
    NOISE = 4


@dataclass(frozen=True, eq=False)
class System:
    """An iterated function system.

    Attributes:
        maps: `(k, 6)` floats `a b c d e f`: a map sends (x, y) to (ax + by + e, cx + dy + f).
        chances: `(k,)` floats that sum to 1: how often each map is applied.
    """

    maps: np.ndarray
    chances: np.ndarray


def draw_system(seed: int, label: int, stream: Stream = Stream.CLASS) -> System:
    """The system of class `label`: the first random candidate whose attractor fills enough of its frame."""
    rng = np.random.default_rng([stream, seed, label])
    while True:
        system = _candidate(rng)
        if FILL[0] <= fill_share(system) <= FILL[1]:
            return system


def fill_share(system: System) -> float:
    """The share of a 32 x 32 grid over the attractor's frame that its points touch."""
    x, y = orbits(system.maps[None], system.chances, PROBE_CHAINS * KEPT_STEPS, np.random.default_rng(0))
    hits = histogram(*framed(x, y), FILL_GRID)
    return int(np.count_nonzero(hits)) / FILL_GRID**2


def _candidate(rng: np.random.Generator) -> System:
    """Maps as rotation, stretch, rotation, shift: contractive by construction, unlike free coefficients."""
    count = int(rng.integers(MAPS[0], MAPS[1] + 1))
    draws = rng.random((count, 7))
    cos1, sin1 = turn(between(draws[:, 0], (-1, 1)), draws[:, 6] < 0.5)
    cos2, sin2 = turn(between(draws[:, 1], (-1, 1)), draws[:, 6] < 0.25)
    large, small = between(draws[:, 2], STRETCH_LARGE), between(draws[:, 3], STRETCH_SMALL)
    a, b = cos1 * large * cos2 - sin1 * small * sin2, -cos1 * large * sin2 - sin1 * small * cos2
    c, d = sin1 * large * cos2 + cos1 * small * sin2, -sin1 * large * sin2 + cos1 * small * cos2
    shift = between(draws[:, 4:6], (-1, 1))
    # Points are shared out by area (FractalDB's rule), with a floor so that thin maps are drawn too.
    areas = np.maximum(large * small, 0.05)
    return System(np.column_stack([a, b, c, d, shift]).astype(np.float32), areas / sum(areas.tolist()))


# --- points ---


def orbits(
    maps: np.ndarray, chances: np.ndarray, points: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Plays the chaos game for `n` systems at once.

    Instead of drawing a map per point, each step sends the first chains through the first map, the
    next through the second and so on, then shuffles the chains: slices instead of gathers. The shuffle
    is shared by the `n` systems; their maps differ, so their points do.

    Args:
        maps: `(n, k, 6)` coefficients.
        chances: `(k,)` share of the chains sent through each map.
        points: Points wanted per system; rounded up to a multiple of KEPT_STEPS.
        rng: Shuffles the chains.

    Returns:
        x and y, each `(n, m)` float32.
    """
    chains = -(-points // KEPT_STEPS)
    edges = np.rint(np.cumsum([0.0, *chances.tolist()]) * chains).astype(int).tolist()
    kept = np.empty((2, KEPT_STEPS, len(maps), chains), np.float32)
    here = np.zeros((2, len(maps), chains), np.float32)
    for step in range(BURN_IN + KEPT_STEPS):
        there = np.empty_like(here) if step < BURN_IN else kept[:, step - BURN_IN]
        for which in range(maps.shape[1]):
            cut = slice(edges[which], edges[which + 1])
            a, b, c, d, e, f = (maps[:, which, i, None] for i in range(6))
            there[0, :, cut] = a * here[0, :, cut] + b * here[1, :, cut] + e
            there[1, :, cut] = c * here[0, :, cut] + d * here[1, :, cut] + f
        here = there.take(rng.permutation(chains), axis=2)
    x, y = kept.transpose(0, 2, 1, 3).reshape(2, len(maps), -1)
    return x, y


def framed(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moves and scales each row so that nearly all its points lie in the square from -1 to 1.

    Args:
        x: `(n, m)` first coordinates.
        y: `(n, m)` second coordinates.

    Returns:
        x and y, each `(n, m)`; a hundredth of the points may lie outside on each edge.
    """
    edge = x.shape[1] // 100
    middles, halves = [], []
    for axis in (x, y):
        ordered = np.partition(axis, (edge, axis.shape[1] - 1 - edge), axis=1)
        low, high = ordered[:, edge, None], ordered[:, -1 - edge, None]
        middles.append((low + high) * np.float32(0.5))
        halves.append((high - low) * np.float32(0.5))
    reach = np.maximum(np.maximum(*halves), np.float32(1e-6))
    return (x - middles[0]) / reach, (y - middles[1]) / reach


def histogram(x: np.ndarray, y: np.ndarray, side: int) -> np.ndarray:
    """Counts the points in each cell of the square from -1 to 1; points outside are dropped.

    Args:
        x: `(n, m)` first coordinates, which become columns.
        y: `(n, m)` second coordinates, which become rows.
        side: Cells along a side.

    Returns:
        `(n, s, s)` integer counts.
    """
    half = np.float32(side / 2)
    column, row = (x + 1) * half, (y + 1) * half
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    pixel = row.astype(np.int32) * side + column.astype(np.int32)
    pixel += np.arange(len(x), dtype=np.int32)[:, None] * np.int32(side**2)
    return np.bincount(pixel[inside], minlength=len(x) * side**2).reshape(len(x), side, side)


# --- exact arithmetic ---


def turn(half_tangent: np.ndarray, backwards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of an angle given by the tangent of its half; exact operations only."""
    square = half_tangent * half_tangent
    sign = np.where(backwards, -1.0, 1.0).astype(half_tangent.dtype)
    return sign * (1 - square) / (1 + square), sign * 2 * half_tangent / (1 + square)


def between(uniform: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Stretches uniform numbers in [0, 1) to `bounds`."""
    return cast(np.ndarray, bounds[0] + uniform * (bounds[1] - bounds[0]))
