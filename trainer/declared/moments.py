"""The most elements of storages that are alive at once, as an expression: the largest of some moments.

A moment is what is alive when an operation is done: how many storages of each size. Sizes are those of the storages'
entries; how many is a whole number of the architecture's sizes, nearly always the same. A moment that another contains
is left out; where many are left, those that are never the largest in many random architectures are, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from sampler.architecture import IntArray
from sampler.declared.expressions import INDEX, Expression
from trainer.declared.explained import Meaning, Meanings
from trainer.declared.forms import substituted
from trainer.declared.products import Product, product
from trainer.declared.structure import Entry, Group, Occurrence, Template
from trainer.declared.synthesis import Rows, names_in
from trainer.declared.terms import added
from trainer.declared.tracing import EIGHT, Point, Trace, is_map

_FEW = 24  # moments that are kept without asking which are ever the largest
_NEARLY = 0.97
_Terms = dict[tuple[str, ...], tuple[Expression, Expression]]  # by the size's factors: the size and how many of it


def most_alive(
    template: Template,
    meanings: Meanings,
    means: Mapping[Entry, Meaning],
    traces: Sequence[Trace],
    sample: Sequence[Point],
) -> Expression:
    """The most elements that are alive at once; one of eight bytes is two.

    Args:
        template: The network's storages.
        meanings: Explanations of numbers.
        means: Explanations of the storages' sizes.
        traces: The traces, by number.
        sample: Random architectures.
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
    sizes: dict[tuple[str, ...], Expression] = {}
    counted: list[Counter[tuple[str, ...]]] = []
    for at in there:
        number, k = keys[at]
        here: Counter[tuple[str, ...]] = Counter()
        for position in traces[number].moments[entry.at[keys[at]]]:
            other, block = places[number][position]
            one = _size(other, block, means[other], entry, k, keys[at], traces, meanings)
            if one.times:
                sizes.setdefault(one.key, product(one.others))
                here[one.key] += one.times
        counted.append(here)
    terms: _Terms = {}
    for key, size in sizes.items():
        values = np.array([here[key] for here in counted], dtype=np.int64)
        terms[key] = size, meanings.number_of(entry, f"how many are alive of {size}", there, values)
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
        meaning.size = Product([*dims, 2] if other.token.kind.endswith(EIGHT) else dims)
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


def _largest(found: list[tuple[Entry, _Terms]], means: Mapping[Entry, Meaning], sample: Sequence[Point]) -> Expression:
    """The largest of some moments."""
    some: dict[str, Expression] = {}
    for entry, terms in found:
        total = added(
            [
                product([size, times] if not isinstance(times, int) else [size], times if isinstance(times, int) else 1)
                for size, times in terms.values()
                if times != 0
            ]
        )
        for one in _at_ends(entry.group, total):
            guards = [means[entry].present] if means[entry].present != 1 else []
            if entry.group.stage:
                guards.append([">=", f"depth_{entry.group.stage}", entry.group.first])
            whole = product([*guards, one])
            some.setdefault(repr(whole), whole)
    kept = list(some.values())
    if len(kept) > _FEW:
        kept = _ever_largest(kept, sample)
    return ["max", *kept] if len(kept) > 1 else (kept[0] if kept else 0)


def _at_ends(group: Group, total: Expression) -> list[Expression]:
    """A moment of a group's first and of its last block, where it follows the block's number."""
    if INDEX not in names_in(total):
        return [total]
    depth = f"depth_{group.stage}"
    last: Expression = depth if group.period == 1 else group.first
    if group.period > 1:
        last = ["-", depth, ["%", ["-", depth, group.first], group.period]]
    return [substituted(total, group.first, INDEX), substituted(total, last, INDEX)]


def _ever_largest(some: list[Expression], sample: Sequence[Point]) -> list[Expression]:
    rows = Rows(sample, None)
    values: list[IntArray] = []
    for one in some:
        value = rows.value(one)
        values.append(np.zeros(len(sample), dtype=np.int64) if value is None else value)
    matrix = np.array(values)
    most = matrix.max(axis=0)
    return [one for one, mine in zip(some, matrix, strict=True) if (mine >= _NEARLY * most).any()]
