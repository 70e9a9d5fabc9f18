"""What doubles or halves with every block: dilations, channels of a pyramid's levels, sides after so many strides.

Powers of two are tables of their exponents, for expressions have no powers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sampler.architecture import IntArray
from sampler.declared.expressions import Expression

_MOST = 40  # the largest exponent: more is past any size
_Vector = tuple[Expression, IntArray]


def power_of_two(exponent: Expression, more: int = 0, most: int = _MOST) -> Expression:
    """Two to the power of an expression from 0 to `most`, and some more; what it is at the ends beyond them.

    Example:
        >>> power_of_two("index", most=2)
        ['table', ['max', 0, ['min', 'index', 2]], [0, 1, 2], [1, 2, 4]]
    """
    keys = list(range(most + 1))
    return ["table", ["max", 0, ["min", exponent, most]], keys, [2 ** max(key + more, 0) for key in keys]]


def doubling(name: str, x: IntArray, y: IntArray) -> Iterator[Expression]:
    """What grows as times * 2^min(x, c) + plus and is `y` at all `x`, which ascend."""
    if len(x) < 4 or x[0] < 0 or x[-1] > _MOST or y[-1] == y[0]:
        return
    changes = np.flatnonzero(np.diff(y)) + 1
    for most in dict.fromkeys([_MOST, *(int(x[at]) for at in changes[-1:])]):
        powers = 2 ** np.minimum(x, most)
        rise, over = int(y[changes[0]] - y[0]), int(powers[changes[0]] - powers[0])
        if over and rise % over == 0 and len(changes) > 2:
            times = rise // over
            plus = int(y[0]) - times * int(powers[0])
            if np.array_equal(times * powers + plus, y):
                power = power_of_two(name, most=most)
                scaled: Expression = ["*", power, times] if times != 1 else power
                yield ["+", scaled, plus] if plus else scaled


def halving(known: Sequence[_Vector], exponents: Sequence[_Vector], values: IntArray) -> Iterator[Expression]:
    """Explanation vectors divided or multiplied by two to the power of one of some exponents, or of the sum of two.

    Args:
        known: Expressions and what they are.
        exponents: Expressions and their values, from 0.
        values: Values that are wanted.
    """
    sums = [(["+", a, b], x + y) for i, (a, x) in enumerate(exponents) for b, y in exponents[:i]]
    for exponent, vector in (*exponents, *sums):
        for plus in (-1, 0, 1, 2):
            moved = vector + plus
            if moved.min(initial=0) < 0 or moved.max(initial=0) > _MOST:
                continue
            power, of = 2**moved, power_of_two(exponent, plus)
            for expression, one in known:
                if expression == exponent or (one < 0).any() or one.max() > 2**20:
                    continue
                if np.array_equal(one // power, values):
                    yield ["//", expression, of]
                if np.array_equal((one + power - 1) // power, values):
                    yield ["//", ["+", expression, ["-", of, 1]], of]
                product = one * np.minimum(power, 2**40)
                if np.array_equal(product, values):
                    yield ["*", expression, of]
                    return
                if np.array_equal(np.minimum(product, values.max()), values):
                    yield ["min", ["*", expression, of], int(values.max())]
