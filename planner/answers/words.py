"""Answers in words: in which integers two networks differ, and how far one lies outside what was trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sampler import Architecture, base, stack
from sampler.knobs import stack_alike
from sampler.moves import column_names, stage_of_column

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
    if set(one.knobs) != set(other.knobs):
        one, other = stack_alike(base(one.base), [one, other])
    names = columns_of_one(one)
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
    for name, value in zip(columns_of_one(one), row, strict=True):
        low, high = ranges.get(name, (value, value))
        if not low <= value <= high:
            found[name] = int(value - high if value > high else value - low)
    return found


def outside_words(one: Architecture, out: Mapping[str, int], ranges: Mapping[str, Sequence[float]]) -> str:
    """Which columns leave the range of those trained, and by how much, in one line."""
    row = dict(zip(columns_of_one(one), stack([one]).integers()[0].tolist(), strict=True))
    parts = []
    for name, by in out.items():
        low, high = ranges[name]
        side = "above" if by > 0 else "below"
        parts.append(f"{_what(name)} {row[name]}, {abs(by)} {side} the {low:g} to {high:g} trained")
    return "; ".join(parts)


def columns_of_one(one: Architecture) -> tuple[str, ...]:
    """Names of a network's integers, in the order of `Architectures.integers`."""
    return column_names(len(one.widths), {name: len(values) for name, values in one.knobs.items()})


def _what(name: str) -> str:
    kind, stage = stage_of_column(name) or (name, 0)
    if not stage:
        return kind
    return f"{ {'depth': 'blocks', 'width': 'channels'}.get(kind, kind) } of stage {stage}"


def _change(name: str, new: int, old: int) -> str:
    kind, stage = stage_of_column(name) or (name, 0)
    if kind == "resolution":
        return f"{new} px instead of {old}"
    if stage and kind not in ("width", "depth"):
        return f"{kind} {new} instead of {old} in stage {stage}"
    unit = "block" if kind == "depth" else "channel"
    place = f"in stage {stage}" if stage else f"in the {kind}"
    return f"{new} {unit}{'s' * (new != 1)} instead of {old} {place}"
