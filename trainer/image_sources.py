"""Image sources on disk: npz archives of encoded pictures, and folders of pictures.

Each is described by a recipe, made without decoding: the file's, or every listed file's, size and time
tell that it changed.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from trainer.image_data import DataError, Decoded, ImageSplit, Progress, Recipe, held_out, one_line
from trainer.packed import NPZ_KEYS, check_card
from trainer.pictures import Picture, Pixels, bytes_picture, decode, file_picture, refuse_unread

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
# Of a folder without train/ and val/; its choice is part of the data, so the seed is fixed.
VALIDATION_SHARE, VALIDATION_SEED = 0.2, 0


# --- an archive ---


def archive_recipe(path: Path, side: int, skip: bool) -> Recipe:
    """The recipe of an npz archive with the keys `NPZ_KEYS`.

    Args:
        path: The file; a card that `planner data make` wrote beside it is checked.
        side: Side of the square pictures, in pixels.
        skip: Leave out pictures that cannot be read.

    Raises:
        DataError: If it is not there; when decoding, if it is not as described.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file; check the path after npz:")
    facts = path.stat()
    stamp = {"bytes": facts.st_size, "mtime_ns": facts.st_mtime_ns}
    return Recipe({"kind": "npz", "path": str(path)}, stamp, partial(_unpack, path, side, skip))


def _unpack(path: Path, side: int, skip: bool, progress: Progress) -> Decoded:
    check_card(path)
    arrays = _archive_arrays(path)
    _check_archive(path, arrays)
    stream, offset, label = arrays["jpeg"], arrays["offset"].tolist(), arrays["label"].astype(np.int64)

    def picture(index: int) -> Picture:
        return bytes_picture(f"image {index}", lambda: stream[offset[index] : offset[index + 1]].tobytes())

    parts = []
    for value, name in enumerate(("train", "validation")):
        chosen = np.flatnonzero(arrays["split"] == value)
        pictures = [picture(index) for index in chosen.tolist()]
        parts.append(Part(pictures, label[chosen], decode(pictures, side, partial(progress, f"decoding {name}"))))
    return joined(str(path), parts, tuple(str(name) for name in arrays["classes"]), skip)


def _archive_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        # Opened here because numpy leaves a path's file open when the archive is broken.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
            missing = sorted(set(NPZ_KEYS) - set(archive))
            if missing:
                raise DataError(f"{path} lacks the keys {missing}; an image archive has {list(NPZ_KEYS)}")
            return {key: archive[key] for key in NPZ_KEYS}
    except DataError:
        raise
    except Exception as error:  # numpy reads a header as Python: nearly anything comes of a damaged one
        # numpy takes whatever is no archive for a pickle.
        reason = "not a zip file" if not zipfile.is_zipfile(path) else one_line(error)
        raise DataError(f"{path} is no readable npz archive ({reason}); save it again with numpy.savez") from error


def _check_archive(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    stream, offset, label, split, classes = (arrays[key] for key in NPZ_KEYS)
    count = len(label) if label.ndim == 1 else -1
    if stream.dtype != np.uint8 or stream.ndim != 1 or classes.ndim != 1 or split.shape != (count,):
        raise DataError(f"{path}: jpeg must be 1-D uint8, label, split and classes 1-D; save it again")
    if offset.shape != (count + 1,) or any(array.dtype.kind not in "iu" for array in (offset, label, split)):
        raise DataError(
            f"{path}: label, split (n) and offset (n + 1) must be integers, got {offset.shape} offsets "
            f"for {count} labels; save it again"
        )
    starts, ends = offset[:-1].astype(np.int64), offset[1:].astype(np.int64)
    _refuse(
        path,
        (starts < 0) | (ends < starts) | (ends > len(stream)),
        offset[:-1],
        f"an offset outside the {len(stream)} bytes of jpeg, or below the one before",
        "rebuild the archive",
    )
    _refuse(
        path,
        (label < 0) | (label >= len(classes)),
        label,
        f"a label outside 0..{len(classes) - 1}",
        "add the class name to classes or drop the image",
    )
    _refuse(
        path,
        (split != 0) & (split != 1),
        split,
        "a split that is neither 0 (train) nor 1 (validation)",
        "set it",
    )
    for value, name in ((0, "train"), (1, "validation")):
        if not np.any(split == value):
            raise DataError(f"{path} has no {name} images; set split to {value} for some of them")
    unseen = sorted(set(range(len(classes))) - set(label[split == 0].tolist()))
    if unseen:
        raise DataError(f"{path}: class {classes[unseen[0]]} has no train images; drop it from classes or add some")


def _refuse(path: Path, bad: np.ndarray, values: np.ndarray, what: str, remedy: str) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"{path}: {int(bad.sum())} of {len(bad)} images have {what} "
            f"(first: image {first}, {int(values[first])}); {remedy}"
        )


# --- folders ---


Listing = Mapping[str, list[Path]]  # class name -> its pictures


def folder_recipe(path: Path, side: int, skip: bool) -> Recipe:
    """The recipe of a folder of class folders, or of two such folders, train and val.

    Args:
        path: The folder.
        side: Side of the square pictures, in pixels.
        skip: Leave out pictures that cannot be read.

    Raises:
        DataError: If the folders are not as described; when decoding, if a picture is unreadable.
    """
    listings = folder_listings(path)
    stamp = hashlib.sha256()
    for file in (file for files in listings for group in files.values() for file in group):
        stamp.update(f"{file}\0{_facts(file)}\n".encode())
    identity = {"kind": "imagefolder", "path": str(path)}
    return Recipe(identity, {"listing": stamp.hexdigest()}, partial(_read_folder, path, listings, side, skip))


def folder_listings(path: Path) -> list[Listing]:
    """The pictures of train and of validation, or one listing where the folder is not divided.

    Raises:
        DataError: If the folders are not as described.
    """
    if not path.is_dir():
        raise DataError(f"{path} is not a folder; check the path")
    names = {name for name in ("train", "val", "validation") if (path / name).is_dir()}
    if names and len(names - {"train"}) + 2 * ("train" in names) != 3:
        raise DataError(f"{path} has {sorted(names)}; give it train and one of val, validation, or none of them")
    listings: list[Listing] = [class_files(path / name) for name in sorted(names)] or [class_files(path)]
    if names and set(listings[0]) != set(listings[1]):
        raise DataError(
            f"{path}: classes {sorted(set(listings[0]) ^ set(listings[1]))[:5]} are in only one of {sorted(names)}; "
            "both need the same class folders"
        )
    return listings


def class_folders(folder: Path) -> list[str]:
    """The names of the class folders in a folder, sorted."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def class_files(folder: Path, classes: Iterable[str] | None = None) -> dict[str, list[Path]]:
    """The pictures of each class folder, both in order of name; sub-folders of a class count.

    Args:
        folder: Holds the class folders.
        classes: Those wanted, all of them there; all by default.

    Raises:
        DataError: If there are fewer than two, or one without pictures.
    """
    names = class_folders(folder) if classes is None else sorted(classes)
    if len(names) < 2:
        raise DataError(
            f"{folder} has {len(names)} class folders; give it one folder of pictures per class, at least 2"
        )
    files = {name: _pictures_in(folder / name) for name in names}
    for name, pictures in files.items():
        if not pictures:
            raise DataError(
                f"{folder / name} has no images ({', '.join(sorted(PICTURE_SUFFIXES))}); add some or remove the folder"
            )
    return files


def _pictures_in(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be listed ({error.strerror}); give the rights or remove it")

    return sorted(
        Path(place, name)
        for place, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES
    )


def _facts(file: Path) -> str:
    try:
        facts = file.stat()
    except OSError as error:  # a dangling link; named as unreadable when decoding
        return str(error.strerror)
    return f"{facts.st_size}\0{facts.st_mtime_ns}"


def _read_folder(path: Path, listings: list[Listing], side: int, skip: bool, progress: Progress) -> Decoded:
    parts = []
    for name, files in zip(("train", "validation") if len(listings) == 2 else ("all",), listings, strict=True):
        pictures = [file_picture(file) for group in files.values() for file in group]
        labels = np.repeat(np.arange(len(files)), [len(group) for group in files.values()])
        parts.append(Part(pictures, labels, decode(pictures, side, partial(progress, f"decoding {name}"))))
    return joined(str(path), parts, tuple(listings[0]), skip)


# --- both ---


@dataclass(frozen=True, eq=False)
class Part:
    """Pictures as given, their labels `(n,)`, and what could be decoded of them."""

    given: list[Picture]
    labels: np.ndarray
    pixels: Pixels


def joined(where: str, parts: list[Part], classes: tuple[str, ...], skip: bool) -> Decoded:
    """What a source decodes to, of its train and validation parts, or of one part that is divided here.

    Raises:
        DataError: If pictures cannot be read and `skip` is not set, or too few are left.
    """
    unread = tuple(one for part in parts for one in part.pixels.unread)
    if not skip:
        refuse_unread(where, unread, sum(len(part.given) for part in parts))
    splits = [ImageSplit(part.pixels.images, part.labels[part.pixels.readable]) for part in parts]
    names = [one.name for part in parts for one, kept in zip(part.given, part.pixels.readable, strict=True) if kept]
    sizes = np.concatenate([part.pixels.sizes for part in parts])
    if len(splits) == 1:
        held = held_out(splits[0].labels, VALIDATION_SHARE, VALIDATION_SEED)
        order = np.argsort(held, kind="stable")  # train first, each in its order
        splits = [splits[0].subset(~held), splits[0].subset(held)]
        names, sizes = [names[index] for index in order.tolist()], sizes[order]
    if unread:
        _refuse_emptied(where, splits, classes)
    return Decoded(splits[0], splits[1], classes, unread, names, sizes)


def _refuse_emptied(where: str, splits: list[ImageSplit], classes: tuple[str, ...]) -> None:
    lost = np.flatnonzero(np.bincount(splits[0].labels, minlength=len(classes)) == 0)
    if len(lost):
        raise DataError(f"{where}: class {classes[lost[0]]} has no readable train images; add some or drop the class")
    if not len(splits[1]):
        raise DataError(f"{where} has no readable validation images; add some")
