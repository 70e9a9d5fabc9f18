"""A server that is away for a moment, because it is started again or the network is: what was asked is asked again."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from planner.study.locks import Locks

LONGEST_AWAY, PAUSE = 60.0, 1.0  # seconds


class Patient(Protocol):
    """A ledger whose server may be away.

    Attributes:
        file: The ledger's file; None of one on a server.
        asking: Whether a `patient` method is at work.
        locks: Locks that guard the ledger.
        tell: Told in one line what a user must know.
    """

    file: Path | None
    asking: bool
    locks: Locks
    tell: Callable[[str], None]


_L = TypeVar("_L", bound=Patient)
_P = ParamSpec("_P")
_R = TypeVar("_R")


def patient(act: Callable[Concatenate[_L, _P], _R]) -> Callable[Concatenate[_L, _P], _R]:
    """Makes a method of a ledger outlive a server that is away for less than a minute.

    The method must be one that can be done twice. One within another is not asked again by itself: the outer one is.
    """

    @wraps(act)
    def asked(ledger: _L, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        if ledger.file is not None or ledger.asking:
            return act(ledger, *args, **kwargs)
        ledger.asking = True
        try:
            return again(lambda: act(ledger, *args, **kwargs), ledger.locks.renew, ledger.tell)
        finally:
            ledger.asking = False

    return asked


def again(act: Callable[[], _R], renew: Callable[[], None], tell: Callable[[str], None]) -> _R:
    """Does something until its server answers, or it was away for too long.

    Args:
        act: Call that is made.
        renew: Done before every other try.
        tell: Told in one line that it waits.

    Returns:
        What came of it.

    Raises:
        Exception: The last error of a server that stays away; any other at once.
    """
    ends, tries = time.monotonic() + LONGEST_AWAY, 0
    while True:
        try:
            if tries:
                renew()
            return act()
        except Exception as error:
            if not is_away(error) or time.monotonic() > ends:
                raise
            if not tries:
                tell(f"the ledger's server is away; asked again for {LONGEST_AWAY:.0f} s")
            tries += 1
        time.sleep(PAUSE)


def is_away(error: BaseException) -> bool:
    """Whether an error, or one that it came of, is that a server does not answer."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    found: Any = error
    while found is not None and not isinstance(found, InterfaceError | OperationalError):
        found = found.__cause__
    return found is not None
