"""Windows of MACs as people type them: quantities, or multiples of the base network's."""

from __future__ import annotations

from planner.errors import PlannerError
from planner.text.quantities import parse_count
from sampler.complexity import base_macs

# Multiples of the base network's MACs are small numbers, MACs are not.
_LARGEST_MULTIPLE = 1000.0


def window_multiples(window: tuple[str, str], base: str, resolution: int, classes: int) -> tuple[float, float]:
    """A window as multiples of the base network's MACs; `1M 10M` are MACs, `0.03 1.05` are multiples.

    Raises:
        PlannerError: If it is no window; says what was typed.
    """
    one = 1 if is_multiples(window) else base_macs(base, resolution, classes)
    low, high = (float(text) if one == 1 else parse_count(text) / one for text in window)
    if not 0 < low < high:
        raise PlannerError(
            f"--window {window[0]} {window[1]}: two quantities are wanted, the lower one first, such as --window 1M 10M"
        )
    return low, high


def is_multiples(window: tuple[str, str]) -> bool:
    """Whether a typed window is in multiples of the base network's MACs."""
    try:
        return max(float(text) for text in window) <= _LARGEST_MULTIPLE
    except ValueError:
        return False
