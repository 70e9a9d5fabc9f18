"""Quantities as people write them: 200M, 1.2G, 0.39B, 4M; 12ms, 1.5s; 8MB, 512KiB."""

from __future__ import annotations

import re

from planner.errors import PlannerError

NUMBER = r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?"
SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
LARGEST = 1e18  # beyond any network; a typo
MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
LONGEST = 1e9  # ms: beyond any inference
BYTES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "ki": 2.0**10, "mi": 2.0**20, "gi": 2.0**30, "ti": 2.0**40}


def parse_count(text: str) -> float:
    """A positive count such as MACs or params.

    Raises:
        PlannerError: If the text is not a number with an optional suffix k, M, G, B or T.

    Example:
        >>> parse_count("200M")
        200000000.0
        >>> parse_count("0.39B")
        390000000.0
    """
    match = re.fullmatch(rf"\s*{NUMBER}\s*([kmgbt]?)\s*", text.lower())
    if match is None:
        raise PlannerError(f"{text!r} is not a count; write a number with an optional k, M, G, B or T, such as 200M")
    value = float(match[1] + (match[2] or "")) * SUFFIXES[match[3]]
    if not 1 <= value <= LARGEST:
        raise PlannerError(f"{text!r} is not between 1 and 1e18; write a count such as 200M")
    return value


def parse_ms(text: str) -> float:
    """A positive duration, in milliseconds.

    Raises:
        PlannerError: If the text is not a number with us, ms or s.

    Example:
        >>> parse_ms("12ms")
        12.0
        >>> parse_ms("1.5 s")
        1500.0
    """
    match = re.fullmatch(rf"\s*{NUMBER}\s*(us|ms|s)\s*", text.lower().replace("µ", "u"))
    if match is None:
        raise PlannerError(f"{text!r} is not a duration; write a number with us, ms or s, such as 12ms")
    value = float(match[1] + (match[2] or "")) * MILLISECONDS[match[3]]
    if not 0 < value <= LONGEST:
        raise PlannerError(f"{text!r} is not between 0 and 1e6 s; write a duration such as 12ms")
    return value


def parse_bytes(text: str) -> float:
    """A positive size, in bytes.

    Raises:
        PlannerError: If the text is not a number with an optional unit.

    Example:
        >>> parse_bytes("8MB")
        8000000.0
        >>> parse_bytes("512KiB")
        524288.0
    """
    match = re.fullmatch(rf"\s*{NUMBER}\s*([kmgt]i?|)b?\s*", text.lower())
    if match is None:
        raise PlannerError(f"{text!r} is not a size; write a number with kB, MB, GB, KiB, MiB or GiB, such as 8MB")
    value = float(match[1] + (match[2] or "")) * BYTES[match[3]]
    if not 1 <= value <= LARGEST:
        raise PlannerError(f"{text!r} is not between 1 and 1e18 bytes; write a size such as 8MB")
    return value


def format_count(value: float) -> str:
    """Three or four significant digits with a suffix.

    Example:
        >>> format_count(385_814_752)
        '385.8M'
    """
    for suffix, unit in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= unit:
            return f"{value / unit:.4g}{suffix}"
    return f"{value:.4g}"


def format_bytes(value: float) -> str:
    """Four significant digits with a unit.

    Example:
        >>> format_bytes(33_967_000)
        '33.97 MB'
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g} B"


def format_cost(name: str, value: float) -> str:
    """A cost with its unit.

    Args:
        name: `macs`, `params`, `activations`, `memory` (bytes) or `latency` (ms).
        value: How much of it.

    Example:
        >>> format_cost("latency", 12.0), format_cost("params", 5_288_548)
        ('12 ms', '5.289M')
    """
    if name == "latency":
        return f"{value:.4g} ms"
    return format_bytes(value) if name == "memory" else format_count(value)
