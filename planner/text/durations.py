"""Durations as people write them: 2h, 90m, 1h30m, 45 s, 1.5 days."""

from __future__ import annotations

import re

from planner.errors import PlannerError

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNITS = {"s": "s|secs?|seconds?", "m": "m|mins?|minutes?", "h": "h|hrs?|hours?", "d": "d|days?"}
_PART = re.compile("|".join(rf"(?P<{unit}>\d+(?:\.\d+)?)\s*(?:{words})(?![a-z])" for unit, words in _UNITS.items()))
_LONGEST = 3650 * SECONDS["d"]  # beyond any training


def parse_seconds(text: str) -> float:
    """Seconds of a duration.

    Args:
        text: Numbers with units, the largest first: `2h`, `1h 30m`, `45s`.

    Raises:
        PlannerError: If it is something else, or lasts no time or more than ten years.

    Example:
        >>> parse_seconds("1h30m"), parse_seconds("0.5 days")
        (5400.0, 43200.0)
    """
    clean, found = text.strip().lower(), []
    rest = _PART.sub(lambda match: found.append(match) or "", clean)  # type: ignore[func-returns-value]
    units = [match.lastgroup or "" for match in found]
    falling = units == sorted(set(units), key=lambda unit: -SECONDS[unit])
    if rest.strip() or not found or not falling:
        raise PlannerError(f"{text!r} is not a duration; write one with its unit, such as 2h, 90m, 1h30m or 45s")
    seconds = sum(float(match[unit]) * SECONDS[unit] for match, unit in zip(found, units, strict=True))
    if not 0 < seconds <= _LONGEST:
        raise PlannerError(f"{text!r} is not between a moment and ten years; write a duration such as 2h")
    return seconds


def seconds_of(duration: float | str) -> float:
    """Seconds of a duration: a text, or their number.

    Raises:
        PlannerError: If it is neither, or as for `parse_seconds`.
    """
    if isinstance(duration, str):
        return parse_seconds(duration)
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not 0 < duration <= _LONGEST:
        raise PlannerError(f"{duration!r:.60} is not a duration; give seconds, or a text such as '2h'")
    return float(duration)


def format_seconds(seconds: float) -> str:
    """Seconds in the largest unit of which there is at least one.

    Example:
        >>> format_seconds(7200), format_seconds(5400), format_seconds(0.5)
        ('2 h', '1.5 h', '0.5 s')
    """
    unit = next((unit for unit in "dhms" if seconds >= SECONDS[unit]), "s")
    return f"{seconds / SECONDS[unit]:.3g} {'min' if unit == 'm' else unit}"
