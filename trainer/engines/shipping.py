"""Images for other machines: mapped from the coordinator's files where a node sees them, else sent once per node."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from trainer.files import open_lock
from trainer.image_cache import CacheEntry, only_ours
from trainer.image_data import DataError, ImageData, ImagePrep, ImageSplit, fingerprint_of

# Images and labels of training, then of validation.
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
_ARRAYS = 4
NODE_CACHE = "SCALING_PLANNER_CACHE"  # the environment variable that names a node's own cache


@dataclass(frozen=True)
class ShippedImages:
    """What a node must know of a decoded source; small enough to go with every training.

    Attributes:
        files: The four arrays' files on the coordinator's machine: absolute path, bytes, time in ns; empty where
            they lie in memory only.
        classes: Class names.
        source: Source of the images, as the study names it.
        side: Side of the pictures, in pixels.
        fingerprint: sha256 over names, labels and pictures: what is trained on has it, wherever it came from.
    """

    files: tuple[tuple[str, int, int], ...]
    classes: tuple[str, ...]
    source: str
    side: int
    fingerprint: str

    @classmethod
    def of(cls, data: ImageData) -> ShippedImages:
        """What to send of some data."""
        names = [str(array.filename) for array in arrays_of(data) if isinstance(array, np.memmap)]
        files = []
        for name in names if len(names) == _ARRAYS else ():
            facts = os.stat(name)
            files.append((os.path.abspath(name), facts.st_size, facts.st_mtime_ns))
        return cls(tuple(files), data.classes, data.source, data.side, data.fingerprint)

    def on_this_node(self, fetch: Callable[[], Arrays] | None) -> ImageData | None:
        """The images on the machine that asks.

        Args:
            fetch: Gives the arrays where neither the coordinator's files nor the node's cache have them; None where
                nobody sends them.

        Returns:
            The data, or None where it is not here and nobody sends it.

        Raises:
            DataError: If what was sent is not what was meant.
        """
        seen = self._seen()
        if seen is not None:
            return seen
        # One of the node's processes writes, the others wait and map what it wrote.
        folder = node_cache()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(open_lock(folder / f"{self.fingerprint[:16]}.lock"), "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                return self._cached(folder, fetch)
        except (OSError, DataError):  # a full disk, a home that cannot be written: memory does as well
            return None if fetch is None else self._checked(fetch())

    def _cached(self, folder: Path, fetch: Callable[[], Arrays] | None) -> ImageData | None:
        entry = CacheEntry(
            folder, ImagePrep({"kind": "shipped", "fingerprint": self.fingerprint}, {}, _no_decoding), self.side
        )
        kept = entry.read()
        if kept is not None or fetch is None:
            return kept
        sent = self._checked(fetch())
        entry.write(sent)
        return entry.read() or sent

    def _seen(self) -> ImageData | None:
        """The coordinator's own files, where this machine sees them and they are the same."""
        try:
            facts = [os.stat(path) for path, _, _ in self.files]
            if not facts:
                return None
            data = self._data(tuple(np.load(path, mmap_mode="r") for path, _, _ in self.files))
            trusted = only_ours(path for path, _, _ in self.files)
        except (OSError, ValueError, EOFError):
            return None
        same = all((fact.st_size, fact.st_mtime_ns) == file[1:] for fact, file in zip(facts, self.files, strict=True))
        return data if (same and trusted) or _fingerprint(data) == self.fingerprint else None

    def _checked(self, arrays: Arrays) -> ImageData:
        data = self._data(arrays)
        if _fingerprint(data) != self.fingerprint:
            raise ValueError(f"{self.source}: the images that arrived are not those that were sent")
        return data

    def _data(self, arrays: tuple[np.ndarray, ...]) -> ImageData:
        train, validation = ImageSplit(*arrays[:2]), ImageSplit(*arrays[2:])
        return ImageData(train, validation, self.classes, self.source, self.side, self.fingerprint)


def arrays_of(data: ImageData) -> Arrays:
    """The four arrays that are sent."""
    return data.train.images, data.train.labels, data.validation.images, data.validation.labels


def node_cache() -> Path:
    """Where a machine keeps images that it was sent."""
    usual = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "scaling-planner"
    return Path(os.environ.get(NODE_CACHE, usual))


def _fingerprint(data: ImageData) -> str:
    return fingerprint_of(data.train, data.validation, data.classes)


def _no_decoding(_: object) -> NoReturn:
    raise AssertionError("images that were sent are not decoded")
