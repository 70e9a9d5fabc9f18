"""Proxies: small data sets cut out of a large one, packed into one archive with a card.

`imagenet1000-100` is AmplifyNet's (100 pictures of each class, and 50 validation pictures of each class
taken from the training pictures too); `imagenet100-500` is TinyNet's (100 classes, 500 pictures each, the
classes' own validation pictures); TinyNet's choice of classes was never published.

The same folder, seed and versions give the same bytes. A class's pictures do not depend on which other
classes are chosen, and a smaller count is part of a larger one.
"""

from __future__ import annotations

import io
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import features

from trainer.image_data import DataError, Progress, Unread, held_out
from trainer.image_folders import class_files, class_folders, passed_over, read_folders
from trainer.image_sources import VALIDATION_SEED, VALIDATION_SHARE
from trainer.packed import write_packed
from trainer.pictures import Picture, file_picture, in_threads, refuse_unread, square

# On 260 pictures of 128 px: 4.2 kB and 0.32 ms to decode, against 8.7 kB and 0.15 ms of a JPEG (quality 95) with the
# same error; a picture is decoded once, kept and copied often.
ENCODING: dict[str, Any] = {"format": "WEBP", "quality": 90, "method": 4}


@dataclass(frozen=True)
class Proxy:
    """What a named proxy holds.

    Attributes:
        classes: How many classes.
        listed: Whether the classes are the listed ones unless others are asked for.
        train: Pictures of each class to fit on; None takes all of them.
        validation: Pictures of each class to score on, out of the training pictures; None takes the validation folder.
    """

    classes: int
    listed: bool
    train: int | None
    validation: int | None


IMAGENET = {
    "imagenet100": Proxy(100, True, None, None),
    "imagenet100-500": Proxy(100, True, 500, None),
    "imagenet1000-100": Proxy(1000, False, 100, 50),
}


@dataclass(frozen=True)
class PictureSelection:
    """What a proxy is made of.

    Attributes:
        classes: Class names.
        files: In order: path, label, split (0 train, 1 validation).
        notes: Sentences on how the folder was understood, and what of it is not read.
    """

    classes: tuple[str, ...]
    files: tuple[tuple[Path, int, int], ...]
    notes: tuple[str, ...] = ()


# --- which pictures ---


def select_imagenet(root: Path, proxy: Proxy, classes: Sequence[str] | int, seed: int) -> PictureSelection:
    """The pictures of a proxy of ImageNet.

    Args:
        root: Holds train/CLASS/* and, where the proxy validates on it, val/CLASS/*.
        proxy: Proxy that says how many and how large.
        classes: The names of the class folders, or how many, drawn by the seed.
        seed: Decides classes and pictures.

    Raises:
        DataError: If the folders are not so, or hold too little.
    """
    for name in ("train",) if proxy.validation else ("train", "val"):
        _check_split(root / name)
    chosen, over = choose(root / "train", classes, seed), Counter[str]()
    train = {name: _shuffled(files, name, seed) for name, files in class_files(root / "train", chosen, over).items()}
    if proxy.validation is None:
        _refuse_missing(root / "val", chosen)
        held = class_files(root / "val", chosen, over)
    else:
        wanted = (proxy.train or 0) + proxy.validation
        _refuse_few(root, train, wanted)
        held = {name: sorted(files[-proxy.validation :]) for name, files in train.items()}
        train = {name: files[: -proxy.validation] for name, files in train.items()}
    if proxy.train is not None:
        _refuse_few(root, train, proxy.train)
        train = {name: files[: proxy.train] for name, files in train.items()}
    return _selection({name: sorted(files) for name, files in train.items()}, held, passed_over(over))


def select_folder(root: Path, classes: Sequence[str] | int | None, seed: int) -> PictureSelection:
    """The pictures of an image folder, as `imagefolder:` reads it; all classes where none are named."""
    found = read_folders(root)
    listings = found.listings
    if classes is not None:
        chosen = choose(found.places[0], classes, seed)
        listings = tuple({name: listing[name] for name in chosen} for listing in listings)
    if len(listings) == 2:
        return _selection(*listings, found.notes)
    names = list(listings[0])
    files = [(file, label) for label, name in enumerate(names) for file in listings[0][name]]
    held = held_out(np.array([label for _, label in files]), VALIDATION_SHARE, VALIDATION_SEED)
    rows = [(file, label, int(split)) for (file, label), split in zip(files, held, strict=True)]
    return PictureSelection(tuple(names), tuple(sorted(rows, key=lambda row: row[2])), found.notes)


def choose(folder: Path, classes: Sequence[str] | int, seed: int) -> list[str]:
    """Class names, sorted: those given, or so many of a folder's, drawn by the seed.

    Raises:
        DataError: If the folder lacks some.
    """
    if not isinstance(classes, int):
        _refuse_missing(folder, classes)
        return sorted(set(classes))
    names = class_folders(folder)
    if classes > len(names):
        raise DataError(
            f"{folder} has {len(names)} class folders, {classes} are wanted; give fewer --classes or add some"
        )
    return sorted(np.random.default_rng(seed).permutation(np.array(names))[:classes].tolist())


def _selection(
    train: Mapping[str, Sequence[Path]], held: Mapping[str, Sequence[Path]], notes: Sequence[str]
) -> PictureSelection:
    rows = [
        (file, label, split)
        for split, listing in enumerate((train, held))
        for label, name in enumerate(train)
        for file in listing[name]
    ]
    return PictureSelection(tuple(train), tuple(rows), tuple(notes))


def _shuffled(files: Sequence[Path], name: str, seed: int) -> list[Path]:
    order = np.random.default_rng([seed, *name.encode()]).permutation(len(files))
    return [files[index] for index in order.tolist()]


def _check_split(folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give --from the folder that holds train/CLASS/* and val/CLASS/*")
    if not class_folders(folder) and any(entry.is_file() for entry in folder.iterdir()):
        raise DataError(
            f"{folder} holds pictures without class folders, and label files are not read; sort them into "
            f"{folder.name}/CLASS/* first"
        )


def _refuse_missing(folder: Path, classes: Sequence[str]) -> None:
    missing = sorted(set(classes) - set(class_folders(folder)))
    if missing:
        raise DataError(
            f"{folder} lacks {len(missing)} of {len(set(classes))} classes, such as {', '.join(missing[:3])}; "
            "add them, or choose others with --classes"
        )


def _refuse_few(root: Path, train: Mapping[str, Sequence[Path]], wanted: int) -> None:
    for name, files in train.items():
        if len(files) < wanted:
            raise DataError(f"{root / 'train' / name} has {len(files)} images, {wanted} are wanted; add some")


# --- packing them ---


def pack(
    selection: PictureSelection,
    path: Path,
    side: int,
    card: Mapping[str, Any],
    *,
    skip_corrupt: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Encodes the selected pictures at one side into an archive with a card.

    Args:
        selection: Pictures to take.
        path: The archive; the card is beside it, with the suffix .json.
        side: Side of the square pictures, in pixels; smaller ones are enlarged.
        card: Facts that the card shall say besides what is found out here; plain JSON values.
        skip_corrupt: Leave out pictures that cannot be read, and name them on the card.
        progress: Called with (what, done, total).

    Returns:
        The whole card.

    Raises:
        DataError: If pictures cannot be read, or the archive cannot be written. Nothing is left then.
    """
    found = {**card, "side": side, "encoding": ENCODING, "versions": versions(), "notes": list(selection.notes)}
    report = partial(progress or (lambda what, done, total: None), "packing images")

    def encoded() -> Iterator[tuple[bytes, int, int]]:
        pictures = [file_picture(file) for file, _, _ in selection.files]
        unread, filled = [], set()
        answers = in_threads(lambda index: _encoded(pictures[index], side), len(pictures), report)
        for answer, (_, label, split) in zip(answers, selection.files, strict=True):
            if isinstance(answer, Unread):
                unread.append(answer)
            else:
                filled.add((label, split))
                yield answer, label, split
        if not skip_corrupt:
            refuse_unread(str(path), unread, len(pictures))
        _refuse_emptied(selection, filled)
        found["unreadable"] = [{"name": one.name, "reason": one.reason} for one in unread]

    return write_packed(path, encoded(), selection.classes, found)


def _encoded(picture: Picture, side: int) -> bytes | Unread:
    found = square(picture, side)
    if isinstance(found, Unread):
        return found
    stream = io.BytesIO()
    found[0].save(stream, **ENCODING)
    return stream.getvalue()


def _refuse_emptied(selection: PictureSelection, filled: set[tuple[int, int]]) -> None:
    for label, split in sorted({(label, split) for _, label, split in selection.files} - filled):
        raise DataError(
            f"class {selection.classes[label]} has no readable {('train', 'validation')[split]} images; "
            "add some or drop the class"
        )


def versions() -> dict[str, str]:
    """What decides the bytes besides the pictures and the seed."""
    return {
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
        "webp": str(features.version("webp")),
    }
