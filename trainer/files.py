"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from trainer.faults import reach


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a whole file or nothing, and has it on disk before it returns.

    Args:
        path: The file; its folder is made where it is missing.
        content: What it shall hold; text as UTF-8.

    Raises:
        OSError: If it cannot be written, with the file's name; an older file of that name is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        reach("file.part")
        os.replace(temporary, path)
        reach("file.whole")
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error  # not the temporary's name
    finally:
        temporary.unlink(missing_ok=True)
