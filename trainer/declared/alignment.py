"""Which of the operations of two traces are the same: the longest common subsequence, worth more the more alike."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from sampler.architecture import IntArray
from trainer.declared.tracing import Item

_ALIKE, _SAME_DIMS, _SAME_PATH = 2**40, 2**20, 1  # what a pair is worth: each more than all of the next
_DIGITS = re.compile(r"\d+")


class Token(NamedTuple):
    """What must be equal in two operations that are the same.

    Attributes:
        path: Name of the module without digits: they shift with the depth.
        kind: Name of what is done.
        rank: How many dimensions it has.
        results: How many its result has.
    """

    path: str
    kind: str
    rank: int
    results: int


def token_of(event: Item) -> Token:
    """The token of an operation."""
    return Token(_DIGITS.sub("#", event.path), event.kind, len(event.dims), len(event.result))


def common_prefix(a: str, b: str) -> int:
    """How many parts of two modules' names are the same from the start."""
    count = 0
    for mine, theirs in zip(a.split("."), b.split("."), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def aligned(a: Sequence[Item], b: Sequence[Item]) -> list[tuple[int, int]]:
    """Pairs of positions in `a` and `b` of operations that are the same, ascending; what is more comes late."""
    keys: dict[Hashable, int] = {}

    def numbered(events: Sequence[Item]) -> IntArray:
        rows = [(token_of(one), ("dims", one.dims, one.result), ("path", one.path)) for one in events]
        return np.array([[keys.setdefault(key, len(keys)) for key in row] for row in rows], np.int64).reshape(-1, 3)

    first, second = numbered(a), numbered(b)
    shortest = min(len(first), len(second))
    start = _common(first[:shortest], second[:shortest])
    end = _common(first[start:][::-1][: shortest - start], second[start:][::-1][: shortest - start])
    inner = _best(first[start : len(first) - end], second[start : len(second) - end])
    return [
        *((i, i) for i in range(start)),
        *((i + start, j + start) for i, j in inner),
        *((len(first) - k, len(second) - k) for k in range(end, 0, -1)),
    ]


def _common(a: IntArray, b: IntArray) -> int:
    """How many rows are equal from the start."""
    different = (a != b).any(1)
    return int(different.argmax()) if different.any() else len(a)


def _best(a: IntArray, b: IntArray) -> list[tuple[int, int]]:
    n, m = len(a), len(b)
    if not n or not m:
        return []
    best = np.zeros((n + 1, m + 1), dtype=np.int64)
    worth = np.zeros((n, m), dtype=np.int64)
    for i in range(n):
        same = b == a[i]
        worth[i] = same[:, 0] * (_ALIKE + _SAME_DIMS * same[:, 1] + _SAME_PATH * same[:, 2])
        paired = np.where(worth[i] > 0, best[i, :-1] + worth[i], 0)
        best[i + 1, 1:] = np.maximum.accumulate(np.maximum(best[i, 1:], paired))
    pairs, i, j = [], n, m
    while i and j:
        if best[i, j] == best[i, j - 1]:
            j -= 1
        elif best[i, j] == best[i - 1, j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]
