"""Products of expressions, in an order of their own: equal ones are told by their text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sampler.declared.expressions import Expression

FactorKey = tuple[str, ...]  # an expression's factors other than numbers, as text, sorted


class Product:
    """A whole number times expressions."""

    def __init__(self, expressions: Iterable[Expression]) -> None:
        self.times, others = 1, list[Expression]()
        for one in expressions:
            while isinstance(one, list) and one[0] == "*" and len(one) == 3 and isinstance(one[2], int):
                self.times, one = self.times * one[2], one[1]
            if isinstance(one, int):
                self.times *= one
            else:
                others.append(one)
        others.sort(key=repr)
        self.others, self.key = others, tuple(map(repr, others))

    def expression(self, times: int = 1) -> Expression:
        """The product itself."""
        return product(self.others, self.times * times)


def product(expressions: Sequence[Expression], times: int = 1) -> Expression:
    """A product, written short."""
    parts = [*expressions, *([times] if times != 1 or not expressions else [])]
    return parts[0] if len(parts) == 1 else ["*", *parts]
