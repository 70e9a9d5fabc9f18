"""Which operations a network always has, and which come once for each block of a stage.

A `Template` is learned from traces at small depths. Stage i's block k (from 2) are the operations that a trace with
depth k has over one with depth k - 1; they stand at one place of the sequence, or at several (an encoder's and a
decoder's). Blocks of a stage that have the same operations, each or every p-th, are one `Group` whose numbers are
functions of the architecture and of `index`, the block's number. Operations that come only under a condition are
entries that some traces lack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from trainer.declared.alignment import Token, aligned, common_prefix, token_of
from trainer.declared.tracing import Item

Label = tuple[int, int] | None  # stage and block of an operation; None where it is always there


class Group(NamedTuple):
    """Operations that come together.

    Attributes:
        stage: Number of the stage, from 1; 0 for what is always there.
        first: Number of the first block.
        period: They come with every so-manieth block from there on; 0 for one block alone.
    """

    stage: int = 0
    first: int = 0
    period: int = 0

    def blocks(self, depths: Sequence[int]) -> range:
        """The numbers of the blocks that networks of these depths have."""
        if not self.stage:
            return range(1)
        end = depths[self.stage - 1] + 1
        return range(self.first, end if self.period else min(end, self.first + 1), self.period or 1)


ALWAYS = Group()
Occurrence = tuple[int, int]  # number of the trace and of the block


@dataclass(eq=False)
class Entry:
    """An operation of a template, and what it was in traces.

    Attributes:
        token: Kind of operation.
        path: Name of its module in one trace.
        group: Operations that it comes with.
        seen: The operation, by row.
        at: Position in the trace, by row.
    """

    token: Token
    path: str
    group: Group
    seen: dict[Occurrence, Item] = field(default_factory=dict)
    at: dict[Occurrence, int] = field(default_factory=dict)


class DeeperError(Exception):
    """More blocks of a stage must be looked at."""

    def __init__(self, stage: int) -> None:
        super().__init__(f"stage {stage}")
        self.stage = stage


class StructureError(Exception):
    """A structure that no template has; says why in one line."""


_Run = list[Entry]
Place = dict[Group, _Run]  # where a stage's blocks stand: the operations of each of its groups
_MOST_OPTIONAL = 400


class Template:
    """The operations of a network of any depths.

    Args:
        full: A trace at depths `most`.
        shorter: For each stage, traces with depths most - 1, .., 1 of it alone.
        most: Depths of `full`.
    """

    def __init__(self, full: Sequence[Item], shorter: Sequence[Sequence[Sequence[Item]]], most: Sequence[int]) -> None:
        self.most = tuple(most)
        labels: list[Label] = [None] * len(full)
        for stage, traces in enumerate(shorter, 1):
            _label(labels, stage, full, traces, most[stage - 1])
        self.skeleton: list[Entry | Place] = []
        runs = _runs(labels)
        plans = {stage: _plan(full, runs, stage, most[stage - 1]) for stage in range(1, len(most) + 1)}
        self._lay(full, labels, runs, plans)
        self.optional = 0

    def _lay(
        self,
        full: Sequence[Item],
        labels: Sequence[Label],
        runs: dict[tuple[int, int], list[list[int]]],
        plans: dict[int, list[Group]],
    ) -> None:
        places: dict[tuple[int, int], int] = {}  # where each stage's runs of blocks begin
        for (stage, _), several in runs.items():
            for at, run in enumerate(several):
                places[stage, at] = min(run[0], places.get((stage, at), run[0]))
        begins = {position: place for place, position in places.items()}
        for position, event in enumerate(full):
            if labels[position] is None:
                self.skeleton.append(Entry(token_of(event), event.path, ALWAYS))
            elif position in begins:
                stage, at = begins[position]
                here: Place = {}
                for group in plans[stage]:
                    several = runs.get((stage, group.first), [])
                    run = several[at] if at < len(several) else []
                    here[group] = [Entry(token_of(full[i]), full[i].path, group) for i in run]
                self.skeleton.append(here)
        if [entry.token for entry, _ in self.expanded(self.most)] != [token_of(event) for event in full]:
            raise StructureError("blocks of a stage stand among other operations")

    def expanded(self, depths: Sequence[int]) -> list[tuple[Entry, int]]:
        """All operations at some depths, each with the number of its block."""
        found: list[tuple[Entry, int]] = []
        for one in self.skeleton:
            if isinstance(one, Entry):
                found.append((one, 0))
                continue
            order = sorted((k, group) for group in one for k in group.blocks(depths))
            found += [(entry, k) for k, group in order for entry in one[group]]
        return found

    def entries(self) -> list[Entry]:
        """All entries, in order."""
        return [
            entry
            for one in self.skeleton
            for entry in ([one] if isinstance(one, Entry) else [e for block in one.values() for e in block])
        ]

    def observe(self, number: int, events: Sequence[Item], depths: Sequence[int]) -> None:
        """Takes a trace in.

        Raises:
            DeeperError: If deeper blocks of a stage are unlike those known.
            StructureError: If it is too unlike.
        """
        expected = self.expanded(depths)
        pairs = [(i, i) for i in range(len(events))]
        if [entry.token for entry, _ in expected] != [token_of(event) for event in events]:
            expected, pairs = self._grown(events, depths)
        for i, j in pairs:
            entry, k = expected[i]
            entry.seen[number, k] = events[j]
            entry.at[number, k] = j

    def _grown(
        self, events: Sequence[Item], depths: Sequence[int]
    ) -> tuple[list[tuple[Entry, int]], list[tuple[int, int]]]:
        """The operations at some depths, with those that only this trace has; and which is which."""
        while True:
            expected = self.expanded(depths)
            known = [_like(entry) for entry, _ in expected]
            pairs = aligned(known, events)
            there = {j for _, j in pairs}
            new = next((j for j in range(len(events)) if j not in there), None)
            if new is None:
                return expected, pairs
            before = max((i for i, j in pairs if j < new), default=-1)
            stop = next(j for j in range(new, len(events) + 1) if j == len(events) or j in there)
            self.optional += stop - new
            if self.optional > _MOST_OPTIONAL:
                raise StructureError(
                    f"what it does differs too much from one size to another, as in {events[new].path}"
                )
            self._insert(expected, before, events[new:stop], depths)

    def _insert(
        self, expected: list[tuple[Entry, int]], before: int, events: Sequence[Item], depths: Sequence[int]
    ) -> None:
        """Puts operations after the expected one at `before`, or before the next, whichever is more alike."""
        near = [i for i in (before, before + 1) if 0 <= i < len(expected)]
        alike = max(near, key=lambda i: (common_prefix(expected[i][0].path, events[0].path), -i))
        entry, k = expected[alike]
        tokens = [token_of(event) for event in events]
        last = before + 1 == len(expected) or self._place(expected[before + 1][0]) != self._place(entry)
        if alike == before and last and self._place(entry) >= 0 and not common_prefix(entry.token.path, tokens[0].path):
            # after all blocks, and of another module than theirs: no block's
            new = [Entry(token, event.path, ALWAYS) for token, event in zip(tokens, events, strict=True)]
            self.skeleton[self._place(entry) + 1 : self._place(entry) + 1] = new
            return
        stage = entry.group.stage
        if stage and k > self.most[stage - 1] and self.most[stage - 1] < 9:
            raise DeeperError(stage)
        new = [Entry(token, event.path, entry.group) for token, event in zip(tokens, events, strict=True)]
        home = self._home(entry)
        at = next(i for i, one in enumerate(home) if one is entry) + (alike == before)
        home[at:at] = new

    def _place(self, entry: Entry) -> int:
        """Position in the skeleton of the place that an entry stands in; -1 of one that stands in none."""
        if not entry.group.stage:
            return -1
        return next(
            at
            for at, one in enumerate(self.skeleton)
            if not isinstance(one, Entry) and any(other is entry for block in one.values() for other in block)
        )

    def _home(self, entry: Entry) -> list[Entry | Place] | list[Entry]:
        for one in self.skeleton:
            if one is entry:
                return self.skeleton
            if not isinstance(one, Entry):
                for block in one.values():
                    if any(other is entry for other in block):
                        return block
        raise AssertionError("an entry without a home")


def _like(entry: Entry) -> Item:
    """An operation as the last that an entry was."""
    token = entry.token
    last = next(reversed(entry.seen.values()), None)
    return last or Item(entry.path, token.kind, (0,) * token.rank, (0,) * token.results)


def _label(labels: list[Label], stage: int, full: Sequence[Item], traces: Sequence[Sequence[Item]], most: int) -> None:
    """Labels the operations of a stage's blocks 2 .. most in the full trace."""
    longer, places = full, list(range(len(full)))
    for depth, shorter in zip(range(most - 1, 0, -1), traces, strict=True):
        pairs = aligned(shorter, longer)
        kept = {j for _, j in pairs}
        for j, place in enumerate(places):
            if j in kept or place < 0:
                continue
            if labels[place] is not None:
                raise StructureError(f"operation {full[place].path} is of several depths at once")
            labels[place] = (stage, depth + 1)
        back = dict(pairs)
        longer, places = shorter, [places[back[i]] if i in back else -1 for i in range(len(shorter))]


def _runs(labels: Sequence[Label]) -> dict[tuple[int, int], list[list[int]]]:
    """Positions of each block's operations, run by run."""
    found: dict[tuple[int, int], list[list[int]]] = {}
    last: Label = None
    for position, label in enumerate(labels):
        if label is not None:
            several = found.setdefault(label, [])
            if label == last:
                several[-1].append(position)
            else:
                several.append([position])
        last = label
    return found


def _plan(full: Sequence[Item], runs: dict[tuple[int, int], list[list[int]]], stage: int, most: int) -> list[Group]:
    """Which blocks of a stage are alike: the groups of blocks 2, 3, ..

    Raises:
        DeeperError: If it is not to be told from so few.
    """
    blocks = {k: [[full[i] for i in run] for run in runs.get((stage, k), [])] for k in range(2, most + 1)}
    if not any(blocks.values()):
        return []
    dims = {k: [[(token_of(event), *event[2:]) for event in run] for run in block] for k, block in blocks.items()}
    if (found := _ordered(dims, stage, most)) is not None:
        return found
    if most < 5:
        raise DeeperError(stage)
    tokens = {k: [[token_of(event) for event in run] for run in block] for k, block in blocks.items()}
    if (found := _ordered(tokens, stage, most)) is not None:
        return found
    if most < 9:
        raise DeeperError(stage)
    raise StructureError(f"the blocks of stage {stage} follow no order")


def _ordered(facts: dict[int, list[Any]], stage: int, most: int) -> list[Group] | None:
    """The groups of blocks 2, 3, .. by facts of each, of which a period's last must be seen again."""
    for period, start in ((1, 2), (1, 3), (2, 2), (2, 3), (3, 2), (3, 3), (4, 2)):
        pairs = range(start, most - period + 1)
        if len(pairs) >= period and all(facts[k] == facts[k + period] for k in pairs):
            return [Group(stage, k) for k in range(2, start)] + [Group(stage, start + r, period) for r in range(period)]
    return None
