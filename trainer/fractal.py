"""Fractal images of iterated function systems: image data that needs no download.

FractalDB (Kataoka et al. 2020, "Pre-training without Natural Images", arXiv:2101.08515): a class is
one iterated function system (IFS), a few affine maps of the plane that are applied in random order;
the points visited draw its attractor. Images of a class differ by jittered maps, pose, colour,
rendering and clutter, never by the class's own system.

The same seed gives the same bytes: only the exact operations that `trainer.fractal_systems` names are
used here too. A picture does not depend on how many others are made, and nearly the same scene is
drawn at any side.

Notation: `n` images drawn at once, `m` points, `s` side in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer import fractal_systems
from trainer.fractal_systems import Stream, System, between, draw_system, framed, histogram, orbits, turn

# Raise it when the code below, or that of the systems, draws other bytes; caches are keyed by it and by the
# constants of both files.
VERSION = 1

# --- difficulty ---
# Tuned on 3600 train pictures of 64 px and 5 epochs, efficientnet_b0 (AdamW, learning rate 2e-3, batch 32):
# validation accuracy 0.72 with 20 classes and 0.62 with 30 at half width, 0.30 and 0.16 at quarter width,
# 0.10 and 0.11 at half width on 32 px. About twice this clutter on 40 classes left half width at 0.05.

# Largest relative change of each map coefficient within a class. At 0.25 and above, outlines of one class
# are hard to match even by eye.
JITTER = 0.15
# Tangent of half the largest rotation: 0.1 is 11 degrees either way, 1 a quarter turn. Pose keeps pixel
# positions from giving the class away.
ROTATION = 0.1
# Half the attractor's extent, over half the picture. Small figures need resolution.
SCALE = (0.75, 1.0)
# Largest shift of the attractor's centre, over half the picture.
SHIFT = 0.12
# Opacity of the figure. Below 1, texture shows through.
FIGURE_OPACITY = (0.75, 1.0)
# Opacity of one figure of a system that is no class: its strokes look like the signal's.
DISTRACTOR_OPACITY = (0.0, 0.2)
# Background colour per channel, and how much brighter a figure is. Never darker: either polarity at random
# is a second task to learn before the first.
BACKGROUND = (0.0, 0.5)
CONTRAST = (0.2, 0.5)
# Contrast of the background texture; its grids below reach down to the size of strokes.
TEXTURE = 0.15
# White noise per pixel, over the full range.
PIXEL_NOISE = 0.03
# Largest side of the rectangle that hides part of the picture, over the picture's side.
OCCLUSION = 0.25

# --- what is drawn ---

# Background octaves: cells per side of each grid of random colours; 1 is a plain gradient.
TEXTURE_GRIDS = (1, 4, 12)
POINTS_PER_PIXEL = 1.5
DISTRACTORS = 32
# Pictures are drawn in groups of about this many pixels, which bounds memory at any count and side.
PIXELS_AT_ONCE = 600_000

SPLIT_NAMES = ("train", "validation")


def settings() -> dict[str, Any]:
    """Everything but the source's own text that decides the bytes, as plain JSON values."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in sorted({**vars(fractal_systems), **globals()}.items())
        if name.isupper() and not name.startswith("_")
    }


def fractal_images(
    classes: int,
    images: int,
    side: int,
    seed: int,
    part: str = "train",
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Draws fractal images, class by class.

    Args:
        classes: How many systems; class c is the same whatever the number.
        images: Pictures per class; picture i is the same whatever the number.
        side: Side of the square pictures, in pixels.
        seed: Decides systems and pictures; not negative.
        part: "train" or "validation": other pictures of the same classes.
        progress: Called with (classes done, classes) after every class.

    Returns:
        `(classes * images, side, side, 3)` uint8; picture i of class c is row `c * images + i`.

    Raises:
        ValueError: If a number is out of range or `part` is unknown.
    """
    _check(classes, images, side, seed, part)
    pictures = np.empty((classes, images, side, side, 3), np.uint8)
    pool = _distractor_orbits(seed, side)
    for label in range(classes):
        system = draw_system(seed, label)
        key = (seed, label, SPLIT_NAMES.index(part))
        scenes = np.random.default_rng([Stream.SCENE, *key]).random((images, _SCENE_NUMBERS))
        noise = np.random.default_rng([Stream.NOISE, *key])
        for start in range(0, images, max(1, PIXELS_AT_ONCE // side**2)):
            rows = slice(start, start + max(1, PIXELS_AT_ONCE // side**2))
            # The orbit's order of maps is drawn anew from the same key, so groups of any size agree.
            orbit = np.random.default_rng([Stream.ORBIT, *key])
            pictures[label, rows] = _draw(system, pool, _Scenes(scenes[rows]), side, orbit, noise)
        if progress is not None:
            progress(label + 1, classes)
    return pictures.reshape(-1, side, side, 3)


def _check(classes: int, images: int, side: int, seed: int, part: str) -> None:
    for name, value, least in (
        ("classes", classes, 1),
        ("images", images, 1),
        ("side", side, 8),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ValueError(f"{name}={value} is too small for fractal images; give at least {least}")
    if part not in SPLIT_NAMES:
        raise ValueError(f"part {part!r} of the fractal images is unknown; known parts: {list(SPLIT_NAMES)}")


# --- scenes: every random number of a picture but its pixel noise ---

_TEXTURE_NUMBERS = sum(3 * (grid + 1) ** 2 for grid in TEXTURE_GRIDS)
_SCENE_NUMBERS = 6 * fractal_systems.MAPS[1] + 2 * 5 + 1 + 2 + 2 * 10 + 3 * 4 + 4 + _TEXTURE_NUMBERS


@dataclass(frozen=True, eq=False)
class _Pose:
    """Columns `(n, 1)`, and the shift `(n, 2)`, over half the picture."""

    cos: np.ndarray
    sin: np.ndarray
    mirror: np.ndarray
    scale: np.ndarray
    shift: np.ndarray


class _Scenes:
    """Hands out the columns of `(n, _SCENE_NUMBERS)` uniform numbers, in order; one row per picture."""

    def __init__(self, uniform: np.ndarray) -> None:
        self._uniform = uniform.astype(np.float32)
        self._next = 0

    def __len__(self) -> int:
        return len(self._uniform)

    def take(self, columns: int) -> np.ndarray:
        self._next += columns
        assert self._next <= self._uniform.shape[1], f"a scene has {self._uniform.shape[1]} numbers"
        return self._uniform[:, self._next - columns : self._next]

    def pose(self) -> _Pose:
        draws = self.take(5)
        cos, sin = turn(between(draws[:, :1], (-ROTATION, ROTATION)), np.zeros((len(draws), 1), bool))
        mirror = np.where(draws[:, 1:2] < 0.5, -1, 1).astype(np.float32)
        return _Pose(cos, sin, mirror, between(draws[:, 2:3], SCALE), between(draws[:, 3:5], (-SHIFT, SHIFT)))


def _posed(x: np.ndarray, y: np.ndarray, pose: _Pose) -> tuple[np.ndarray, np.ndarray]:
    x = x * pose.mirror
    return (
        (pose.cos * x - pose.sin * y) * pose.scale + pose.shift[:, :1],
        (pose.sin * x + pose.cos * y) * pose.scale + pose.shift[:, 1:],
    )


# --- pictures ---


def _distractor_orbits(seed: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Framed points of the systems that are no class, `(DISTRACTORS, m)` each."""
    points = int(POINTS_PER_PIXEL * side**2)
    rows = []
    for number in range(DISTRACTORS):
        system = draw_system(seed, number, Stream.DISTRACTOR)
        orbit = np.random.default_rng([Stream.ORBIT, seed, number])
        rows.append(framed(*orbits(system.maps[None], system.chances, points, orbit)))
    return np.concatenate([x for x, _ in rows]), np.concatenate([y for _, y in rows])


def _draw(
    system: System,
    pool: tuple[np.ndarray, np.ndarray],
    scenes: _Scenes,
    side: int,
    orbit: np.random.Generator,
    noise: np.random.Generator,
) -> np.ndarray:
    """Draws `n` pictures of one class, `(n, s, s, 3)` uint8."""
    most = fractal_systems.MAPS[1]
    jitter = 1 + between(scenes.take(6 * most), (-JITTER, JITTER)).reshape(len(scenes), most, 6)
    maps = system.maps * jitter[:, : len(system.maps)]
    points = framed(*orbits(maps, system.chances, int(POINTS_PER_PIXEL * side**2), orbit))
    figure = _strokes(histogram(*_posed(*points, scenes.pose()), side), scenes)
    chosen = (scenes.take(1)[:, 0] * DISTRACTORS).astype(int)
    distractor = _strokes(histogram(*_posed(pool[0][chosen], pool[1][chosen], scenes.pose()), side), scenes)
    opacities = scenes.take(2)
    figure *= between(opacities[:, :1, None], FIGURE_OPACITY)
    distractor *= between(opacities[:, 1:, None], DISTRACTOR_OPACITY)
    return _composed(scenes, distractor, figure, side, noise)


def _strokes(counts: np.ndarray, scenes: _Scenes) -> np.ndarray:
    """Ink in [0, 1) from points per pixel; each picture stamps its points with a 3 x 3 patch of its own."""
    draws = scenes.take(10)
    # Half of the pictures have plain dots: a patch of its centre only.
    patch = (draws[:, :9] < 0.5) & (draws[:, 9:] < 0.5)
    patch[:, 4] = True
    n, side, _ = counts.shape
    ink = counts.astype(np.float32)
    ink /= ink + 1
    padded = np.zeros((n, side + 2, side + 2), np.float32)
    padded[:, 1:-1, 1:-1] = ink
    for cell in np.flatnonzero(patch.any(axis=0)).tolist():
        rows, (down, right) = np.flatnonzero(patch[:, cell]), divmod(cell, 3)
        ink[rows] = np.maximum(ink[rows], padded[rows, down : down + side, right : right + side])
    return ink


def _composed(
    scenes: _Scenes, distractor: np.ndarray, figure: np.ndarray, side: int, noise: np.random.Generator
) -> np.ndarray:
    """Paints background, distractor, figure and occluder over each other, in random colours."""
    colours = scenes.take(12).reshape(-1, 4, 3, 1, 1)
    base = between(colours[:, 0], BACKGROUND)
    canvas = base + TEXTURE * _texture(scenes, side)
    inks = [base + between(colours[:, i], CONTRAST) for i in (1, 2)]
    for colour, ink in zip(inks, (distractor, figure), strict=True):
        canvas += (colour - canvas) * ink[:, None]
    _occlude(canvas, colours[:, 3], scenes.take(4))
    canvas += (noise.random(canvas.shape, np.float32) - np.float32(0.5)) * np.float32(PIXEL_NOISE)
    pixels = np.clip(canvas * 255 + np.float32(0.5), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def _texture(scenes: _Scenes, side: int) -> np.ndarray:
    """Noise of several grain sizes around 0, `(n, 3, s, s)`: bilinear between grids of random colours."""
    total = np.zeros((len(scenes), 3, side, side), np.float32)
    for grid in TEXTURE_GRIDS:
        corners = scenes.take(3 * (grid + 1) ** 2).reshape(-1, 3, grid + 1, grid + 1)
        place = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(grid) / np.float32(side)
        cell = place.astype(int)
        share = place - cell
        rows = corners[:, :, cell] * (1 - share[:, None]) + corners[:, :, cell + 1] * share[:, None]
        low, high = rows.take(cell, axis=3), rows.take(cell + 1, axis=3)
        total += low + (high - low) * share
    return (total / len(TEXTURE_GRIDS)) - np.float32(0.5)


def _occlude(canvas: np.ndarray, colour: np.ndarray, draws: np.ndarray) -> None:
    """Hides a rectangle of each picture, in place."""
    side = canvas.shape[-1]
    for picture, flat, (left, top, width, height) in zip(canvas, colour, draws.tolist(), strict=True):
        wide, high = int(width * OCCLUSION * side), int(height * OCCLUSION * side)
        x, y = int(left * (side - wide)), int(top * (side - high))
        picture[:, y : y + high, x : x + wide] = flat
