"""Room for many decoded pictures: in memory, or in a file without a name where a folder is given for it.

What a file backs, the system writes out and takes back when memory is short: a data set may be larger than that.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np

from trainer.image_data import DataError, one_line

# Smaller arrays stay in memory.
LEAST_BYTES = 2**28
_BLOCK = 2**24
_folder: ContextVar[Path | None] = ContextVar("_folder", default=None)


@contextmanager
def scratch_in(folder: Path) -> Iterator[None]:
    """While it is entered, large arrays of `room_for` lie in files of a folder, which is made where it is missing."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def room_for(shape: tuple[int, ...]) -> np.ndarray:
    """An array of uint8 with any content; its file, if it has one, goes with it.

    Raises:
        DataError: If the disk has no room for it.
    """
    folder, size = _folder.get(), math.prod(shape)
    if folder is None or size < LEAST_BYTES:
        return np.empty(shape, np.uint8)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            _fill(file.fileno(), size)
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise DataError(
            f"cannot decode images in {folder} ({one_line(error)}); they take {size / 1e6:.0f} MB, and as much again "
            "for the cache: free space there or give another cache folder"
        ) from error


def _fill(file: int, size: int) -> None:
    """Takes the room on the disk at once: a write to a mapped page that finds none would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    for start in range(0, size, _BLOCK):
        os.write(file, bytes(min(_BLOCK, size - start)))
