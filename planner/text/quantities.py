"""Quantities as people write and paste them: 200M, 1.2 GMac, 0.2GFLOPs, 200,000,000; 12 ms, 1.5s; 8MB, 512 KiB."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from planner.errors import PlannerError
from trainer.score import ACCURACY, Score

# Digits, perhaps grouped by threes; which of the marks is the decimal one is said by `_number`.
_NUMBER = r"([0-9][0-9.,_' ]*|\.[0-9]+)(e[+-]?[0-9]+)?"
_GROUPED = r"[0-9]{1,3}(?:([,_' ])[0-9]{3})(?:\1[0-9]{3})*(?:\.[0-9]*)?"  # 1,234,567.8
DOTTED = r"[0-9]{1,3}(?:\.[0-9]{3}){2,}"  # 1.234.567: several dots are no decimal points
COMMA = r"[0-9]+,[0-9]+"  # 1,5 and 0,125: a decimal comma, where it can be nothing else
COUNT_SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
_WORDS = {"thousand": "k", "million": "m", "billion": "g", "trillion": "t"}
# What is counted, as it may stand behind a count; the papers' FLOPs are MACs.
COUNTED = {"MACs": r"flops?|macs?|madds?|mult-adds", "parameters": r"params?|parameters?|weights"}
_LARGEST = 1e18  # beyond any network; a typo
MILLISECONDS = {"us": 1e-3, "ms": 1.0, "msec": 1.0, "s": 1e3, "sec": 1e3}
_LONGEST = 1e9  # ms: beyond any inference
BYTES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "ki": 2.0**10, "mi": 2.0**20, "gi": 2.0**30, "ti": 2.0**40}


def parse_count(text: str, what: str = "") -> float:
    """A positive count such as MACs or params.

    Args:
        text: A number, perhaps with thousands separators, a suffix k, M, G, B or T, and the name of what is counted.
        what: Kind of what is counted, a key of `COUNTED`; any of them by default.

    Raises:
        PlannerError: If the text is something else, counts something else, or can be read in two ways.

    Example:
        >>> parse_count("200M")
        200000000.0
        >>> parse_count("0.2 GFLOPs", "MACs"), parse_count("200,000,000")
        (200000000.0, 200000000.0)
    """
    clean = _plain(text)
    for word, suffix in _WORDS.items():
        clean = re.sub(rf"\s*\b{word}\b", suffix, clean)
    match = re.fullmatch(rf"{_NUMBER}\s*([kmgbt]?)\s*({'|'.join(COUNTED.values())})?", clean)
    if match is None:
        raise PlannerError(f"{text!r} is not a count; write a number with an optional k, M, G, B or T, such as 200M")
    if what and match[4] and not re.fullmatch(COUNTED[what], match[4]):
        raise PlannerError(f"{text!r} is not a count of {what}; write one such as 4M, or use the option for the other")
    value = _number(text, match, whole=not match[3]) * COUNT_SUFFIXES[match[3]]
    if not 1 <= value <= _LARGEST:
        raise PlannerError(f"{text!r} is not between 1 and 1e18; write a count such as 200M")
    return value


def parse_macs(text: str) -> float:
    """A positive count of MACs, which papers call FLOPs.

    Raises:
        PlannerError: If the text is something else, as for `parse_count`.
    """
    return parse_count(text, "MACs")


def parse_budgets(text: str) -> list[float]:
    """Budgets in MACs of a list; a comma between groups of three digits is no end of one.

    Raises:
        PlannerError: If the text is something else, as for `parse_count`.

    Example:
        >>> parse_budgets("60M,120M"), parse_budgets("200,000,000; 0.4G")
        ([60000000.0, 120000000.0], [200000000.0, 400000000.0])
    """
    parts = [part.strip() for part in re.split(r";|,\s+", text)]
    numbers = [[part] if re.fullmatch(r"[1-9][0-9]{0,2}(,[0-9]{3})+", part) else part.split(",") for part in parts]
    return [parse_macs(number) for part in numbers for number in part]


def parse_params(text: str) -> float:
    """A positive count of parameters.

    Raises:
        PlannerError: If the text is something else, as for `parse_count`.
    """
    return parse_count(text, "parameters")


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
    match = re.fullmatch(rf"{_NUMBER}\s*({'|'.join(MILLISECONDS)})", _plain(text).replace("\u03bc", "u"))
    if match is None:
        raise PlannerError(f"{text!r} is not a duration; write a number with us, ms or s, such as 12ms")
    value = _number(text, match) * MILLISECONDS[match[3]]
    if not 0 < value <= _LONGEST:
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
    match = re.fullmatch(rf"{_NUMBER}\s*([kmgt]i?|)(b|bytes?)?", re.sub(r"\s+(bytes?)$", r"\1", _plain(text)))
    if match is None:
        raise PlannerError(f"{text!r} is not a size; write a number with kB, MB, GB, KiB, MiB or GiB, such as 8MB")
    value = _number(text, match, whole=not match[3]) * BYTES[match[3]]
    if not 1 <= value <= _LARGEST:
        raise PlannerError(f"{text!r} is not between 1 and 1e18 bytes; write a size such as 8MB")
    return value


def budget_of(value: Any, parse: Callable[[str], float] = parse_macs) -> float:
    """A budget as Python's callers give it: a number (of numpy's, too) or a text such as "3M".

    Raises:
        PlannerError: If it is something else, or no positive finite number.

    Example:
        >>> budget_of("3M"), budget_of(200_000_000)
        (3000000.0, 200000000)
    """
    if isinstance(value, str):
        return parse(value)
    plain = value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value
    good = isinstance(plain, int | float) and not isinstance(plain, bool) and 0 < plain <= _LARGEST
    if not good or not math.isfinite(plain):
        raise PlannerError(f"the budget must be a positive number of MACs, got {plain!r:.60}; give one such as 200e6")
    return plain  # type: ignore[no-any-return]


def _plain(text: str) -> str:
    """A text in lower case, with plain digits, letters and single spaces instead of typographic ones."""
    clean = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'")
    return " ".join(clean.split())


def _number(text: str, match: re.Match[str], whole: bool = False) -> float:
    """The number of a quantity; `whole` where it cannot have a fraction, as a count without a suffix.

    Raises:
        PlannerError: If its separators can be read in two ways, or in none.
    """
    digits = match[1].strip()
    if re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", digits):
        if whole and not match[2] and re.fullmatch(r"[1-9][0-9]{0,2}\.[0-9]{3}", digits):
            raise _two_ways(text, digits)
        plain = digits
    elif re.fullmatch(_GROUPED, digits) and not digits.startswith("0"):
        plain = re.sub(r"[,_' ]", "", digits)
        if not whole and re.fullmatch(r"[0-9]+,[0-9]{3}", digits):  # 1,500M: 1500M or 1.5M?
            raise _two_ways(text, digits)
    elif re.fullmatch(DOTTED, digits):
        plain = digits.replace(".", "")
    elif re.fullmatch(COMMA, digits) and not whole:
        plain = digits.replace(",", ".")
    elif re.fullmatch(r"[0-9]+(_[0-9]+)*(\.[0-9]*)?", digits):  # as Python writes it
        plain = digits.replace("_", "")
    else:
        raise PlannerError(f"{text!r}: its separators group no thousands; write a plain number, such as 200M")
    return float(plain + (match[2] or ""))


def _two_ways(text: str, digits: str) -> PlannerError:
    whole, part = re.split("[,.]", digits)
    plain = f"{whole}.{part}".rstrip("0").rstrip(".")
    return PlannerError(f"{text!r} can be read in two ways; write {whole}{part} or {plain}, with its unit")


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


def format_accuracy(accuracy: Mapping[str, Any] | None, score: Score = ACCURACY) -> str | None:
    """An expected accuracy, or another score by its merits, and its interval; or None without one.

    Example:
        >>> format_accuracy({"mean": 0.75, "lower": 0.734, "upper": 0.766, "level": 0.9, "in_range": True})
        '75.0% (73.4% to 76.6%, 90%)'
    """
    if accuracy is None:
        return None
    what = ", of the front" if accuracy.get("of") == "front" else ""
    what += "" if accuracy["in_range"] else ", outside what was trained"
    interval = f"{score.span(accuracy['lower'], accuracy['upper'])}, {accuracy['level']:.0%}"
    return f"{score.text(accuracy['mean'])} ({interval}){what}"
