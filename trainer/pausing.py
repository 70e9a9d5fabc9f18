"""How a training is asked, from outside its process, to write its checkpoint and end there; and that it goes on."""

from __future__ import annotations

from collections.abc import Callable


class PausedError(Exception):
    """The training was asked to end; its checkpoint is written."""


class _Request:
    """Who says whether this process shall pause, and who is told that it goes on: nobody, until a worker listens."""

    asked: Callable[[], bool] = staticmethod(lambda: False)
    told: Callable[[], None] = staticmethod(lambda: None)


def listen(asked: Callable[[], bool], told: Callable[[], None]) -> None:
    """Makes `asked` what trainings of this process look at after every step, and `told` their sign of life."""
    _Request.asked, _Request.told = staticmethod(asked), staticmethod(told)


def asked() -> bool:
    """Whether the training of this process shall pause; asking is a sign of life."""
    _Request.told()
    return _Request.asked()


def alive() -> None:
    """Says that the training of this process goes on: between steps, where something takes long."""
    _Request.told()
