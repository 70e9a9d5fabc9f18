"""What image data is: pictures with their classes, how a source makes them, and shares of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sampler import InputError

# Called with (what, done, total) while pictures are made.
Progress = Callable[[str, int, int], None]


# ImageNet's channel statistics; any fixed values do for proxies.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# Which images are held out and which share is used must not change with a training's own seed.
SPLIT_SEED = 0
# Pixels that are read and resized at once: 100 MB as floats, and no more than so many pictures.
_CHUNK_PIXELS = 2**23
_CHUNK = 512
# Of another library's error, characters: some show all that they have read.
_LONGEST = 300


class DataError(InputError):
    """Image data that cannot be used; the message is one line: what, where, how to fix it."""


@dataclass(frozen=True)
class Unread:
    """A picture that cannot be read: what it is called, and why."""

    name: str
    reason: str


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

    def subset(self, index: Any) -> ImageSplit:
        """The pictures at `index` (integers, bools or a slice), in its order."""
        return ImageSplit(self.images[index], self.labels[index])

    @property
    def side(self) -> int:
        """Side of the pictures, in pixels."""
        return int(self.images.shape[1])

    def taken(self, start: int, stop: int) -> np.ndarray:
        """A copy of the pictures from one position to another, `(stop - start, side, side, 3)` uint8."""
        taken: np.ndarray = self.images[start:stop].copy()
        return taken


@dataclass(frozen=True, eq=False)
class PickedImages:
    """Some pictures of a split, by their positions: none is copied before it is taken.

    Attributes:
        split: Pictures to pick from; they may be a memory map, which many processes share.
        rows: `(n,)` int64 positions in it.
    """

    split: ImageSplit
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def side(self) -> int:
        """Side of the pictures, in pixels."""
        return self.split.side

    @property
    def labels(self) -> np.ndarray:
        """`(n,)` int64 positions in the class names."""
        labels: np.ndarray = self.split.labels[self.rows]
        return labels

    @property
    def images(self) -> np.ndarray:
        """All of them, `(n, side, side, 3)` uint8: a copy."""
        images: np.ndarray = self.split.images[self.rows]
        return images

    def taken(self, start: int, stop: int) -> np.ndarray:
        """A copy of those from one position to another, `(stop - start, side, side, 3)` uint8."""
        taken: np.ndarray = self.split.images[self.rows[start:stop]]
        return taken


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
        unread: Pictures that could not be read and were left out, as the source asked.
        notes: Sentences on how the source was understood, and what of it is not read.
    """

    train: ImageSplit
    validation: ImageSplit
    classes: tuple[str, ...]
    source: str
    side: int
    fingerprint: str
    unread: tuple[Unread, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a source decodes to.

    Attributes:
        train: Pictures to fit on.
        validation: Pictures to score on.
        classes: Class names.
        unread: Pictures that could not be read.
        names: Name of each picture, train's before validation's.
        sizes: `(m, 2)` int32, width and height of the stored pictures in pixels, in the same order.
        notes: Sentences on how the source was understood, and what of it is not read.
    """

    train: ImageSplit
    validation: ImageSplit
    classes: tuple[str, ...]
    unread: tuple[Unread, ...]
    names: Sequence[str]
    sizes: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImagePrep:
    """How to make the pictures of a source at one side.

    Attributes:
        identity: Description of the source, as plain JSON values: equal ones give equal pictures, unless the stamp says
            otherwise.
        stamp: Facts that tell that it changed, as plain JSON values, such as a file's size and time.
        decode: Function that does the work; it is given a `Progress`.
        notes: Sentences on how the source was understood, and what of it is not read.
    """

    identity: Mapping[str, Any]
    stamp: Mapping[str, Any]
    decode: Callable[[Progress], Decoded]
    notes: tuple[str, ...] = ()


def fingerprint_of(train: ImageSplit, validation: ImageSplit, classes: Sequence[str]) -> str:
    """The sha256 (hex) over class names, labels and image bytes of both splits."""
    digest = hashlib.sha256(json.dumps([list(classes), len(train), len(validation)]).encode())
    for split in (train, validation):
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
        digest.update(np.ascontiguousarray(split.images).data)
    return digest.hexdigest()


def one_line(error: Exception) -> str:
    """An error's text without its line breaks, its beginning if it is long, or its type where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} .."


def side_needed(resolution: int, margin: float) -> int:
    """Side that images have so that crops of them have their margin at a network's resolution, in pixels.

    Args:
        resolution: Side of the network's input, in pixels.
        margin: Side of what is kept over the input's (`Recipe.margin`).
    """
    return math.ceil(round(resolution * margin, 6))  # 100 x 1.1 is a little more than 110


def kept_side(side: int, resolution: int, margin: float) -> int:
    """Side at which a training keeps the images that it fits, in pixels.

    Args:
        side: Side of the decoded images, in pixels.
        resolution: Side of the network's input, in pixels.
        margin: Side of what is kept over the input's (`Recipe.margin`).
    """
    return min(side, side_needed(resolution, margin))


def scored_side(resolution: int, crop_pct: float) -> int:
    """Side to which images are resized of which the central square at a network's resolution is scored, in pixels.

    As timm's evaluation does: the largest whole number of pixels of which the input is no smaller a share.

    Args:
        resolution: Side of the network's input, in pixels.
        crop_pct: Share of the side that is scored (`Recipe.crop_pct`).
    """
    return max(resolution, math.floor(resolution / crop_pct))


def chunk_of(side: int) -> int:
    """Images of a side, in pixels, that are read at once."""
    return max(1, min(_CHUNK, _CHUNK_PIXELS // side**2))


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
        split: Pictures to divide.
        share: To hold out, in (0, 1); at least one picture of every class.
        seed: Decides which.

    Returns:
        What is left to fit on, and what is held out: disjoint, together the whole.

    Raises:
        DataError: If a class would have nothing left to fit on.
    """
    held = held_out(split.labels, share, seed)
    return split.subset(~held), split.subset(held)


def fitted_labels(labels: np.ndarray, holdout: float, share: float) -> np.ndarray:
    """Labels of the training images that a training fits, once some are held out and a share is taken of the others.

    Raises:
        DataError: If a class would have nothing left to fit on.
    """
    if holdout:
        labels = labels[~held_out(labels, holdout, SPLIT_SEED)]
    return labels if share == 1 else labels[stratified_share(labels, share, SPLIT_SEED)]


def held_out(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which of the pictures with these labels `hold_out` holds out, `(n,)` bools.

    Raises:
        DataError: If a class would have nothing left to fit on.
    """
    held = np.zeros(len(labels), bool)
    held[stratified_share(labels, share, seed)] = True
    emptied = sorted(set(labels.tolist()) - set(labels[~held].tolist()))
    if emptied:
        count = int(np.sum(labels == emptied[0]))
        raise DataError(
            f"holding out {share} of the images leaves none of class {emptied[0]} ({count} images) "
            "to fit on; hold out less or add images, at least 2 per class"
        )
    return held
