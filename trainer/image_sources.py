"""Image sources by their names, and those on disk: npz archives, and folders of pictures.

Each is described by a prep, made without decoding: the file's, or every listed file's, size and time
tell that it changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from sampler.registry import Registry
from trainer.image_archives import archive_notes, read_archive
from trainer.image_data import DataError, Decoded, ImagePrep, ImageSplit, Progress, held_out
from trainer.image_folders import Folders, read_folders
from trainer.packed import check_card
from trainer.pictures import Picture, Pixels, decode_pictures, file_picture, kept_of, refuse_unread

# Of pictures that are not divided into train and validation; its choice is part of the data, so the seed is fixed.
VALIDATION_SHARE, VALIDATION_SEED = 0.2, 0


class ImageSource(Protocol):
    """Images and labels for the image trainer, as `--data NAME:ARGUMENT` names them; a function will do.

    `trainer.conformance.check_source` checks one, whoever wrote it.
    """

    def __call__(self, argument: str, side: int, /) -> ImagePrep:
        """Says how the pictures are made, without making them.

        Args:
            argument: Text after the colon; "" where there is none.
            side: Side of the square pictures, in pixels; at least 8.

        Returns:
            The prep; what it decodes to are `(n, side, side, 3)` uint8 pictures and `(n,)` labels of both splits.

        Raises:
            DataError: If the argument cannot be used.
        """


SOURCES: Registry[ImageSource] = Registry("data source", "scaling_planner.sources", "--data")


def register_source(name: str) -> Callable[[ImageSource], ImageSource]:
    """A decorator that makes a data source known by a name, to `--data NAME:ARGUMENT`.

    An installed package does the same by an entry point of the group `scaling_planner.sources`, which the workers of
    every engine see; what a program registers is known in its own process, to the engine `inline`.

    Args:
        name: Name of the source, of letters, digits, `_`, `-` and `.`.

    Raises:
        PlannerError: If the name is taken.
    """
    return lambda source: SOURCES.register(name, source)


def archive_prep(path: Path, side: int, skip: bool) -> ImagePrep:
    """The prep of an npz archive of one of the forms of `trainer.image_archives`.

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
    identity = {"kind": "npz", "path": str(path)}
    return ImagePrep(identity, stamp, partial(_read_archive, path, side, skip), archive_notes(path))


def _read_archive(path: Path, side: int, skip: bool, progress: Progress) -> Decoded:
    check_card(path)
    archive = read_archive(path)
    parts = [
        Part(part.pictures, part.labels, decode_pictures(part.pictures, side, partial(progress, f"decoding {name}")))
        for part, name in zip(archive.parts, _names_of(len(archive.parts)), strict=True)
    ]
    return joined(str(path), parts, archive.classes, skip)


def folder_prep(path: Path, side: int, skip: bool) -> ImagePrep:
    """The prep of a folder of class folders, or of splits that hold them.

    Args:
        path: The folder.
        side: Side of the square pictures, in pixels.
        skip: Leave out pictures that cannot be read.

    Raises:
        DataError: If the folders are not as described; when decoding, if a picture is unreadable.
    """
    folders = read_folders(path)
    stamp = hashlib.sha256()
    for file in _files_of(folders):
        stamp.update(os.fsencode(f"{file}\0{_facts(file)}\n"))  # a file's name need not be UTF-8
    identity = {"kind": "imagefolder", "path": str(path)}
    decoding = partial(_read_folder, path, folders, side, skip)
    return ImagePrep(identity, {"listing": stamp.hexdigest()}, decoding, folders.notes)


def _files_of(folders: Folders) -> Iterator[Path]:
    return (file for listing in folders.listings for group in listing.values() for file in group)


def _facts(file: Path) -> str:
    try:
        facts = file.stat()
    except OSError as error:  # a dangling link; named as unreadable when decoding
        return str(error.strerror)
    return f"{facts.st_size}\0{facts.st_mtime_ns}"


def _read_folder(path: Path, folders: Folders, side: int, skip: bool, progress: Progress) -> Decoded:
    parts = []
    for name, files in zip(_names_of(len(folders.listings)), folders.listings, strict=True):
        pictures = [file_picture(file) for group in files.values() for file in group]
        labels = np.repeat(np.arange(len(files)), [len(group) for group in files.values()])
        parts.append(Part(pictures, labels, decode_pictures(pictures, side, partial(progress, f"decoding {name}"))))
    return joined(str(path), parts, tuple(folders.listings[0]), skip)


def _names_of(parts: int) -> tuple[str, ...]:
    return ("train", "validation") if parts == 2 else ("all",)


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
        whole = splits[0]
        splits = [ImageSplit(kept_of(whole.images, kept), whole.labels[kept]) for kept in (~held, held)]
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
