"""Who may write a ledger: one coordinator at a time, or, in PostgreSQL, several that know who of them lives.

A coordinator on PostgreSQL holds an advisory lock of its own number on a connection of its own. The server drops both
when the process ends, however it ends, so that nobody has to guess from deadlines who is dead. A second lock, held for
milliseconds, makes claims and repairs one after the other; a third one does so for whoever queues trainings.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Protocol

from planner.errors import PlannerError
from trainer.files import open_lock

# Second numbers of advisory locks; the first is the study's. Coordinators draw theirs above.
CLAIMS, QUEUE, _SCHEMA = 0, 1, 2
# Folder of the askers' files, in a study's own.
ASKERS = "askers"
LOWEST, HIGHEST = 1000, 2**31 - 1
# Without these a machine whose power failed would look alive for two hours.
KEEPALIVE = ("tcp_keepalives_idle = 20", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3")


class Locks(Protocol):
    """What a ledger is guarded by.

    Attributes:
        number: Number of this coordinator, or of this asker, while it is one; None where there can be no other.
    """

    number: int | None

    def coordinating(self) -> AbstractContextManager[None]:
        """Is a coordinator: claims trainings and records what they gave."""

    def asking(self) -> AbstractContextManager[None]:
        """Is one that takes trainings and does them itself, beside coordinators: has a number that lives until then."""

    def taking(self) -> AbstractContextManager[None]:
        """Moments in which no other process takes trainings in this way."""

    def telling(self) -> AbstractContextManager[None]:
        """Moments in which no other process tells what came of such trainings, or takes them."""

    def queueing(self) -> AbstractContextManager[None]:
        """Reads what was asked for and queues more."""

    def claiming(self) -> AbstractContextManager[None]:
        """Moments in which no other coordinator claims or repairs."""

    def opening(self) -> AbstractContextManager[None]:
        """Moments in which no other process makes the tables."""

    def alive(self) -> set[int]:
        """Numbers of the coordinators and askers that live, this one's included."""

    def renew(self) -> None:
        """Takes again what was lost with a server that was away."""


class FolderLock:
    """One coordinator at a time, by a lock file in the study's folder; askers beside it, by a locked file each.

    Args:
        folder: The study's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number: int | None = None
        self._turns = 0  # how often this object holds the turn

    @contextmanager
    def coordinating(self) -> Iterator[None]:
        """Holds the lock file.

        Raises:
            PlannerError: If another process does.
        """
        path = self.folder / "lock"
        with ExitStack() as stack:
            try:
                descriptor = open_lock(path)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise PlannerError(
                    f"{self.folder}: another process is training this study; wait for it or stop it (several at once "
                    "need a study made with --storage postgresql://..)"
                ) from error
            except OSError as error:
                raise PlannerError(f"{path}: cannot be locked ({error.strerror}); {remedy_of(error)}") from error
            yield

    queueing = coordinating

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Nothing to do: there is no other."""
        yield

    def claiming(self) -> AbstractContextManager[None]:
        """Waits for askers, which may tell beside a coordinator; nothing to do where nobody ever asked."""
        return self.telling() if (self.folder / ASKERS).is_dir() else nullcontext()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Waits for other askers, and for what a coordinator writes."""
        make_folder(self.folder / ASKERS)
        with nullcontext() if self._turns else self._locked_file(self.folder / ASKERS / "turn"):
            self._turns += 1
            try:
                yield
            finally:
                self._turns -= 1

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Holds a file whose name is a number that no other asker has; begun while taking, so that none clears it."""
        make_folder(self.folder / ASKERS)
        number = random.SystemRandom().randint(LOWEST, HIGHEST)
        path = self.folder / ASKERS / str(number)
        with self._locked_file(path):
            self.number = number
            try:
                yield
            finally:
                self.number = None
                path.unlink(missing_ok=True)

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Waits for other askers, but not for a coordinator.

        Raises:
            PlannerError: If there is one.
        """
        with self.telling(), self.coordinating():
            alive = self.alive()
            for path in self._askers():
                if int(path.name) not in alive:
                    path.unlink(missing_ok=True)
            yield

    def _askers(self) -> list[Path]:
        """Files of the askers, alive or dead."""
        return [path for path in (self.folder / ASKERS).glob("*") if path.name.isdecimal()]

    @contextmanager
    def _locked_file(self, path: Path) -> Iterator[None]:
        """Holds a file, once nobody else does.

        Raises:
            PlannerError: If it cannot be locked.
        """
        with ExitStack() as stack:
            try:
                descriptor = open_lock(path)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                raise PlannerError(f"{path}: cannot be locked ({error.strerror}); {remedy_of(error)}") from error
            yield

    def alive(self) -> set[int]:
        """Numbers of the askers whose files are held."""
        alive = set()
        for path in self._askers():
            with suppress(OSError):
                descriptor = open_lock(path)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    alive.add(int(path.name))
                finally:
                    os.close(descriptor)
        return alive

    def renew(self) -> None:
        """Nothing to do: there is no server."""


def remedy_of(error: OSError) -> str:
    """What to do where a lock file cannot be opened or locked."""
    if error.errno in (errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.ENXIO):
        return "remove it: it is a link, a folder or a device, and none of ours"
    if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ESTALE):
        return "this file system keeps no locks: move the study to a disk of this machine"
    return "free space or rights, then run again"


class PostgresLocks:
    """Several coordinators at once, by advisory locks of a PostgreSQL server.

    Args:
        url: URL of the storage.
        study: Name of the study there.
    """

    def __init__(self, url: str, study: str) -> None:
        self.url = url
        self.number: int | None = None
        self.study = zlib.crc32(study.encode()) - 2**31  # advisory locks take two signed 32-bit numbers
        self._own: Any = None
        self._connections = ExitStack()

    @contextmanager
    def coordinating(self) -> Iterator[None]:
        """Holds a number that no other coordinator holds."""
        with ExitStack() as self._connections:
            connection = self._connections.enter_context(self._connection())
            number = random.SystemRandom().randint(LOWEST, HIGHEST)
            while not self._ask(connection, "pg_try_advisory_lock", number):
                number = random.SystemRandom().randint(LOWEST, HIGHEST)
            self._own, self.number = connection, number
            try:
                yield
            finally:
                self._own = self.number = None

    def renew(self) -> None:
        """Takes this coordinator's number again, on a new connection: the server dropped both when it went away.

        Raises:
            sqlalchemy.exc.OperationalError: If the server is still away, or has not yet noticed that it was.
        """
        from sqlalchemy import text
        from sqlalchemy.exc import DBAPIError, OperationalError, PendingRollbackError

        if self._own is None:
            return
        with suppress(DBAPIError, PendingRollbackError):
            self._own.execute(text("SELECT 1"))
            return  # it lives
        connection = self._connections.enter_context(self._connection())
        if not self._ask(connection, "pg_try_advisory_lock", self.number or 0):
            raise OperationalError("pg_try_advisory_lock", None, RuntimeError("the lost connection is still held"))
        self._own = connection

    @contextmanager
    def queueing(self) -> Iterator[None]:
        """Waits for others that queue."""
        with self._connection() as connection, self._held(connection, QUEUE):
            yield

    asking, taking, telling = coordinating, queueing, queueing

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Waits for others that claim; where nobody coordinates (a repair by hand), on a new connection."""
        if self._own is not None:
            with self._held(self._own, CLAIMS):
                yield
            return
        with self._connection() as connection, self._held(connection, CLAIMS):
            yield

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Waits for others that make tables."""
        with self._connection() as connection, self._held(connection, _SCHEMA):
            yield

    def alive(self) -> set[int]:
        """Numbers of the coordinators whose connections live."""
        if self._own is None:
            with self._connection() as connection:
                return self._holders(connection)
        return self._holders(self._own)

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        from sqlalchemy import create_engine, text
        from sqlalchemy.pool import NullPool

        engine = create_engine(self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for setting in KEEPALIVE:
                connection.execute(text(f"SET {setting}"))
            yield connection

    @contextmanager
    def _held(self, connection: Any, second: int) -> Iterator[None]:
        from sqlalchemy.exc import DBAPIError, PendingRollbackError

        self._ask(connection, "pg_advisory_lock", second)
        try:
            yield
        finally:
            with suppress(DBAPIError, PendingRollbackError):  # a connection that is lost holds nothing
                self._ask(connection, "pg_advisory_unlock", second)

    def _ask(self, connection: Any, function: str, second: int) -> Any:
        from sqlalchemy import text

        return connection.execute(
            text(f"SELECT {function}(:study, :second)"), {"study": self.study, "second": second}
        ).scalar()

    def _holders(self, connection: Any) -> set[int]:
        from sqlalchemy import text

        # `classid` is unsigned there; `objsubid` 2 marks locks of two numbers.
        query = text(
            "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
            "AND classid::bigint = :study AND objid::bigint >= :lowest "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        rows = connection.execute(query, {"study": self.study % 2**32, "lowest": LOWEST})
        return {int(row[0]) for row in rows}


def locks_of(url: str, folder: Path, study: str) -> Locks:
    """What guards a ledger at a storage URL."""
    if url.startswith(("postgresql:", "postgresql+")):
        return PostgresLocks(url, study)
    return FolderLock(folder)


def make_folder(folder: Path) -> None:
    """Makes a study's folder and what it lies in.

    Raises:
        PlannerError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "remove it" if isinstance(error, FileExistsError) else "free space or rights there"
        raise PlannerError(f"{folder}: {error.strerror}; {remedy}, then run again") from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Moments in which no other process makes the study of a folder: one that does is waited for.

    The lock is a file beside the folder, removed afterwards, as folders are that were made for it and stay empty.
    """
    new = [one for one in folder.parents if not one.exists()]
    path = folder.with_name(f".{folder.name}.making")
    descriptor = _locked(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        for one in new:
            with suppress(OSError):  # there is something in it
                one.rmdir()


def _locked(path: Path) -> int:
    """A descriptor that holds a lock file, which others remove once they have held it.

    Raises:
        PlannerError: If it cannot be locked.
    """
    told = False
    try:
        while True:
            make_folder(path.parent)
            try:
                descriptor = open_lock(path)
            except FileNotFoundError:  # another process made the folder, and removed it again
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    print(f"{path.parent}: another process makes this study; waits for it", file=sys.stderr)
                told = True
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                    return descriptor
            os.close(descriptor)
    except OSError as error:
        raise PlannerError(f"{path}: cannot be locked ({error.strerror}); {remedy_of(error)}") from error
