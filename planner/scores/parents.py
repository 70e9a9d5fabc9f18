"""Which small networks to train once, so that every architecture of a study can inherit weights from one of them.

Who can inherit from whom is `trainer.inherit.refusal`'s to say, not this file's: here candidates are made, and as few
of them as serve all architectures are chosen, greedily. The rule for being a parent, beside that:

    A parent has at most four fifths of the MACs of every child at an equal resolution, and at its own resolution fewer
    than every child at the child's. Otherwise the score of the architecture that it almost is would be a longer
    training, not an inheritance. (At half, the narrowest networks, whose widths cannot shrink, would have no parent.)

A candidate starts from the smallest stem, widths, depths and head of a group of architectures, and is narrowed and
thinned until the rule holds. Groups are those that begin their stages alike (`trainer.inherit.pattern`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import gcd

import numpy as np

from sampler import Architecture, InputError, ScalingRule, architecture_complexity, base
from sampler.scaling import buildable
from trainer.inherit import Pattern, pattern, refusal

# Of a child's MACs, at an equal resolution.
LARGEST_PARENT = 0.8
# Of a group's smallest widths and depths: what candidates have.
_SHARES = (1.0, 0.75, 0.5, 0.375, 0.25, 0.0)


def choose_parents(
    architectures: Sequence[Architecture],
    rule: ScalingRule,
    classes: int,
    seed: int,
    kept: Sequence[Architecture] = (),
) -> dict[Architecture, Architecture]:
    """A parent for each architecture that can have one; few different ones.

    Args:
        architectures: The children, of one base network.
        rule: Says in which steps widths shrink, and how far.
        classes: Outputs of the classifiers.
        seed: Random seed of the inheritance.
        kept: Parents that are trained already: they come first, as they cost nothing.

    Returns:
        The parent of each child; a child that nothing can be made for is left out.

    Example:
        >>> from sampler import rule_named, scaled
        >>> children = [scaled("resnet18", width=w) for w in (0.5, 1.0)]
        >>> len(set(choose_parents(children, rule_named("free"), 10, seed=0).values()))
        1
    """
    nursery = _Nursery(rule, classes, seed)
    chosen: dict[Architecture, Architecture] = {}
    left = list(dict.fromkeys(architectures))
    waiting = list(kept)
    while left:
        candidates = waiting or nursery.candidates(left)
        served = {parent: nursery.served(parent, left) for parent in candidates}
        parent = max(served, key=lambda one: (len(served[one]), nursery.size(one)), default=None)
        if parent is None or not served[parent]:
            if not waiting:
                break
            waiting = []
            continue
        chosen.update(dict.fromkeys(served[parent], parent))
        left = [one for one in left if one not in chosen]
    return chosen


def common_parent(architectures: Sequence[Architecture]) -> Architecture:
    """The largest network that is nowhere larger than any of these, at the middle one's resolution.

    Example:
        >>> from sampler import base, scaled
        >>> half = scaled("efficientnet_b0", width=0.5)
        >>> common_parent([base("efficientnet_b0").architecture(), half]).widths == half.widths
        True
    """
    by_pixels = sorted(architectures, key=lambda one: one.resolution)
    return replace(
        by_pixels[len(by_pixels) // 2],
        stem=min(one.stem for one in architectures),
        widths=tuple(map(min, zip(*(one.widths for one in architectures), strict=True))),
        depths=tuple(map(min, zip(*(one.depths for one in architectures), strict=True))),
        head=min(one.head for one in architectures),
    )


class _Nursery:
    """Makes candidates for parents, and says whom they serve."""

    def __init__(self, rule: ScalingRule, classes: int, seed: int) -> None:
        self.rule, self.classes, self.seed = rule, classes, seed
        self.pattern = lru_cache(maxsize=None)(self._pattern)
        self.macs = lru_cache(maxsize=None)(self._macs)
        self.inherits = lru_cache(maxsize=None)(self._inherits)
        self.best = lru_cache(maxsize=None)(self._best)

    def candidates(self, children: Sequence[Architecture]) -> list[Architecture]:
        """The best parent of each group of children; of single ones only where no group has any."""
        groups = [self.best(group) for group in self._groups(children)]
        found = [parent for parent in groups if parent is not None]
        if not any(self.served(parent, children) for parent in found):
            found = [parent for one in children if (parent := self.best((one,))) is not None]
        return list(dict.fromkeys(found))

    def served(self, parent: Architecture, children: Iterable[Architecture]) -> list[Architecture]:
        """Those children that may have, and can have, this parent."""
        return [one for one in self._allowed(parent, children) if self.inherits(parent, one)]

    def size(self, architecture: Architecture) -> int:
        """MACs at the base network's resolution: a measure of widths and depths alone."""
        return int(self.macs(replace(architecture, resolution=base(architecture.base).resolution)))

    def _groups(self, children: Sequence[Architecture]) -> list[tuple[Architecture, ...]]:
        """All, those of one pattern, and of these those whose widths rise and fall alike."""
        groups: dict[object, list[Architecture]] = defaultdict(list)
        for one in children:
            groups["all"].append(one)
            groups[self.pattern(one)].append(one)
            groups[self.pattern(one), tuple(np.sign(np.diff((one.stem, *one.widths))))].append(one)
        return list(dict.fromkeys(map(tuple, groups.values())))

    def _best(self, group: tuple[Architecture, ...]) -> Architecture | None:
        """The candidate that serves the most of a group; the largest of those that serve as many."""
        hopes = [(len(self._allowed(one, group)), self.size(one), one) for one in self._shrunk(group)]
        found, most = None, 0
        for hope, _, one in sorted(hopes, key=lambda row: row[:2], reverse=True):
            if hope <= most:
                break
            served = len(self.served(one, group))
            if served > most:
                found, most = one, served
        return found

    def _shrunk(self, group: tuple[Architecture, ...]) -> list[Architecture]:
        """Candidates: what the group has in common, narrower and shallower, in each pattern that it has."""
        smallest, made = common_parent(group).depths, []
        for like in {self.pattern(one): one for one in group}.values():
            fixed = [bool(part[-1]) for part in self.pattern(like)]
            for channels, share in product(_channels(group, self.rule), _SHARES):
                depths = tuple(
                    depth if still else max(1, int(share * depth)) for depth, still in zip(smallest, fixed, strict=True)
                )
                made.append(self._made(group, like, channels, depths))
        return list(dict.fromkeys(one for one in made if one is not None))  # in an order that every run has

    def _made(
        self, group: tuple[Architecture, ...], like: Architecture, channels: tuple[int, ...], depths: tuple[int, ...]
    ) -> Architecture | None:
        """A candidate that begins its stages as `like` does; None where it cannot be built."""
        most = common_parent(group)
        largest = (most.stem, *most.widths)
        stem, *widths = _repaired(like, channels[:-1], largest, self.rule)
        network = base(like.base)
        fitting = buildable(network, np.array([widths], dtype=np.int64))[0]
        one = replace(most, stem=stem, widths=tuple(map(int, fitting)), depths=depths, head=channels[-1])
        try:
            return self._at_a_low_resolution(one, group)
        except InputError:
            return None

    def _at_a_low_resolution(self, one: Architecture, group: tuple[Architecture, ...]) -> Architecture:
        """The middle resolution of the group, or the largest below it at which this costs less than every child."""
        cheapest = min(map(self.macs, group))
        pixels = sorted({child.resolution for child in group if child.resolution <= one.resolution}, reverse=True)
        sizes = [replace(one, resolution=resolution) for resolution in pixels]
        return next((size for size in sizes if self.macs(size) < cheapest), sizes[-1])

    def _allowed(self, parent: Architecture, children: Iterable[Architecture]) -> list[Architecture]:
        """Those to whom the rule in this file's docstring allows the parent."""
        size, macs = self.size(parent), self.macs(parent)
        return [one for one in children if size <= LARGEST_PARENT * self.size(one) and macs < self.macs(one)]

    def _pattern(self, architecture: Architecture) -> Pattern:
        return pattern(architecture)

    def _macs(self, architecture: Architecture) -> int:
        return int(architecture_complexity(architecture, self.classes).macs)

    def _inherits(self, parent: Architecture, child: Architecture) -> bool:
        return refusal(parent, child, self.seed) is None


def _channels(group: Sequence[Architecture], rule: ScalingRule) -> Iterator[tuple[int, ...]]:
    """Stem, widths and head: shares of the smallest in the group, and divisors of all (layer norms ask for those)."""
    rows = [(one.stem, *one.widths, one.head) for one in group]
    columns = list(zip(*rows, strict=True))
    for share in _SHARES:
        yield tuple(_floored(min(column), share, rule) for column in columns)
        yield tuple(_divisor(gcd(*column), share, rule) for column in columns)


def _floored(width: int, share: float, rule: ScalingRule) -> int:
    """A share of a width, in the rule's steps: never more, and not below the rule's smallest unless it is."""
    return min(width, max(rule.smallest, int(width * share) // rule.divisor * rule.divisor))


def _divisor(width: int, share: float, rule: ScalingRule) -> int:
    """The largest divisor of a width within a share of it, or else its smallest that the rule would build."""
    divisors = [one for one in range(1, width + 1) if width % one == 0 and one >= min(rule.smallest, width)]
    return max((one for one in divisors if one <= share * width), default=divisors[0] if divisors else width)


def _repaired(
    like: Architecture, channels: Sequence[int], largest: Sequence[int], rule: ScalingRule
) -> tuple[int, ...]:
    """Stem and widths, made equal or different around stages without a stride where they are so in `like`.

    Of two that should differ and do not, the later is lowered by a step; where both are the rule's smallest, one is
    raised, if the children are wide enough there.
    """
    wanted, made, step = (like.stem, *like.widths), list(channels), rule.divisor
    for i, stage in enumerate(base(like.base).stages):
        before, after = made[i], made[i + 1]
        if stage.stride > 1:
            continue
        if wanted[i] == wanted[i + 1]:
            made[i] = made[i + 1] = min(before, after)
        elif before == after:
            if after - step >= rule.smallest:
                made[i + 1] -= step
            elif after + step <= largest[i + 1]:
                made[i + 1] += step
            elif before + step <= largest[i]:
                made[i] += step
    return tuple(made)
