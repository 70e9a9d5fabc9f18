"""Files that a killed process left in a study's folder: removed by a later one, which alone may write there."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from planner.study.ledger import Ledger
from planner.training.measuring import MEASURED
from trainer.engines.engine import checkpoint_path, clear_checkpoint

# Files that are being written, under the names that `trainer.files` and `planner.study.ledger_file` give them.
PART = re.compile(r".+\.(\d+|[0-9a-f]{16})\.part(-journal)?")
CHECKPOINT = re.compile(r"[0-9a-f]{16}(\.pt)?")  # the image trainer's file, or another trainer's folder
# Where only a coordinator and its workers write; and what only they write in the study's folder itself.
FOLDERS = ("observations", "checkpoints", "networks", "parents")
CACHE = "cache"  # images are decoded by commands that train nothing, too; and others measure while this one trains
FILES = ("trials.csv.", "epochs.csv.", "queueing.json.", "ledger.db.")
OLD = 3600.0  # seconds; nobody writes one file for so long


def remove_left(ledger: Ledger, alone: bool) -> None:
    """Removes what is left of files that were never whole, and checkpoints of trainings that nobody waits for.

    Args:
        ledger: The study's, which this process coordinates.
        alone: Whether no other process, here or on another machine, trains for it: else what is young stays.
    """
    for path in (*_parts(ledger.folder, alone), *_checkpoints(ledger)):
        clear_checkpoint(path)


def _parts(folder: Path, alone: bool) -> Iterator[Path]:
    for place in (folder, *(folder / name for name in (*FOLDERS, CACHE, MEASURED))):
        if place.is_symlink() or not place.is_dir():
            continue
        for path in place.iterdir():
            if PART.fullmatch(path.name) and not path.is_symlink() and path.is_file():
                ours = alone and (place.name in FOLDERS or (place == folder and path.name.startswith(FILES)))
                if ours or time.time() - path.stat().st_mtime > OLD:
                    yield path


def _checkpoints(ledger: Ledger) -> Iterator[Path]:
    folder = ledger.folder / "checkpoints"
    found = [path for path in folder.glob("*") if CHECKPOINT.fullmatch(path.name)]
    if found and not folder.is_symlink():
        wanted = {checkpoint_path(folder, training) for training in ledger.pending_trainings()}
        yield from (path for path in found if path not in wanted)
