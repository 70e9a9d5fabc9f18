"""The one range of seeds: what every library that is given one takes."""

from __future__ import annotations

import operator
from typing import SupportsIndex

from sampler.errors import InputError

LARGEST_SEED = 2**32 - 1


def checked_seed(seed: SupportsIndex) -> int:
    """A seed as a plain number.

    Raises:
        InputError: If it is no whole number between 0 and `LARGEST_SEED`.

    Example:
        >>> checked_seed(7)
        7
    """
    try:
        number = operator.index(seed)
    except TypeError as error:
        raise InputError(f"seed is {seed!r}; a whole number between 0 and {LARGEST_SEED} is wanted") from error
    if not 0 <= number <= LARGEST_SEED:
        raise InputError(f"seed must be between 0 and {LARGEST_SEED}, got {number}")
    return number


def offset_seed(seed: int, by: int) -> int:
    """Another seed, inside the range too.

    Example:
        >>> offset_seed(LARGEST_SEED, 2)
        1
    """
    return (seed + by) % (LARGEST_SEED + 1)
