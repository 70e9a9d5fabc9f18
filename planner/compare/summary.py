"""What a comparison's rows say of each method at each budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from planner.compare.contender import DRAWN, RANDOM, REFERENCE
from planner.compare.rows import NETWORK, Row
from planner.compare.statistics import SEEDS_LEVEL, MeanEstimate, mean_interval, paired_difference
from planner.tables.chance import warning_of
from sampler.solve import TOLERANCE


@dataclass(frozen=True)
class Summary:
    """One method at one budget.

    Attributes:
        first: First row of it, which has its network and what it needed; of several networks, their mean cost alone.
        accuracy: Mean over seeds with its interval; None where no training gave one.
        difference: From compound scaling, paired by seed; None for that itself, and where it has no such seed.
        failed: Trainings that gave no accuracy.
        statuses: Statuses that those ended with.
        seconds: Seconds of the comparison's trainings of it, summed up.
        same_as: Methods before it that have the same network.
        drawn: The networks drawn at random of which this is the mean, one by one; none of any other method.
    """

    first: Row
    accuracy: MeanEstimate | None
    difference: MeanEstimate | None
    failed: int
    statuses: tuple[str, ...]
    seconds: float
    same_as: tuple[str, ...]
    drawn: tuple[Summary, ...] = ()

    @property
    def at_budget(self) -> bool:
        """Whether its MACs are within 1 % of the budget."""
        return self.first.error is not None and abs(self.first.error) <= TOLERANCE

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        row, score = self.first, self.first.score
        names = ("method", "label", "budget", "macs", "error", "params", "resolution", "stem", "head", "layers", "note")
        needed = {"trainings_needed": row.trainings_needed, "hours_needed": row.hours_needed}
        return {
            **{name: getattr(row, name) for name in names},
            **{name: _integers(getattr(row, name)) for name in ("depths", "widths")},
            **needed,
            score.name: None if self.accuracy is None else self.accuracy.shown(score).as_dict(),
            "difference_to_compound": None if self.difference is None else self.difference.shown(score).as_dict(),
            "at_budget": self.at_budget,
            "failed": self.failed,
            "statuses": list(self.statuses),
            "seconds": self.seconds,
            "same_as": list(self.same_as),
            "drawn": [one.as_dict() for one in self.drawn],
        }


def _integers(text: str | None) -> list[int] | None:
    return None if text is None else [int(part) for part in text.split()]


def summaries(rows: Sequence[Row]) -> dict[float, list[Summary]]:
    """Every method at every budget, in the order of the rows."""
    by_budget: dict[float, dict[str, list[Row]]] = {}
    for row in rows:
        by_budget.setdefault(row.budget, {}).setdefault(row.method, []).append(row)
    return {budget: _at_one_budget(methods) for budget, methods in by_budget.items()}


def _at_one_budget(methods: dict[str, list[Row]]) -> list[Summary]:
    reference = _by_seed(methods.get(REFERENCE, []))
    found: list[Summary] = []
    for method, rows in methods.items():
        scores, network = _by_seed(rows), rows[0].network
        before = [summary.first for summary in found]
        failed = [row.status for row in rows if row.accuracy is None]
        found.append(
            Summary(
                rows[0],
                mean_interval(list(scores.values())),
                None if method == REFERENCE else paired_difference(scores, reference),
                len(failed) if network else 0,
                tuple(dict.fromkeys(failed)),
                sum(row.seconds or 0.0 for row in rows),
                tuple(one.method for one in before if network and one.network == network),
            )
        )
    drawn = [one for one in found if one.first.method in DRAWN]
    if not drawn:
        return found
    place = found.index(drawn[0])
    scores = _mean_by_seed([methods[one.first.method] for one in drawn])
    found[place] = _mean_of(drawn, scores, paired_difference(scores, reference))
    return [one for one in found if one not in drawn[1:]]


def _mean_of(drawn: Sequence[Summary], scores: dict[int, float], difference: MeanEstimate | None) -> Summary:
    """Random networks as one method, whose accuracy with a seed is the mean of theirs."""
    firsts, first = [one.first for one in drawn], drawn[0].first
    known = [one for one in firsts if one.macs is not None]
    empty: dict[str, Any] = dict.fromkeys(NETWORK)
    first = replace(first, method=RANDOM, **empty)
    if known:
        macs = round(sum(one.macs or 0 for one in known) / len(known))
        each = [first.score.text(one.accuracy.mean) for one in drawn if one.accuracy]
        told = f"mean of {len(known)} networks drawn at random" + (f", each {', '.join(each)}" if each else "")
        first = replace(first, macs=macs, error=macs / first.budget - 1, note=told)
    return Summary(
        first,
        mean_interval(list(scores.values())),
        difference,
        sum(one.failed for one in drawn),
        tuple(dict.fromkeys(status for one in drawn for status in one.statuses)),
        sum(one.seconds for one in drawn),
        (),
        tuple(drawn),
    )


def _mean_by_seed(several: Sequence[Sequence[Row]]) -> dict[int, float]:
    """Mean accuracies of networks, by the seeds that all of them have."""
    scores = [_by_seed(rows) for rows in several]
    seeds = set.intersection(*(set(one) for one in scores))
    return {seed: sum(one[seed] for one in scores) / len(scores) for seed in sorted(seeds)}


def _by_seed(rows: Sequence[Row]) -> dict[int, float]:
    return {row.seed: row.accuracy for row in rows if row.seed is not None and row.accuracy is not None}


def warnings(rows: Sequence[Row]) -> list[str]:
    """What a reader must know before any number."""
    why = warning_of([row.accuracy for row in rows if row.accuracy is not None], rows[0].classes, rows[0].score)
    return [] if why is None else [why]


def caveats(rows: Sequence[Row]) -> list[str]:
    """What a reader must know of the intervals before believing a comparison, a sentence each."""
    every = [one for here in summaries(rows).values() for one in here]
    lines = [
        f"intervals: {SEEDS_LEVEL:.0%} each, not all together, by Student's t over the seeds; differences are paired "
        "by seed, with * where the interval leaves 0 out"
    ]
    counts = [one.accuracy.n for one in every if one.accuracy is not None]
    if counts and max(counts) == 1:
        lines = ["one training of each: no interval, and no telling luck from merit; give --seeds 3"]
    if all(one.first.method != REFERENCE for one in every):
        lines.append(f"no differences: {REFERENCE} is not among the methods")
    return lines
