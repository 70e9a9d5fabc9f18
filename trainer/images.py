"""Image data, decoded once to uint8 arrays: generated fractals, an npz archive or folders of pictures.

A source is a text: `fractal[:classes=..,train=..,validation=..,seed=..]`, `npz:PATH` or
`imagefolder:PATH`. Pictures are cropped to their central square and resized to one side; what a
training run then does to them (smaller proxy resolution, augmentation) is not this file's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from trainer import fractal
from trainer.image_cache import CacheEntry
from trainer.image_data import (
    DataError,
    Decoded,
    ImageData,
    ImageSplit,
    Progress,
    Recipe,
    fingerprint_of,
    hold_out,
    stratified_share,
)
from trainer.image_sources import archive_recipe, folder_recipe

__all__ = ["DataError", "ImageData", "ImageSplit", "hold_out", "load_images", "stratified_share"]

LEAST_SIDE = 8
FRACTAL_DEFAULTS = {"classes": 20, "train": 180, "validation": 45, "seed": 0}


def load_images(source: str, side: int, *, cache: Path | None = None, progress: Progress | None = None) -> ImageData:
    """Decodes a source to arrays, or maps what an earlier call decoded.

    Args:
        source: `fractal[:key=value,..]` (keys classes, train, validation, seed; counts per class),
            `npz:PATH` (keys jpeg, offset, label, split, classes) or `imagefolder:PATH`
            (train/CLASS/* with val/CLASS/*, or CLASS/*, of which a fixed fifth validates).
        side: Side of the square pictures, in pixels; at least 8.
        cache: Folder that keeps the decoded arrays, one entry per source and side. An entry is used
            while the source's size and time, and its own, are as recorded; else it is checked or rebuilt.
        progress: Called with (what, done, total) while pictures are made.

    Returns:
        The data; with `cache`, its images are read-only memory maps.

    Raises:
        DataError: If the source cannot be read as described, or the cache cannot be written.
    """
    if side < LEAST_SIDE:
        raise DataError(f"side={side} px is too small for image data; give at least {LEAST_SIDE}")
    recipe = _recipe(source, side)
    if cache is None:
        return _decoded(recipe, source, side, progress)
    entry = CacheEntry(cache, recipe, side)
    kept = entry.read()
    if kept is None:
        fresh = _decoded(recipe, source, side, progress)
        entry.write(fresh)
        kept = entry.read() or fresh
    return replace(kept, source=source)


def _decoded(recipe: Recipe, source: str, side: int, progress: Progress | None) -> ImageData:
    try:
        train, validation, classes = recipe.decode(progress or (lambda what, done, total: None))
    except MemoryError:
        raise DataError(f"{source} at side={side} needs more memory than is free; use a smaller side") from None
    return ImageData(train, validation, classes, source, side, fingerprint_of(train, validation, classes))


def _recipe(source: str, side: int) -> Recipe:
    kind, _, rest = source.partition(":")
    if kind == "fractal":
        return _fractal(rest, side)
    if kind in ("npz", "imagefolder"):
        if not rest:
            raise DataError(f"data source {source!r} lacks a path; write {kind}:PATH")
        path = Path(rest).expanduser().absolute()
        return archive_recipe(path, side) if kind == "npz" else folder_recipe(path, side)
    raise DataError(
        f"data source {source!r} is unknown; known: fractal, fractal:classes=30,train=100, npz:PATH, imagefolder:PATH"
    )


# --- generated ---


def _fractal(text: str, side: int) -> Recipe:
    options = dict(FRACTAL_DEFAULTS)
    for pair in filter(None, text.split(",")):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in options:
            raise DataError(f"fractal option {name!r} is unknown; known options: {sorted(options)}")
        least = {"seed": 0, "classes": 2}.get(name, 1)
        if not value.isdecimal() or int(value) < least:
            raise DataError(f"fractal option {name}={value!r} must be a whole number of at least {least}")
        options[name] = int(value)
    identity = {"kind": "fractal", **options}
    return Recipe(identity, fractal.settings(), partial(_draw, options, side))


def _draw(options: Mapping[str, int], side: int, progress: Progress) -> Decoded:
    classes, splits = options["classes"], []
    for part in fractal.PARTS:
        report = partial(progress, f"drawing {part} classes")
        pictures = fractal.fractal_images(classes, options[part], side, options["seed"], part, report)
        splits.append(ImageSplit(pictures, np.repeat(np.arange(classes), options[part])))
    return splits[0], splits[1], tuple(f"fractal{label:03d}" for label in range(classes))
