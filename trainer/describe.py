"""What there is to know about a source: counts, sizes, colours, checksum, duplicates, what cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from trainer import duplicates
from trainer.image_data import Decoded, ImageSplit, Progress, fingerprint_of

# Pairs of duplicates that are shown by name.
PAIRS_SHOWN = 20
IMAGES_AT_ONCE = 1024


def describe(data: Decoded, progress: Progress) -> dict[str, Any]:
    """Everything about a decoded source, as plain JSON values.

    Args:
        data: Pictures that it decodes to.
        progress: Called with (what, done, total).
    """
    mean, std = _colours(data.train)
    found = duplicates.find([*data.train.images, *data.validation.images], partial(progress, "comparing images"))
    return {
        "classes": list(data.classes),
        "class_counts": _class_counts(data),
        "train": _counts(data.train, len(data.classes)),
        "validation": _counts(data.validation, len(data.classes)),
        "stored_px": dict(zip(("width", "height"), map(_range, data.sizes.T), strict=True)),
        "mean": mean,
        "std": std,
        "fingerprint": fingerprint_of(data.train, data.validation, data.classes),
        "duplicates": {
            # The first of a group stands for it: it is in train if any of them is.
            "equal": _where([(group[0], copy) for group in found.equal for copy in group[1:]], data),
            "near": None if found.near is None else _where(found.near, data),
        },
        "unreadable": [{"name": one.name, "reason": one.reason} for one in data.unread],
        "notes": list(data.notes),
    }


def _class_counts(data: Decoded) -> list[dict[str, Any]]:
    counts = [
        np.bincount(split.labels, minlength=len(data.classes)).tolist() for split in (data.train, data.validation)
    ]
    return [
        {"name": name, "train": train, "validation": held}
        for name, train, held in zip(data.classes, *counts, strict=True)
    ]


def _counts(split: ImageSplit, classes: int) -> dict[str, Any]:
    return {"images": len(split), "per_class": _range(np.bincount(split.labels, minlength=classes))}


def _range(values: np.ndarray) -> dict[str, float]:
    return {"min": int(values.min()), "median": float(np.median(values)), "max": int(values.max())}


def _colours(split: ImageSplit) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of red, green and blue over all pixels, in [0, 1]."""
    total, squares = np.zeros(3), np.zeros(3)
    for start in range(0, len(split), IMAGES_AT_ONCE):
        pixels = split.images[start : start + IMAGES_AT_ONCE].reshape(-1, 3).astype(np.float64) / 255
        total += pixels.sum(0)
        squares += (pixels**2).sum(0)
    count = split.images.size / 3
    mean = total / count
    return mean.tolist(), np.sqrt(np.maximum(squares / count - mean**2, 0)).tolist()


def _where(pairs: Sequence[duplicates.Pair], data: Decoded) -> dict[str, Any]:
    """How many pairs lie where, and the first of them, those between train and validation before others."""
    labels = np.concatenate([data.train.labels, data.validation.labels])
    border = len(data.train)
    # Of a pair, the first position is the smaller one.
    kinds = ["within_train" if b < border else "between" if a < border else "within_validation" for a, b in pairs]
    shown = sorted(zip(kinds, pairs, strict=True))[:PAIRS_SHOWN]
    return {
        **{kind: kinds.count(kind) for kind in ("within_train", "within_validation", "between")},
        "of_different_classes": sum(bool(labels[a] != labels[b]) for a, b in pairs),
        "validation_images_in_train": len({b for kind, (_, b) in zip(kinds, pairs, strict=True) if kind == "between"}),
        "pairs": [
            {
                "where": kind,
                "names": [str(data.names[index]) for index in pair],
                "classes": [data.classes[labels[index]] for index in pair],
            }
            for kind, pair in shown
        ],
    }
