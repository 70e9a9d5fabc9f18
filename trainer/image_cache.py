"""Decoded images kept on disk, so that later runs and other processes only map them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.files import replacing, write_atomically
from trainer.image_data import DataError, ImageData, ImagePrep, ImageSplit, Unread, fingerprint_of, one_line

# Raise it when the same source would decode to other arrays; older cache entries are then rebuilt.
# 2: pictures are turned as their EXIF orientation says.
CACHE_VERSION = 2
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_log = logging.getLogger(__name__)


class CacheEntry:
    """One source at one side in a cache folder: four .npy files, and a card written after them.

    Args:
        folder: The cache folder; made when something is written.
        prep: Prep of the source: its identity names the entry, its stamp tells whether the entry is of this state.
        side: Side of the square pictures, in pixels.
    """

    _PARTS = ("train-images", "train-labels", "validation-images", "validation-labels")

    def __init__(self, folder: Path, prep: ImagePrep, side: int) -> None:
        self._key = {"version": CACHE_VERSION, "side": side, **prep.identity, "stamp": dict(prep.stamp)}
        # Without the stamp in its name, a changed source takes the place of its old entry.
        name = hashlib.sha256(json.dumps([dict(prep.identity), side]).encode()).hexdigest()[:16]
        self._card = folder / f"{name}.json"
        self._files = {part: folder / f"{name}-{part}.npy" for part in self._PARTS}

    def read(self) -> ImageData | None:
        """The data kept, or None where it is absent, of another state of the source, or damaged.

        Damage is told in one line, because decoding again may take minutes. It is sought where a file's size or time
        is not as it was written, and where others might have written it: hashing costs a second per GB or two.
        """
        try:
            card = json.loads(self._card.read_text())
            if card["key"] != self._key:
                return None
            data = self._data([np.load(file, mmap_mode="r") for file in self._files.values()], card)
            found = card["fingerprint"]
            if card["files"] != self._facts() or not only_ours([self._card, *self._files.values()]):
                found = fingerprint_of(data.train, data.validation, data.classes)
            if found == card["fingerprint"]:
                return data
            reason = f"checksum {found[:12]}.. instead of {card['fingerprint'][:12]}.."
        except (FileNotFoundError, NotADirectoryError) as error:
            if not self._card.exists():
                return None
            reason = f"{Path(str(error.filename)).name} is missing"
        except Exception as error:  # numpy reads a header as Python: nearly anything comes of a damaged one
            reason = one_line(error)
        _log.warning("%s: the image cache is damaged (%s); the source is decoded again", self._card, reason)
        return None

    def write(self, data: ImageData) -> None:
        """Writes the files, each under a temporary name first; all of them or none.

        Raises:
            DataError: If they cannot be written, as on a full disk.
        """
        arrays = (data.train.images, data.train.labels, data.validation.images, data.validation.labels)
        try:
            for file, array in zip(self._files.values(), arrays, strict=True):
                with replacing(file) as stream:
                    np.save(stream, array, allow_pickle=False)
            card = {
                "key": self._key,
                "classes": data.classes,
                "fingerprint": data.fingerprint,
                "unread": [[one.name, one.reason] for one in data.unread],
                "files": self._facts(),
            }
            write_atomically(self._card, json.dumps(card, indent=1, sort_keys=True, allow_nan=False))
        except OSError as error:
            for file in (self._card, *self._files.values()):
                _remove(file)
            size = sum(array.nbytes for array in arrays) / 1e6
            raise DataError(
                f"cannot write the image cache in {self._card.parent} ({one_line(error)}); it takes "
                f"{size:.0f} MB: free space there or give another cache folder"
            ) from error

    def _data(self, arrays: Sequence[np.ndarray], card: Mapping[str, Any]) -> ImageData:
        side = self._key["side"]
        train, validation = ImageSplit(*arrays[:2]), ImageSplit(*arrays[2:])
        for split in (train, validation):
            if split.images.dtype != np.uint8 or split.images.shape[1:3] != (side, side):
                raise ValueError(f"cached images are {split.images.dtype} {split.images.shape}, not of side {side}")
        unread = tuple(Unread(*one) for one in card.get("unread", []))
        return ImageData(train, validation, tuple(card["classes"]), "", side, card["fingerprint"], unread)

    def _facts(self) -> dict[str, list[int]]:
        facts = {part: file.stat() for part, file in self._files.items()}
        return {part: [fact.st_size, fact.st_mtime_ns] for part, fact in facts.items()}


def only_ours(files: Iterable[str | Path]) -> bool:
    """Whether nobody but this process's user may write these files, or put others in their place."""
    places = {place for file in map(Path, files) for place in (file, file.parent)}
    return all(fact.st_uid == os.geteuid() and not fact.st_mode & OTHERS_WRITE for fact in map(os.stat, places))


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:  # the folder itself may be the trouble; the error that led here is reported
        pass
