"""Zen-score in place of accuracy: what RBIS's ablation tried in order to train nothing (thesis, section 7.2).

Zen-score grows with depth without saturating, so the thesis divides it by the number of convolutional blocks. Either
is a score, not an accuracy: it lies outside of [0, 1], and says nothing of how often a network would be right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from planner.searches.memory import Memory
from planner.searches.scoring import Candidate
from sampler import Architecture
from trainer.zero_cost import zen_score

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
        self.memory = Memory(None if memory is None else Path(memory), ("zen",), "remembered Zen-score")

    def __call__(self, candidates: Sequence[Candidate]) -> list[float | None]:
        """The score of each, which is no accuracy; None where it could not be computed."""
        architectures = list(dict.fromkeys(one.architecture for one in candidates))
        unknown = [one for one in architectures if self._facts(one) not in self.memory]
        if self.measure is None or not unknown:
            return [self.score(one.architecture) for one in candidates]
        found = dict(zip(unknown, self.measure(unknown, self.settings), strict=True))
        for one, zen in found.items():
            if zen is not None:
                self.memory.keep(self._facts(one), (zen,))
        lost = {one for one, zen in found.items() if zen is None}
        return [None if one.architecture in lost else self.score(one.architecture) for one in candidates]

    def score(self, architecture: Architecture) -> float:
        """Zen-score of an architecture, over its number of blocks if so wanted.

        Raises:
            InputError: If it cannot be built.
        """
        facts = self._facts(architecture)
        if facts not in self.memory:
            self.memory.keep(facts, (self._zen(architecture),))
        (zen,) = self.memory.get(facts)
        return zen / sum(architecture.depths) if self.per_block else zen

    def _facts(self, architecture: Architecture) -> dict[str, Any]:
        return {**asdict(architecture), **self.settings}

    def _zen(self, architecture: Architecture) -> float:
        wanted = dict(self.settings)
        return zen_score(architecture, resolution=wanted.pop("image_side"), **wanted).zen
