"""Network Adjustment: channels move from where their multiply-accumulates are worth least to where they are worth most.

Chen et al. 2020 (https://arxiv.org/abs/2004.02767, Algorithm 1), with the values of the released code. Iteration t
(from 0) trains a network from scratch and measures its utilisation. The k_t units of the highest become wider, as many
of the lowest narrower, by (rate - rank * rate_decay) of their *initial* width, where k_t = max(round(k - t decay), 0);
then all widths are multiplied by one number that brings the MACs back to the budget.

Where paper and code are silent, or the code fails: no unit is in both groups (k_t <= L / 2); k_t = 0 changes nothing;
a step that rounding would undo goes to the next width that can be built; the network that the last adjustment made is
trained as well; of all trained, the most accurate is given (the earliest of equals). A diverged training ends the
search, because it says nothing about where to go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from planner.errors import PlannerError
from planner.searches.scoring import SearchResult, Step, Tell
from planner.searches.widths import Widths, WidthVector, changes
from sampler import Architecture
from sampler.architecture import FloatArray, IntArray

_HALVINGS = 40
# Width multipliers of the bracket's ends, which the smallest and largest widths that can be built cut off.
SMALLEST_MULTIPLIER, LARGEST_MULTIPLIER = 2.0**-20, 2.0**10
MOST_REPAIRS = 8


@dataclass(frozen=True)
class AdjustOptions:
    """The numbers of a search; defaults are those of the released code for CIFAR.

    Attributes:
        iterations: Adjustments, T; one network more is trained.
        update: Units made wider, and as many narrower, in the first adjustment: k.
        decay: How much smaller k is in each that follows.
        rate: Step of the first-ranked unit, in its initial widths.
        rate_decay: How much smaller the step of each next in rank is.
        base_rate: p0, the drop rate of a unit of mean cost, by which utilisation is measured.
        cap: Largest drop rate.
        times: Passes over the images per unit, each with new masks.
        tolerance: How far the MACs may be from the budget, as a share of it.
        smallest: The fewest channels of a unit.
        divisor: Widths are multiples of it.
        padding: Place of zeros, where widths are per layer.

    Raises:
        PlannerError: If a number is impossible.
    """

    iterations: int = 10
    update: int = 6
    decay: float = 0.5
    rate: float = 0.15
    rate_decay: float = 0.01
    base_rate: float = 0.05
    cap: float = 0.5
    times: int = 5
    tolerance: float = 0.01
    smallest: int = 4
    divisor: int = 1
    padding: Literal["max", "local"] = "max"

    def __post_init__(self) -> None:
        least = {"iterations": 1, "update": 0, "decay": 0, "rate_decay": 0, "times": 2, "smallest": 1, "divisor": 1}
        for name, bound in least.items():
            if not bound <= getattr(self, name) < math.inf:
                raise PlannerError(f"{name}={getattr(self, name)} is impossible; give at least {bound}")
        for name in ("rate", "base_rate", "cap", "tolerance"):
            if not 0 < getattr(self, name) < 1:
                raise PlannerError(f"{name}={getattr(self, name)} is impossible; give a number between 0 and 1")
        if self.padding not in ("max", "local"):
            raise PlannerError(f"padding={self.padding!r} is unknown; give max or local")


@dataclass(frozen=True)
class ProxyProbe:
    """What training a network from scratch said.

    Attributes:
        accuracy: In [0, 1], on images that it was not trained on; None if the training diverged.
        increases: Each unit's increase of the loss when its channels are discarded; empty without an accuracy.
        capped: Names of units that lost fewer MACs than the others, because their drop rate is the cap.
        each: Accuracy with each random seed, whose mean is the accuracy; in the same order for all networks.
    """

    accuracy: float | None
    increases: tuple[float, ...] = ()
    capped: tuple[str, ...] = ()
    each: tuple[float, ...] = ()


class Probe(Protocol):
    """Trains networks from scratch; the same widths always give the same."""

    def __call__(self, widths: Widths, label: str) -> ProxyProbe:
        """Accuracy and utilisation of the network of these widths; the label says what it is in the search."""


def adjusted_count(update: int, decay: float, t: int) -> int:
    """Units made wider in adjustment t (from 0), and as many narrower; halves round to even.

    Example:
        >>> [adjusted_count(6, 0.5, t) for t in range(10)]
        [6, 6, 5, 4, 4, 4, 3, 2, 2, 2]
    """
    return max(round(update - t * decay), 0)


def updated(
    vector: WidthVector, widths: Widths, utilisation: Sequence[float], t: int, options: AdjustOptions
) -> Widths:
    """Widths after one adjustment, before the MACs are brought back.

    Args:
        vector: Network of the widths; says the initial ones and what can be built.
        widths: The `L` widths now.
        utilisation: Each unit's.
        t: Number of the adjustment, from 0.
        options: The numbers of the search.
    """
    # At most half of all: no unit may be both wider and narrower.
    count = min(adjusted_count(options.update, options.decay, t), len(widths) // 2)
    order = sorted(range(len(widths)), key=lambda place: -utilisation[place])
    result = list(widths)
    for sign, ranked in ((1, order[:count]), (-1, order[::-1][:count])):
        for rank, place in enumerate(ranked):
            share = max(options.rate - rank * options.rate_decay, 0.0)
            result[place] = vector.stepped(place, widths[place], sign * share * vector.initial[place])
    return tuple(result)


def rescaled(vector: WidthVector, widths: Widths, budget: int, options: AdjustOptions) -> Widths:
    """The widths times the number that brings their MACs to the budget; as they are where they are near enough.

    Bisection ends at the first network within the tolerance. Where widths that can be built are too coarse for any,
    single widths of the nearest then move to the next, at most two at a time, as long as that helps.

    Raises:
        PlannerError: If no network with these units has so few or so many MACs.
    """
    if _error(vector.macs(widths), budget) <= options.tolerance:
        return widths
    low, high = SMALLEST_MULTIPLIER, LARGEST_MULTIPLIER
    ends = [vector.macs(vector.nearest(np.array(widths) * end)) for end in (low, high)]
    if not ends[0] * (1 - options.tolerance) <= budget <= ends[1] * (1 + options.tolerance):
        raise PlannerError(f"a budget of {budget:,} MACs is outside of what can be built, {ends[0]:,} to {ends[1]:,}")
    best, best_error = widths, math.inf
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        tried = vector.nearest(np.array(widths) * middle)
        macs = vector.macs(tried)
        if _error(macs, budget) < best_error:
            best, best_error = tried, _error(macs, budget)
        if best_error <= options.tolerance:
            return best
        low, high = (low, middle) if macs > budget else (middle, high)
    return _repaired(vector, best, budget, options.tolerance)


def _repaired(vector: WidthVector, widths: Widths, budget: int, tolerance: float) -> Widths:
    """The nearest network to the budget that moves of one or two widths to the next lead to."""
    best, error = widths, _error(vector.macs(widths), budget)
    for _ in range(MOST_REPAIRS):
        rows = _beside(vector, best)
        errors: FloatArray = np.abs(vector.macs_of(rows) / budget - 1)
        nearest = int(errors.argmin())
        if error <= tolerance or errors[nearest] >= error:
            break
        best, error = tuple(rows[nearest].tolist()), float(errors[nearest])
    return best


def _beside(vector: WidthVector, widths: Widths) -> IntArray:
    """`(n, L)` rows in which one or two of the widths are the next that can be built; the first has none moved."""
    rows = np.array([widths], dtype=np.int64)
    for _ in range(2):
        moved = [rows]
        for place, width in enumerate(widths):
            for sign in (1, -1):
                more = rows.copy()
                more[:, place] = vector.stepped(place, width, sign)
                moved.append(more)
        rows = np.unique(np.concatenate(moved), axis=0)
    return rows


def _error(macs: int, budget: int) -> float:
    return abs(macs / budget - 1)


def adjust(
    vector: WidthVector,
    probe: Probe,
    options: AdjustOptions | None = None,
    tell: Tell = lambda line: None,
    budget: int | None = None,
) -> SearchResult:
    """The most accurate of the networks that adjustments lead through, all of them of one cost.

    Args:
        vector: The widths of the initial network.
        probe: Trains networks and measures their utilisation.
        options: The numbers of the search.
        tell: Told what is done.
        budget: MACs of every network; the initial one's by default. An initial network that misses it by more than
            the tolerance is brought to it, and steps are then measured by those widths; as stem and head stay, scale
            the whole network near to the budget before.

    Returns:
        The best network; a step per network trained, the first being the initial one.

    Raises:
        PlannerError: If the budget cannot be met, or the initial network's training diverged.
    """
    chosen = options or AdjustOptions()
    if budget is not None:
        vector = replace(vector, initial=rescaled(vector, vector.initial, budget, chosen))
    search = _Search(vector, chosen, vector.macs(vector.initial) if budget is None else budget, tell)
    search.run(probe)
    return search.found()


class _Search:
    """What is known so far."""

    def __init__(self, vector: WidthVector, options: AdjustOptions, budget: int, tell: Tell) -> None:
        self.vector, self.options, self.budget, self.tell = vector, options, budget, tell
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.each: list[tuple[float, ...]] = []  # of every step

    def run(self, probe: Probe) -> None:
        """Trains and adjusts until the last adjustment, or until there is nothing to go on with."""
        widths, move = self.vector.initial, "the initial network"
        for t in range(self.options.iterations + 1):
            probed = probe(widths, f"iteration {t + 1}")
            self._record(widths, move, probed)
            if probed.accuracy is None or any(math.isnan(one) for one in probed.increases):
                self._note("its training diverged or its utilisation is not a number, so the search ends there")
                return
            if t == self.options.iterations:
                return
            after = updated(self.vector, widths, probed.increases, t, self.options)
            move = changes(self.vector, widths, after)
            after = rescaled(self.vector, after, self.budget, self.options)
            if after == widths:
                self._note("the adjustment after it changes nothing, so the search ends there")
                return
            widths = after

    def _record(self, widths: Widths, move: str, probed: ProxyProbe) -> None:
        macs, known = self.vector.macs(widths), probed.accuracy is not None
        made: Architecture = self.vector.architecture_of(widths)
        step = Step(len(self.steps) + 1, self.budget, 1, int(known), move, made, probed.accuracy, macs, macs)
        self.steps.append(step)
        self.each.append(probed.each)
        accuracy = "no accuracy" if probed.accuracy is None else f"accuracy {probed.accuracy:.2%}"
        self.tell(f"iteration {step.iteration}: {macs:,} MACs, {accuracy}; {move}")
        if probed.capped:
            self._note(f"drop rate capped at {self.options.cap:g}, utilisation too low: {', '.join(probed.capped)}")
        if _error(macs, self.budget) > self.options.tolerance:
            self._note(f"{macs / self.budget - 1:+.1%} from the budget, the nearest that could be built")

    def _note(self, text: str) -> None:
        self.notes.append(f"iteration {len(self.steps)}: {text}")
        self.tell(self.notes[-1])

    def found(self) -> SearchResult:
        """The result.

        Raises:
            PlannerError: If nothing has an accuracy.
        """
        scored = [step for step in self.steps if step.accuracy is not None]
        if not scored:
            raise PlannerError("the initial network's training diverged; lower the recipe's learning rate")
        best = max(scored, key=lambda step: step.accuracy or 0.0)
        notes = (*self.notes, *self._chosen(best.iteration - 1, len(scored)))
        return SearchResult("adjust", best.architecture, tuple(self.steps), notes)

    def _chosen(self, best: int, scored: int) -> list[str]:
        """How sure the choice of a step, by its place, is: the largest of several noisy numbers."""
        first, found = self.each[0], self.each[best]
        if scored == 1 or not found:
            return []
        if len(found) == 1:
            return [
                f"chosen as the best of {scored} single trainings, which differ by seed, too; --seeds 3 takes means"
            ]
        if not best:
            return []
        gains = np.subtract(found, first)
        error = gains.std(ddof=1) / math.sqrt(len(gains))
        return [
            f"beside the initial network: {100 * gains.mean():+.2f} points, standard error {100 * error:.2f} over "
            f"{len(gains)} seeds; flattered, as the best of {scored}"
        ]
