"""RBIS, resolution-based incremental scaling (Lim 2023, a master's thesis of Seoul National University).

1. Candidate resolutions: those just before the cost jumps (section 4.1).
2. At each of them the network grows by turns in width and depth, two stages at a time. Of all combinations the
   cheapest are scored, and the best becomes the next parent, until no more fits the budget (section 4.2):

       score = max(accuracy - parent's accuracy, 0) / (cost - parent's cost)                              Eq. 4.1

3. The most accurate network over the resolutions (section 4.3).

Where the thesis is silent or its algorithms fail:

- The cost is known before the training, so a combination beyond the budget is discarded unscored.
- Where no combination of two picks fits, single picks are tried; such an iteration is the last.
- Equal scores, such as all zero, go to the lowest cost. A network that gains accuracy at no cost comes first.
- An iteration in which no stage can move, because widths round back, is skipped.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from planner.errors import PlannerError
from planner.latency.staircase import staircase
from planner.searches.increments import (
    HEAD,
    INCREMENT_KINDS,
    Combination,
    IncrementKind,
    Increments,
    RbisOptions,
    in_words,
    notation,
)
from planner.searches.scoring import Candidate, Scorer, SearchResult, Step, Tell
from sampler import Architecture, architecture_complexity, rule_named, stack
from sampler import base as base_named
from sampler.architecture import Architectures, FloatArray, IntArray
from sampler.moves import just_before_jumps
from sampler.scaling import own_steps

__all__ = ["Cost", "RbisOptions", "rbis", "resolutions"]

# Of `n` architectures, `(n,)`: MACs, or milliseconds.
Cost = Callable[[Architectures], FloatArray | IntArray]
MOST_SIZES = 8  # candidates where no jump chooses them


def resolutions(
    start: Architecture, lowest: int, highest: int, cost: Cost | None = None, step: int = 4, neighbours: bool = False
) -> list[int]:
    """Step 1: resolutions just before a jump of the cost, strictly between two.

    Args:
        start: The network that is swept.
        lowest: First size of the grid, in pixels.
        highest: Last size of the grid at most.
        cost: Cost that jumps, such as `LatencyModel.of`; None for the exact MACs of the base network, which need no
            sweep.
        step: Pixels between the grid's sizes.
        neighbours: Whether the sizes beside them on the grid are candidates, too.

    Where the network has steps of its own, the grid has no finer ones, and without a cost its sizes are candidates, 8
    of them at most.

    Raises:
        InputError: If the range is empty or impossible, or holds no jump.

    Example:
        >>> from sampler import base
        >>> resolutions(base("efficientnet_b0").architecture(), 224, 304)
        [240, 256, 272, 288]
    """
    if step < 1 or lowest + step >= highest:
        raise PlannerError(f"no size lies between {lowest} and {highest} px by steps of {step}; widen the range")
    network = base_named(start.base)
    own = rule_named(network.rule).step  # of a network that has steps of its own; else 1
    step, lowest = -(-step // own) * own, max(-(-lowest // own) * own, network.stride if own > 1 else 1)
    grid = list(range(lowest, highest + 1, step))
    if cost is None and own_steps(network):  # nobody knows its strides: every step may be a jump
        inner = grid[1:-1]
        found = [inner[i] for i in sorted({i * len(inner) // MOST_SIZES for i in range(MOST_SIZES)})] if inner else []
    elif cost is None:
        jumps = just_before_jumps(base_named(start.base), lowest, highest)
        before = {lowest + (int(jump) - lowest) // step * step for jump in jumps}
        found = [size for size in grid[1:-1] if size in before]
    else:
        found = list(staircase(grid, cost(stack([replace(start, resolution=size) for size in grid]))).candidates)
    if not found:
        raise PlannerError(f"the cost of {start.base} has no jump between {lowest} and {highest} px; name resolutions")
    beside = {size + sign * step for size in found for sign in (-1, 0, 1)} if neighbours else set(found)
    return [size for size in grid if size in beside]


def rbis(
    start: Architecture,
    budget: float,
    cost: Cost,
    scorer: Scorer,
    resolutions: Sequence[int],
    options: RbisOptions | None = None,
    classes: int = 1000,
    tell: Tell = lambda line: None,
) -> SearchResult:
    """Steps 2 and 3: grows a network at each resolution and gives the most accurate that fits the budget.

    Args:
        start: The network to grow; its own resolution does not matter.
        budget: The most that the result may cost, in the unit of `cost`.
        cost: Cost of architectures.
        scorer: Accuracy of architectures, or a score in its place.
        resolutions: Sizes to search at, in pixels; see the function of that name.
        options: Parts that move, and how far.
        classes: Outputs of the classifier, for the MACs of the steps.
        tell: Told a line per iteration.

    Returns:
        The network. Steps are all iterations at all resolutions, numbered anew at each; notes hold a line for each
        resolution with the picks in the thesis' notation, `width[3344] depth[4555]`.

    Raises:
        InputError: If the budget is below the start's cost at every resolution, nothing could be scored, or an
            argument is impossible.
    """
    chosen = options or RbisOptions()
    chosen.movers(base_named(start.base))  # refuses stages that there are not
    if not 0 < budget < math.inf:
        raise PlannerError(f"budget must be positive and finite, got {budget:g}")
    if not resolutions:
        raise PlannerError("no resolution is given; give at least one, in pixels")
    search = _Search(budget, cost, scorer, Increments(start, chosen), classes, tell)
    ends = [search.grow(one) for one in search.starts(sorted(set(resolutions)))]
    if not ends:
        raise PlannerError(f"{start.base} could be scored at no resolution; {'; '.join(search.notes)}")
    best = max(ends, key=lambda end: (end.accuracy, -end.cost))
    return SearchResult("rbis", best.architecture, tuple(search.steps), tuple(dict.fromkeys(search.notes)))


@dataclass(frozen=True)
class _Network:
    """A scored network of the search, and the picks that led to it."""

    architecture: Architecture
    accuracy: float
    cost: float
    widths: Combination = ()
    depths: Combination = ()
    iterations: int = 0

    def score(self, parent: _Network) -> float:
        """Eq. 4.1; infinite for more accuracy at no more cost."""
        gain, rise = self.accuracy - parent.accuracy, self.cost - parent.cost
        if gain <= 0:
            return 0.0
        return gain / rise if rise > 0 else math.inf

    def merit(self, parent: _Network) -> tuple[float, float, float]:
        """What the best candidate has most of."""
        score = self.score(parent)
        return score, self.accuracy if math.isinf(score) else 0.0, -self.cost


@dataclass(frozen=True)
class _Choice:
    """What an iteration chooses from: combinations considered, those that it scores with their costs, cheapest first.

    `last` says that no combination of the usual number of picks fits the budget.
    """

    considered: int
    fitting: list[tuple[Architecture, Combination, float]]
    last: bool


class _Search:
    """One run of steps 2 and 3, with what it has to say."""

    def __init__(
        self, budget: float, cost: Cost, scorer: Scorer, increments: Increments, classes: int, tell: Tell
    ) -> None:
        self.budget, self.cost, self.scorer, self.classes, self.tell = budget, cost, scorer, classes, tell
        self.increments, self.options = increments, increments.options
        self.steps: list[Step] = []
        self.notes: list[str] = []

    def starts(self, sizes: Sequence[int]) -> list[_Network]:
        """The start at every resolution where it fits the budget and has a score.

        Raises:
            PlannerError: If it fits at none.
        """
        start = self.increments.start
        each = [replace(start, resolution=size) for size in sizes]
        costs = self.cost(stack(each)).tolist()
        if min(costs) > self.budget:
            cheapest = sizes[costs.index(min(costs))]
            raise PlannerError(
                f"budget {self.budget:.6g} is below what {start.base} costs at every resolution given "
                f"({min(costs):.6g} at {cheapest} px); rbis only grows: raise the budget, or give lower resolutions"
            )
        for one, price in zip(each, costs, strict=True):
            if price > self.budget:
                self.note(f"{one.resolution} px: skipped, the network to grow costs {price:.6g} there")
        fitting = [(one, price) for one, price in zip(each, costs, strict=True) if price <= self.budget]
        return self.scored([(one, price, f"{one.resolution} px: start") for one, price in fitting], None)

    def grow(self, network: _Network) -> _Network:
        """Step 2: the last network at one resolution that fits the budget."""
        here, idle_turns = network, 0
        for kind in itertools.cycle(INCREMENT_KINDS):
            if kind == "width":
                self.note_idle(here.architecture)
            choice = self.choice(here, kind)
            idle_turns = 0 if choice.considered else idle_turns + 1
            if idle_turns == len(INCREMENT_KINDS):
                break
            if not choice.considered:
                continue
            after = self.best(here, kind, choice) if choice.fitting else None
            here = after or here
            if after is None or choice.last:
                break
        size = here.architecture.resolution
        picked = notation(here.widths, here.depths)
        self.note(f"{size} px: {picked}, {here.iterations} iterations, cost {here.cost:.6g}, score {here.accuracy:.6g}")
        return here

    def choice(self, parent: _Network, kind: IncrementKind) -> _Choice:
        """The cheapest combinations that fit the budget; of fewer picks where none does."""
        considered, last = 0, False
        for picks in range(self.options.picks, 0, -1):
            found = self.increments.candidates(parent.architecture, kind, picks)
            if not found:
                continue
            considered = len(found)
            costs = self.cost(stack(list(found))).tolist()
            priced = [(one, how, price) for (one, how), price in zip(found.items(), costs, strict=True)]
            cheapest = sorted(priced, key=lambda each: each[2])[: self.options.keep]
            fitting = [each for each in cheapest if each[2] <= self.budget]
            if fitting:
                return _Choice(considered, fitting, last)
            last = True
        return _Choice(considered, [], last)

    def best(self, parent: _Network, kind: IncrementKind, choice: _Choice) -> _Network | None:
        """Scores the candidates of one iteration, and tells of the best; None if none has a score."""
        size, iteration = parent.architecture.resolution, parent.iterations + 1
        moves = {one: f"{size} px: {in_words(kind, how)}" for one, how, _ in choice.fitting}
        asked = [(one, price, f"iteration {iteration}, {moves[one]}") for one, _, price in choice.fitting]
        scored = self.scored(asked, parent.architecture if self.options.inherit else None)
        if not scored:
            self.note(f"{size} px: ended, no candidate of iteration {iteration} has a score")
            return None
        best = max(scored, key=lambda one: one.merit(parent))
        if best.score(parent) == 0:
            self.note(f"{size} px: no candidate of iteration {iteration} beats its parent; took the cheapest")
        elif math.isinf(best.score(parent)):
            self.note(f"{size} px: iteration {iteration} took a better network that costs no more than its parent")
        how = next(how for one, how, _ in choice.fitting if one == best.architecture)
        self.record(iteration, choice, moves[best.architecture], best)
        both = (parent.widths + how, parent.depths) if kind == "width" else (parent.widths, parent.depths + how)
        return _Network(best.architecture, best.accuracy, best.cost, *both, iteration)

    def scored(self, asked: Sequence[tuple[Architecture, float, str]], parent: Architecture | None) -> list[_Network]:
        """Those of some architectures, with their costs and labels, that have a score."""
        answers = self.scorer([Candidate(one, parent, label) for one, _, label in asked])
        networks = []
        for (one, price, label), answer in zip(asked, answers, strict=True):
            if answer is None or not math.isfinite(answer):
                self.note(f"{label}: has no score")
            else:
                networks.append(_Network(one, answer, price))
        return networks

    def record(self, iteration: int, choice: _Choice, move: str, best: _Network) -> None:
        """Keeps an iteration, and tells of it."""
        macs = architecture_complexity(best.architecture, self.classes).macs
        considered, scored = choice.considered, len(choice.fitting)
        self.steps.append(
            Step(iteration, self.budget, considered, scored, move, best.architecture, best.accuracy, macs, best.cost)
        )
        self.tell(
            f"iteration {iteration}, {move}: score {best.accuracy:.6g}, cost {best.cost:.6g} of {self.budget:.6g} "
            f"({scored} of {considered} combinations scored)"
        )

    def note_idle(self, parent: Architecture) -> None:
        """Notes the widths that no move changes."""
        for mover, width in self.increments.idle(parent).items():
            name = mover if mover == HEAD else f"stage {mover}"
            self.notes.append(
                f"{name}: {100 * self.options.width_growth:g} % more than {width} channels is {width} again at "
                f"multiples of {self.increments.divisor}, so its width was no candidate"
            )

    def note(self, line: str) -> None:
        """Keeps a line for the user, and tells it."""
        self.notes.append(line)
        self.tell(line)
