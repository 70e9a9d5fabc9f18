"""The increments of RBIS: which stages may move, how far, and what combinations of moves give (section 4.2).

A *mover* is a stage, by its number from 1, or the head. A *pick* moves one mover by one increment; a combination
is a multiset of picks: with two picks among L movers there are L (L + 1) / 2 of them, 15 for L = 5.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np

from planner.errors import PlannerError
from sampler import Architecture, BaseNetwork, rule_named
from sampler import base as base_named
from sampler.families import family_of
from sampler.scaling import buildable, own_steps

Mover = int | Literal["head"]
IncrementKind = Literal["width", "depth"]
Combination = tuple[Mover, ...]
HEAD: Literal["head"] = "head"
INCREMENT_KINDS: tuple[IncrementKind, IncrementKind] = ("width", "depth")  # the first iteration is of widths
MOVERS = 5
THESIS_DIVISOR = 4
_TIMES = {1: "", 2: " twice"}


@dataclass(frozen=True)
class RbisOptions:
    """What the thesis leaves to its user.

    Attributes:
        stages: Parts that may move: numbers of stages from 1, and `"head"`. None for the last five of all stages and,
            where the network has one, the head: stages 4 to 7 and the head of EfficientNet-B0, all that Table 5.1
            moves.
            The head has a width only, so that a depth iteration has one mover fewer.
        picks: Stages that move in an iteration; a stage may be picked repeatedly.
        keep: Number of the combinations of an iteration, of the lowest cost, that are scored.
        width_growth: Share by which a picked width grows.
        width_reading: Whole that it is a share of: the width that the search started with, which reproduces the 104
            and 384 channels of Table 5.1, or, `"compounding"`, the width so far.
        divisor: Widths go to the nearest multiple of it, halves up. None for the one of the base network's scaling
            rule, mostly 8, at which small widths often do not move; the thesis has 4. Where the network has steps of
            its own, a pick is at least one of them.
        depth_step: Blocks by which a picked depth grows.
        sizes: Resolutions that are taken where none are named: the first so many above the start's own that lie just
            before a jump of the cost. The thesis has four.
        inherit: Whether candidates inherit the weights of the network that they grew from; the thesis trains each
            from scratch.

    Raises:
        PlannerError: If a number is out of range; names it.
    """

    stages: tuple[Mover, ...] | None = None
    picks: int = 2
    keep: int = 10
    width_growth: float = 0.10
    width_reading: Literal["of_base", "compounding"] = "of_base"
    divisor: int | None = None
    depth_step: int = 1
    sizes: int = 4
    inherit: bool = False

    def __post_init__(self) -> None:
        for name in ("picks", "keep", "depth_step", "sizes"):
            if getattr(self, name) < 1:
                raise PlannerError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.divisor is not None and self.divisor < 1:
            raise PlannerError(f"divisor must be at least 1, got {self.divisor}")
        if not 0 < self.width_growth <= 1:
            raise PlannerError(f"width_growth must lie in (0, 1], got {self.width_growth:g}; 0.1 is 10 %")
        if self.width_reading not in ("of_base", "compounding"):
            raise PlannerError(f"width_reading {self.width_reading!r} is unknown; known: of_base, compounding")

    def movers(self, network: BaseNetwork) -> tuple[Mover, ...]:
        """What may move in a network.

        Raises:
            PlannerError: If the network has no such stage or head, or one is named twice.
        """
        known: tuple[Mover, ...] = (*range(1, len(network.stages) + 1), *([HEAD] if network.head else []))
        if self.stages is None:
            return known[-MOVERS:]
        wrong = [mover for mover in self.stages if mover not in known]
        if wrong or not self.stages or len(set(self.stages)) < len(self.stages):
            names = ", ".join(map(str, known))
            raise PlannerError(f"stages {list(self.stages)}: give some of {names} for {network.name}, each once")
        return self.stages


@dataclass(frozen=True)
class Increments:
    """The moves of one search.

    Attributes:
        start: Where the search starts; its widths are what `of_base` is a share of.
        options: How far a pick moves.
    """

    start: Architecture
    options: RbisOptions

    @property
    def network(self) -> BaseNetwork:
        """The base network that is grown."""
        return base_named(self.start.base)

    @property
    def divisor(self) -> int:
        """What widths are multiples of."""
        return self.options.divisor or rule_named(self.network.rule).divisor

    def candidates(self, parent: Architecture, kind: IncrementKind, picks: int) -> dict[Architecture, Combination]:
        """Distinct architectures that so many picks make of a parent, in the order of the combinations.

        A combination with a pick that changes nothing, because 10 % more rounds back to the width there is, is none:
        it would be a smaller move under another name.
        """
        movers = [one for one in self.options.movers(self.network) if kind == "width" or one != HEAD]
        found: dict[Architecture, Combination] = {}
        for combination in combinations_with_replacement(movers, picks):
            after = self.after(parent, kind, combination)
            if after is not None:
                found.setdefault(after, combination)
        return found

    def after(self, parent: Architecture, kind: IncrementKind, combination: Combination) -> Architecture | None:
        """What a combination makes of a parent; None if one of its picks changes nothing."""
        one = parent
        for mover in combination:
            grown = self._deeper(one, mover) if kind == "depth" else self._wider(one, mover)
            if grown == one:
                return None
            one = grown
        return one

    def idle(self, parent: Architecture) -> dict[Mover, int]:
        """Movers that no width move widens, with the channels that they stay at."""
        movers = self.options.movers(self.network)
        return {mover: _width(parent, mover) for mover in movers if self._wider(parent, mover) == parent}

    def standstill(self) -> str:
        """A line where a third of the widths or more cannot move from the start; "" where more can."""
        idle, movers = self.idle(self.start), self.options.movers(self.network)
        if 3 * len(idle) < len(movers):
            return ""
        finer = "" if self.divisor <= THESIS_DIVISOR else f"; --set divisor={THESIS_DIVISOR} is the thesis' own"
        return f"{len(idle)} of {len(movers)} widths do not move at multiples of {self.divisor}{finer}"

    def grown(self, width: int, start: int) -> int:
        """The next width: nearest multiple of the divisor, halves up, and never fewer channels.

        Args:
            width: Channels so far.
            start: Channels that the search started with.
        """
        options = self.options
        exact = width + options.width_growth * (start if options.width_reading == "of_base" else width)
        # 10 % of 40 is 4.000..: a half on paper goes up whatever floating point makes of it.
        return max(width, self.divisor * math.floor(exact / self.divisor + 0.5 + 1e-9))

    def _deeper(self, one: Architecture, mover: Mover) -> Architecture:
        assert mover != HEAD, "the head has no depth"
        depths = list(one.depths)
        depths[mover - 1] += self.options.depth_step
        return replace(one, depths=tuple(depths))

    def _wider(self, one: Architecture, mover: Mover) -> Architecture:
        width = self.grown(_width(one, mover), _width(self.start, mover))
        if mover == HEAD:
            return replace(one, head=width)
        widths = np.array([one.widths], dtype=np.int64)
        widths[0, mover - 1] = width
        # A family that cannot build the width has the nearest, which may be the width there was.
        if own_steps(self.network):  # of coarse steps of its own at least one
            widths[0, mover - 1] = max(
                width, one.widths[mover - 1] + family_of(self.network).width_steps(self.network)[mover - 1]
            )
        return replace(one, widths=tuple(buildable(self.network, widths)[0].tolist()))


def _width(one: Architecture, mover: Mover) -> int:
    return one.head if mover == HEAD else one.widths[mover - 1]


def in_words(kind: IncrementKind, combination: Combination) -> str:
    """A move in words.

    Example:
        >>> in_words("width", (4, 4)), in_words("depth", (6, 7))
        ('width of stage 4 twice', 'depth of stage 6 and stage 7')
    """
    parts = Counter(combination).items()
    names = [
        f"{mover if mover == HEAD else f'stage {mover}'}{_TIMES.get(times, f' {times} times')}"
        for mover, times in parts
    ]
    return f"{kind} of {' and '.join(names)}"


def notation(widths: Sequence[Mover], depths: Sequence[Mover]) -> str:
    """All picks of a search as in section 5.3: numbers of stages from 1, `h` for the head.

    Example:
        >>> notation([4, 3, 4, 3], [5, 5, 4, 5])
        'width[3344] depth[4555]'
    """
    return f"width[{_sorted(widths)}] depth[{_sorted(depths)}]"


def _sorted(movers: Sequence[Mover]) -> str:
    numbers = sorted(mover for mover in movers if mover != HEAD)
    names = [*map(str, numbers), *("h" for mover in movers if mover == HEAD)]
    return ("" if all(len(name) == 1 for name in names) else ",").join(names)
