"""Files that are written whole or not at all, and what a user names that is no plain file."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from trainer.faults import reach

# Of a file's name in its temporary one, because systems bound a name's length.
LONGEST_NAME = 40
USUAL_MODE = 0o666


def write_atomically(path: Path, content: str | bytes, mode: int = USUAL_MODE) -> None:
    """Writes a whole file of our own or nothing, and has it on disk before it returns.

    Args:
        path: The file; its folder is made where it is missing. A link of that name is replaced, not followed.
        content: Content that it shall hold; text as UTF-8.
        mode: Permissions, less what the process masks; by default those of the file before.

    Raises:
        OSError: If it cannot be written, with the file's name; an older file of that name is then untouched.
    """
    with replacing(path, mode) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_named(path: Path, content: str | bytes) -> None:
    """Writes to what a user named, as `writing` does; text as UTF-8."""
    with writing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A stream into what a user named: a plain file is replaced whole, all else is written to and stays what it is.

    A link is followed; a device or pipe takes the bytes; a file with several names keeps them; where it is the
    process's own output, as /dev/stdout is, they come after what was printed before.

    Raises:
        OSError: If it cannot be written, with its name: a folder, a disk, or what may not be written to.
    """
    try:
        found = _found(path)
        if found is None or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and _descriptor(path, found) is None):
            with replacing(Path(os.path.realpath(path))) as file:
                yield file
        else:
            descriptor = _descriptor(path, found)
            with open(path if descriptor is None else os.dup(descriptor), "wb") as file:
                yield file
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error  # not the link's target


@contextmanager
def replacing(path: Path, mode: int = USUAL_MODE) -> Iterator[BinaryIO]:
    """A stream into a temporary file that takes a name once it is whole, with the permissions of the file before.

    Args and errors as `write_atomically`.
    """
    # Nobody can know the name beforehand, to make a link of it.
    temporary, made = path.with_name(f"{path.name[:LONGEST_NAME]}.{secrets.token_hex(8)}.part"), False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        made = True
        with open(descriptor, "wb") as file:
            if mode == USUAL_MODE:
                _keep_rights(path, descriptor)
            yield file
            file.flush()
            os.fsync(descriptor)
        reach("file.part")
        os.replace(temporary, path)
        reach("file.whole")
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error  # not the temporary's name
    finally:
        if made:
            temporary.unlink(missing_ok=True)


def open_lock(path: Path) -> int:
    """A descriptor of a file to be locked, made where there is none; what it holds stays, and no link is followed.

    Raises:
        OSError: If it cannot be opened, is a link or no plain file.
    """
    # Without waiting: it may be a pipe.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "no plain file", str(path))
    return descriptor


def _found(path: Path) -> os.stat_result | None:
    """What a path leads to; None where there is nothing yet.

    Raises:
        OSError: If it is a folder, a disk, or not to be written to.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder, not a file", str(path))
    if stat.S_ISBLK(found.st_mode):
        raise OSError(errno.EINVAL, "a disk, not a file", str(path))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return found


def _descriptor(path: Path, found: os.stat_result) -> int | None:
    """The descriptor of this process that a path names, or that its file is the standard output of; None for others."""
    if named := re.fullmatch(r"/(?:dev|proc/self)/fd/(\d+)", str(path)):
        return int(named[1])
    for standard in (1, 2):
        with suppress(OSError):  # it may be closed
            if os.path.samestat(os.fstat(standard), found):
                return standard
    return None


def _keep_rights(path: Path, descriptor: int) -> None:
    """Gives a new file the permissions and, as far as one may, the owner of the one that it will replace."""
    with suppress(OSError):
        old = os.lstat(path)
        if stat.S_ISREG(old.st_mode):
            with suppress(OSError):
                os.fchown(descriptor, old.st_uid, old.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
