"""CIFAR-10 and CIFAR-100 as published, from a folder or the .tar.gz: the binary version, and Python's (torchvision's).

Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"; a record is one or two label
bytes, then 32 x 32 pixels of red, of green and of blue, row by row. The Python version keeps the same records in
pickles, which `trainer.plain_pickles` reads without running them.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from trainer.image_data import DataError, Decoded, ImagePrep, Progress, one_line
from trainer.image_sources import Part, joined
from trainer.pictures import Picture, decode_pictures
from trainer.plain_pickles import PickledArray, RefusedPickle, plain_unpickled

SIDE = 32
_PIXELS = 3 * SIDE**2
MOST_NAME_BYTES = 2**16  # of the file of class names


@dataclass(frozen=True)
class Form:
    """One of the two data sets, in one of its versions.

    Attributes:
        folder: Name of its folder in the published archive.
        train: Files to fit on, with their number of pictures as published.
        validation: The file to score on, alike.
        names: File of the class names, one per line.
        label_bytes: Label bytes of a record; the last one counts (CIFAR-100 has the coarse class before it).
        keys: Keys of the labels, one list for each label byte, and of the class names; none in the binary version.
        instead: Archive of the binary version, where this is Python's.
    """

    folder: str
    train: Mapping[str, int]
    validation: Mapping[str, int]
    names: str
    label_bytes: int
    keys: tuple[str, ...] = ()
    instead: str = ""

    @property
    def wanted(self) -> list[str]:
        """Names of its files, that of the class names last."""
        return [*self.train, *self.validation, self.names]


FORMS = {
    "cifar10": Form(
        "cifar-10-batches-bin",
        {f"data_batch_{number}.bin": 10_000 for number in range(1, 6)},
        {"test_batch.bin": 10_000},
        "batches.meta.txt",
        1,
    ),
    "cifar100": Form("cifar-100-binary", {"train.bin": 50_000}, {"test.bin": 10_000}, "fine_label_names.txt", 2),
}
PYTHON_FORMS = {
    "cifar10": Form(
        "cifar-10-batches-py",
        {f"data_batch_{number}": 10_000 for number in range(1, 6)},
        {"test_batch": 10_000},
        "batches.meta",
        1,
        ("labels", "label_names"),
        "cifar-10-binary.tar.gz",
    ),
    "cifar100": Form(
        "cifar-100-python",
        {"train": 50_000},
        {"test": 10_000},
        "meta",
        2,
        ("coarse_labels", "fine_labels", "fine_label_names"),
        "cifar-100-binary.tar.gz",
    ),
}
# Bytes of a picture's file name and its place in a list, in the Python version, at most; and of all else in a file.
_MOST_NAMED, _MOST_BESIDE = 100, 2**16


def cifar_prep(kind: str, path: Path, side: int) -> ImagePrep:
    """The prep of the original files, of the binary or the Python version.

    Args:
        kind: One of `FORMS`.
        path: The folder of the files, the folder around it, or the .tar.gz.
        side: Side of the square pictures, in pixels.

    Raises:
        DataError: If files are missing; when decoding, if they are not as published.
    """
    forms: tuple[Form, ...] = FORMS[kind], PYTHON_FORMS[kind]
    path = next((path / form.folder for form in forms if (path / form.folder).is_dir()), path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; check the path after {kind}:")
    files = [path]
    if path.is_dir():
        forms = (max(forms, key=lambda form: sum((path / name).is_file() for name in form.wanted)),)
        files = [path / name for name in forms[0].wanted]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        folder = forms[0].folder
        raise DataError(f"{path} lacks {', '.join(missing)}; give {kind}: the folder {folder} or its .tar.gz")
    stamp = {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in files}
    return ImagePrep({"kind": kind, "path": str(path)}, stamp, partial(_read, forms, path, side))


def _read(forms: Sequence[Form], path: Path, side: int, progress: Progress) -> Decoded:
    form, files = _from_folder(path, forms[0]) if path.is_dir() else _from_archive(path, forms)
    classes = _class_names(path, form, files[form.names])
    if len(classes) < 2:
        raise DataError(f"{path}: {form.names} names {len(classes)} classes; take the published file")
    records = {name: _records(path, name, files[name], form, len(classes)) for name in form.wanted[:-1]}
    _check_counts(path, form, {name: len(rows) for name, rows in records.items()})
    parts = []
    for name, published in (("train", form.train), ("validation", form.validation)):
        rows = np.concatenate([records[file] for file in published])
        pictures = [_picture(f"{name} image {index}", row[form.label_bytes :]) for index, row in enumerate(rows)]
        pixels = decode_pictures(pictures, side, partial(progress, f"decoding {name}"))
        parts.append(Part(pictures, rows[:, form.label_bytes - 1].astype(np.int64), pixels))
    return joined(str(path), parts, classes, skip=False)


# --- the files ---


def _most_bytes(form: Form, name: str) -> int:
    """What a file has as published, at most; a small archive may unpack to anything."""
    count = {**form.train, **form.validation}.get(name)
    if count is None:
        return MOST_NAME_BYTES
    size = form.label_bytes + _PIXELS
    return count * (size + _MOST_NAMED) + _MOST_BESIDE if form.keys else count * size


def _refuse_large(path: Path, form: Form, name: str, size: int) -> None:
    if size > _most_bytes(form, name):
        raise DataError(
            f"{path}: {name} has {size} bytes, the published one {_most_bytes(form, name)} at most; take that one"
        )


def _from_folder(path: Path, form: Form) -> tuple[Form, dict[str, bytes]]:
    try:
        for name in form.wanted:
            _refuse_large(path, form, name, (path / name).stat().st_size)
        return form, {name: (path / name).read_bytes() for name in form.wanted}
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror}); copy it again") from error


def _from_archive(path: Path, forms: Sequence[Form]) -> tuple[Form, dict[str, bytes]]:
    """The version of a tar archive and its wanted files; none is written to disk, so no name in it can do harm."""
    found, owners = {}, {name: form for form in forms for name in form.wanted}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                stream = archive.extractfile(member) if name in owners else None
                if stream is not None:
                    _refuse_large(path, owners[name], name, member.size)
                    found[name] = stream.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is no readable tar archive ({one_line(error)}); download it again") from error
    form = max(forms, key=lambda form: len(found.keys() & set(form.wanted)))
    missing = sorted(set(form.wanted) - set(found))
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}; take the archive called the binary version")
    return form, found


# --- what is in them ---


def _class_names(path: Path, form: Form, content: bytes) -> tuple[str, ...]:
    if not form.keys:
        return tuple(content.decode("utf-8", "replace").split())
    names = _pickled(path, form, form.names, content).get(form.keys[-1])
    if not isinstance(names, list) or not all(isinstance(name, str | bytes) for name in names):
        raise DataError(f"{path}: {form.names} has no list {form.keys[-1]}; take {form.instead}, the binary version")
    return tuple(name if isinstance(name, str) else name.decode("utf-8", "replace") for name in names)


def _records(path: Path, name: str, content: bytes, form: Form, classes: int) -> np.ndarray:
    """The records of one file, `(n, label bytes + pixels)` uint8."""
    size = form.label_bytes + _PIXELS
    if form.keys:
        rows = _pickled_records(path, name, content, form)
    elif not content or len(content) % size:
        raise DataError(
            f"{path}: {name} has {len(content)} bytes, no whole number of {size}-byte records; it was cut short: "
            "unpack it again"
        )
    else:
        rows = np.frombuffer(content, np.uint8).reshape(-1, size)
    worst = int(rows[:, form.label_bytes - 1].max())
    if worst >= classes:
        raise DataError(f"{path}: {name} has label {worst}, but {form.names} names {classes} classes; take both anew")
    return rows


def _pickled_records(path: Path, name: str, content: bytes, form: Form) -> np.ndarray:
    """The records of one file of the Python version, as those of the binary one."""
    batch = _pickled(path, form, name, content)
    data, labels = batch.get("data"), [batch.get(key) for key in form.keys[:-1]]
    pixels = data.array if isinstance(data, PickledArray) else np.empty(0, np.uint8)
    whole = pixels.ndim == 2 and pixels.shape[1] == _PIXELS and len(pixels) > 0
    if not whole or not all(_are_labels(one, len(pixels)) for one in labels):
        wanted = " and ".join(form.keys[:-1])
        raise DataError(
            f"{path}: {name} has no data of {_PIXELS} bytes a picture with {wanted} of 0 to 255; unpack it again, or "
            f"take {form.instead}, the binary version"
        )
    return np.column_stack([*(np.array(one, np.uint8) for one in labels), pixels])


def _are_labels(labels: object, count: int) -> bool:
    return (
        isinstance(labels, list)
        and len(labels) == count
        and all(isinstance(label, int) and 0 <= label < 256 for label in labels)
    )


def _pickled(path: Path, form: Form, name: str, content: bytes) -> dict[str, object]:
    """What a file of the Python version holds, by its keys.

    Raises:
        DataError: If it is more than plain values and arrays, or damaged.
    """
    try:
        found = plain_unpickled(content)
        if not isinstance(found, dict):
            raise RefusedPickle("no dict")
        return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in found.items()}
    except RefusedPickle as error:
        raise DataError(
            f"{path}: {name} is not read ({one_line(error)}), as a pickle can do anything; take {form.instead}, the "
            "binary version"
        ) from error


def _check_counts(path: Path, form: Form, counts: Mapping[str, int]) -> None:
    """A part cut off at a record's end shows only where the other files are as long as published."""
    published = {**form.train, **form.validation}
    short = [name for name, count in counts.items() if count != published[name]]
    if short and len(short) < len(published):
        name = short[0]
        raise DataError(
            f"{path}: {name} has {counts[name]} images instead of the {published[name]} published; unpack it again"
        )


def _picture(name: str, pixels: np.ndarray) -> Picture:
    return Picture(name, lambda: Image.fromarray(pixels.reshape(3, SIDE, SIDE).transpose(1, 2, 0).copy()))
