"""Closed terms of what a network costs, from what the numbers in its templates are: `Counts`, with shared cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from sampler.declared.description import PartCounts
from sampler.declared.expressions import INDEX, Expression
from trainer.declared.products import FactorKey, Product, product
from trainer.declared.structure import Group
from trainer.declared.synthesis import names_in


def added(expressions: Sequence[Expression]) -> Expression:
    """A sum, written short."""
    some = [one for one in expressions if one != 0]
    return ["+", *some] if len(some) > 1 else (some[0] if some else 0)


def how_often(group: Group) -> Expression:
    """How many blocks of a group there are."""
    depth = f"depth_{group.stage}"
    if not group.period:
        return [">=", depth, group.first]
    if group.period == 1 and group.first == 2:
        return ["-", depth, 1]
    return ["max", 0, ["//", ["+", depth, group.period - group.first], group.period]]


class SumOfProducts:
    """A sum of products, each for all blocks of a group; equal ones are one."""

    def __init__(self) -> None:
        self.terms: dict[Group, dict[FactorKey, tuple[Product, int]]] = {}

    def add(self, group: Group, factors: Iterable[Expression]) -> None:
        """Adds a product for every block of a group."""
        one = Product(factors)
        terms = self.terms.setdefault(group, {})
        terms[one.key] = one, terms.get(one.key, (one, 0))[1] + one.times

    def expression(self) -> Expression:
        """The sum itself."""
        return added([_of_group(group, [*terms.values()]) for group, terms in self.terms.items()])


def _of_group(group: Group, terms: list[tuple[Product, int]]) -> Expression:
    some = [(names_in(["+", *one.others]), product(one.others, times)) for one, times in terms if times]
    plain = [one for names, one in some if INDEX not in names]
    moving = [one for names, one in some if INDEX in names]
    if not group.stage:
        return added(plain)
    found: list[Expression] = []
    if plain and (body := added(plain)) != 0:
        found.append(["*", how_often(group), body])
    if moving:
        found.append(over_blocks(group, added(moving)))
    return added(found)


def over_blocks(group: Group, body: Expression) -> Expression:
    """The sum of a body that follows the block's number, over a group's blocks."""
    depth = f"depth_{group.stage}"
    if group.period == 1 and (powers := _polynomial(body)) is not None and len(powers) < 4:
        last = depth if group.first < 3 else ["max", depth, group.first - 1]
        return added([product([one, _power_sum(p, group.first, last)]) for p, one in enumerate(powers) if one != 0])
    if group.period < 2:
        last = depth if group.period else ["min", depth, group.first]
        return ["sum", group.first, last, body]
    here = ["==", ["%", ["-", INDEX, group.first], group.period], 0]
    return ["sum", group.first, depth, ["*", here, body]]


def _polynomial(expression: Expression) -> list[Expression] | None:
    """What the powers of the block's number are multiplied by, from the zeroth; None where it is no polynomial."""
    if expression == INDEX:
        return [0, 1]
    if not isinstance(expression, list) or INDEX not in names_in(expression):
        return [expression]
    kind, parts = (
        expression[0],
        [_polynomial(one) for one in expression[1:]] if expression[0] in ("+", "-", "*") else [],
    )
    if not parts or any(one is None for one in parts):
        return None
    found = parts[0] or []
    for other in parts[1:]:
        theirs = other or []
        if kind == "*":
            ways = [(i + j, a, b) for i, a in enumerate(found) for j, b in enumerate(theirs) if a != 0 and b != 0]
            found = [
                added([Product([a, b]).expression() for n, a, b in ways if n == power])
                for power in range(len(found) + len(theirs) - 1)
            ]
            continue
        pairs = [
            ((found[n] if n < len(found) else 0), (theirs[n] if n < len(theirs) else 0))
            for n in range(max(len(found), len(theirs)))
        ]
        found = [added([a, b]) if kind == "+" else (a if b == 0 else ["-", a, b]) for a, b in pairs]
    return found


def _power_sum(power: int, first: int, last: Expression) -> Expression:
    """The sum of first^power, .., last^power, for a last of first - 1 at least."""
    before = sum(n**power for n in range(first))
    if power == 0:
        return ["-", last, first - 1]
    if power == 1:
        return ["-", ["//", ["*", last, ["+", last, 1]], 2], before]
    if power == 2:
        return ["-", ["//", ["*", last, ["+", last, 1], ["+", ["*", last, 2], 1]], 6], before]
    return ["-", ["//", ["*", last, last, ["+", last, 1], ["+", last, 1]], 4], before]


def with_cells(
    parts: list[PartCounts], *further: Expression
) -> tuple[list[Expression], list[PartCounts], list[Expression]]:
    """The same expressions with what comes more than once in cells."""
    trees: list[Expression] = [part[name] for part in parts for name in ("macs", "params", "activations")]
    trees += further
    often: Counter[str] = Counter()
    for tree in trees:
        _tally(tree, often)
    cells: list[Expression] = []
    numbers: dict[str, int] = {}

    def shared(tree: Expression) -> Expression:
        if not isinstance(tree, list) or tree[0] == "cell":
            return tree
        key = repr(tree)
        if key in numbers:
            return ["cell", numbers[key]]
        kept = tree[0] in ("table", "cycle")
        rebuilt = [tree[0], *(one if kept and at else shared(one) for at, one in enumerate(tree[1:]))]
        if often[key] > 1 and INDEX not in names_in(tree):
            numbers[key] = len(cells)
            cells.append(rebuilt)
            return ["cell", numbers[key]]
        return rebuilt

    made: list[PartCounts] = [
        {
            "part": part["part"],
            "macs": shared(part["macs"]),
            "params": shared(part["params"]),
            "activations": shared(part["activations"]),
        }
        for part in parts
    ]
    return cells, made, [shared(one) for one in further]


def _tally(tree: Expression, often: Counter[str]) -> None:
    if isinstance(tree, list):
        key = repr(tree)
        often[key] += 1
        if often[key] == 1:
            for one in tree[1:2] if tree[0] in ("table", "cycle") else tree[1:]:
                _tally(one, often)
