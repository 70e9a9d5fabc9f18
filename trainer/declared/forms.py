"""Functions of one whole number that the sizes of networks are: what fits some points, the simplest first.

A form is an expression of `"x"`. Where strides, roundings and paddings leave several that fit, all are given, so that
a further trace can tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice

import numpy as np

from sampler.architecture import IntArray
from sampler.declared.expressions import Evaluation, Expression
from trainer.declared.doubling import doubling, power_of_two

X = "x"
_LARGEST_POWER = 40
_MOST = 12  # forms of a kind
_RATIOS = sorted({Fraction(n, d) for d in (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32) for n in range(1, 12 * d + 1)})
_SHARES = np.array([float(one) for one in _RATIOS])
_DIVISORS = (1, 2, 4, 8, 16, 32, 64)
_PERIODS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 112, 128)
_OFFSETS = (0, 1, 2, 3, 4, 5, 8)  # class tokens, registers
_STRIDES = sorted(
    {*range(2, 65), *(2**k for k in range(1, 10)), *(7 * 2**k for k in range(8)), *range(72, 512, 8)},
    key=lambda s: (min(s // (s & -s), 9) // 2, s),  # powers of two first
)

# (n, 2) factors and strides that have nothing in common
_STRIDED = np.array(
    [(a, s) for a in (1, 2, 3, 5, 7) for s in _STRIDES if math.gcd(a, s) == 1 and (a == 1 or s <= 64)], dtype=np.int64
)


def forms(x: IntArray, y: IntArray, thorough: bool = True) -> list[Expression]:
    """Expressions of `"x"` that are `y` everywhere.

    Args:
        x: `(n,)` values, ascending, each once.
        y: `(n,)` what they give.
        thorough: Whether to look for roundings and thresholds too.
    """
    found = _fitting([*_affine(x, y), *_conditions(x, y), *_exponential(x, y)], x, y)
    if not found or len(x) < 8:
        found += _fitting(_strided(x, y), x, y)
    if thorough and not found:
        found = _fitting([*doubling(X, x, y), *_powers(x, y), *_quadratic(x, y)], x, y)
    if thorough:
        found += _fitting(_rounded(x, y), x, y)
        found = found or _fitting([*_cyclic(x, y), *_bounded(x, y)], x, y)
        found = found or _fitting(_pieced(x, y), x, y)
    return found


def _fitting(some: Iterable[Expression], x: IntArray, y: IntArray) -> list[Expression]:
    return list(islice((one for one in some if fits(one, x, y)), _MOST))


def fits(form: Expression, x: IntArray, y: IntArray) -> bool:
    """Whether a form is `y` everywhere."""
    return bool(np.array_equal(np.broadcast_to(Evaluation([], {X: x})(form), y.shape), y))


def substituted(form: Expression, expression: Expression, name: str = X) -> Expression:
    """A form of another expression than `name`."""
    if form == name:
        return expression
    if isinstance(form, list):
        plain = form[0] in ("table", "cycle")
        inner = (one if plain and at else substituted(one, expression, name) for at, one in enumerate(form[1:]))
        return [form[0], *inner]
    return form


def times_over(expression: Expression, times: int = 1, over: int = 1, plus: int = 0) -> Expression:
    """(expression * times + plus) // over, written short."""
    if times != 1:
        expression = ["*", expression, times]
    if plus:
        expression = ["+", expression, plus]
    return ["//", expression, over] if over != 1 else expression


def _affine(x: IntArray, y: IntArray) -> Iterator[Expression]:
    if len(x) < 2:
        return
    slope = Fraction(int(y[-1] - y[0]), int(x[-1] - x[0]))
    start = int(y[0]) - slope * int(x[0])
    over = math.lcm(slope.denominator, start.denominator)
    if slope and over <= 4096 and (len(x) > 2 or start == 0 or over == 1):
        yield times_over(X, int(slope * over), over, int(start * over))


def _exponential(x: IntArray, y: IntArray) -> Iterator[Expression]:
    """Times * 2^x + plus: dilations, repeated strides."""
    if len(x) < 3 or x[0] < 0 or x[-1] > _LARGEST_POWER:
        return
    powers = 2**x
    slope = Fraction(int(y[-1] - y[0]), int(powers[-1] - powers[0]))
    start = int(y[0]) - slope * int(powers[0])
    if slope and start.denominator == 1:
        yield times_over(power_of_two(X), slope.numerator, slope.denominator, int(start) * slope.denominator)


def _cyclic(x: IntArray, y: IntArray) -> Iterator[Expression]:
    """Values that come again, every so many."""
    for period in range(2, 7):
        if len(x) < period + 2 or len(np.unique(x % period)) < period:
            continue
        values = [int(y[x % period == left][0]) for left in range(period)]
        yield ["cycle", X, values]


def _strided(x: IntArray, y: IntArray) -> Iterator[Expression]:
    """Times * ((x + c) // s) + plus, and ((a x + c) // s)."""
    if len(x) < 2 or y[-1] == y[0] or (np.diff(y) < 0).any():
        return
    step = int(np.gcd.reduce(y - y[0]))
    for times in {1, step}:
        plus = int(y[0] % times) if times > 1 else 0
        if times > 1 and plus and plus > times // 2:
            plus -= times
        for a, s, low, high in _intervals(x, (y - plus) // times):
            usual = [c for c in (0, s - 1, s // 2) if low <= c <= high]
            near = 0 if low <= 0 <= high else (low if low > 0 else high)
            for c in dict.fromkeys([*usual, near, low, high]):
                yield times_over(times_over(X, a, s, c), times, 1, plus)


def _intervals(x: IntArray, y: IntArray) -> Iterator[tuple[int, int, int, int]]:
    """Strides and the least and largest offset with which ((a x + c) // s) is y; the simplest first."""
    a, s = _STRIDED[:, :1], _STRIDED[:, 1:]
    gap = y * s - a * x
    low, high = gap.max(axis=1), (gap + s).min(axis=1) - 1
    stride = s[:, 0]
    for at in np.flatnonzero((low <= high) & (low >= -4 * stride) & (high <= 4 * stride)):
        yield int(a[at, 0]), int(stride[at]), int(low[at]), int(high[at])


def _powers(x: IntArray, y: IntArray) -> Iterator[Expression]:
    """Squares and cubes of simpler ones, and a few more: tokens."""
    for power in (2, 3):
        for plus in _OFFSETS:
            root = np.rint(np.maximum(y - plus, 0) ** (1 / power)).astype(np.int64)
            if np.array_equal(root**power, y - plus) and root[0] != root[-1]:
                for one in [*_affine(x, root), *_strided(x, root)]:
                    yield times_over(["*", *[one] * power], plus=plus)
        step = int(np.gcd.reduce(y))
        if step > 1:
            root = np.rint(np.maximum(y // step, 0) ** (1 / power)).astype(np.int64)
            if np.array_equal(root**power * step, y) and root[0] != root[-1]:
                for one in [*_affine(x, root), *_strided(x, root)]:
                    yield times_over(["*", *[one] * power], step)


def _quadratic(x: IntArray, y: IntArray) -> Iterator[Expression]:
    if len(x) < 5:
        return
    a, b, c = (int(x[i]) for i in (0, len(x) // 2, -1))
    fa, fb, fc = (Fraction(int(y[i])) for i in (0, len(x) // 2, -1))
    second = ((fc - fa) / (c - a) - (fb - fa) / (b - a)) / (c - b)
    first = (fb - fa) / (b - a) - second * (a + b)
    start = fa - first * a - second * a * a
    over = math.lcm(second.denominator, first.denominator, start.denominator)
    if second and over <= 2**16:
        linear = times_over(X, int(second * over), 1, int(first * over))
        yield times_over(["*", X, linear], 1, over, int(start * over))


def _rounded(x: IntArray, y: IntArray) -> Iterator[Expression]:
    """X times a ratio to a multiple of a divisor, or to the nearest whole number."""
    if len(x) < 3 or (y <= 0).any() or (x <= 0).any():
        return
    common = int(np.gcd.reduce(y))
    for divisor in _DIVISORS[::-1]:
        if common % divisor:
            continue
        low, high = (
            float(((y - 1.01 * divisor) / x).max()),
            float(((y + 1.01 * divisor) / x)[y > divisor].min(initial=1e9)),
        )
        near = [_RATIOS[i] for i in np.flatnonzero((low <= _SHARES) & (high >= _SHARES))]
        for n, m in sorted(((one.numerator, one.denominator) for one in near), key=lambda one: one[1]):
            if divisor == 1:
                yield ["round", X, n, m]
            yield from (["divisible", X, n, m, divisor, guard] for guard in (1, 0))


def _conditions(x: IntArray, y: IntArray) -> Iterator[Expression]:
    """One value here, another there."""
    values = np.unique(y)
    if len(values) != 2 or len(x) < 2:
        return
    low, high = int(values[0]), int(values[1])

    def chosen(condition: Expression, up: bool) -> Expression:
        rise = high - low if up else low - high
        return times_over(condition, rise, 1, low if up else high)

    up = y == high
    for which, there in ((True, up), (False, ~up)):
        edges = np.flatnonzero(there[1:] != there[:-1])
        if len(edges) == 1 and there[-1]:
            at = int(edges[0])
            for edge in dict.fromkeys([int(x[at + 1]), int(x[at]) + 1]):
                yield chosen([">=", X, edge], which)
        if there.sum() == 1 and len(x) > 2:
            yield chosen(["==", X, int(x[there][0])], which)
        for period in _PERIODS:
            left = np.unique(x[there] % period)
            if len(left) == 1 and not np.isin(x[~there] % period, left).any() and len(x) > 4:
                yield chosen(["==", ["%", X, period], int(left[0])], which)


def _bounded(x: IntArray, y: IntArray) -> Iterator[Expression]:
    """At least, or at most, some number."""
    for kind, edge, free in (("max", int(y.min()), y > y.min()), ("min", int(y.max()), y < y.max())):
        if 3 <= free.sum() < len(x):
            some = (x[free], y[free])
            ways = [*_affine(*some), *_exponential(*some), *_strided(*some), *_rounded(*some)]
            for one in _fitting(ways, *some):
                yield [kind, one, edge]


def _pieced(x: IntArray, y: IntArray) -> Iterator[Expression]:
    """One form up to an edge and another from there on: windows that are no larger than what they move over."""
    if (np.diff(y) < 0).any():
        return
    for at in range(3, len(x) - 2):
        below = _first_simple(x[:at], y[:at])
        above = _first_simple(x[at:], y[at:]) if below is not None else None
        if below is not None and above is not None:
            edge = int(x[at])
            yield ["+", ["*", ["<", X, edge], below], ["*", [">=", X, edge], above]]


def _first_simple(x: IntArray, y: IntArray) -> Expression | None:
    if y[0] == y[-1]:
        return int(y[0])
    return next(iter(_fitting([*_affine(x, y), *_strided(x, y)], x, y)), None)
