"""Pictures that a data set holds twice: equal ones by hash, and copies that were saved again or resized.

A near-duplicate is found in two steps. A difference hash of 128 bits (is a cell of a 9 x 8 grey picture
brighter than its left neighbour, one of 8 x 9 than the one above) proposes pairs that differ in at most
`MOST_BITS`; colours on a 16 x 16 grid then confirm those that correlate by `LEAST_CORRELATION` or more.
The hash alone is not to be trusted: of 81,348 ImageNet pictures of 64 px (imagenet20 and tinyimagenet100),
56 pairs are within 12 bits, and most of them two different pictures of plain sky. The 23 that the
correlation leaves are all the same photograph, looked at one by one; the next correlates at 0.951.
Copies that are cropped, shifted or mirrored are not found.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

MOST_BITS = 12
LEAST_CORRELATION = 0.97
GRID = 16
# Comparing hashes takes time with the square of their number: 10 s at 55,000, two minutes here.
MOST_PICTURES = 200_000
ROWS_AT_ONCE, PAIRS_AT_ONCE = 256, 4096

Pair = tuple[int, int]


@dataclass(frozen=True)
class Duplicates:
    """Pictures found more than once, by their positions.

    Attributes:
        equal: Groups of pictures with the same pixels, two or more each.
        near: Pairs that are the same picture saved differently; None where they were not sought.
    """

    equal: tuple[tuple[int, ...], ...]
    near: tuple[Pair, ...] | None


def find(images: Sequence[np.ndarray], report: Callable[[int, int], None]) -> Duplicates:
    """Seeks pictures that are there twice.

    Args:
        images: `n` pictures, `(side, side, 3)` uint8.
        report: Called with (done, total) now and then.

    Returns:
        What was found. Of more than `MOST_PICTURES` pictures only equal ones are sought.
    """
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        groups[hashlib.sha256(image.tobytes()).digest()].append(index)
    equal = tuple(tuple(group) for group in groups.values() if len(group) > 1)
    first = np.array([group[0] for group in groups.values()], np.int64)  # one of each group stands for it
    if len(first) > MOST_PICTURES:
        return Duplicates(equal, None)
    near = [(int(first[one]), int(first[two])) for one, two in _alike(images, first, report)]
    return Duplicates(equal, tuple(near))


def _alike(images: Sequence[np.ndarray], chosen: np.ndarray, report: Callable[[int, int], None]) -> list[Pair]:
    """Pairs of positions in `chosen`."""
    signs = np.stack([difference_hash(images[index]) for index in chosen]).astype(np.float32) * 2 - 1
    colours = np.stack([colour_grid(images[index]) for index in chosen])
    pairs = []
    for start in range(0, len(signs), ROWS_AT_ONCE):
        # +1 where two bits are equal, -1 where not.
        agreement = signs[start : start + ROWS_AT_ONCE] @ signs[start:].T
        rows, columns = np.nonzero(np.triu(agreement >= signs.shape[1] - 2 * MOST_BITS, 1))
        for part in range(0, len(rows), PAIRS_AT_ONCE):
            one, two = (start + where[part : part + PAIRS_AT_ONCE] for where in (rows, columns))
            same = correlation(colours[one], colours[two]) >= LEAST_CORRELATION
            pairs += list(zip(one[same].tolist(), two[same].tolist(), strict=True))
        report(min(start + ROWS_AT_ONCE, len(signs)), len(signs))
    return pairs


def difference_hash(image: np.ndarray) -> np.ndarray:
    """The `(128,)` bools of a picture `(side, side, 3)`."""
    grey = Image.fromarray(image).convert("L")
    across = np.asarray(grey.resize((9, 8), Image.Resampling.BOX))
    down = np.asarray(grey.resize((8, 9), Image.Resampling.BOX))
    return np.concatenate([(across[:, 1:] > across[:, :-1]).ravel(), (down[1:] > down[:-1]).ravel()])


def colour_grid(image: np.ndarray) -> np.ndarray:
    """The colours of a picture on a coarse grid, `(3 * GRID^2,)` uint8."""
    return np.asarray(Image.fromarray(image).resize((GRID, GRID), Image.Resampling.BOX)).ravel()


def correlation(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Pearson correlation of each row of `(n, k)` with that of the other, `(n,)`; 0 where one of them is plain."""
    first, second = (rows - rows.mean(1, keepdims=True, dtype=np.float32) for rows in (one, two))
    length = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    found: np.ndarray = np.divide((first * second).sum(1), length, out=np.zeros(len(one), np.float32), where=length > 0)
    return found
