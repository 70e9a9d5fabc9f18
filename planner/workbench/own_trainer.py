"""The trainer of a study made in Python: a name, or a function that is known in this process alone."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from planner.errors import PlannerError
from sampler.checks import shown
from trainer.protocol import Trainer
from trainer.trainers import TRAINERS


def trainer_name(trainer: str | Trainer) -> str:
    """The name that a study's settings give a trainer.

    Args:
        trainer: `FILE.py:NAME`, `package.module:NAME` or a registered name; or the function itself.

    Raises:
        PlannerError: If it is neither, or a function without a name.
    """
    name = trainer if isinstance(trainer, str) else getattr(trainer, "__name__", "")
    if not (isinstance(trainer, str) or callable(trainer)) or not name or "<" in name:
        raise PlannerError(f"trainer {shown(trainer)}: give FILE.py:NAME, package.module:NAME or a named function")
    return name


def known_trainer(trainer: Trainer | None) -> AbstractContextManager[Any]:
    """Has a function known by its name, as long as somebody may look for it; for None nothing."""
    return nullcontext() if trainer is None else TRAINERS.temporarily(trainer_name(trainer), trainer)
