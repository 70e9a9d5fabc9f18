"""The one range of seeds: what every library that is given one takes."""

from __future__ import annotations

from typing import Any

from sampler.checks import checked_whole

LARGEST_SEED = 2**32 - 1


def checked_seed(seed: Any) -> int:
    """A seed as a plain number.

    Raises:
        InputError: If it is no whole number between 0 and `LARGEST_SEED`.

    Example:
        >>> checked_seed(7)
        7
    """
    return checked_whole("seed", seed, 0, LARGEST_SEED)


def offset_seed(seed: int, by: int) -> int:
    """Another seed, inside the range too.

    Example:
        >>> offset_seed(LARGEST_SEED, 2)
        1
    """
    return (seed + by) % (LARGEST_SEED + 1)
