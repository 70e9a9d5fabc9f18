"""Templates and the traces seen, and what every number in them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sampler.architecture import IntArray
from sampler.declared.expressions import INDEX, Expression
from trainer.declared.products import Product
from trainer.declared.structure import Entry, Group, Occurrence
from trainer.declared.synthesis import Explainer, Explanation, Rows, names_in
from trainer.declared.tracing import Point

SEQUENCES = ("ops", "params", "storages")


@dataclass(eq=False)
class Meaning:
    """What an entry's numbers are.

    Attributes:
        dims: Dimensions of its operation.
        result: Dimensions of its result.
        present: 1 where it is there, else 0.
        size: Elements of a storage, and whether they follow the block's number; once they are asked for.
    """

    dims: list[Expression] = field(default_factory=list)
    result: list[Expression] = field(default_factory=list)
    present: Expression = 1
    size: Product | None = None
    moves: bool = False


class UnexplainedError(Exception):
    """A number of an entry that nothing explains.

    Attributes:
        names: Variables that it follows.
        rows: Some examples: variables and the number.
    """

    def __init__(self, entry: Entry, what: str, names: frozenset[str], examples: Sequence[tuple[Point, int]]) -> None:
        shown = "; ".join(
            f"{value} at " + ", ".join(f"{n} {point[n]}" for n in sorted(names) if n in point)
            for point, value in examples[:2]
        )
        follows = ", ".join(sorted(names)) or "nothing that was moved alone"
        super().__init__(f"{what} of {entry.token.kind} in {entry.path or 'the network'} follows {follows} ({shown})")
        self.names = names


class Meanings:
    """Explains the entries of templates by traces; keeps what still holds when there are more."""

    def __init__(self, variables: Sequence[str]) -> None:
        self.explainer = Explainer(variables)
        self.rows: dict[Group, tuple[list[Occurrence], Rows]] = {}
        self.kept: dict[object, Explanation] = {}  # by the entry and the number's place in it
        self.open: dict[str, Explanation] = {}  # those with other expressions that fit as well
        self.thorough = True  # whether to look for what takes long to find

    def set_traces(self, points: Sequence[Point], groups: Sequence[Group], stages: int) -> None:
        """Takes the points of all traces, for all groups."""
        self.open, self.rows = {}, {}
        self.round: dict[object, Expression] = {}
        self.points = points
        for group in groups:
            keys = [
                (number, k)
                for number, point in enumerate(points)
                for k in group.blocks([point[f"depth_{i}"] for i in range(1, stages + 1)])
            ]
            blocks = [k for _, k in keys] if group.stage else None
            self.rows[group] = keys, Rows([points[number] for number, _ in keys], blocks)

    def of(self, entry: Entry) -> Meaning:
        """What an entry's numbers are.

        Raises:
            UnexplainedError: If nothing explains one.
        """
        keys, _ = self.rows[entry.group]
        there = np.array([at for at, key in enumerate(keys) if key in entry.seen], dtype=np.int64)
        found = Meaning()
        if len(there) < len(keys):
            full = np.zeros(len(keys), dtype=np.int64)
            full[there] = 1
            found.present = self.number_of(entry, "presence", np.arange(len(keys)), full)
        seen = [entry.seen[keys[at]] for at in there]
        for name, store, rank in (
            ("dims", found.dims, entry.token.rank),
            ("result", found.result, entry.token.results),
        ):
            if rank:
                matrix = np.array([getattr(event, name) for event in seen], dtype=np.int64)
                for column in range(rank):
                    what = f"number {column + 1} of the {'sizes' if name == 'dims' else 'result'}"
                    store.append(self.number_of(entry, what, there, matrix[:, column]))
        return found

    def number_of(self, entry: Entry, what: str, there: IntArray, values: IntArray) -> Expression:
        """What one number of an entry is."""
        keys, rows = self.rows[entry.group]
        slot = (entry, what)
        signature = (entry.group, there.tobytes(), values.tobytes())
        if (same := self.round.get(signature)) is not None:
            return same
        known = self.kept.get(slot)
        if known is None or not self._holds(rows, known.expression, there, values):
            others = known.others if known is not None else []
            holding = [one for one in others if self._holds(rows, one, there, values)]
            if holding:
                known = Explanation(holding[0], names_in(holding[0]), holding[1:])
                self.explainer.remember(known)
            else:
                known = self.explainer.explain(rows, there, values, self.thorough)
        if known is None:
            names = rows.follows(values, there)
            varied = names or frozenset(rows.names) - {INDEX}
            examples = [
                ({n: int(rows.variables[n][there[i]]) for n in rows.names}, int(values[i]))
                for i in (0, len(values) - 1)
            ]
            raise UnexplainedError(entry, what, varied, examples)
        known.others = [one for one in known.others if self._holds(rows, one, there, values)]
        self.kept[slot] = known
        if known.others:
            self.open[repr(known.expression)] = known
        self.round[signature] = known.expression
        return known.expression

    def depth_of(self, number: int, stage: int) -> int:
        """The depth of a stage in a trace."""
        return self.points[number][f"depth_{stage}"]

    @staticmethod
    def _holds(rows: Rows, expression: Expression, there: IntArray, values: IntArray) -> bool:
        found = rows.value(expression)
        return found is not None and np.array_equal(found[there], values)

    def doubtful(self, points: Sequence[Point]) -> list[Point]:
        """Those of some points at which expressions that fit as well differ, the most differing first."""
        rows = Rows(points, None)
        votes = np.zeros(len(points), dtype=np.int64)
        for known in self.open.values():
            mine = rows.value(known.expression)
            if mine is None:
                continue
            differ = np.zeros(len(points), dtype=bool)
            for other in known.others:
                theirs = rows.value(other)
                if theirs is not None:
                    differ |= theirs != mine
            votes += differ
        order = np.argsort(-votes, kind="stable")
        return [points[i] for i in order if votes[i] > 0]
