"""The ladder of greedy allocation: the targets of its iterations, and the candidates of each.

Notation as in `planner.searches.greedy`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.errors import PlannerError
from planner.searches.growth import Grown, Growth, by_resolution, by_stage
from planner.searches.scoring import Candidate
from planner.text.quantities import format_count
from sampler import Architecture, rule_named
from sampler import base as base_named
from sampler.architecture import IntArray, stack
from sampler.moves import from_rows, unique_rows

RATIOS = tuple(round(0.1 * tenths, 1) for tenths in range(11))
LARGE = 1e9  # MACs of a base network from which the paper's width step for large ones is taken; it names no bound
WIDTH_STEPS = (2, 4)  # of small and of large base networks


@dataclass(frozen=True)
class GreedyOptions:
    """What the paper leaves to choose, and its choices.

    Attributes:
        iterations: N, the steps of the ladder. The paper gives no number; six is ours.
        tolerance: delta: how far a candidate's MACs may be from the target, as a share of what `tolerance_of` says.
        resolution_step: Pixels; rounded up to what the network's resolutions are multiples of.
        width_step: Channels; None for 2 where the base network costs less than 1 GMACs, and 4 for larger ones.
        depth_step: Blocks.
        ratios: P, the shares that depth takes.
        reading: Whole that a share is of: `increment`, the MACs to be added, or `literal`, the target as printed.
        tolerance_of: `final`, the budget T as printed, or `step`, the iteration's target T_i.
        shortlist: How many candidates of an iteration are scored, the best by a ranking; 0 for all.
        parts: Parts that move: each `stage` alone, or all stages of one spatial `size` together, a step each (five
            groups for EfficientNet-B0), as the paper has them; how a step is shared among them, it does not say.
        controls: Whether in every iteration all parents are trained on, unchanged, as their children are. Else, as the
            paper has it, a later network's children have more trainings behind them than an earlier one's.

    Raises:
        PlannerError: If a value is impossible.
    """

    iterations: int = 6
    tolerance: float = 0.01
    resolution_step: int = 8
    width_step: int | None = None
    depth_step: int = 1
    ratios: tuple[float, ...] = RATIOS
    reading: Literal["increment", "literal"] = "increment"
    tolerance_of: Literal["final", "step"] = "final"
    shortlist: int = 0
    parts: Literal["stage", "size"] = "stage"
    controls: bool = True

    def __post_init__(self) -> None:
        steps = ("iterations", "resolution_step", "width_step", "depth_step")
        for name, least in (*((step, 1) for step in steps), ("shortlist", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise PlannerError(f"greedy search: {name} must be at least {least}, got {value}")
        if not 0 < self.tolerance < 1:
            raise PlannerError(
                f"greedy search: tolerance must lie between 0 and 1, got {self.tolerance:g}; 0.01 is usual"
            )
        if not self.ratios or not all(0 <= ratio <= 1 for ratio in self.ratios):
            raise PlannerError(f"greedy search: ratios must be numbers from 0 to 1, got {list(self.ratios)}")
        choices = {"reading": ("increment", "literal"), "tolerance_of": ("final", "step"), "parts": ("stage", "size")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise PlannerError(f"greedy search: {name} is {getattr(self, name)!r}; known: {', '.join(known)}")

    def slack(self, target: float, budget: float) -> float:
        """How far a candidate's MACs may be from the target, in MACs."""
        return self.tolerance * (budget if self.tolerance_of == "final" else target)

    def growth(self, start: Architecture, classes: int) -> Growth:
        """The steps from a base network."""
        network = base_named(start.base)
        own = rule_named(network.rule).step  # of a network that has steps of its own; else 1
        pixels = -(-self.resolution_step // own) * own
        growth = Growth(network, classes, pixels, self.width_step or 1, self.depth_step, self.parts == "size")
        if self.width_step is not None:
            return growth
        large = growth.macs(stack([start]).integers())[0] >= LARGE
        return replace(growth, width_step=WIDTH_STEPS[int(large)])


def targets(base_macs: float, budget: float, iterations: int) -> list[float]:
    """The ladder T_1 .. T_N of MACs; each rung is the same factor above the one before, and the last is the budget.

    Raises:
        PlannerError: If the budget does not exceed the base network's MACs.

    Example:
        >>> [round(target) for target in targets(100.0, 800.0, 3)]
        [200, 400, 800]
    """
    if not base_macs < budget < math.inf:
        raise PlannerError(
            f"greedy search only enlarges: the budget of {format_count(budget)} MACs must exceed the base network's "
            f"{format_count(base_macs)}; raise it, or take a formula (`planner predict`) to shrink"
        )
    factor = budget / base_macs
    return [*(base_macs * factor ** (i / iterations) for i in range(1, iterations)), float(budget)]


class Pool(NamedTuple):
    """Distinct candidates of an iteration: rows, their MACs, the parents' numbers, and how they came about."""

    rows: IntArray
    macs: IntArray
    parents: IntArray
    rule: Literal["within", "below", "finer"]


def ladder_candidates(
    parents: Sequence[Architecture], target: float, budget: float, options: GreedyOptions, classes: int
) -> list[Candidate]:
    """The distinct networks that an iteration chooses from.

    A network that several parents grow into is the last parent's: it inherits most from that.

    Args:
        parents: S, the base network first, then the winners in order.
        target: T_i, in MACs.
        budget: T, in MACs.
        options: The steps and the tolerance.
        classes: Outputs of the classifier.

    Returns:
        Candidates labelled with their move; none where no step fits (see `planner.searches.greedy`).
    """
    growth = options.growth(parents[0], classes)
    return as_candidates(growth, parents, pool_of(growth, parents, target, budget, options))


def pool_of(
    growth: Growth, parents: Sequence[Architecture], target: float, budget: float, options: GreedyOptions
) -> Pool:
    """Candidates of an iteration within the tolerance, or by the rules for where there is none; perhaps none."""
    rows = stack(parents).integers()[::-1]  # the last first: of equal networks the first is kept
    slack = options.slack(target, budget)
    parts = [
        by_resolution(growth, rows, target),
        by_stage(growth, rows, target, slack, options.ratios, options.reading == "literal"),
    ]
    known = growth.macs(rows)
    pool = _within(rows, parts, target, slack) or _below(rows, known, parts, target, slack)
    own = rule_named(growth.network.rule).step
    step = growth.resolution_step // 2
    while pool is None and step >= own and step % own == 0:
        parts = [by_resolution(replace(growth, resolution_step=step), rows, target)]
        pool = _within(rows, parts, target, slack) or _below(rows, known, parts, target, slack)
        pool, step = pool and pool._replace(rule="finer"), step // 2
    if pool is None:
        return Pool(rows[:0], known[:0], known[:0], "within")
    return pool._replace(parents=len(parents) - 1 - pool.parents)


def _within(rows: IntArray, parts: Sequence[tuple[Grown, IntArray]], target: float, slack: float) -> Pool | None:
    made = np.concatenate([grown.rows for grown, _ in parts])
    macs = np.concatenate([grown.macs for grown, _ in parts])
    parents = np.concatenate([origin for _, origin in parts])
    return _new(rows, made, macs, parents, np.abs(macs - target) <= slack, "within")


def _below(
    rows: IntArray, known: IntArray, parts: Sequence[tuple[Grown, IntArray]], target: float, slack: float
) -> Pool | None:
    """The nearest below the target, each one step before it passes; as near as the least doubled tolerance allows."""
    made = np.concatenate([grown.below for grown, _ in parts])
    macs = np.concatenate([grown.below_macs for grown, _ in parts])
    parents = np.concatenate([origin for _, origin in parts])
    gain = (macs < target) & (macs > known[known < target].max(initial=0))
    if not gain.any():
        return None
    while not (gain & (macs >= target - slack)).any():
        slack *= 2
    return _new(rows, made, macs, parents, gain & (macs >= target - slack), "below")


def _new(
    rows: IntArray,
    made: IntArray,
    macs: IntArray,
    parents: IntArray,
    kept: NDArray[np.bool_],
    rule: Literal["within", "below"],
) -> Pool | None:
    """Of the rows kept, the first of all equal ones, and none that is a parent."""
    index = np.flatnonzero(kept)
    first = unique_rows(np.concatenate([rows, made[index]]))
    index = index[first[first >= len(rows)] - len(rows)]
    return Pool(made[index], macs[index], parents[index], rule) if len(index) else None


def as_candidates(growth: Growth, parents: Sequence[Architecture], pool: Pool) -> list[Candidate]:
    """The candidates of a pool, each labelled with its move."""
    made = from_rows(growth.network, pool.rows)
    pairs = [(one, parents[number]) for one, number in zip(made, pool.parents, strict=True)]
    return [Candidate(one, parent, growth.words(parent, one)) for one, parent in pairs]
