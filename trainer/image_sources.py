"""Image sources on disk: npz archives of encoded pictures, and folders of pictures.

Each is described by a recipe, made without decoding: the file's, or every listed file's, size and time
tell that it changed.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from trainer.image_data import DataError, Decoded, ImageSplit, Progress, Recipe, hold_out, one_line

NPZ_KEYS = ("jpeg", "offset", "label", "split", "classes")
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
# Of a folder without train/ and val/; its choice is part of the data, so the seed is fixed.
VALIDATION_SHARE, VALIDATION_SEED = 0.2, 0
# Pictures decoded between two calls of the progress function, and per task of a thread.
PICTURES_AT_ONCE = 256


# --- an archive ---


def archive_recipe(path: Path, side: int) -> Recipe:
    """The recipe of an npz archive with the keys `NPZ_KEYS`.

    Raises:
        DataError: If it is not there; when decoding, if it is not as described.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file; check the path after npz:")
    facts = path.stat()
    stamp = {"bytes": facts.st_size, "mtime_ns": facts.st_mtime_ns}
    return Recipe({"kind": "npz", "path": str(path)}, stamp, partial(_unpack, path, side))


def _unpack(path: Path, side: int, progress: Progress) -> Decoded:
    arrays = _archive_arrays(path)
    _check_archive(path, arrays)
    stream, offset, label = arrays["jpeg"], arrays["offset"].tolist(), arrays["label"].astype(np.int64)

    def picture(index: int) -> tuple[Any, str]:
        return io.BytesIO(stream[offset[index] : offset[index + 1]].tobytes()), f"{path}: image {index}"

    splits = []
    for value, name in ((0, "train"), (1, "validation")):
        chosen = np.flatnonzero(arrays["split"] == value)
        images = _decode([partial(picture, i) for i in chosen.tolist()], side, partial(progress, f"decoding {name}"))
        splits.append(ImageSplit(images, label[chosen]))
    return splits[0], splits[1], tuple(str(name) for name in arrays["classes"])


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
    # A .npy file has no keys (TypeError, AttributeError); pickled objects are a ValueError.
    except (
        OSError,
        ValueError,
        EOFError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(
            f"{path} is no readable npz archive ({one_line(error)}); save it again with numpy.savez"
        ) from error


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
        (starts < 0) | (ends <= starts) | (ends > len(stream)),
        offset[:-1],
        f"an offset outside the {len(stream)} bytes of jpeg, or no bytes",
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


def folder_recipe(path: Path, side: int) -> Recipe:
    """The recipe of a folder of class folders, or of two such folders, train and val.

    Raises:
        DataError: If the folders are not as described; when decoding, if a picture is unreadable.
    """
    if not path.is_dir():
        raise DataError(f"{path} is not a folder; check the path after imagefolder:")
    names = {name for name in ("train", "val", "validation") if (path / name).is_dir()}
    if names and len(names - {"train"}) + 2 * ("train" in names) != 3:
        raise DataError(f"{path} has {sorted(names)}; give it train and one of val, validation, or none of them")
    listing = {name: _class_files(path / name) for name in sorted(names)} or {"": _class_files(path)}
    if names and len({tuple(files) for files in listing.values()}) > 1:
        train, other = (set(files) for files in listing.values())
        raise DataError(
            f"{path}: classes {sorted(train ^ other)[:5]} are in only one of {sorted(names)}; "
            "both need the same class folders"
        )
    stamp = hashlib.sha256()
    for file in (file for files in listing.values() for group in files.values() for file in group):
        stamp.update(f"{file}\0{file.stat().st_size}\0{file.stat().st_mtime_ns}\n".encode())
    identity = {"kind": "imagefolder", "path": str(path)}
    return Recipe(identity, {"listing": stamp.hexdigest()}, partial(_read_folder, list(listing.values()), side))


def _class_files(folder: Path) -> dict[str, list[Path]]:
    """The pictures of each class folder, both in order of name; sub-folders of a class count."""
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(classes) < 2:
        raise DataError(
            f"{folder} has {len(classes)} class folders; give it one folder of pictures per class, at least 2"
        )
    files = {
        entry.name: sorted(file for file in entry.rglob("*") if file.suffix.lower() in PICTURE_SUFFIXES)
        for entry in classes
    }
    for name, pictures in files.items():
        if not pictures:
            raise DataError(
                f"{folder / name} has no images ({', '.join(sorted(PICTURE_SUFFIXES))}); add some or remove the folder"
            )
    return files


def _read_folder(listing: Sequence[Mapping[str, Sequence[Path]]], side: int, progress: Progress) -> Decoded:
    splits = []
    for name, files in zip(("train", "validation") if len(listing) == 2 else ("all",), listing, strict=True):
        pictures = [partial(lambda file: (file, str(file)), file) for group in files.values() for file in group]
        images = _decode(pictures, side, partial(progress, f"decoding {name}"))
        splits.append(ImageSplit(images, np.repeat(np.arange(len(files)), [len(group) for group in files.values()])))
    if len(splits) == 1:
        splits = list(hold_out(splits[0], VALIDATION_SHARE, VALIDATION_SEED))
    return splits[0], splits[1], tuple(listing[0])


# --- one picture ---


def _decode(
    pictures: Sequence[Callable[[], tuple[Any, str]]], side: int, report: Callable[[int, int], None]
) -> np.ndarray:
    """Decodes pictures, each given as a function to (file or path, its name), with a thread per core."""
    images = np.empty((len(pictures), side, side, 3), np.uint8)

    def decode_group(start: int) -> None:
        for index in range(start, min(start + PICTURES_AT_ONCE, len(pictures))):
            images[index] = np.asarray(_square(*pictures[index](), side))

    Image.init()  # Pillow loads its formats on first use, which threads would race for.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        starts = range(0, len(pictures), PICTURES_AT_ONCE)
        for start, _ in zip(starts, pool.map(decode_group, starts), strict=True):
            report(min(start + PICTURES_AT_ONCE, len(pictures)), len(pictures))
    return images


def _square(file: Any, name: str, side: int) -> Image.Image:
    """The central square of a picture, RGB, resized to `side`."""
    try:
        with Image.open(file) as picture:
            colour = _rgb(picture)
    except Exception as error:  # Pillow's decoders raise a dozen types on bad bytes
        # Pillow's own text for unknown bytes holds a memory address.
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else one_line(error)
        raise DataError(f"{name} is no readable image ({reason}); replace or remove it") from error
    short = min(colour.size)
    left, top = (colour.width - short) // 2, (colour.height - short) // 2
    return colour.crop((left, top, left + short, top + short)).resize((side, side), Image.Resampling.BICUBIC)


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        # 16-bit grey: convert() would clip everything above 255 to white.
        grey = np.clip(np.asarray(picture).astype(np.int64) >> 8, 0, 255)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")  # Pillow warns about the direct way
    return picture.convert("RGB")
