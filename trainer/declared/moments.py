"""The most elements of storages that are alive at once, as an expression: the largest of some moments.

A moment is what is alive when an operation is done: how many storages of each size. Sizes are those of the storages'
entries; how many is a whole number of the architecture's sizes, nearly always the same. A moment that another contains
is left out; where many are left, so are those that are far from the largest in each of thousands of architectures,
at the ends of all sizes too. Elements of eight bytes count as two where moments are compared, as in float32.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sampler.declared.expressions import INDEX, Expression
from trainer.declared.explained import Meaning, Meanings
from trainer.declared.forms import substituted
from trainer.declared.products import FactorKey, Product, product
from trainer.declared.structure import Entry, Group, Occurrence, Template
from trainer.declared.synthesis import Rows, names_in
from trainer.declared.terms import added
from trainer.declared.tracing import EIGHT, Trace, is_map

_FEW = 24  # moments that are kept without asking which are ever the largest
_NEAR = 0.7  # of the largest: a moment that never comes so near is left out
_Kind = tuple[bool, FactorKey]  # whether elements have eight bytes, and the size's factors
_Terms = dict[_Kind, tuple[Expression, Expression]]  # the size and how many of it


class _Moment(NamedTuple):
    """What is alive at some time.

    Attributes:
        own: Elements of the network's own type.
        eights: Elements of eight bytes.
    """

    own: Expression
    eights: Expression

    @property
    def total(self) -> Expression:
        """Elements, those of eight bytes twice."""
        return added([self.own, product([self.eights], 2)]) if self.eights != 0 else self.own


def most_alive(
    template: Template,
    meanings: Meanings,
    means: Mapping[Entry, Meaning],
    traces: Sequence[Trace],
    sample: Callable[[], Rows],
) -> tuple[Expression, Expression]:
    """The elements of its own type and those of eight bytes that are alive when most bytes are.

    Args:
        template: The network's storages.
        meanings: Explanations of numbers.
        means: Explanations of the storages' sizes.
        traces: The traces, by number.
        sample: Many architectures, from end to end of all sizes.
    """
    places: list[dict[int, tuple[Entry, int]]] = [{} for _ in traces]
    for entry in template.entries():
        for (number, k), at in entry.at.items():
            places[number][at] = entry, k
    contained = [_contained(trace) for trace in traces]
    found: list[tuple[Entry, _Terms]] = []
    for entry in template.entries():
        if all(contained[number][at] for (number, _), at in entry.at.items()):
            continue
        found.append((entry, _moment(entry, meanings, means, traces, places)))
    return _largest(_pruned(found, means), means, sample)


def _contained(trace: Trace) -> list[bool]:
    """Whether each moment is part of the next one, or none."""
    found = [True] * len(trace.moments)
    later: set[int] = set()
    for at in range(len(trace.moments) - 1, -1, -1):
        if moment := trace.moments[at]:
            now = set(moment)
            found[at] = now <= later
            later = now
    return found


def _moment(
    entry: Entry,
    meanings: Meanings,
    means: Mapping[Entry, Meaning],
    traces: Sequence[Trace],
    places: Sequence[Mapping[int, tuple[Entry, int]]],
) -> _Terms:
    """What is alive when an entry's operation is done."""
    keys, _ = meanings.rows[entry.group]
    there = np.array([at for at, key in enumerate(keys) if key in entry.seen], dtype=np.int64)
    sizes: dict[_Kind, Expression] = {}
    counted: list[Counter[_Kind]] = []
    for at in there:
        number, k = keys[at]
        here: Counter[_Kind] = Counter()
        for position in traces[number].moments[entry.at[keys[at]]]:
            other, block = places[number][position]
            one = _size(other, block, means[other], entry, k, keys[at], traces, meanings)
            if one.times:
                key = other.token.kind.endswith(EIGHT), one.key
                sizes.setdefault(key, product(one.others))
                here[key] += one.times
        counted.append(here)
    terms: _Terms = {}
    for key, size in sizes.items():
        values = np.array([here[key] for here in counted], dtype=np.int64)
        of = f"{size} of eight bytes" if key[0] else str(size)
        terms[key] = size, meanings.number_of(entry, f"how many are alive of {of}", there, values)
    return terms


def _size(
    other: Entry,
    block: int,
    meaning: Meaning,
    entry: Entry,
    k: int,
    row: Occurrence,
    traces: Sequence[Trace],
    meanings: Meanings,
) -> Product:
    """The size of a storage as seen from an entry's block: one made some blocks before, or before the stage's last."""
    if meaning.size is None:
        dims = [*meaning.dims, *_map_where(other, meaning)]
        meaning.size = Product(dims)
        meaning.moves = any(INDEX in names_in(one) for one in dims)
    if not meaning.moves:
        return meaning.size
    if other.group.stage == entry.group.stage:
        seen: Expression = INDEX if block == k else ["-", INDEX, k - block]
    else:
        depth = meanings.depth_of(row[0], other.group.stage)
        seen = f"depth_{other.group.stage}"
        seen = ["-", seen, depth - block] if depth != block else seen
    dims = [substituted(one, seen, INDEX) for one in meaning.size.others]
    return Product([*dims, meaning.size.times])


def _map_where(entry: Entry, meaning: Meaning) -> list[Expression]:
    """1 where a storage is no vector and 0 where it is; nothing where it never is one."""
    seen = {is_map(event) for event in entry.seen.values()}
    if len(seen) < 2:
        return [] if True in seen else [0]
    wide = [one if isinstance(one, int) else [">=", one, 2] for one in meaning.dims if one != 1]
    sides: list[Expression] = [int(one > 1) if isinstance(one, int) else one for one in wide]
    return [[">=", ["+", *sides], 2]]


def _pruned(found: list[tuple[Entry, _Terms]], means: Mapping[Entry, Meaning]) -> list[tuple[Entry, _Terms]]:
    """Moments of which no other, that is there whenever they are, has as much of everything."""
    kept: list[tuple[Entry, _Terms]] = []
    for at, (entry, terms) in enumerate(found):
        for other_at, (other, theirs) in enumerate(found):
            there = other.group in (Group(), entry.group) and means[other].present in (1, means[entry].present)
            if other_at != at and there and _within(terms, theirs) and not (other_at > at and _within(theirs, terms)):
                break
        else:
            kept.append((entry, terms))
    return kept


def _within(terms: _Terms, theirs: _Terms) -> bool:
    for key, (_, times) in terms.items():
        more = theirs.get(key, (0, 0))[1]
        if times != more and not (isinstance(times, int) and isinstance(more, int) and times <= more):
            return False
    return True


def _largest(
    found: list[tuple[Entry, _Terms]], means: Mapping[Entry, Meaning], sample: Callable[[], Rows]
) -> tuple[Expression, Expression]:
    """What is alive at the largest of some moments; of as large ones, at that with more elements of eight bytes."""
    some: dict[str, _Moment] = {}
    always = {repr(_sum_of(terms, True)) for _, terms in found}
    for entry, terms in found:
        guards = [means[entry].present] if means[entry].present != 1 else []
        if entry.group.stage:
            guards.append([">=", f"depth_{entry.group.stage}", entry.group.first])
        guarded = [] if len(always) == 1 else guards  # what is alive at all moments needs none
        moment = _Moment(
            product([*guards, _sum_of(terms, False)]),
            product([*guarded, eights]) if (eights := _sum_of(terms, True)) != 0 else 0,
        )
        for one in _at_ends(entry.group, moment):
            some.setdefault(repr(one), one)
    kept = list(some.values())
    if len(kept) > _FEW:
        kept = _near_largest(kept, sample())
    by_eights: dict[str, list[_Moment]] = {}
    for one in kept:
        by_eights.setdefault(repr(one.eights), []).append(one)
    if len(by_eights) < 2:
        return _max_of([one.own for one in kept]), kept[0].eights if kept else 0
    most = _max_of([one.total for one in kept])
    int64s = _max_of(
        [
            product([[">=", _max_of([one.total for one in alike]), most], alike[0].eights])
            for alike in by_eights.values()
            if alike[0].eights != 0
        ]
    )
    return ["-", most, product([int64s], 2)], int64s


def _sum_of(terms: _Terms, eights: bool) -> Expression:
    return added(
        [
            product([size, times] if not isinstance(times, int) else [size], times if isinstance(times, int) else 1)
            for (kind, _), (size, times) in terms.items()
            if kind == eights and times != 0
        ]
    )


def _max_of(some: list[Expression]) -> Expression:
    return ["max", *some] if len(some) > 1 else (some[0] if some else 0)


def _at_ends(group: Group, moment: _Moment) -> list[_Moment]:
    """A moment of a group's first and of its last block, where it follows the block's number."""
    if INDEX not in names_in(moment.total):
        return [moment]
    depth = f"depth_{group.stage}"
    last: Expression = depth if group.period == 1 else group.first
    if group.period > 1:
        last = ["-", depth, ["%", ["-", depth, group.first], group.period]]
    return [_Moment(*(substituted(one, at, INDEX) for one in moment)) for at in (group.first, last)]


def _near_largest(some: list[_Moment], rows: Rows) -> list[_Moment]:
    """Those that come near the largest somewhere, and those that cannot be told everywhere."""
    values = [rows.value(one.total) for one in some]
    told = [value for value in values if value is not None]
    most = np.max(told, axis=0) if told else 0
    return [one for one, mine in zip(some, values, strict=True) if mine is None or bool((mine >= _NEAR * most).any())]
