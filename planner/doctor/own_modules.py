"""Makes `trainer` and `sampler` ours for every module of ours, whatever else of these names lies on the path.

`trainer.py` and `sampler.py` are common names in a folder where networks are trained, and the folder of a script, of
a notebook or of PYTHONPATH comes before what is installed. So modules of planner, trainer and sampler get the packages
that lie beside `planner`. Everybody else's `import trainer` is left to Python, and finds the user's own file as before.

A process has one module of a name, that which is imported first. If that is the user's, the planner says in one line
what to rename; if it is ours, because the planner was used before, the user's later `from trainer import ..` meets our
package. Workers of the engines import ours first (`trainer.engines.own_packages`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from types import FrameType, ModuleType

NAMES = ("trainer", "sampler")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OURS = tuple(os.path.join(ROOT, name) + os.sep for name in ("planner", *NAMES))


class _Beside:
    """Finds the packages beside `planner`, for modules of ours; others are found as ever."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The package's spec, or None where the import is not ours."""
        if name.startswith("planner."):
            refuse_others()
        if name not in NAMES or not _asked_by_us():
            return None
        folder = os.path.join(ROOT, name)
        file = os.path.join(folder, "__init__.py")
        if not os.path.isfile(file):  # in an archive, where Python's own ways find it
            return None
        return spec_from_file_location(name, file, submodule_search_locations=[folder])


def install() -> None:
    """Makes this so, in this process; a second time changes nothing."""
    if _Beside not in sys.meta_path:
        sys.meta_path.insert(0, _Beside)


def refuse_others() -> None:
    """Refuses to go on where a user's module has the name of one of ours.

    Raises:
        PlannerError: Saying what to rename.
    """
    for name in NAMES:
        module = sys.modules.get(name)
        if module is not None and not _is_ours(module):
            where = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), name)
            raise planner_error()(
                f"{where}: imported as `{name}`, which is the name of a package of the planner; rename yours, "
                f"such as my_{name}, and start Python anew"
            )


def planner_error() -> type[ValueError]:
    """`PlannerError`, also where a user's module stands in the way of the module that it lives in."""
    others = {} if "planner.errors" in sys.modules else _others()
    for name in others:
        del sys.modules[name]
    try:
        from planner.errors import PlannerError
    finally:
        sys.modules.update(others)
    return PlannerError


def _others() -> dict[str, ModuleType]:
    """The user's modules that have the name of one of ours, and those in their folders."""
    mine = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in NAMES}
    return {name: module for name, module in mine.items() if not _is_ours(module)}


def _is_ours(module: ModuleType) -> bool:
    """Whether a module lies beside `planner`; what has no file lies nowhere."""
    file = getattr(module, "__file__", None)
    return file is not None and os.path.realpath(file).startswith(tuple(os.path.realpath(one) + os.sep for one in OURS))


def _asked_by_us() -> bool:
    """Whether the import that is being done stands in a module of ours."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_globals.get("__name__")
        if file != __file__ and name != "importlib" and not file.startswith("<frozen importlib"):
            return os.path.abspath(file).startswith(OURS)
        frame = frame.f_back
    return False
