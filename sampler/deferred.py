"""Modules for annotations: imported when something of them is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class DeferredModule:
    """Stands for a module that is slow to import until the first of its names is used.

    A module that names such a package in public signatures takes it from here. An import for type checkers alone would
    be quicker still, but `typing.get_type_hints` reads a module's names, and would not find it.

    Args:
        name: The module's name, as "pandas".
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # whoever looks at every module's names does not want the package
            raise AttributeError(name)
        return getattr(import_module(self._name), name)
