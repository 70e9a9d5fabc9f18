"""CIFAR-10 and CIFAR-100 in their original binary form, from a folder or the .tar.gz; nothing is unpickled.

Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"; a record is one or two label
bytes, then 32 x 32 pixels of red, of green and of blue, row by row.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from trainer.image_data import DataError, Decoded, ImagePrep, Progress, one_line
from trainer.image_sources import Part, joined
from trainer.pictures import Picture, decode_pictures

SIDE = 32
_PIXELS = 3 * SIDE**2
MOST_NAME_BYTES = 2**16  # of the file of class names


@dataclass(frozen=True)
class Form:
    """One of the two data sets.

    Attributes:
        folder: Name of its folder in the published archive.
        train: Files to fit on, with their number of pictures as published.
        validation: The file to score on, alike.
        names: File of the class names, one per line.
        label_bytes: Label bytes of a record; the last one counts (CIFAR-100 has the coarse class before it).
    """

    folder: str
    train: Mapping[str, int]
    validation: Mapping[str, int]
    names: str
    label_bytes: int


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


def cifar_prep(kind: str, path: Path, side: int) -> ImagePrep:
    """The prep of the original binary files.

    Args:
        kind: One of `FORMS`.
        path: The folder of the files, the folder around it, or the .tar.gz.
        side: Side of the square pictures, in pixels.

    Raises:
        DataError: If files are missing; when decoding, if they are not as published.
    """
    form = FORMS[kind]
    path = path / form.folder if (path / form.folder).is_dir() else path
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; check the path after {kind}:")
    files = [path / name for name in _wanted(form)] if path.is_dir() else [path]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}; give {kind}: the folder {form.folder} or its .tar.gz")
    stamp = {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in files}
    return ImagePrep({"kind": kind, "path": str(path)}, stamp, partial(_read, form, path, side))


def _wanted(form: Form) -> list[str]:
    return [*form.train, *form.validation, form.names]


def _read(form: Form, path: Path, side: int, progress: Progress) -> Decoded:
    files = _from_folder(path, form) if path.is_dir() else _from_archive(path, form)
    classes = tuple(files[form.names].decode("utf-8", "replace").split())
    if len(classes) < 2:
        raise DataError(f"{path}: {form.names} names {len(classes)} classes; take the published file")
    records = {name: _records(path, name, files[name], form, len(classes)) for name in _wanted(form)[:-1]}
    _check_counts(path, form, {name: len(rows) for name, rows in records.items()})
    parts = []
    for name, published in (("train", form.train), ("validation", form.validation)):
        rows = np.concatenate([records[file] for file in published])
        pictures = [_picture(f"{name} image {index}", row[form.label_bytes :]) for index, row in enumerate(rows)]
        pixels = decode_pictures(pictures, side, partial(progress, f"decoding {name}"))
        parts.append(Part(pictures, rows[:, form.label_bytes - 1].astype(np.int64), pixels))
    return joined(str(path), parts, classes, skip=False)


def _most_bytes(form: Form, name: str) -> int:
    """What a file has as published, at most; a small archive may unpack to anything."""
    count = {**form.train, **form.validation}.get(name)
    return MOST_NAME_BYTES if count is None else count * (form.label_bytes + _PIXELS)


def _refuse_large(path: Path, form: Form, name: str, size: int) -> None:
    if size > _most_bytes(form, name):
        raise DataError(
            f"{path}: {name} has {size} bytes, the published one {_most_bytes(form, name)} at most; take that one"
        )


def _from_folder(path: Path, form: Form) -> dict[str, bytes]:
    try:
        for name in _wanted(form):
            _refuse_large(path, form, name, (path / name).stat().st_size)
        return {name: (path / name).read_bytes() for name in _wanted(form)}
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror}); copy it again") from error


def _from_archive(path: Path, form: Form) -> dict[str, bytes]:
    """The wanted files of a tar archive; nothing is written to disk, so no name in it can do harm."""
    found = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                stream = archive.extractfile(member) if name in _wanted(form) else None
                if stream is not None:
                    _refuse_large(path, form, name, member.size)
                    found[name] = stream.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is no readable tar archive ({one_line(error)}); download it again") from error
    missing = sorted(set(_wanted(form)) - set(found))
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}; take the archive called the binary version")
    return found


def _records(path: Path, name: str, content: bytes, form: Form, classes: int) -> np.ndarray:
    """The records of one file, `(n, label bytes + pixels)` uint8."""
    size = form.label_bytes + _PIXELS
    if not content or len(content) % size:
        raise DataError(
            f"{path}: {name} has {len(content)} bytes, no whole number of {size}-byte records; it was cut short: "
            "unpack it again"
        )
    rows = np.frombuffer(content, np.uint8).reshape(-1, size)
    worst = int(rows[:, form.label_bytes - 1].max())
    if worst >= classes:
        raise DataError(f"{path}: {name} has label {worst}, but {form.names} names {classes} classes; take both anew")
    return rows


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
