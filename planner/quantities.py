"""Quantities as people write them: 200M, 1.2G, 0.39B, 4M."""

from __future__ import annotations

import re

from planner.errors import PlannerError

SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
LARGEST = 1e18  # beyond any network; a typo


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
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*([kmgbt]?)\s*", text.lower())
    if match is None:
        raise PlannerError(f"{text!r} is not a count; write a number with an optional k, M, G, B or T, such as 200M")
    value = float(match[1] + (match[2] or "")) * SUFFIXES[match[3]]
    if not 1 <= value <= LARGEST:
        raise PlannerError(f"{text!r} is not between 1 and 1e18; write a count such as 200M")
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
