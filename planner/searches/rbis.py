"""RBIS, resolution-based incremental scaling (Lim 2023, a master's thesis of Seoul National University).

1. Candidate resolutions: those just before the cost jumps (section 4.1).
2. At each of them the network grows by turns in width and depth, two stages at a time. Of all combinations the
   cheapest are scored, and the best becomes the next parent, until no more fits the budget (section 4.2). All
   resolutions take their iterations side by side, so that what they want scored is trained together:

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
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from planner.errors import PlannerError
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
from planner.searches.sizes import Cost
from sampler import Architecture, architecture_complexity, stack
from sampler import base as base_named

__all__ = ["Cost", "RbisOptions", "rbis"]

Growing = Generator[list[Candidate], list[float | None], "_Network"]  # asks for scores, and gives its last network


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
    ends = search.grown(search.starts(sorted(set(resolutions))))
    if not ends:
        raise PlannerError(f"{start.base} could be scored at no resolution; {'; '.join(search.notes)}")
    best = max(ends, key=lambda end: (end.accuracy, -end.cost))
    steps = sorted(search.steps, key=lambda step: step.architecture.resolution)  # which are the same at each, in order
    return SearchResult("rbis", best.architecture, tuple(steps), tuple(dict.fromkeys(search.notes)))


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


_Asked = tuple[Architecture, float, str]  # with its cost and its label


def _candidates(asked: Sequence[_Asked], parent: Architecture | None) -> list[Candidate]:
    """What is wanted of the scorer."""
    return [Candidate(one, parent, label) for one, _, label in asked]


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
        asked = [(one, price, f"{one.resolution} px: start") for one, price in fitting]
        return self.known(asked, self.scorer(_candidates(asked, None)))

    def grown(self, starts: Sequence[_Network]) -> list[_Network]:
        """Step 2: the last network at each resolution; an iteration of all of them is scored in one call."""
        growing = {k: self.grow(one) for k, one in enumerate(starts)}
        ends: dict[int, _Network] = {}
        answers: dict[int, list[float | None] | None] = dict.fromkeys(growing)
        while growing:
            asked: dict[int, list[Candidate]] = {}
            for k, one in list(growing.items()):
                try:
                    asked[k] = one.send(answers[k])  # type: ignore[arg-type]  # None begins it
                except StopIteration as end:
                    ends[k] = end.value
                    del growing[k]
            scores = iter(self.scorer([one for many in asked.values() for one in many])) if asked else iter(())
            answers = {k: [next(scores) for _ in many] for k, many in asked.items()}
        return [ends[k] for k in sorted(ends)]

    def grow(self, network: _Network) -> Growing:
        """Step 2 at one resolution: the last network that fits the budget."""
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
            after = (yield from self.best(here, kind, choice)) if choice.fitting else None
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

    def best(
        self, parent: _Network, kind: IncrementKind, choice: _Choice
    ) -> Generator[list[Candidate], list[float | None], _Network | None]:
        """Has the candidates of one iteration scored, and tells of the best; None if none has a score."""
        size, iteration = parent.architecture.resolution, parent.iterations + 1
        moves = {one: f"{size} px: {in_words(kind, how)}" for one, how, _ in choice.fitting}
        asked = [(one, price, f"iteration {iteration}, {moves[one]}") for one, _, price in choice.fitting]
        answers = yield _candidates(asked, parent.architecture if self.options.inherit else None)
        scored = self.known(asked, answers)
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

    def known(self, asked: Sequence[_Asked], answers: Sequence[float | None]) -> list[_Network]:
        """Those of some architectures, with their costs and labels, that have a score."""
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
