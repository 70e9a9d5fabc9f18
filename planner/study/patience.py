"""A server that is away for a moment, because it is started again or the network is: what was asked is asked again."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from planner.study.opened import OpenedLedger

LONGEST, PAUSE = 60.0, 1.0  # seconds
L = TypeVar("L", bound="OpenedLedger")
P = ParamSpec("P")
_R = TypeVar("_R")


def patient(act: Callable[Concatenate[L, P], _R]) -> Callable[Concatenate[L, P], _R]:
    """Makes a method of a ledger outlive a server that is away for less than a minute.

    The method must be one that can be done twice. One within another is not asked again by itself: the outer one is.
    """

    @wraps(act)
    def asked(ledger: L, /, *args: P.args, **kwargs: P.kwargs) -> _R:
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
        act: What is done.
        renew: Done before every other try.
        tell: Told in one line that it waits.

    Returns:
        What came of it.

    Raises:
        Exception: The last error of a server that stays away; any other at once.
    """
    ends, tries = time.monotonic() + LONGEST, 0
    while True:
        try:
            if tries:
                renew()
            return act()
        except Exception as error:
            if not is_away(error) or time.monotonic() > ends:
                raise
            if not tries:
                tell(f"the ledger's server is away; asked again for {LONGEST:.0f} s")
            tries += 1
        time.sleep(PAUSE)


def is_away(error: BaseException) -> bool:
    """Whether an error, or one that it came of, is that a server does not answer."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    found: Any = error
    while found is not None and not isinstance(found, InterfaceError | OperationalError):
        found = found.__cause__
    return found is not None
