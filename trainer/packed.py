"""Packed pictures: one npz archive of encoded pictures, and a card beside it that says what is in it.

The archive's keys are `NPZ_KEYS`: `jpeg`, all encoded pictures end to end, uint8; `offset`, int64, where
each begins and the last ends; `label`, `split` (0 train, 1 validation) and `classes`. Pictures may be of any
of `trainer.pictures.FORMATS`, whatever the key's name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from trainer.files import replacing, write_atomically
from trainer.image_data import DataError, one_line

NPZ_KEYS = ("jpeg", "offset", "label", "split", "classes")
_SCHEMA = "planner-images/1"


def card_of(path: Path) -> Path:
    """Where the card of an archive is."""
    return path.with_suffix(".json")


def check_card(path: Path) -> None:
    """Compares an archive with the checksum on its card; an archive without a card is taken as it is.

    Raises:
        DataError: If they differ.
    """
    try:
        card = json.loads(card_of(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if not isinstance(card, dict) or card.get("schema") != _SCHEMA:
        return
    found = sha256_of(path)
    if found != card.get("sha256"):
        raise DataError(
            f"{path} has sha256 {found[:12]}.., its card {card_of(path).name} says {str(card.get('sha256'))[:12]}..; "
            "it was damaged or replaced: make it again, or remove the card if it is meant"
        )


def sha256_of(path: Path) -> str:
    """The sha256 (hex) of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_packed(
    path: Path,
    encoded: Iterable[tuple[bytes, int, int]],
    classes: Sequence[str],
    card: Mapping[str, Any],
) -> dict[str, Any]:
    """Writes an archive and its card; both or neither, and never half of one.

    The same pictures give the same bytes.

    Args:
        path: The archive; an older one is replaced.
        encoded: Bytes, label and split of each picture; taken one by one, while the archive is written.
        classes: Class names.
        card: Facts that the card shall say besides bytes, counts and sha256; plain JSON values. It is read after the
            last picture was taken.

    Returns:
        The whole card.

    Raises:
        DataError: If they cannot be written, as on a full disk.
    """
    archive = Path(os.path.realpath(path))  # a link stays one
    if archive.exists() and not archive.is_file():
        raise DataError(f"{path}: a folder, device or pipe; an archive needs a file: give another --out")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        # Two passes, because the archive's header holds the number of bytes; memory stays small.
        with TemporaryDirectory(prefix=".packing-", dir=archive.parent) as own:
            arrays = _pile_up(Path(own) / "pile", encoded)
            arrays["classes"] = np.array(classes)
            packed = Path(own) / "packed"
            with replacing(packed) as stream:
                np.savez(stream, allow_pickle=False, **{key: arrays[key] for key in NPZ_KEYS})
            whole = {**card, "schema": _SCHEMA, "bytes": packed.stat().st_size, "sha256": sha256_of(packed)}
            whole["images"] = _counts(arrays, classes)
            # Between the two an old card would condemn the new archive.
            card_of(path).unlink(missing_ok=True)
            os.replace(packed, archive)
        write_atomically(card_of(path), json.dumps(whole, indent=1, sort_keys=True, allow_nan=False) + "\n")
    except OSError as error:
        raise DataError(
            f"cannot write {path} ({error.strerror or one_line(error)}); nothing was left: free space or rights there, "
            "or choose another --out"
        ) from error
    return whole


def _pile_up(pile: Path, encoded: Iterable[tuple[bytes, int, int]]) -> dict[str, np.ndarray]:
    """Writes the pictures end to end; the arrays of the archive, the pile mapped."""
    lengths, labels, splits = [0], [], []
    with open(pile, "xb") as stream:
        for picture, label, split in encoded:
            stream.write(picture)
            lengths.append(len(picture))
            labels.append(label)
            splits.append(split)
    return {
        "jpeg": np.memmap(pile, np.uint8, "r"),
        "offset": np.cumsum(lengths, dtype=np.int64),
        "label": np.array(labels, np.int16 if max(labels) < 2**15 else np.int32),
        "split": np.array(splits, np.uint8),
    }


def _counts(arrays: Mapping[str, np.ndarray], classes: Sequence[str]) -> dict[str, Any]:
    counts = [np.bincount(arrays["label"][arrays["split"] == split], minlength=len(classes)) for split in (0, 1)]
    per_class = {name: [int(train), int(held)] for name, train, held in zip(classes, *counts, strict=True)}
    return {"train": int(counts[0].sum()), "validation": int(counts[1].sum()), "per_class": per_class}
