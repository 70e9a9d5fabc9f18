"""How a training is asked, from outside its process, to write its checkpoint and end there."""

from __future__ import annotations

from collections.abc import Callable


class PausedError(Exception):
    """The training was asked to end; its checkpoint is written."""


class _Request:
    """Who says whether this process shall pause: nobody, until a worker listens."""

    asked: Callable[[], bool] = staticmethod(lambda: False)


def listen(asked: Callable[[], bool]) -> None:
    """Makes `asked` what trainings of this process look at after every step."""
    _Request.asked = staticmethod(asked)


def asked() -> bool:
    """Whether the training of this process shall pause."""
    return _Request.asked()
