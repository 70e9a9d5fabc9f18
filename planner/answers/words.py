"""Answers in words: in which integers two networks differ, and how far one lies outside what was trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sampler import Architecture, stack
from sampler.moves import column_names

_MOST = 3  # differences named; the others are counted


def integer_differences(one: Architecture, other: Architecture) -> str:
    """In what a network differs from another, the largest differences first; nothing where they are equal.

    Example:
        >>> from dataclasses import replace
        >>> from sampler import base
        >>> b0 = base("efficientnet_b0").architecture()
        >>> integer_differences(replace(b0, resolution=192, depths=(1, 2, 2, 3, 3, 3, 1)), b0)
        '3 blocks instead of 4 in stage 6, 192 px instead of 224'
    """
    names = column_names(len(one.widths))
    rows = (stack([network]).integers()[0].tolist() for network in (one, other))
    changed = [change for change in zip(names, *rows, strict=True) if change[1] != change[2]]
    changed.sort(key=lambda change: -abs(math.log(max(change[1], 1) / max(change[2], 1))))
    words = [_change(*change) for change in changed[:_MOST]]
    more = len(changed) - len(words)
    return ", ".join(words) + (f" and {more} more integer{'s' * (more > 1)}" if more else "")


def beyond(one: Architecture, ranges: Mapping[str, Sequence[float]]) -> dict[str, int]:
    """The columns of a network that leave the range of those trained, and by how much: negative below."""
    row = stack([one]).integers()[0].tolist()
    found = {}
    for name, value in zip(column_names(len(one.widths)), row, strict=True):
        low, high = ranges.get(name, (value, value))
        if not low <= value <= high:
            found[name] = int(value - high if value > high else value - low)
    return found


def outside_words(one: Architecture, out: Mapping[str, int], ranges: Mapping[str, Sequence[float]]) -> str:
    """Which columns leave the range of those trained, and by how much, in one line."""
    row = dict(zip(column_names(len(one.widths)), stack([one]).integers()[0].tolist(), strict=True))
    parts = []
    for name, by in out.items():
        low, high = ranges[name]
        side = "above" if by > 0 else "below"
        parts.append(f"{_what(name)} {row[name]}, {abs(by)} {side} the {low:g} to {high:g} trained")
    return "; ".join(parts)


def _what(name: str) -> str:
    kind, _, stage = name.partition("_")
    if not stage:
        return kind
    return f"{'blocks' if kind == 'depth' else 'channels'} of stage {stage}"


def _change(name: str, new: int, old: int) -> str:
    kind, _, stage = name.partition("_")
    if kind == "resolution":
        return f"{new} px instead of {old}"
    unit = "block" if kind == "depth" else "channel"
    place = f"in stage {stage}" if stage else f"in the {kind}"
    return f"{new} {unit}{'s' * (new != 1)} instead of {old} {place}"
