"""pandas for annotations: imported when something of it is used.

A module that names pandas in public signatures takes `pd` from here, so that `import planner` and a first answer are
quick. An import for type checkers alone would be quicker still, but `typing.get_type_hints` reads a module's names, and
would not find it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
else:

    class _Pandas:
        """Stands for the module until the first of its names is used."""

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):  # whoever looks at every module's names does not want pandas
                raise AttributeError(name)
            return getattr(import_module("pandas"), name)

    pd = _Pandas()

__all__ = ["pd"]
