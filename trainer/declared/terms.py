"""Closed terms of what a network costs, from what the numbers in its templates are: `Counts`, with shared cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from sampler.declared.description import PartCounts
from sampler.declared.expressions import INDEX, Expression
from trainer.declared.alignment import common_prefix
from trainer.declared.products import Factors, Product, product
from trainer.declared.structure import Entry, Group, Template
from trainer.declared.synthesis import names_in

Part = str | int


def summed(expressions: Sequence[Expression]) -> Expression:
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


class Sum:
    """A sum of products, each for all blocks of a group; equal ones are one."""

    def __init__(self) -> None:
        self.terms: dict[Group, dict[Factors, tuple[Product, int]]] = {}

    def add(self, group: Group, factors: Iterable[Expression]) -> None:
        """Adds a product for every block of a group."""
        one = Product(factors)
        terms = self.terms.setdefault(group, {})
        terms[one.key] = one, terms.get(one.key, (one, 0))[1] + one.times

    def expression(self) -> Expression:
        """The sum itself."""
        return summed([_of_group(group, [*terms.values()]) for group, terms in self.terms.items()])


def _of_group(group: Group, terms: list[tuple[Product, int]]) -> Expression:
    some = [(names_in(["+", *one.others]), product(one.others, times)) for one, times in terms if times]
    plain = [one for names, one in some if INDEX not in names]
    moving = [one for names, one in some if INDEX in names]
    if not group.stage:
        return summed(plain)
    found: list[Expression] = []
    if plain and (body := summed(plain)) != 0:
        found.append(["*", how_often(group), body])
    if moving:
        found.append(over_blocks(group, summed(moving)))
    return summed(found)


def over_blocks(group: Group, body: Expression) -> Expression:
    """The sum of a body that follows the block's number, over a group's blocks."""
    depth = f"depth_{group.stage}"
    if group.period < 2:
        last = depth if group.period else ["min", depth, group.first]
        return ["sum", group.first, last, body]
    here = ["==", ["%", ["-", INDEX, group.first], group.period], 0]
    return ["sum", group.first, depth, ["*", here, body]]


def parts_of(template: Template, stages: int) -> dict[Entry, Part]:
    """The part that each entry belongs to: by the stage, by where the stage's modules are, by position."""
    entries = template.entries()
    inside: dict[int, str] = {}
    for stage in range(1, stages + 1):
        paths = [entry.path for entry in entries if entry.group.stage == stage]
        if paths:
            inside[stage] = ".".join(paths[0].split(".")[: min(common_prefix(paths[0], path) for path in paths)])
    own = {
        stage: path
        for stage, path in inside.items()
        if path and not any(other != stage and _within(theirs, path) for other, theirs in inside.items())
    }
    found: dict[Entry, Part] = {}
    for entry in entries:
        if entry.group.stage:
            found[entry] = entry.group.stage
        else:
            for stage, path in own.items():
                if _within(entry.path, path):
                    found[entry] = stage
    known = [at for at, entry in enumerate(entries) if entry in found]
    for at, entry in enumerate(entries):
        if entry in found:
            continue
        later = next((other for other in known if other > at), None)
        if not known or later == known[0]:
            found[entry] = "stem"
        else:
            found[entry] = "head" if later is None else found[entries[later]]
    return found


def _within(path: str, container: str) -> bool:
    return path == container or path.startswith(container + ".")


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
