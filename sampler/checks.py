"""What Python's callers give, checked at the entrance: numbers and names, or one line that says what is wanted."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any

from sampler.errors import InputError

_LARGEST = 1e300  # products of what is larger have no float


def is_number(value: object) -> bool:
    """Whether something is a real number, numpy's counted; a bool is none.

    Example:
        >>> is_number(0.5), is_number(True), is_number("1")
        (True, False, False)
    """
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Whether something is a whole number by its type; neither True nor 3.0 is."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def checked_number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number between two others, numpy's counted.

    Raises:
        InputError: If it is something else; a bool is no number.

    Example:
        >>> checked_number("share", 0.2, 0, 1)
        0.2
    """
    real = is_number(value)
    plain = value.item() if real and hasattr(value, "item") else value  # numpy's warn where they overflow
    if not real or not low <= plain <= high or abs(plain) > _LARGEST:  # NaN is not between
        span = f"a number between {low:g} and {high:g}" if math.isfinite(high - low) else "a finite number"
        raise InputError(f"{name} is {shown(value)}; {span} is wanted")
    return float(plain)


def checked_whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number between two others, numpy's counted.

    Raises:
        InputError: If it is something else; neither a bool nor 3.0 is a whole number.

    Example:
        >>> checked_whole("classes", 10, 1, 1000)
        10
    """
    if not is_whole(value):
        raise InputError(f"{name} must be whole numbers, got {shown(value)}")
    if not low <= value <= high:
        raise InputError(f"{name} must be between {low} and {high}, got {shown(value)}")
    return int(value)


def checked_name(what: str, value: Any, known: Iterable[str]) -> str:
    """One of several names.

    Raises:
        InputError: If it is something else; names them all.

    Example:
        >>> checked_name("space", "stage", ("uniform", "stage"))
        'stage'
    """
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise InputError(f"{what} {shown(value)} is unknown; known: {', '.join(names)}")
    return value


def shown(value: Any) -> str:
    """A value in an error, on one line and cut short.

    Example:
        >>> shown("many words " * 9)
        "'many words many words many words many words many words m..."
    """
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # a number of too many digits, or nested too deeply
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
