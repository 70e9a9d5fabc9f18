"""Encoded pictures to squares of one side, many at once; those that cannot be read are named, not raised."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sampler.errors import printable
from trainer.cores import cores
from trainer.image_data import DataError, Unread, one_line
from trainer.scratch import room_for

_T = TypeVar("_T")
# Pictures decoded between two calls of the progress function, and per task of a thread.
PICTURES_AT_ONCE = 256
# What may be opened, whatever a file is called: Pillow knows formats that are programs, which it has others run (EPS).
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
# Unreadable pictures whose names an error message shows.
NAMES_SHOWN = 3


@dataclass(frozen=True)
class Picture:
    """A picture not yet decoded.

    Attributes:
        name: Name to call it by where it cannot be read: a file, or a place in an archive.
        open: Gives it as Pillow does, pixels perhaps still unread.
    """

    name: str
    open: Callable[[], Image.Image]


@dataclass(frozen=True, eq=False)
class Pixels:
    """Decoded pictures, `m` of the `n` that were given.

    Attributes:
        images: `(m, side, side, 3)` uint8, RGB.
        sizes: `(m, 2)` int32, width and height before the crop, in pixels.
        readable: `(n,)` bools: which were given and could be read.
        unread: The others, in their order.
    """

    images: np.ndarray
    sizes: np.ndarray
    readable: np.ndarray
    unread: tuple[Unread, ...]


def file_picture(path: Path) -> Picture:
    """The picture of a file; its name may hold anything, and is shown so that a terminal can take it."""
    return Picture(printable(str(path)), partial(_opened, path))


def decode_pictures(pictures: Sequence[Picture], side: int, report: Callable[[int, int], None]) -> Pixels:
    """Decodes pictures to central squares of one side, with a thread per core.

    Args:
        pictures: Pictures to decode, as they are given.
        side: Side of the square pictures, in pixels.
        report: Called with (done, total) now and then.

    Returns:
        The pixels, and which pictures could not be read.
    """
    images = room_for((len(pictures), side, side, 3))
    sizes = np.zeros((len(pictures), 2), np.int32)

    def work(index: int) -> Unread | None:
        found = square(pictures[index], side)
        if isinstance(found, Unread):
            return found
        pixels, sizes[index] = found
        images[index] = np.asarray(pixels)
        return None

    answers = list(in_threads(work, len(pictures), report))
    readable = np.array([answer is None for answer in answers], bool)
    unread = tuple(answer for answer in answers if answer is not None)
    return Pixels(kept_of(images, readable), sizes[readable], readable, unread)


def kept_of(images: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Those of some pictures that are kept, by `(n,)` bools: the same array for all, else a copy in `room_for` them."""
    if kept.all():
        return images
    rows = np.flatnonzero(kept)
    copy = room_for((len(rows), *images.shape[1:]))
    for start in range(0, len(rows), PICTURES_AT_ONCE):
        copy[start : start + PICTURES_AT_ONCE] = images[rows[start : start + PICTURES_AT_ONCE]]
    return copy


def in_threads(work: Callable[[int], _T], count: int, report: Callable[[int, int], None]) -> Iterator[_T]:
    """The answers of `work(0)` .. `work(count - 1)`, in order, by a thread per core.

    Args:
        work: Called with a number; Pillow's own work lets other threads run.
        count: How many.
        report: Called with (done, total) after each group of them.

    Yields:
        One answer each. Where it is left early, as by Ctrl-C, no more work is begun.
    """
    stopped = Event()

    def group(start: int) -> list[_T]:
        return [work(index) for index in range(start, min(start + PICTURES_AT_ONCE, count)) if not stopped.is_set()]

    Image.init()  # Pillow loads its formats on first use, which threads would race for.
    with _pillow_warnings(), ThreadPoolExecutor(cores()) as pool:
        done = 0
        try:
            for answers in pool.map(group, range(0, count, PICTURES_AT_ONCE)):
                yield from answers
                done += len(answers)
                report(done, count)
        finally:
            stopped.set()  # before the pool waits for its threads


@contextmanager
def _pillow_warnings() -> Iterator[None]:
    """A picture too large to be honest is an error; a damaged note inside a good picture is nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def refuse_unread(where: str, unread: Sequence[Unread], total: int) -> None:
    """Refuses a source of which pictures cannot be read.

    Args:
        where: The source.
        unread: Pictures of it that cannot be read; none is no error.
        total: How many pictures it has.

    Raises:
        DataError: If there are any: how many, the first names, how to leave them out.
    """
    if unread:
        raise DataError(
            f"{where}: {len(unread)} of {total} images cannot be read: {first_names(unread, NAMES_SHOWN)}; "
            "replace or remove them, or leave them out with --skip-corrupt (in a source's text: ,skip-corrupt)"
        )


def first_names(unread: Sequence[Unread], most: int) -> str:
    """The first of them with reasons, and how many more there are."""
    names = ", ".join(f"{one.name} ({one.reason})" for one in unread[:most])
    return names + (f" and {len(unread) - most} more" if len(unread) > most else "")


# --- one picture ---


def square(picture: Picture, side: int) -> tuple[Image.Image, tuple[int, int]] | Unread:
    """The central square of a picture, RGB, upright, resized to `side`, and its size before; or why it has none."""
    try:
        with picture.open() as opened:
            colour = _upright(_rgb(opened))
        short = min(colour.size)
        left, top = (colour.width - short) // 2, (colour.height - short) // 2
        cut = colour.crop((left, top, left + short, top + short))
        return cut.resize((side, side), Image.Resampling.BICUBIC), colour.size
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen types on bad bytes
        return Unread(picture.name, _reason(error))


def _reason(error: Exception) -> str:
    # Pillow's own texts hold a memory address, or the path again.
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"more than {Image.MAX_IMAGE_PIXELS} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error)


def _opened(path: Path) -> Image.Image:
    if not path.stat().st_size:
        raise ValueError("no bytes")
    return Image.open(path, formats=FORMATS)


def bytes_picture(name: str, encoded: Callable[[], bytes]) -> Picture:
    """The picture of encoded bytes, which are asked for when it is decoded."""

    def opened() -> Image.Image:
        found = encoded()
        if not found:
            raise ValueError("no bytes")
        return Image.open(io.BytesIO(found), formats=FORMATS)

    return Picture(name, opened)


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(picture)).convert("RGB")
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")  # Pillow warns about the direct way
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> np.ndarray:
    """Grey of 16 bits as `(height, width)` uint8; convert() would clip everything above 255 to white.

    Raises:
        ValueError: If its type does not say which value is white.
    """
    # Pillow reads 16 bits of PNG and PGM as 32, depending on its version.
    sixteen = picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM"))
    if not sixteen:
        kind = "floating-point numbers" if picture.mode == "F" else "signed or 32-bit integers"
        raise ValueError(f"{kind}, whose white is not known; save it with 8 or 16 bits")
    found: np.ndarray = np.clip(np.asarray(picture).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
    return found


def _upright(picture: Image.Image) -> Image.Image:
    """Turns a picture of its own as its EXIF orientation says; a damaged note turns nothing."""
    with suppress(Exception):  # notes come from cameras, and parsing them raises nearly anything
        ImageOps.exif_transpose(picture, in_place=True)
    return picture
