"""What the system refuses, in one line: which file, why, and what mends it."""

from __future__ import annotations

import errno

SPACE, RIGHTS = "free space", "give rights to it"
REMEDIES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: "free space, or ask for a larger quota",
    errno.EFBIG: "raise the largest size of a file (`ulimit -f`), or take another file system",
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.EROFS: "take a file system that may be written to",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "close other programs: the system has no more open files",
    errno.ENOMEM: "free memory",
    errno.ENOLCK: "take a file system that keeps locks, such as a disk of this machine",
    errno.ESTALE: "mount that file system again: it was exchanged meanwhile",
    errno.EIO: "look after that disk",
    errno.ENOTCONN: "mount that file system again",
    errno.ETIMEDOUT: "look after the server of that file system",
    errno.ENAMETOOLONG: "take a shorter name",
    errno.ELOOP: "remove the links in that name",
}


def told(error: OSError) -> str:
    """An error of the system in one line, with what mends it."""
    where, reason = error.filename or "a file", error.strerror or str(error)
    where = where.decode(errors="replace") if isinstance(where, bytes) else where
    return (
        f"{where}: {reason}; {REMEDIES.get(error.errno or 0, 'free space or rights')}, then run the same command again"
    )
