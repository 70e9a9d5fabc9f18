"""Efficient MACs allocation: a base network grows to a budget by greedy steps on an exponential ladder of MACs.

Liu et al., Network Amplification with Efficient MACs Allocation (CVPR workshops 2022), Algorithms 1 and 2; also
known as greedy network enlarging, https://arxiv.org/abs/2108.00177. Notation:

    B0, T      MACs of the base network, and the budget
    T_i        the target of iteration i of N: B0 (T / B0)^(i / N)
    S          the base network and the winners so far: all of them are parents
    P, delta   shares of the increment of MACs that depth takes; the tolerance, of T

Each iteration makes candidates of every parent: larger images until T_i, or one stage deeper and wider until T_i, for
every p in P. Those within the tolerance are scored, and the best joins S. Stem and head stay as they are.

In the paper an earlier network's children have fewer fine-tunes behind them than a later one's, so that the newest
network's win by their age. Here each iteration fine-tunes all of S once more, too, unchanged: these are the controls of
their children's scores, and what the next iteration's children inherit from, so that all have the same age.

The text is mended where it cannot be followed: every candidate starts from a fresh copy of its parent; parents that
cost T_i or more are not changed; of depth see `planner.searches.growth.by_stage`. Where nothing lies within the
tolerance, which the paper does not foresee, the networks one step before they pass T_i are candidates, those nearest
below T_i: the tolerance is doubled until there is one. They must cost more than every parent below T_i; where none
does, the resolution takes finer steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeGuard

from planner.errors import PlannerError
from planner.searches.ladder import GreedyOptions, Pool, as_candidates, ladder_candidates, pool_of, targets
from planner.searches.scoring import Candidate, Gain, Scorer, SearchResult, Step, Tell
from planner.text.quantities import format_count
from sampler import Architecture
from sampler.architecture import IntArray, stack

__all__ = ["GreedyOptions", "Rank", "greedy", "ladder_candidates", "targets"]

Rank = Callable[[Sequence[Architecture]], Sequence[float]]


def greedy(
    start: Architecture,
    budget: float,
    scorer: Scorer,
    options: GreedyOptions,
    classes: int,
    tell: Tell,
    rank: Rank | None = None,
) -> SearchResult:
    """Grows a network to a budget of MACs.

    The start is scored first, since every other network inherits from it; its score decides nothing.
    Of equal accuracies the network of fewer MACs wins, then the one made first.

    Args:
        start: The base network.
        budget: T, in MACs.
        scorer: Scores the candidates of an iteration, all in one call.
        options: The method's choices.
        classes: Outputs of the classifier.
        tell: Is told what happens.
        rank: Larger for more promising architectures; which `options.shortlist` of them are scored.

    Raises:
        PlannerError: If the budget does not exceed the start's MACs, no step fits an iteration, or none of its
            candidates has a score.
    """
    if options.shortlist and rank is None:
        raise PlannerError("greedy search: a shortlist needs a ranking of candidates; fit a surrogate, or leave it 0")
    growth = options.growth(start, classes)
    ladder = targets(int(growth.macs(stack([start]).integers())[0]), budget, options.iterations)
    first = scorer([Candidate(start, None, "base network")])[0]
    controls: dict[Architecture, float | None] = {}
    winners, steps, notes = [start], list[Step](), list[str]()
    offered, asked = set[Architecture](), set[Architecture]()
    for i, target in enumerate(ladder, start=1):
        pool = pool_of(growth, winners, target, budget, options)
        notes += _remarks(i, target, pool, options.slack(target, budget))
        made = [_named(one, i, winners) for one in as_candidates(growth, winners, pool)]
        chosen = _shortlist(made, pool.macs, options.shortlist, rank)
        tell(f"iteration {i} of {len(ladder)}: {len(chosen)} candidates at {format_count(target)} MACs")
        few, same = [made[k] for k in chosen], _controls(i, winners) if options.controls else []
        scores = scorer([*few, *same])
        controls = dict(zip(winners, scores[len(few) :], strict=True)) if same else {}
        step, remark = _step(i, target, len(made), few, pool.macs[chosen], scores[: len(few)], controls)
        tell(f"iteration {i}: {step.move}, {format_count(step.macs)} MACs, accuracy {step.accuracy:.4f}")
        steps, notes, winners = [*steps, step], [*notes, *remark], [*winners, step.architecture]
        offered |= {one.architecture for one in made}
        asked |= {one.architecture for one in few}
    closing = _closing(steps[-1], budget, len(asked), len(offered))
    gain = _gain(first, controls.get(start), steps[-1].accuracy)
    notes += [str(gain)] if gain else []
    return SearchResult("greedy", winners[-1], tuple(steps), (*notes, *closing), gain)


def _gain(start: float | None, control: float | None, found: float | None) -> Gain | None:
    """What growing gave, where all three are known."""
    return Gain(start, control, found) if _known(start) and _known(control) and _known(found) else None


def _step(
    iteration: int,
    target: float,
    made: int,
    scored: Sequence[Candidate],
    macs: IntArray,
    scores: Sequence[float | None],
    controls: Mapping[Architecture, float | None],
) -> tuple[Step, list[str]]:
    """The iteration with its winner, and what the user should know of the scores."""
    best = _best(scores, macs.tolist(), iteration)
    won, cost, move = scored[best].architecture, int(macs[best]), scored[best].label.partition(": ")[2]
    parent = scored[best].parent
    control = controls.get(parent) if parent else None
    step = Step(iteration, target, made, len(scored), move, won, scores[best], cost, float(cost), control)
    unknown = sum(not _known(score) for score in scores)
    remarks = [f"iteration {iteration}: {unknown} of {len(scored)} candidates had no score"] * (unknown > 0)
    unaged = sum(not _known(score) for score in controls.values())
    remarks += [f"iteration {iteration}: {unaged} of {len(controls)} controls had no score"] * (unaged > 0)
    if _known(step.accuracy) and _known(control) and step.accuracy <= control:
        remarks.append(
            f"iteration {iteration}: growing gained nothing: {step.accuracy:.4g}, and the parent, unchanged and "
            f"trained as long, {control:.4g}"
        )
    return step, remarks


def _controls(iteration: int, parents: Sequence[Architecture]) -> list[Candidate]:
    """All parents, to be trained on as they are."""
    names = ("the base network", *(f"iteration {number}'s network" for number in range(1, len(parents))))
    return [
        Candidate(one, one, f"iteration {iteration}: {name}, unchanged")
        for one, name in zip(parents, names, strict=True)
    ]


def _named(candidate: Candidate, iteration: int, winners: Sequence[Architecture]) -> Candidate:
    """The candidate, its label with the iteration and whom it grew from."""
    assert candidate.parent is not None
    number = winners.index(candidate.parent)
    origin = f"from iteration {number}'s network" if number else "from the base network"
    return replace(candidate, label=f"iteration {iteration}: {candidate.label}, {origin}")


def _shortlist(offered: Sequence[Candidate], macs: IntArray, most: int, rank: Rank | None) -> list[int]:
    """Numbers of the candidates to score, in their order."""
    if rank is None or not 0 < most < len(offered):
        return list(range(len(offered)))
    promise = [score if math.isfinite(score) else -math.inf for score in rank([one.architecture for one in offered])]
    assert len(promise) == len(offered), (len(promise), len(offered))
    return sorted(sorted(range(len(offered)), key=lambda k: (-promise[k], macs[k], k))[:most])


def _known(score: float | None) -> TypeGuard[float]:
    return score is not None and math.isfinite(score)


def _best(scores: Sequence[float | None], macs: Sequence[int], iteration: int) -> int:
    """Number of the highest score; of equal ones that of the fewest MACs, then the first."""
    assert len(scores) == len(macs), (len(scores), len(macs))
    usable = [(-score, macs[k], k) for k, score in enumerate(scores) if _known(score)]
    if not usable:
        raise PlannerError(
            f"greedy search: none of the {len(scores)} candidates of iteration {iteration} has a score; train them, "
            "or change the recipe if all diverged (a table must hold their exact integers)"
        )
    return min(usable)[2]


def _remarks(iteration: int, target: float, pool: Pool, slack: float) -> list[str]:
    """What the user should know of an iteration's candidates.

    Raises:
        PlannerError: If there are none.
    """
    where = f"{format_count(slack)} of {format_count(target)} MACs"
    if not len(pool.rows):
        raise PlannerError(
            f"greedy search: iteration {iteration} has no candidate within {where}, nor a step that fits below; take "
            "fewer iterations, a larger tolerance or a smaller width step"
        )
    if pool.rule == "below":
        least = format_count(pool.macs.min())
        return [f"iteration {iteration}: nothing within {where}; took the nearest below, from {least} MACs"]
    return [f"iteration {iteration}: nothing within {where}; took finer steps of resolution"] * (pool.rule == "finer")


def _closing(last: Step, budget: float, asked: int, offered: int) -> list[str]:
    """What the user should know of the whole, given how many distinct networks were scored, and were made."""
    notes = []
    if asked < offered:
        notes.append(f"the ranking left {asked} of {offered} networks to score: {offered - asked} trainings saved")
    if last.macs > budget:
        notes.append(f"costs {last.macs / budget - 1:.2%} more MACs than the budget, inside the method's tolerance")
    return notes
