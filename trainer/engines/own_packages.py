"""Worker processes find our packages, whatever else of these names lies on their path.

What is sent to a worker names modules of ours, and is read there by Python's own libraries before anything of ours has
a say: so our folder comes first on the path while they are imported, and only then. The user's own `trainer.py` is
found as before by everything that the user's own code imports.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# The folder that holds the packages.
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@contextmanager
def first_for_processes() -> Iterator[None]:
    """Processes that are spawned meanwhile have our folder first on their path, until they call `found`."""
    sys.path.insert(0, _ROOT)
    try:
        yield
    finally:
        sys.path.remove(_ROOT)


def found() -> None:
    """Ends that, in the spawned process."""
    sys.path.remove(_ROOT)


@contextmanager
def first_for_programs() -> Iterator[None]:
    """Programs of Python that are started meanwhile have our folder first on their path."""
    names = ("PYTHONPATH", "PYTHONSAFEPATH")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, (_ROOT, before["PYTHONPATH"]))), PYTHONSAFEPATH="1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def importer() -> Callable[[], None]:
    """A function that imports our packages, to be sent by value to where none of our modules is known yet."""
    root = _ROOT

    def import_ours() -> None:
        import importlib
        import sys

        sys.path.insert(0, root)
        try:
            for name in ("sampler", "trainer"):
                importlib.import_module(name)
        except ImportError:  # which the first training says in a line
            pass
        finally:
            sys.path.remove(root)

    return import_ours
