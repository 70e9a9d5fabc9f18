"""Expressions for numbers that were seen in traces: what they are of the architecture's sizes.

Each vector of numbers, one for every trace (or for every block of every trace), is explained once. Explanations are
looked for from simple to complex: a constant, another explained vector, a form of one variable or of an explained
vector, then two explained vectors joined, sums linear in each variable, and what an explained vector leaves over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from sampler.architecture import IntArray
from sampler.declared.expressions import INDEX, Evaluation, Expression
from sampler.errors import InputError
from trainer.declared.doubling import halving, power_of_two
from trainer.declared.forms import forms, substituted, times_over
from trainer.declared.tracing import Point

_GLANCE = 8  # rows that are looked at before all are
_MOST_PAIRED = 60  # explained vectors that are joined with one another


class Rows:
    """The variables' values in the rows of a group.

    Args:
        points: The variables of each row.
        blocks: Number of the block of each row; None where that is none.
    """

    def __init__(self, points: Sequence[Point], blocks: Sequence[int] | None) -> None:
        self.names = (*sorted(points[0]), *((INDEX,) if blocks is not None else ())) if points else ()
        columns = [[point[name] for point in points] for name in self.names if name != INDEX]
        if blocks is not None and points:
            columns.append(list(blocks))
        self.matrix = np.array(columns, dtype=np.int64).reshape(len(self.names), len(points))
        self.variables = dict(zip(self.names, self.matrix, strict=True))
        self.pairs = {name: self._pairs(at) for at, name in enumerate(self.names)}
        self._known: dict[str, IntArray | None] = {}

    def __len__(self) -> int:
        return self.matrix.shape[1]

    def _pairs(self, at: int) -> IntArray:
        """`(p, 2)` rows that differ in one variable alone."""
        others = np.delete(self.matrix, at, axis=0)
        _, which = np.unique(others, axis=1, return_inverse=True)
        order = np.argsort(which.ravel(), kind="stable")
        same = np.flatnonzero(which.ravel()[order][1:] == which.ravel()[order][:-1])
        return np.stack([order[same], order[same + 1]], axis=1)

    def value(self, expression: Expression) -> IntArray | None:
        """The values of an expression, or None where it has none."""
        key = repr(expression)
        if key not in self._known:
            try:
                with np.errstate(all="ignore"):
                    found = Evaluation([], self.variables)(expression)
                self._known[key] = np.broadcast_to(np.asarray(found, dtype=np.int64), (len(self),))
            except InputError:
                self._known[key] = None
        return self._known[key]

    def follows(self, values: IntArray, there: IntArray) -> frozenset[str]:
        """The variables that numbers depend on, as far as rows that differ in one alone show."""
        full = np.zeros(len(self), dtype=np.int64)
        full[there] = values
        present = np.zeros(len(self), dtype=bool)
        present[there] = True

        def moves(pairs: IntArray) -> bool:
            both = pairs[present[pairs].all(axis=1)]
            return bool((full[both[:, 0]] != full[both[:, 1]]).any())

        return frozenset(name for name, pairs in self.pairs.items() if moves(pairs))


@dataclass(eq=False)
class Explanation:
    """An explained vector.

    Attributes:
        expression: Numbers that it is.
        names: The variables in it.
        others: Other expressions that fitted as well.
    """

    expression: Expression
    names: frozenset[str] = frozenset()
    others: list[Expression] = field(default_factory=list)


def names_in(expression: Expression) -> frozenset[str]:
    """The variables of an expression."""
    if isinstance(expression, str):
        return frozenset((expression,))
    if isinstance(expression, list):
        given = expression[1:2] if expression[0] in ("table", "cycle") else expression[1:]
        return frozenset().union(*(names_in(one) for one in given))
    return frozenset()


class Explainer:
    """Explains vectors, and remembers those explained.

    Args:
        variables: Names of the variables; the block's number is one more.
    """

    def __init__(self, variables: Sequence[str]) -> None:
        self.pool: dict[str, Explanation] = {
            name: Explanation(name, frozenset((name,))) for name in (*variables, INDEX)
        }
        for name in (INDEX, *(one for one in variables if one.startswith("depth_"))):
            for more in (0, 1, 2, -1):
                self.remember(Explanation(power_of_two(name, more), frozenset((name,))))

    def explain(self, rows: Rows, there: IntArray, values: IntArray, thorough: bool = True) -> Explanation | None:
        """What numbers are.

        Args:
            rows: The rows.
            there: Positions of those in which the numbers were seen.
            values: The numbers.
            thorough: Whether to look for what takes long to find, too.
        """
        if (values == values[0]).all():
            return Explanation(int(values[0]))
        names = rows.follows(values, there)
        everything = frozenset(rows.names)
        tries = [names] if names else []
        if names != everything:
            varying = frozenset(n for n in everything if len(np.unique(rows.variables[n][there])) > 1)
            tries.append(varying)
        for some in tries:
            found = _Search(self, rows, there, some, thorough).explain(values, int(thorough))
            if found is not None:
                self.remember(found)
                return found
        return None

    def remember(self, known: Explanation) -> None:
        """Lets further vectors be explained by this one."""
        if isinstance(known.expression, list):
            self.pool.setdefault(repr(known.expression), known)


class _Search:
    """A search for what numbers are, of some variables alone."""

    def __init__(
        self, explainer: Explainer, rows: Rows, there: IntArray, names: frozenset[str], thorough: bool
    ) -> None:
        self.thorough = thorough
        self.explainer, self.rows, self.there, self.names = explainer, rows, there, names
        self.known: list[Explanation] = []
        vectors: list[IntArray] = []
        seen: set[bytes] = set()
        for one in sorted(explainer.pool.values(), key=lambda one: (-len(one.names), len(repr(one.expression)))):
            if one.names <= names and (value := rows.value(one.expression)) is not None:
                key = value[there].tobytes()
                if key not in seen and (value[there] != value[there][0]).any():
                    seen.add(key)
                    self.known.append(one)
                    vectors.append(value[there])
        self.vectors = np.array(vectors, dtype=np.int64).reshape(len(vectors), len(there))
        self.by_value = {vector.tobytes(): one.expression for vector, one in zip(self.vectors, self.known, strict=True)}
        self.by_shape: dict[bytes, tuple[int, Expression]] = {}
        for vector, one in zip(self.vectors, self.known, strict=True):
            common = int(np.gcd.reduce(vector))
            if common:
                self.by_shape.setdefault((vector // common).tobytes(), (common, one.expression))

    def explain(self, values: IntArray, depth: int) -> Explanation | None:
        if (values == values[0]).all():
            return Explanation(int(values[0]))
        if values.tobytes() in self.by_value:
            return self._as_known([self.by_value[values.tobytes()]])
        two = len(np.unique(values)) == 2
        ways: list[Callable[[IntArray], Iterator[Expression]]] = [self._of_one]
        ways += [self._compared] if two else [self._paired, self._of_known, self._halved, self._linear]
        ways += [self._joined_known] if self.thorough and not two else []
        for way in ways:
            if found := list(way(values)):
                return self._as_known(found)
        if depth and not two:
            return self._left_over(values, depth)
        return self._both(values) if two and self.thorough else None

    @staticmethod
    def _as_known(found: list[Expression]) -> Explanation:
        return Explanation(found[0], names_in(found[0]), found[1:12])

    def _points(self, x: IntArray, values: IntArray) -> tuple[IntArray, IntArray] | None:
        """The distinct values of `x` and what numbers are there, if they are a function of it."""
        order = np.lexsort((values, x))
        xs, ys = x[order], values[order]
        same = xs[1:] == xs[:-1]
        if (ys[1:] != ys[:-1])[same].any():
            return None
        first = np.concatenate([[True], ~same])
        return xs[first], ys[first]

    def _of_one(self, values: IntArray) -> Iterator[Expression]:
        """Forms of one variable."""
        names = [n for n in sorted(self.names) if len(self.names) == 1 or n != INDEX or len(self.names) < 3]
        for name in names:
            points = self._points(self.rows.variables[name][self.there], values)
            if points and len(points[0]) > 1 and (len(points[0]) > 3 or len(self.names) == 1):
                found = forms(*points)
                if found:
                    yield from (substituted(one, name) for one in found)
                    return

    def _of_known(self, values: IntArray) -> Iterator[Expression]:
        """Forms of one explained vector."""
        for one, vector in zip(self.known, self.vectors, strict=True):
            if isinstance(one.expression, str):
                continue
            points = self._points(vector, values)
            if points and len(points[0]) > 3 and _monotone(points[1]) and (found := forms(*points)):
                yield from (substituted(form, one.expression) for form in found)
                return

    def _paired(self, values: IntArray) -> Iterator[Expression]:
        """Two explained vectors, multiplied, added, taken from one another, divided, the larger, the smaller."""
        common = max(int(np.gcd.reduce(values)), 1)
        shape = values // common
        if shape.tobytes() in self.by_shape:
            over, one = self.by_shape[shape.tobytes()]
            fraction = Fraction(common, over)
            yield times_over(one, fraction.numerator, fraction.denominator)
            return
        for known, vector in zip(self.known, self.vectors, strict=True):
            mine = known.expression
            if (vector > 0).all() and (values % vector == 0).all():
                rest = values // vector
                times = max(int(np.gcd.reduce(rest)), 1)
                if (rest == rest[0]).all():
                    yield times_over(mine, int(rest[0]))
                    return
                if (found := self.by_shape.get((rest // times).tobytes())) and times % found[0] == 0:
                    yield times_over(["*", mine, found[1]], times // found[0])
                    return
            for rest, sign in ((values - vector, 1), (vector - values, -1)):
                other = self.by_value.get(rest.tobytes())
                if other is None and (rest == rest[0]).all():
                    other = int(rest[0])
                if other is not None:
                    yield ["+", mine, other] if sign > 0 else ["-", mine, other]
                    return
        yield from self._divided(values)

    def _divided(self, values: IntArray) -> Iterator[Expression]:
        few = self.vectors[:_MOST_PAIRED]
        some = np.unique(np.linspace(0, len(values) - 1, _GLANCE).astype(np.int64))  # to look at first
        x, y, wanted = few[:, None, some], few[None, :, some], values[some]
        over = np.maximum(y, 1)
        ways = {
            "max": np.maximum(x, y),
            "min": np.minimum(x, y),
            "floor": x // over,
            "ceil": -(-x // over),
        }
        like = {kind: (found == wanted).all(axis=2) for kind, found in ways.items()}
        for i, j in zip(*np.nonzero(np.any(list(like.values()), axis=0)), strict=True):
            if i != j and (found := self._ratio(int(i), int(j), {k for k in like if like[k][i, j]}, values)):
                yield found
                return

    def _ratio(self, i: int, j: int, kinds: set[str], values: IntArray) -> Expression | None:
        """What of two explained vectors numbers are, of some kinds."""
        a, b, x, y = self.known[i].expression, self.known[j].expression, self.vectors[i], self.vectors[j]
        if "max" in kinds and np.array_equal(np.maximum(x, y), values):
            return ["max", a, b]
        if "min" in kinds and np.array_equal(np.minimum(x, y), values):
            return ["min", a, b]
        if (y > 0).all():
            if "floor" in kinds and np.array_equal(x // y, values):
                return ["//", a, b]
            if "ceil" in kinds and np.array_equal((x + y - 1) // y, values):
                return ["//", ["+", a, b, -1], b]
        return None

    def _halved(self, values: IntArray) -> Iterator[Expression]:
        """Explained vectors that double or halve with every block."""
        counts = [n for n in sorted(self.names) if n == INDEX or n.startswith("depth_")]
        exponents: list[tuple[Expression, IntArray]] = [(n, self.rows.variables[n][self.there]) for n in counts]
        known = [(one.expression, vector) for one, vector in zip(self.known, self.vectors, strict=True)]
        yield from halving(known[:_MOST_PAIRED], exponents, values)

    def _linear(self, values: IntArray) -> Iterator[Expression]:
        """Sums of the variables, and of products of two, with whole or broken factors."""
        names = sorted(self.names)
        if len(names) > 7:
            return
        columns: list[tuple[Expression, IntArray]] = [(n, self.rows.variables[n][self.there]) for n in names]
        for terms in (columns, columns + [(["*", a, b], x * y) for (a, x), (b, y) in combinations(columns, 2)]):
            if len(values) < len(terms) + 4:
                return
            if (found := _solved(terms, values)) is not None:
                yield found
                return

    def _joined_known(self, values: IntArray) -> Iterator[Expression]:
        """Forms of two explained vectors added, multiplied or divided."""
        few = list(zip(self.known, self.vectors, strict=True))[:24]
        for (a, x), (b, y) in combinations(few, 2):
            if (a.names | b.names) != self.names and len(self.names) < 4:
                continue
            joined: list[tuple[Expression, IntArray]] = [
                (["*", a.expression, b.expression], x * y),
                (["+", a.expression, b.expression], x + y),
            ]
            joined += [(["//", a.expression, b.expression], x // y)] if (y > 0).all() else []
            joined += [(["//", b.expression, a.expression], y // x)] if (x > 0).all() else []
            for expression, vector in joined:
                points = self._points(vector, values)
                if points and len(points[0]) > 4 and _monotone(points[1]) and (found := forms(*points)):
                    yield from (substituted(form, expression) for form in found)
                    return

    def _left_over(self, values: IntArray, depth: int) -> Explanation | None:
        """An explained vector, and what is left, which follows fewer variables."""
        for known, vector in list(zip(self.known, self.vectors, strict=True))[:_MOST_PAIRED]:
            tries: list[tuple[Any, IntArray]] = [(lambda rest, e=known.expression: ["+", e, rest], values - vector)]
            if (vector > 0).all() and (values % vector == 0).all():
                tries.append((lambda rest, e=known.expression: ["*", e, rest], values // vector))
            for join, rest in tries:
                names = self.rows.follows(rest, self.there)
                if not names or not names < self.names:
                    continue
                found = _Search(self.explainer, self.rows, self.there, names, False).explain(rest, depth - 1)
                if found is not None:
                    return self._as_known([join(one) for one in (found.expression, *found.others)])
        return None

    def _compared(self, values: IntArray) -> Iterator[Expression]:
        """Comparisons of two explained vectors."""
        low, high = int(values.min()), int(values.max())
        up = values == high
        few = list(zip(self.known, self.vectors, strict=True))[: 2 * _MOST_PAIRED]
        for (a, x), (b, y) in combinations(few, 2):
            for kind, there in (("==", x == y), ("<", x < y), (">=", x >= y)):
                for which, wanted in ((True, up), (False, ~up)):
                    if np.array_equal(there, wanted):
                        sign = {
                            "==": "==" if which else "!=",
                            "<": "<" if which else ">=",
                            ">=": ">=" if which else "<",
                        }
                        yield times_over([sign[kind], a.expression, b.expression], high - low, 1, low)

    def _both(self, values: IntArray) -> Explanation | None:
        """Two conditions at once, or one of two."""
        low, high = int(values.min()), int(values.max())
        for wanted, rise, start in ((values == high, high - low, low), (values == low, low - high, high)):
            some: list[tuple[Expression, Any]] = []
            for (a, x), (b, y) in combinations(list(zip(self.known, self.vectors, strict=True))[:40], 2):
                for kind, there in (("==", x == y), ("!=", x != y), ("<", x < y), (">=", x >= y)):
                    if there[wanted].all() and not there.all():
                        some.append(([kind, a.expression, b.expression], there))
            for (p, here), (q, also) in combinations(some[:200], 2):
                if np.array_equal(here & also, wanted):
                    return self._as_known([times_over(["*", p, q], rise, 1, start)])
        return None


def _monotone(values: IntArray) -> bool:
    rises = np.diff(values)
    return bool((rises >= 0).all() or (rises <= 0).all())


def _solved(terms: list[tuple[Expression, IntArray]], values: IntArray) -> Expression | None:
    """The sum of terms that numbers are, each times a broken number of a small denominator."""
    matrix = np.array([*(vector for _, vector in terms), np.ones_like(values)], dtype=float).T
    factors, _, rank, _ = np.linalg.lstsq(matrix, values.astype(float), rcond=None)
    if rank < matrix.shape[1]:
        return None
    for over in (1, 2, 3, 4, 6, 8, 16, 32, 64):
        whole = np.rint(factors * over).astype(np.int64)
        total = np.array([*(vector for _, vector in terms), np.ones_like(values)]).T @ whole
        if np.array_equal(total, values * over) or (over > 1 and np.array_equal(total // over, values)):
            parts: list[Any] = [times_over(one, int(n)) for (one, _), n in zip(terms, whole, strict=False) if n]
            parts += [int(whole[-1])] if whole[-1] else []
            joined = ["+", *parts] if len(parts) > 1 else parts[0]
            return times_over(joined, 1, over)
    return None
