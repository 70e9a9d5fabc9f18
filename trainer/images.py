"""Image data, decoded once to uint8 arrays: generated fractals, an npz archive, folders of pictures, CIFAR.

A source is a text, the name of one of `trainer.image_sources.SOURCES` and its argument. Ours are
`fractal[:classes=..,train=..,validation=..,seed=..]`, `npz:PATH`, `imagefolder:PATH`, `cifar10:PATH`,
`cifar100:PATH` and `hf:NAME_OR_PATH[,..]`. Those with a path may end in `,skip-corrupt`: pictures that cannot be
read are then left out, not refused. It is part of the text because it decides which data it is: a study
that skips remembers so, and its workers do the same. Pictures are cropped to their central square and
resized to one side; what a training run then does to them (smaller proxy resolution, augmentation) is not
this file's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sampler.seeds import LARGEST_SEED
from trainer import fractal
from trainer.cifar import FORMS, PYTHON_FORMS, cifar_prep
from trainer.hub_datasets import hf_prep
from trainer.image_cache import CacheEntry
from trainer.image_data import (
    DataError,
    Decoded,
    ImageData,
    ImagePrep,
    ImageSplit,
    Progress,
    Unread,
    fingerprint_of,
    hold_out,
    stratified_share,
)
from trainer.image_sources import SOURCES, archive_prep, folder_prep
from trainer.scratch import scratch_in

__all__ = [
    "DataError",
    "ImageData",
    "ImageSplit",
    "Unread",
    "decode_source",
    "hold_out",
    "load_images",
    "skipping",
    "stratified_share",
]

LEAST_SIDE = 8
_OF_PATHS = ("npz", "imagefolder", *FORMS, "hf")
SKIP_CORRUPT = ",skip-corrupt"
FRACTAL_DEFAULTS = {"classes": 20, "train": 180, "validation": 45, "seed": 0}
# Of pictures of a class; of the others the fewest and the most.
MOST_FRACTALS = 1_000_000
FRACTAL_RANGES = {"seed": (0, LARGEST_SEED), "classes": (2, 100_000)}


def load_images(source: str, side: int, *, cache: Path | None = None, progress: Progress | None = None) -> ImageData:
    """Decodes a source to arrays, or maps what an earlier call decoded.

    Args:
        source: `fractal[:key=value,..]` (keys classes, train, validation, seed; counts per class),
            `npz:PATH` (keys jpeg, offset, label, split, classes, or train_images, train_labels, ..),
            `imagefolder:PATH` (train/CLASS/* with val/CLASS/*, or CLASS/*, of which a fixed fifth validates),
            `cifar10:PATH` or `cifar100:PATH` (folder or .tar.gz of the binary or the Python version),
            `hf:NAME_OR_PATH` (`trainer.hub_datasets`); `,skip-corrupt` after a path leaves out what cannot be read.
        side: Side of the square pictures, in pixels; at least 8.
        cache: Folder that keeps the decoded arrays, one entry per source and side. An entry is used
            while the source's size and time, and its own, are as recorded; else it is checked or rebuilt.
        progress: Called with (what, done, total) while pictures are made.

    Returns:
        The data; with `cache`, its images are read-only memory maps.

    Raises:
        DataError: If the source cannot be read as described, or the cache cannot be written.
    """
    prep = _prep(source, side)
    if cache is None:
        return replace(_whole(prep, source, side, progress), notes=prep.notes)
    entry = CacheEntry(cache, prep, side)
    kept = entry.read()
    if kept is None:
        with scratch_in(cache):
            fresh = _whole(prep, source, side, progress)
        entry.write(fresh)
        kept = entry.read() or fresh
    return replace(kept, source=source, notes=prep.notes)


def decode_source(source: str, side: int, progress: Progress | None = None) -> Decoded:
    """Decodes a source, as `load_images` does, and tells what else there is to know about its pictures.

    Raises:
        DataError: If the source cannot be read as described.
    """
    prep = _prep(source, side)
    return replace(_decoded(prep, source, side, progress), notes=prep.notes)


def skipping(source: str) -> str:
    """The same source, without what cannot be read of it."""
    kind, _, path = source.partition(":")
    # Generated pictures can all be read; a source that is wrong anyway is refused in the words it was given in.
    return source + SKIP_CORRUPT if kind in _OF_PATHS and path and not path.endswith(SKIP_CORRUPT) else source


def _whole(prep: ImagePrep, source: str, side: int, progress: Progress | None) -> ImageData:
    found = _decoded(prep, source, side, progress)
    fingerprint = fingerprint_of(found.train, found.validation, found.classes)
    return ImageData(found.train, found.validation, found.classes, source, side, fingerprint, found.unread)


def _decoded(prep: ImagePrep, source: str, side: int, progress: Progress | None) -> Decoded:
    try:
        return prep.decode(progress or (lambda what, done, total: None))
    except MemoryError:
        raise DataError(f"{source} at side={side} needs more memory than is free; use a smaller side") from None


def _prep(source: str, side: int) -> ImagePrep:
    if side < LEAST_SIDE:
        raise DataError(f"side={side} px is too small for image data; give at least {LEAST_SIDE}")
    kind, _, rest = source.partition(":")
    if kind not in SOURCES:
        known = ", ".join(f"{name}:PATH" for name in _OF_PATHS)
        others = "".join(f", {name}:.." for name in SOURCES if name not in ("fractal", *_OF_PATHS))
        raise DataError(
            f"data source {source!r} is unknown; {_meant(source)}known: fractal, fractal:classes=30,train=100, "
            f"{known}{others}"
        )
    if kind in _OF_PATHS and not rest.removesuffix(SKIP_CORRUPT):
        raise DataError(f"data source {source!r} lacks a path; write {kind}:PATH")
    return SOURCES[kind](rest, side)


def _cifar(kind: str, argument: str, side: int) -> ImagePrep:
    """CIFAR's plain pixels: none of them can be unreadable."""
    return cifar_prep(kind, _path(argument.removesuffix(SKIP_CORRUPT)), side)


def _pictures(
    read: Callable[[Any, int, bool], ImagePrep], place: Callable[[str], Any], argument: str, side: int
) -> ImagePrep:
    """Pictures of which some may be left out; `place` makes of a text what `read` takes."""
    skip = argument.endswith(SKIP_CORRUPT)
    prep = read(place(argument.removesuffix(SKIP_CORRUPT)), side, skip)
    return replace(prep, identity={**prep.identity, "skip_corrupt": True}) if skip else prep


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _meant(source: str) -> str:
    """What somebody meant who gave a path alone."""
    path = Path(source).expanduser()
    kind = "imagefolder" if path.is_dir() else "npz" if path.is_file() and path.suffix == ".npz" else ""
    forms = (*FORMS.items(), *PYTHON_FORMS.items())
    kind = next((name for name, form in forms if path.name == form.folder), kind)
    return f"write {kind}:{source}; " if kind and path.exists() else ""


# --- generated ---


def _fractal(text: str, side: int) -> ImagePrep:
    options = dict(FRACTAL_DEFAULTS)
    for pair in filter(None, text.split(",")):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in options:
            raise DataError(f"fractal option {name!r} is unknown; known options: {sorted(options)}")
        least, most = FRACTAL_RANGES.get(name, (1, MOST_FRACTALS))
        if not value.isdecimal() or len(value) > len(str(most)) or not least <= int(value) <= most:
            between = f"a whole number of at least {least}, at most {most}"
            raise DataError(f"fractal option {name}={value[:40]!r} must be {between}")
        options[name] = int(value)
    identity = {"kind": "fractal", **options}
    return ImagePrep(identity, fractal.settings(), partial(_draw, options, side))


def _draw(options: Mapping[str, int], side: int, progress: Progress) -> Decoded:
    classes, splits, names = options["classes"], [], []
    for part in fractal.SPLIT_NAMES:
        report = partial(progress, f"drawing {part} classes")
        pictures = fractal.fractal_images(classes, options[part], side, options["seed"], part, report)
        splits.append(ImageSplit(pictures, np.repeat(np.arange(classes), options[part])))
        names += [f"{part} picture {number}" for number in range(len(pictures))]
    sizes = np.full((len(names), 2), side, np.int32)
    return Decoded(splits[0], splits[1], tuple(f"fractal{label:03d}" for label in range(classes)), (), names, sizes)


SOURCES.register("fractal", _fractal)
SOURCES.register("npz", partial(_pictures, archive_prep, _path))
SOURCES.register("imagefolder", partial(_pictures, folder_prep, _path))
SOURCES.register("hf", partial(_pictures, hf_prep, str))
for _name in FORMS:
    SOURCES.register(_name, partial(_cifar, _name))
