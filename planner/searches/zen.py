"""Zen-score in place of accuracy: what RBIS's ablation tried in order to train nothing (thesis, section 7.2).

Zen-score grows with depth without saturating, so the thesis divides it by the number of convolutional blocks. Either
is a score, not an accuracy: it lies outside of [0, 1], and says nothing of how often a network would be right.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from planner.errors import PlannerError
from planner.searches.scoring import Candidate
from planner.text.documents import number, parse, read_text
from sampler import Architecture
from trainer.zero_cost import zen_score

LARGEST_MEMORY = 100_000_000
BEGINNING = '{"base": "'  # of every line, since keys are sorted


# Zen-scores of several architectures by the settings of a scorer; None for one that could not be computed.
ZenMeasure = Callable[[Sequence[Architecture], Mapping[str, Any]], list[float | None]]


class ZenScorer:
    """A scorer that gives the Zen-score of untrained networks, each computed once.

    Parents are ignored. Scores at different resolutions compare only where `resolution` is given, because the score
    sums over pixels: at their own sides large images win, and RBIS's step 3 then always prefers the largest side.

    Args:
        classes: Outputs of the classifier.
        seed: Same seed, same scores.
        per_block: Whether the score is divided by the number of blocks.
        device: A torch device.
        repeats: Draws of weights and images, at least 2.
        batch: Images of a draw.
        resolution: Side of the images in pixels; each architecture's own by default.
        measure: Computes the scores of several architectures at once, by the scorer's settings; one by one in this
            process by default.
        memory: A JSON-lines file that remembers scores between runs; it is made where it is missing, and lines of
            other settings are kept but not used. Plain and divided scores share it.

    Raises:
        PlannerError: If the file is no such memory, or cannot be read or written.
    """

    def __init__(
        self,
        classes: int = 1000,
        seed: int = 0,
        per_block: bool = False,
        device: str = "cpu",
        repeats: int = 4,
        batch: int = 16,
        resolution: int | None = None,
        memory: str | Path | None = None,
        measure: ZenMeasure | None = None,
    ) -> None:
        self.settings: dict[str, Any] = {
            "classes": classes,
            "seed": seed,
            "device": device,
            "repeats": repeats,
            "batch": batch,
            "image_side": resolution,
        }
        self.per_block, self.measure = per_block, measure
        self.memory = None if memory is None else Path(memory)
        self.known: dict[str, float] = {} if self.memory is None else _read(self.memory)

    def __call__(self, candidates: Sequence[Candidate]) -> list[float | None]:
        """The score of each, which is no accuracy; None where it could not be computed."""
        architectures = list(dict.fromkeys(one.architecture for one in candidates))
        unknown = [one for one in architectures if self._key_of(one) not in self.known]
        if self.measure is not None and unknown:
            for one, zen in zip(unknown, self.measure(unknown, self.settings), strict=True):
                if zen is not None:
                    self._remember(one, zen)
            lost = {one for one in unknown if self._key_of(one) not in self.known}
            return [None if one.architecture in lost else self.score(one.architecture) for one in candidates]
        return [self.score(one.architecture) for one in candidates]

    def score(self, architecture: Architecture) -> float:
        """Zen-score of an architecture, over its number of blocks if so wanted.

        Raises:
            InputError: If it cannot be built.
        """
        key = self._key_of(architecture)
        if key not in self.known:
            self._remember(architecture, self._zen(architecture))
        return self.known[key] / sum(architecture.depths) if self.per_block else self.known[key]

    def _key_of(self, architecture: Architecture) -> str:
        return _key({**asdict(architecture), **self.settings})

    def _remember(self, architecture: Architecture, zen: float) -> None:
        key = self._key_of(architecture)
        if self.memory is not None:
            _append(self.memory, key, zen)
        self.known[key] = zen

    def _zen(self, architecture: Architecture) -> float:
        wanted = dict(self.settings)
        return zen_score(architecture, resolution=wanted.pop("image_side"), **wanted).zen


def _key(facts: dict[str, Any]) -> str:
    """Equal for equal facts, whether they were tuples or the lists that JSON makes of them."""
    return json.dumps(facts, sort_keys=True)


def _read(path: Path) -> dict[str, float]:
    """Scores of a memory; a last line that was cut off by a kill is left out."""
    if not path.exists():
        return {}
    text = read_text(path, LARGEST_MEMORY, "no memory of scores", "name another file")
    *lines, cut_off = text.split("\n")
    if not BEGINNING.startswith(cut_off[: len(BEGINNING)]):  # some other file, which is not ours to cut
        raise PlannerError(f"{path}: line {len(lines) + 1} is no remembered Zen-score; name another file")
    known = {}
    for line_number, line in enumerate(lines, start=1):
        try:
            facts = parse(line)
            zen = number(facts.pop("zen"), "zen")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise PlannerError(f"{path}: line {line_number} is no remembered Zen-score; name another file") from error
        known[_key(facts)] = zen
    return known


def _append(path: Path, key: str, zen: float) -> None:
    """Adds a line, in place of one that was cut off."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            if whole < end:
                file.truncate(whole)
            file.write(json.dumps({**json.loads(key), "zen": zen}, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise PlannerError(f"{path}: {error.strerror or error}; name another file") from error
