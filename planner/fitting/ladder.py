"""The ladder of a formula: the best network for every budget of its range, from one pass over all uniform networks.

What a network is worth does not depend on the budget. So the answers to all budgets are those networks, by ascending
MACs, that beat every cheaper one, and no budget needs a search of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

import numpy as np

from planner.formulas.formula import FormulaCurves
from planner.formulas.rungs import Rung
from planner.formulas.trainings import trained_networks
from planner.formulas.uniform_networks import NETWORK_CHUNK, rows_read, uniform_networks
from sampler.architecture import Architectures, FloatArray, IntArray, concatenate
from sampler.complexity import chunks, count

_F = TypeVar("_F", bound=FormulaCurves)
_STEP = 1.02  # from one budget that is looked at to the next
_DIGITS, _SIGNIFICANT = 5, 7  # of a written share, and of another score
OVER = 1.001  # the range's own end, whose MACs are a rounded product, is inside


@dataclass(frozen=True, eq=False)
class RecordNetworks:
    """Networks that beat every cheaper one.

    Attributes:
        networks: The `n` of them, by ascending MACs.
        macs: `(n,)` exact MACs, ascending.
        scores: `(n,)` scores, ascending.
    """

    networks: Architectures
    macs: IntArray
    scores: FloatArray

    @classmethod
    def of(cls, networks: Architectures, macs: IntArray, scores: FloatArray) -> RecordNetworks:
        """Those among some networks; of equals the first by its integers."""
        order = np.lexsort((*networks.integers().T[::-1], -scores, macs))
        before = np.r_[-np.inf, np.maximum.accumulate(scores[order])[:-1]]
        kept = order[scores[order] > before]
        return cls(networks.take(kept), macs[kept], scores[kept])

    def among(self, other: RecordNetworks) -> RecordNetworks:
        """Those among these and others."""
        macs, scores = np.concatenate([self.macs, other.macs]), np.concatenate([self.scores, other.scores])
        return RecordNetworks.of(concatenate([self.networks, other.networks]), macs, scores)

    def at(self, budgets: FloatArray) -> IntArray:
        """Places of the best networks within `(m,)` ascending budgets, each once."""
        places = np.searchsorted(self.macs, budgets, side="right") - 1
        found: IntArray = np.unique(places[places >= 0])
        return found


def with_ladder(formula: _F) -> _F:
    """The formula with the ladder of its answers; as it is where nothing chooses them, or what does is in doubt."""
    if formula.answers is None or formula.answers.doubt:
        return formula
    records = records_of(formula)
    return formula if records is None else replace(formula, ladder=_ladder(formula, records))


def records_of(formula: FormulaCurves) -> RecordNetworks | None:
    """The best networks of all budgets among the uniform ones between the trainings, and the trainings themselves.

    None where there are none.
    """
    ranges, inputs = formula.provenance.get("ranges", {}), formula.answers.surrogate.inputs
    best: RecordNetworks | None = None
    rules = sorted({branch.rule for branch in formula.branches.values()})
    least, most = formula.answers.tried[:, -1].min(), OVER * formula.macs_range[1]  # cheaper than all trained: a guess
    own = trained_networks(formula)
    for part in chain([] if own is None else [own], *(_uniform(formula, rule, ranges) for rule in rules)):
        macs = count(part, formula.classes).macs
        inside = (macs >= least) & (macs <= most)
        if inside.any():
            kept = part.take(inside)
            found = RecordNetworks.of(
                kept, macs[inside], formula.answers.scores(rows_read(inputs, kept, formula.classes))
            )
            best = found if best is None else best.among(found)
    return best


def _uniform(formula: FormulaCurves, rule: str, ranges: Mapping[str, tuple[float, float]]) -> Iterator[Architectures]:
    """All networks of one r, d and w whose integers lie in ranges, up to the range's end, by chunks."""
    ends = tuple(sorted((name, (float(low), float(high))) for name, (low, high) in ranges.items()))
    networks = uniform_networks(formula.network, rule, formula.classes, ends)
    listed = np.arange(networks.upto(OVER * formula.macs_range[1]))
    for part in chunks(len(listed), NETWORK_CHUNK):
        yield networks.take(listed[part])


def _ladder(formula: FormulaCurves, records: RecordNetworks) -> tuple[Rung, ...]:
    """One rung for every budget at which the answer changes."""
    low, high = formula.macs_range
    steps = math.ceil(math.log(high / low) / math.log(_STEP))
    places = records.at(np.rint(np.geomspace(low, high, steps + 1)))
    networks = records.networks.take(places)
    expected = formula.answers.expected(rows_read(formula.answers.surrogate.inputs, networks, formula.classes))
    shares = (_written(part, formula) for part in expected)
    return tuple(Rung(*one) for one in zip(networks, records.macs[places].tolist(), *shares, strict=True))


def _written(merits: FloatArray, formula: FormulaCurves) -> list[float]:
    """Expected merits as the file has them: shares with few digits, of other scores as many significant ones."""
    if formula.score.is_accuracy:
        shares: list[float] = np.clip(merits, 0.0, 1.0).round(_DIGITS).tolist()
        return shares
    return [float(f"{formula.score.clipped(one):.{_SIGNIFICANT}g}") for one in merits.tolist()]
