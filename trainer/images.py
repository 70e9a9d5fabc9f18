"""Image data, decoded once to uint8 arrays: generated fractals, an npz archive or folders of pictures.

A source is a text: `fractal[:classes=..,train=..,validation=..,seed=..]`, `npz:PATH` or
`imagefolder:PATH`. Pictures are cropped to their central square and resized to one side; what a
training run then does to them (smaller proxy resolution, augmentation) is not this file's business.
"""

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from sampler import InputError
from trainer import fractal

# Raise it when the same source would decode to other arrays; older cache entries are then rebuilt.
CACHE_VERSION = 1
LEAST_SIDE = 8
FRACTAL_DEFAULTS = {"classes": 20, "train": 180, "validation": 45, "seed": 0}
NPZ_KEYS = ("jpeg", "offset", "label", "split", "classes")
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
# Of a folder without train/ and val/; its choice is part of the data, so the seed is fixed.
VALIDATION_SHARE, VALIDATION_SEED = 0.2, 0
# Pictures decoded between two calls of the progress function, and per task of a thread.
PICTURES_AT_ONCE = 256

Progress = Callable[[str, int, int], None]


class DataError(InputError):
    """Image data that cannot be used; the message is one line: what, where, how to fix it."""


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """Pictures and their classes.

    Attributes:
        images: `(n, side, side, 3)` uint8, RGB; may be a read-only memory map.
        labels: `(n,)` int64 positions in the class names.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"images must be (n, side, side, 3) and labels (n,), got {self.images.shape} and {self.labels.shape}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, index: Any) -> "ImageSplit":
        """The pictures at `index` (integers, bools or a slice), in its order."""
        return ImageSplit(self.images[index], self.labels[index])


@dataclass(frozen=True, eq=False)
class ImageData:
    """A decoded source.

    Attributes:
        train: Pictures to fit on.
        validation: Pictures to score on.
        classes: Class names; a label is a position in it.
        source: The text given.
        side: Side of the square pictures, in pixels.
        fingerprint: sha256 (hex) over class names, labels and image bytes of both splits.
    """

    train: ImageSplit
    validation: ImageSplit
    classes: tuple[str, ...]
    source: str
    side: int
    fingerprint: str


@dataclass(frozen=True)
class _Recipe:
    """How to make a source: what it is, what tells that it changed, and the work itself."""

    identity: Mapping[str, Any]
    stamp: Mapping[str, Any]
    decode: Callable[[Progress], "_Decoded"]


_Decoded = tuple[ImageSplit, ImageSplit, tuple[str, ...]]


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
    entry = _Entry(cache, recipe, side)
    kept = entry.read()
    if kept is None:
        fresh = _decoded(recipe, source, side, progress)
        entry.write(fresh)
        kept = entry.read() or fresh
    return replace(kept, source=source)


def _decoded(recipe: _Recipe, source: str, side: int, progress: Progress | None) -> ImageData:
    try:
        train, validation, classes = recipe.decode(progress or (lambda what, done, total: None))
    except MemoryError:
        raise DataError(f"{source} at side={side} needs more memory than is free; use a smaller side") from None
    return ImageData(train, validation, classes, source, side, _fingerprint(train, validation, classes))


def _fingerprint(train: ImageSplit, validation: ImageSplit, classes: Sequence[str]) -> str:
    digest = hashlib.sha256(json.dumps([list(classes), len(train), len(validation)]).encode())
    for split in (train, validation):
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
        digest.update(np.ascontiguousarray(split.images).data)
    return digest.hexdigest()


def _recipe(source: str, side: int) -> _Recipe:
    kind, _, rest = source.partition(":")
    if kind == "fractal":
        return _fractal(rest, side)
    if kind in ("npz", "imagefolder"):
        if not rest:
            raise DataError(f"data source {source!r} lacks a path; write {kind}:PATH")
        path = Path(rest).expanduser().absolute()
        return _archive(path, side) if kind == "npz" else _folder(path, side)
    raise DataError(
        f"data source {source!r} is unknown; known: fractal, fractal:classes=30,train=100, npz:PATH, imagefolder:PATH"
    )


# --- generated ---


def _fractal(text: str, side: int) -> _Recipe:
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
    return _Recipe(identity, fractal.settings(), partial(_draw, options, side))


def _draw(options: Mapping[str, int], side: int, progress: Progress) -> _Decoded:
    classes, splits = options["classes"], []
    for part in fractal.PARTS:
        report = partial(progress, f"drawing {part} classes")
        pictures = fractal.fractal_images(classes, options[part], side, options["seed"], part, report)
        splits.append(ImageSplit(pictures, np.repeat(np.arange(classes), options[part])))
    return splits[0], splits[1], tuple(f"fractal{label:03d}" for label in range(classes))


# --- an archive ---


def _archive(path: Path, side: int) -> _Recipe:
    if not path.is_file():
        raise DataError(f"{path} is not a file; check the path after npz:")
    facts = path.stat()
    stamp = {"bytes": facts.st_size, "mtime_ns": facts.st_mtime_ns}
    return _Recipe({"kind": "npz", "path": str(path)}, stamp, partial(_unpack, path, side))


def _unpack(path: Path, side: int, progress: Progress) -> _Decoded:
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
            f"{path} is no readable npz archive ({_line(error)}); save it again with numpy.savez"
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


def _folder(path: Path, side: int) -> _Recipe:
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
    return _Recipe(identity, {"listing": stamp.hexdigest()}, partial(_read_folder, list(listing.values()), side))


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


def _read_folder(listing: Sequence[Mapping[str, Sequence[Path]]], side: int, progress: Progress) -> _Decoded:
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
        raise DataError(f"{name} is no readable image ({_line(error)}); replace or remove it") from error
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


def _line(error: Exception) -> str:
    """An error in one line; Pillow's own text for unknown bytes holds a memory address."""
    if isinstance(error, UnidentifiedImageError):
        return "unknown format"
    return " ".join(str(error).split()) or type(error).__name__


# --- shares of a split ---


def stratified_share(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The same share of every class, at least one picture each.

    A larger share of the same seed holds the smaller one, so that fidelities are nested.

    Args:
        labels: `(n,)` class of every picture.
        share: In (0, 1]; each class's count is rounded to the nearest whole number.
        seed: Decides which; part of the data's description, not of a training run.

    Returns:
        Positions in `labels`, sorted, int64.

    Raises:
        ValueError: If `share` is outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share} of the images must be in (0, 1]; 1 keeps them all")
    chosen = [np.empty(0, np.int64)]
    for label in np.unique(labels).tolist():
        members = np.flatnonzero(labels == label)
        order = np.random.default_rng([seed, label]).permutation(members)
        chosen.append(order[: max(1, int(share * len(members) + 0.5))])
    return np.sort(np.concatenate(chosen))


def hold_out(split: ImageSplit, share: float, seed: int) -> tuple[ImageSplit, ImageSplit]:
    """Splits pictures in two, the same share of every class held out.

    Args:
        split: What to divide.
        share: To hold out, in (0, 1); at least one picture of every class.
        seed: Decides which.

    Returns:
        What is left to fit on, and what is held out: disjoint, together the whole.

    Raises:
        DataError: If a class would have nothing left to fit on.
    """
    held = np.zeros(len(split), bool)
    held[stratified_share(split.labels, share, seed)] = True
    emptied = sorted(set(split.labels.tolist()) - set(split.labels[~held].tolist()))
    if emptied:
        count = int(np.sum(split.labels == emptied[0]))
        raise DataError(
            f"holding out {share} of the images leaves none of class {emptied[0]} ({count} images) "
            "to fit on; hold out less or add images, at least 2 per class"
        )
    return split.subset(~held), split.subset(held)


# --- the cache ---


class _Entry:
    """One source at one side in a cache folder: four .npy files, and a card written after them."""

    _PARTS = ("train-images", "train-labels", "validation-images", "validation-labels")

    def __init__(self, folder: Path, recipe: _Recipe, side: int) -> None:
        self._key = {"version": CACHE_VERSION, "side": side, **recipe.identity, "stamp": dict(recipe.stamp)}
        # Without the stamp in its name, a changed source takes the place of its old entry.
        name = hashlib.sha256(json.dumps([dict(recipe.identity), side]).encode()).hexdigest()[:16]
        self._card = folder / f"{name}.json"
        self._files = {part: folder / f"{name}-{part}.npy" for part in self._PARTS}

    def read(self) -> ImageData | None:
        """The data kept, or None where it is absent, of another state of the source, or damaged."""
        try:
            card = json.loads(self._card.read_text())
            if card["key"] != self._key:
                return None
            arrays = [np.load(file, mmap_mode="r") for file in self._files.values()]
            data = self._data(arrays, card)
            # Hashing costs a second per GB or two, so only files touched since are hashed again.
            if card["files"] != self._facts() and _fingerprint(data.train, data.validation, data.classes) != (
                data.fingerprint
            ):
                return None
        except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError):
            return None
        return data

    def write(self, data: ImageData) -> None:
        """Writes the files, each under a temporary name first; all of them or none."""
        arrays = (data.train.images, data.train.labels, data.validation.images, data.validation.labels)
        try:
            self._card.parent.mkdir(parents=True, exist_ok=True)
            for file, array in zip(self._files.values(), arrays, strict=True):
                _replace(file, partial(np.save, arr=array, allow_pickle=False))
            card = {
                "key": self._key,
                "classes": data.classes,
                "fingerprint": data.fingerprint,
                "files": self._facts(),
            }
            text = json.dumps(card, indent=1, sort_keys=True, allow_nan=False).encode()
            _replace(self._card, lambda stream: stream.write(text))
        except OSError as error:
            for file in (self._card, *self._files.values()):
                _remove(file)
            size = sum(array.nbytes for array in arrays) / 1e6
            raise DataError(
                f"cannot write the image cache in {self._card.parent} ({_line(error)}); it takes "
                f"{size:.0f} MB: free space there or give another cache folder"
            ) from error

    def _data(self, arrays: Sequence[np.ndarray], card: Mapping[str, Any]) -> ImageData:
        side = self._key["side"]
        train, validation = ImageSplit(*arrays[:2]), ImageSplit(*arrays[2:])
        for split in (train, validation):
            if split.images.dtype != np.uint8 or split.images.shape[1:3] != (side, side):
                raise ValueError(f"cached images are {split.images.dtype} {split.images.shape}, not of side {side}")
        return ImageData(train, validation, tuple(card["classes"]), "", side, card["fingerprint"])

    def _facts(self) -> dict[str, list[int]]:
        facts = {part: file.stat() for part, file in self._files.items()}
        return {part: [fact.st_size, fact.st_mtime_ns] for part, fact in facts.items()}


def _replace(file: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Writes a file that other processes see whole or not at all."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())  # a power cut must not leave a whole-looking file of zeros
        os.replace(temporary, file)
    finally:
        _remove(temporary)


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:  # the folder itself may be the trouble; the error that led here is reported
        pass
