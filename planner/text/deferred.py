"""pandas for annotations: imported when something of it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampler.deferred import DeferredModule

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = DeferredModule("pandas")

__all__ = ["pd"]
