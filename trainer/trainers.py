"""Trainers by their names: registered ones, those of installed packages, and `FILE.py:NAME`, `package.module:NAME`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sampler import InputError
from sampler.registry import Registry
from trainer.observation import COMMAND
from trainer.protocol import Trainer
from trainer.user_code import named_object

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
    if name == COMMAND:
        raise InputError(f"trainer {name!r} is the name of --command; choose another")

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
    if ":" not in name:
        return _registered(name)
    found: Trainer = named_object(name, "--trainer", "name a function of a job, such as {where}:train")
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
