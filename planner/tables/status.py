"""What became of a training: the one place that asks whether it ended well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

OK = "ok"  # the status of a training that has a score and went through all its epochs


def is_ok(facts: Mapping[Any, Any]) -> bool:
    """Whether a training ended well, by its facts or its row of a table."""
    return bool(facts.get("status") == OK)


def ok_mask(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Which trainings ended well; those without a status did not.

    Args:
        frame: `n` trainings with a column `status`.

    Returns:
        `(n,)` booleans.
    """
    mask: NDArray[np.bool_] = (frame["status"] == OK).to_numpy(dtype=bool, na_value=False)
    return mask
