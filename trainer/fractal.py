"""Fractal images of iterated function systems: image data that needs no download.

FractalDB (Kataoka et al. 2020, "Pre-training without Natural Images", arXiv:2101.08515): a class is
one iterated function system (IFS), a few affine maps of the plane that are applied in random order;
the points visited draw its attractor. Images of a class differ by jittered maps, pose, colour,
rendering and clutter, never by the class's own system.

The same seed gives the same bytes. After the random numbers only `+ - * /`, comparisons and integer
counts are used, each of which IEEE 754 fixes to the last bit; `sin`, `matmul` and float sums differ
between processors. A picture does not depend on how many others are made, and nearly the same scene
is drawn at any side.

Notation: `n` images drawn at once, `k` maps of a system, `m` points, `s` side in pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

# Raise it when the code below draws other bytes; caches are keyed by it and by the constants.
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
# Fewer maps give clearer shapes than FractalDB's 2 to 8, at the few thousand points a picture has here.
MAPS = (2, 4)
# Larger and smaller stretch of a map. Below 1 even when jittered, so that every orbit stays bounded.
STRETCH_LARGE = (0.4, 0.75)
STRETCH_SMALL = (0.2, 0.6)
# Share of a 32 x 32 grid that an attractor must fill: neither a few dots nor a blob.
FILL = (0.18, 0.6)
FILL_GRID = 32
POINTS_PER_PIXEL = 1.5
DISTRACTORS = 32
BURN_IN = 12
KEPT_STEPS = 8
PROBE_CHAINS = 256
# Pictures are drawn in groups of about this many pixels, which bounds memory at any count and side.
PIXELS_AT_ONCE = 600_000

PARTS = ("train", "validation")
_CLASS, _DISTRACTOR, _ORBIT, _SCENE, _NOISE = range(5)  # independent random streams


@dataclass(frozen=True, eq=False)
class System:
    """An iterated function system.

    Attributes:
        maps: `(k, 6)` floats `a b c d e f`: a map sends (x, y) to (ax + by + e, cx + dy + f).
        chances: `(k,)` floats that sum to 1: how often each map is applied.
    """

    maps: np.ndarray
    chances: np.ndarray


def settings() -> dict[str, Any]:
    """Everything but the source's own text that decides the bytes, as plain JSON values."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in sorted(globals().items())
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
        key = (seed, label, PARTS.index(part))
        scenes = np.random.default_rng([_SCENE, *key]).random((images, _SCENE_NUMBERS))
        noise = np.random.default_rng([_NOISE, *key])
        for start in range(0, images, max(1, PIXELS_AT_ONCE // side**2)):
            rows = slice(start, start + max(1, PIXELS_AT_ONCE // side**2))
            # The orbit's order of maps is drawn anew from the same key, so groups of any size agree.
            orbit = np.random.default_rng([_ORBIT, *key])
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
    if part not in PARTS:
        raise ValueError(f"part {part!r} of the fractal images is unknown; known parts: {list(PARTS)}")


# --- systems ---


def draw_system(seed: int, label: int, stream: int = _CLASS) -> System:
    """The system of class `label`: the first random candidate whose attractor fills enough of its frame."""
    rng = np.random.default_rng([stream, seed, label])
    while True:
        system = _candidate(rng)
        if FILL[0] <= fill_share(system) <= FILL[1]:
            return system


def fill_share(system: System) -> float:
    """The share of a 32 x 32 grid over the attractor's frame that its points touch."""
    x, y = _orbits(system.maps[None], system.chances, PROBE_CHAINS * KEPT_STEPS, np.random.default_rng(0))
    hits = _histogram(*_framed(x, y), FILL_GRID)
    return int(np.count_nonzero(hits)) / FILL_GRID**2


def _candidate(rng: np.random.Generator) -> System:
    """Maps as rotation, stretch, rotation, shift: contractive by construction, unlike free coefficients."""
    count = int(rng.integers(MAPS[0], MAPS[1] + 1))
    draws = rng.random((count, 7))
    cos1, sin1 = _turn(_between(draws[:, 0], (-1, 1)), draws[:, 6] < 0.5)
    cos2, sin2 = _turn(_between(draws[:, 1], (-1, 1)), draws[:, 6] < 0.25)
    large, small = _between(draws[:, 2], STRETCH_LARGE), _between(draws[:, 3], STRETCH_SMALL)
    a, b = cos1 * large * cos2 - sin1 * small * sin2, -cos1 * large * sin2 - sin1 * small * cos2
    c, d = sin1 * large * cos2 + cos1 * small * sin2, -sin1 * large * sin2 + cos1 * small * cos2
    shift = _between(draws[:, 4:6], (-1, 1))
    # Points are shared out by area (FractalDB's rule), with a floor so that thin maps are drawn too.
    areas = np.maximum(large * small, 0.05)
    return System(np.column_stack([a, b, c, d, shift]).astype(np.float32), areas / sum(areas.tolist()))


def _turn(half_tangent: np.ndarray, backwards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of an angle given by the tangent of its half; exact operations only."""
    square = half_tangent * half_tangent
    sign = np.where(backwards, -1.0, 1.0).astype(half_tangent.dtype)
    return sign * (1 - square) / (1 + square), sign * 2 * half_tangent / (1 + square)


def _between(uniform: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    return cast(np.ndarray, bounds[0] + uniform * (bounds[1] - bounds[0]))


# --- points ---


def _orbits(
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


def _framed(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moves and scales each row so that nearly all its points lie in the square from -1 to 1."""
    edge = x.shape[1] // 100
    middles, halves = [], []
    for axis in (x, y):
        ordered = np.partition(axis, (edge, axis.shape[1] - 1 - edge), axis=1)
        low, high = ordered[:, edge, None], ordered[:, -1 - edge, None]
        middles.append((low + high) * np.float32(0.5))
        halves.append((high - low) * np.float32(0.5))
    reach = np.maximum(np.maximum(*halves), np.float32(1e-6))
    return (x - middles[0]) / reach, (y - middles[1]) / reach


def _posed(x: np.ndarray, y: np.ndarray, pose: "_Pose") -> tuple[np.ndarray, np.ndarray]:
    x = x * pose.mirror
    return (
        (pose.cos * x - pose.sin * y) * pose.scale + pose.shift[:, :1],
        (pose.sin * x + pose.cos * y) * pose.scale + pose.shift[:, 1:],
    )


def _distractor_orbits(seed: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Framed points of the systems that are no class, `(DISTRACTORS, m)` each."""
    points = int(POINTS_PER_PIXEL * side**2)
    rows = []
    for number in range(DISTRACTORS):
        system = draw_system(seed, number, _DISTRACTOR)
        orbit = np.random.default_rng([_ORBIT, seed, number])
        rows.append(_framed(*_orbits(system.maps[None], system.chances, points, orbit)))
    return np.concatenate([x for x, _ in rows]), np.concatenate([y for _, y in rows])


# --- scenes: every random number of a picture but its pixel noise ---

_TEXTURE_NUMBERS = sum(3 * (grid + 1) ** 2 for grid in TEXTURE_GRIDS)
_SCENE_NUMBERS = 6 * MAPS[1] + 2 * 5 + 1 + 2 + 2 * 10 + 3 * 4 + 4 + _TEXTURE_NUMBERS


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
        cos, sin = _turn(_between(draws[:, :1], (-ROTATION, ROTATION)), np.zeros((len(draws), 1), bool))
        mirror = np.where(draws[:, 1:2] < 0.5, -1, 1).astype(np.float32)
        return _Pose(cos, sin, mirror, _between(draws[:, 2:3], SCALE), _between(draws[:, 3:5], (-SHIFT, SHIFT)))


# --- pictures ---


def _draw(
    system: System,
    pool: tuple[np.ndarray, np.ndarray],
    scenes: _Scenes,
    side: int,
    orbit: np.random.Generator,
    noise: np.random.Generator,
) -> np.ndarray:
    """Draws `n` pictures of one class, `(n, s, s, 3)` uint8."""
    jitter = 1 + _between(scenes.take(6 * MAPS[1]), (-JITTER, JITTER)).reshape(len(scenes), MAPS[1], 6)
    maps = system.maps * jitter[:, : len(system.maps)]
    points = _framed(*_orbits(maps, system.chances, int(POINTS_PER_PIXEL * side**2), orbit))
    figure = _strokes(_histogram(*_posed(*points, scenes.pose()), side), scenes)
    chosen = (scenes.take(1)[:, 0] * DISTRACTORS).astype(int)
    distractor = _strokes(_histogram(*_posed(pool[0][chosen], pool[1][chosen], scenes.pose()), side), scenes)
    opacities = scenes.take(2)
    figure *= _between(opacities[:, :1, None], FIGURE_OPACITY)
    distractor *= _between(opacities[:, 1:, None], DISTRACTOR_OPACITY)
    return _composed(scenes, distractor, figure, side, noise)


def _histogram(x: np.ndarray, y: np.ndarray, side: int) -> np.ndarray:
    """Points per pixel of the square from -1 to 1, `(n, s, s)`; points outside are dropped."""
    half = np.float32(side / 2)
    column, row = (x + 1) * half, (y + 1) * half
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    pixel = row.astype(np.int32) * side + column.astype(np.int32)
    pixel += np.arange(len(x), dtype=np.int32)[:, None] * np.int32(side**2)
    return np.bincount(pixel[inside], minlength=len(x) * side**2).reshape(len(x), side, side)


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
    base = _between(colours[:, 0], BACKGROUND)
    canvas = base + TEXTURE * _texture(scenes, side)
    inks = [base + _between(colours[:, i], CONTRAST) for i in (1, 2)]
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
