"""Whole numbers as functions of an architecture's integers: plain JSON, evaluated exactly and for arrays.

An expression is a whole number, the name of a variable, or a list that begins with what is done:

    ["cell", i]                       the i-th shared expression; each refers to earlier ones only
    ["+", a, b, ..], ["*", a, b, ..]  sums and products; ["-", a, b] a difference
    ["//", a, b], ["%", a, b]         quotient rounded down, and what is left
    ["max", a, b, ..], ["min", a, b, ..]
    ["==", a, b], ["!=", a, b], ["<", a, b], [">=", a, b]   1 where it is so, else 0
    ["round", x, n, m]                x n / m to the nearest whole number, halves to the even one
    ["divisible", x, n, m, k, g]      x n / m to the nearest multiple of k (halves up), at least k; where g is 1 and
                                      that is below 9/10 of x n / m, k more
    ["table", x, keys, values]        the value beside the key that x is; keys ascend
    ["sum", first, last, body]        of body over "index" = first .. last; 0 where last is below first
    ["cycle", x, values]              values[x % their number]

Variables are the names of an architecture's columns (`resolution`, `width_1`, `depth_1`, a knob's `heads_1`) and
`classes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from sampler.architecture import IntArray
from sampler.checks import shown
from sampler.errors import InputError

Expression = int | str | list[Any]
INDEX = "index"
_MOST_STEPS = 100_000  # of a sum: blocks of a stage are far fewer


class Evaluation:
    """The values of expressions for `n` architectures; shared cells are computed once, when they are first needed.

    Args:
        cells: The shared expressions.
        variables: `(n,)` values, or one number for all, by name: int64, or float64 where a bound is wanted that
            cannot overflow.
    """

    def __init__(self, cells: Sequence[Expression], variables: Mapping[str, Any]) -> None:
        self._cells, self._known, self._variables = cells, dict[int, Any](), dict(variables)

    def __call__(self, expression: Expression) -> Any:
        """`(n,)` values, or one number where it depends on nothing.

        Raises:
            InputError: If it is no expression, names something unknown, or a table lacks a value.
        """
        if isinstance(expression, int):
            return expression
        if isinstance(expression, str):
            if expression not in self._variables:
                raise InputError(f"nobody says what {expression!r} is; known: {', '.join(sorted(self._variables))}")
            return self._variables[expression]
        kind = expression[0]
        if kind == "cell":
            return self._cell(expression[1])
        if kind == "sum":
            return self._sum(*expression[1:])
        if kind not in _KINDS:
            raise InputError(f"{shown(expression)} is no expression; one of {', '.join(_KINDS)} is wanted")
        return _KINDS[kind](
            *(
                one if isinstance(one, list) and kind in _LISTS and at else self(one)
                for at, one in enumerate(expression[1:])
            )
        )

    def _cell(self, number: int) -> Any:
        if number not in self._known:
            self._known[number] = self(self._cells[number])
        return self._known[number]

    def _sum(self, first: Expression, last: Expression, body: Expression) -> Any:
        low, high = self(first), self(last)
        start, end = int(np.min(low)), int(np.max(high))
        if end - start > _MOST_STEPS:
            raise InputError(f"a sum of {end - start} blocks is too long; check the depths given")
        total: Any = 0
        outer = self._variables
        for index in range(start, end + 1):
            self._variables = {**outer, INDEX: index}
            total = total + self(body) * ((low <= index) & (index <= high))
        self._variables = outer
        return total


def _divisible(x: Any, n: int, m: int, k: int, guard: int) -> Any:
    exact = x * n
    found = np.maximum((2 * exact + m * k) // (2 * m * k) * k, k)
    return found + k * (10 * m * found < 9 * exact) if guard else found


def _round(x: Any, n: int, m: int) -> Any:
    whole, left = x * n // m, x * n % m
    return whole + ((2 * left > m) | ((2 * left == m) & (whole % 2 == 1)))


def _table(x: Any, keys: Sequence[int], values: Sequence[int]) -> Any:
    known, given = np.asarray(keys), np.asarray(x)
    at = np.minimum(np.searchsorted(known, given), len(known) - 1)
    if (wrong := known[at] != given).any():
        raise InputError(
            f"{np.atleast_1d(given)[np.atleast_1d(wrong)][0]:g} was never tried; {shown(list(keys))} were: "
            "take one of these, or let the network be traced again with it"
        )
    return np.asarray(values)[at]


def _cycle(x: Any, values: Sequence[int]) -> Any:
    return np.asarray(values)[np.asarray(x).astype(np.int64) % len(values)]


def _whole(condition: Any) -> Any:
    return condition.astype(np.int64) if isinstance(condition, np.ndarray | np.generic) else int(condition)


_LISTS = ("table", "cycle")
_KINDS: dict[str, Callable[..., Any]] = {
    "cell": lambda number: number,
    "+": lambda *parts: reduce(lambda a, b: a + b, parts),
    "*": lambda *parts: reduce(lambda a, b: a * b, parts),
    "-": lambda a, b: a - b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "max": lambda *parts: reduce(np.maximum, parts),
    "min": lambda *parts: reduce(np.minimum, parts),
    "==": lambda a, b: _whole(a == b),
    "!=": lambda a, b: _whole(a != b),
    "<": lambda a, b: _whole(a < b),
    ">=": lambda a, b: _whole(a >= b),
    "round": _round,
    "divisible": _divisible,
    "table": _table,
    "cycle": _cycle,
}


def evaluated(cells: Sequence[Expression], expression: Expression, variables: Mapping[str, Any]) -> IntArray:
    """`(n,)` int64 values of one expression.

    Example:
        >>> variables = {"width_1": np.array([128]), "depth_1": 3}
        >>> evaluated([["//", "width_1", 64]], ["*", ["cell", 0], "depth_1"], variables)
        array([6])
    """
    return np.asarray(Evaluation(cells, variables)(expression), dtype=np.int64)
