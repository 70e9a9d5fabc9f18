"""Archives of pictures as numpy saves them: encoded pictures end to end, or arrays of pixels beside their labels.

The first form is this project's (`trainer.packed`). The second is how small data sets go round, as MedMNIST's
`train_images`, `train_labels`, `val_images` .. or Keras' `x_train`, `y_train`, `x_test`, `y_test`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from trainer.image_data import DataError, one_line
from trainer.image_folders import split_role
from trainer.packed import NPZ_KEYS
from trainer.pictures import Picture, bytes_picture

# What the arrays of an archive may take once unpacked: so many times its size, or so many bytes. Pictures hardly
# shrink, and a megabyte of zeros becomes a gigabyte.
_MOST_TIMES, ALWAYS_FREE = 100, 2**28
OTHER_FORM = "train_images, train_labels, val_images, val_labels"
IMAGES, LABELS = frozenset({"images", "imgs", "x"}), frozenset({"labels", "targets", "y"})

_Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures of one split, with their labels `(n,)` int64."""

    pictures: list[Picture]
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Archive:
    """What an archive holds: train and validation, or one part that is not divided, and the class names."""

    parts: tuple[PictureSet, ...]
    classes: tuple[str, ...]


def read_archive(path: Path) -> Archive:
    """The pictures of an archive, not yet decoded.

    Args:
        path: The file.

    Raises:
        DataError: If it is of neither form, damaged, or would take far more memory than its size lets expect.
    """
    names = _names(path)
    pairs = _pairs(names)
    if set(NPZ_KEYS) <= set(names) or not pairs:
        return _packed(path, _arrays(path, NPZ_KEYS, names))
    return _of_pixels(path, pairs, _arrays(path, [key for pair in pairs.values() for key in pair], names))


def archive_notes(path: Path) -> tuple[str, ...]:
    """Sentences on what of an archive is read as what; none where it cannot be read, which decoding will say."""
    try:
        names = _names(path)
    except DataError:
        return ()
    pairs = _pairs(names)
    if set(NPZ_KEYS) <= set(names) or not pairs:
        return ()
    unread = sorted(set(names) - {key for pair in pairs.values() for key in pair})
    train, *held = (" and ".join(pair) for pair in pairs.values())
    read = f"{train} train, {held[0] if held else 'a fixed fifth of them'} validate"
    return (read, *([f"not read: {', '.join(unread)}"] if unread else []))


# --- the file ---


def _names(path: Path) -> list[str]:
    """The arrays that an archive says it has."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except Exception as error:  # damaged directories have many errors
        raise _unreadable(path, error) from error


def _arrays(path: Path, wanted: Sequence[str], names: Sequence[str]) -> dict[str, np.ndarray]:
    missing = sorted(set(wanted) - set(names))
    if missing:
        raise DataError(
            f"{path} lacks the keys {missing}; an image archive has {list(NPZ_KEYS)}, or {OTHER_FORM}; this one has "
            f"{sorted(names)[:10]}: rename them, or write the pictures to files and give imagefolder:PATH"
        )
    try:
        # Opened here because numpy leaves a path's file open when the archive is broken.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
            _refuse_bomb(path, archive.zip, wanted)
            return {key: np.asarray(archive[key]) for key in wanted}
    except DataError:
        raise
    except Exception as error:  # numpy reads a header as Python: nearly anything comes of a damaged one
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    remedy = "save it again with numpy.savez"
    if "Object arrays" in str(error):  # numpy's own words, for which it has no class
        remedy = "save classes with dtype=str and the others as plain integers: objects are not loaded"
    # numpy takes whatever is no archive for a pickle.
    reason = one_line(error) if zipfile.is_zipfile(path) else "not a zip file"
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    return DataError(f"{path} is no readable npz archive ({reason}); {remedy}")


def _refuse_bomb(path: Path, archive: zipfile.ZipFile, wanted: Sequence[str]) -> None:
    """Reads no more than the archive's directory, which also bounds what is unpacked."""
    sizes = [info.file_size for info in archive.infolist() if info.filename.removesuffix(".npy") in wanted]
    packed, unpacked = path.stat().st_size, sum(sizes)
    if unpacked > max(ALWAYS_FREE, _MOST_TIMES * packed):
        raise DataError(
            f"{path} has {packed / 1e6:.1f} MB and would unpack to {unpacked / 1e6:,.0f} MB, which pictures do not; "
            "save it again with numpy.savez if it is meant"
        )


def _refuse_count(path: Path, count: int) -> None:
    if count > path.stat().st_size:
        raise DataError(f"{path} has fewer bytes than pictures ({count}), which no pictures have; save it again")


# --- encoded pictures ---


def _packed(path: Path, arrays: _Arrays) -> Archive:
    _check_packed(path, arrays)
    stream, offset, label = arrays["jpeg"], arrays["offset"].tolist(), arrays["label"].astype(np.int64)

    def picture(index: int) -> Picture:
        return bytes_picture(f"image {index}", lambda: stream[offset[index] : offset[index + 1]].tobytes())

    parts = []
    for value in (0, 1):
        chosen = np.flatnonzero(arrays["split"] == value)
        parts.append(PictureSet([picture(index) for index in chosen.tolist()], label[chosen]))
    return Archive(tuple(parts), _class_names(arrays["classes"]))


def _class_names(classes: np.ndarray) -> tuple[str, ...]:
    return tuple(
        name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name) for name in classes.tolist()
    )


def _check_packed(path: Path, arrays: _Arrays) -> None:
    stream, offset, label, split, classes = (arrays[key] for key in NPZ_KEYS)
    count = len(label) if label.ndim == 1 else -1
    if stream.dtype != np.uint8 or stream.ndim != 1 or classes.ndim != 1 or split.shape != (count,):
        raise DataError(f"{path}: jpeg must be 1-D uint8, label, split and classes 1-D; save it again")
    if offset.shape != (count + 1,) or any(array.dtype.kind not in "iu" for array in (offset, label, split)):
        raise DataError(
            f"{path}: label, split (n) and offset (n + 1) must be integers, got {offset.shape} offsets "
            f"for {count} labels; save it again"
        )
    _refuse_count(path, count)
    if len(classes) > count:
        raise DataError(f"{path} has {len(classes)} classes and {count} images; drop the classes that have none")
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
        name = _class_names(classes)[unseen[0]]
        raise DataError(f"{path}: class {name} has no train images; drop it from classes or add some")


def _refuse(path: Path, bad: np.ndarray, values: np.ndarray, what: str, remedy: str) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"{path}: {int(bad.sum())} of {len(bad)} images have {what} "
            f"(first: image {first}, {int(values[first])}); {remedy}"
        )


# --- arrays of pixels ---


def _pairs(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The keys of images and labels of train and of validation, or of what is not divided ("").

    >>> _pairs(["x_train", "y_train", "x_test", "y_test"])
    {'train': ('x_train', 'y_train'), 'validation': ('x_test', 'y_test')}
    >>> _pairs(["jpeg", "label"])
    {}
    """
    found: dict[str, dict[str, str]] = {}
    for name in names:
        words = set(re.findall(r"[a-z]+", name.lower()))
        role = (split_role(name) or ("",))[0]
        for kind, known in (("images", IMAGES), ("labels", LABELS)):
            if words & known and len(words) == 1 + bool(role):
                found.setdefault(role, {})[kind] = name
    pairs = {role: (keys["images"], keys["labels"]) for role, keys in found.items() if len(keys) == 2}
    if "train" not in pairs:
        return {"": pairs[""]} if "" in pairs else {}
    held = pairs.get("validation") or pairs.get("test")
    return {"train": pairs["train"], **({"validation": held} if held else {})}


def _of_pixels(path: Path, pairs: Mapping[str, tuple[str, str]], arrays: _Arrays) -> Archive:
    for key, other in pairs.values():
        _check_pixels(path, key, arrays[key])
        _check_labels(path, other, arrays[other], len(arrays[key]))
    labelled = [arrays[key].reshape(-1) for _, key in pairs.values()]
    if len({labels.dtype.kind.replace("u", "i") for labels in labelled}) > 1:
        raise DataError(f"{path}: labels of train are {labelled[0].dtype}, others {labelled[1].dtype}; save both alike")
    classes = np.unique(labelled[0])
    if len(classes) < 2:
        raise DataError(f"{path} has train images of {len(classes)} classes; give it at least 2")
    parts = []
    for (key, _), labels in zip(pairs.values(), labelled, strict=True):
        pictures = [
            Picture(f"{key} {index}", partial(_from_pixels, arrays[key], index)) for index in range(len(labels))
        ]
        parts.append(PictureSet(pictures, _places(path, classes, labels)))
    return Archive(tuple(parts), _class_names(classes))


def _check_pixels(path: Path, key: str, images: np.ndarray) -> None:
    grey, colour = images.ndim == 3, images.ndim == 4 and images.shape[3] in (1, 3)
    if images.dtype != np.uint8 or not (grey or colour) or not images.size:
        raise DataError(
            f"{path}: {key} is {images.dtype} {images.shape}; save uint8 (n, height, width) or (n, height, width, 3), "
            "with values of 0 to 255"
        )
    _refuse_count(path, len(images))


def _check_labels(path: Path, key: str, labels: np.ndarray, count: int) -> None:
    if labels.shape not in ((count,), (count, 1)) or labels.dtype.kind not in "iuSU":
        raise DataError(
            f"{path}: {key} is {labels.dtype} {labels.shape} for {count} images; save one label of each, an integer or "
            "a name"
        )


def _places(path: Path, classes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Positions of the labels in the sorted classes, `(n,)` int64."""
    found = np.searchsorted(classes, labels).clip(max=len(classes) - 1)
    unknown = labels[classes[found] != labels]
    if len(unknown):
        name = _class_names(unknown[:1])[0]
        raise DataError(f"{path}: class {name} has no train images; drop its validation images or add some")
    return found.astype(np.int64)


def _from_pixels(images: np.ndarray, index: int) -> Image.Image:
    pixels = images[index]
    return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
