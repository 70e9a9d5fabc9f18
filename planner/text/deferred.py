"""Modules for annotations: imported when something of them is used.

A module that names pandas only in its signatures takes `pd` from here, so that `import planner` and a first answer are
quick; a formula takes `answer`, which itself imports formulas. `typing.get_type_hints` then finds their names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from planner.answers import answer
else:

    class _Deferred:
        """A module that is imported when the first of its names is used."""

        def __init__(self, name: str) -> None:
            self.name = name

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):  # whoever looks at every module's names does not want pandas
                raise AttributeError(name)
            return getattr(import_module(self.name), name)

    pd, answer = _Deferred("pandas"), _Deferred("planner.answers.answer")

__all__ = ["answer", "pd"]
