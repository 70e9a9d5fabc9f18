"""Trainers by their names: registered ones, those of installed packages, and `FILE.py:NAME`, `package.module:NAME`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from sampler import InputError
from sampler.registry import Registry
from trainer.protocol import Trainer

TRAINERS: Registry[Trainer] = Registry("trainer", "scaling_planner.trainers", "--trainer")
_T = TypeVar("_T", bound=Trainer)


def register_trainer(name: str) -> Callable[[_T], _T]:
    """A decorator that makes a trainer known by a name, to `--trainer NAME` and to studies.

    It is known in this process: the workers of an engine know it where an installed package registers it, as an entry
    point of the group `scaling_planner.trainers`. Elsewhere a study names it as `FILE.py:NAME` or
    `package.module:NAME`, or trains with the engine `inline`.

    Args:
        name: Name of the trainer, of letters, digits, `_`, `-` and `.`.

    Raises:
        PlannerError: If the name is taken.
    """

    def decorate(trainer: _T) -> _T:
        TRAINERS.register(name, trainer)
        return trainer

    return decorate


def trainer_named(name: str) -> Trainer:
    """A trainer.

    Args:
        name: Name of a registered one, `FILE.py:NAME` or `package.module:NAME`.

    Raises:
        InputError: If there is none, or its file or module cannot be imported; one line.
    """
    where, colon, attribute = name.rpartition(":")
    if not colon:
        return _registered(name)
    module = _module_of_file(Path(where), name) if where.endswith(".py") else _imported(where, name)
    trainer = getattr(module, attribute, None)
    if not callable(trainer):
        what = "is no function" if hasattr(module, attribute) else f"has no {attribute!r}"
        problem = f"{attribute} {what}" if hasattr(module, attribute) else f"{where} {what}"
        raise InputError(f"--trainer {name}: {problem}; name a function of a job, such as {where}:train")
    found: Trainer = trainer
    return found


def file_of_trainer(name: str) -> Path | None:
    """The file of a trainer that is named as `FILE.py:NAME`; None for other names."""
    where, _, _ = name.rpartition(":")
    return Path(where).expanduser().absolute() if where.endswith(".py") else None


def _registered(name: str) -> Trainer:
    if name not in TRAINERS:
        known = f" (known: {', '.join(TRAINERS.names())})" if TRAINERS.names() else ""
        raise InputError(
            f"--trainer {name}: no trainer of this name is known in this process{known}; give FILE.py:NAME or "
            "package.module:NAME, or take --engine inline where it is registered in this process alone"
        )
    return TRAINERS[name]


def _module_of_file(path: Path, name: str) -> ModuleType:
    """The module that a file is, imported once while it stays as it is; files beside it can be imported by it."""
    try:
        path = path.expanduser().resolve()
        content = path.read_bytes()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"--trainer {name}: {path}: {reason}; give the path of a Python file") from error
    title = f"_trainer_{hashlib.sha256(str(path).encode() + content).hexdigest()[:16]}"
    if title in sys.modules:
        return sys.modules[title]
    if (folder := str(path.parent)) not in sys.path:
        sys.path.append(folder)  # last, so that it hides nothing that is installed
    spec = importlib.util.spec_from_file_location(title, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[title] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file does when it is imported
        del sys.modules[title]
        raise _unusable(name, error) from error
    return module


def _imported(module: str, name: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path and "" not in sys.path:
        sys.path.append(here)  # as `python -m` finds the modules of the folder where it is run
    try:
        return importlib.import_module(module)
    except Exception as error:  # likewise
        raise _unusable(name, error) from error


def _unusable(name: str, error: Exception) -> InputError:
    return InputError(f"--trainer {name}: cannot be imported ({type(error).__name__}: {error}); mend it")
