"""Which of several formulas answers a budget: all of them are looked at before one is refused."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from planner.errors import PlannerError
from planner.formulas.branch import in_range
from planner.formulas.budgets import NO_BUDGET, keeps
from planner.formulas.formula import FormulaCurves
from planner.formulas.record import outside
from sampler import Limit


@dataclass(frozen=True, eq=False)
class Choice:
    """A formula that may answer.

    Attributes:
        source: Origin of the formula, in words.
        formula: The formula.
        macs: The budget of MACs to ask it for; None where its range ends below that, so that its limits decide.
    """

    source: str
    formula: FormulaCurves
    macs: float | None = None

    def distance(self, macs: float) -> float:
        """How far a budget lies outside the range, in log MACs."""
        low, high = self.formula.macs_range
        return max(math.log(low / macs), math.log(macs / high), 0.0)


def chosen(
    formulas: Iterable[tuple[str, FormulaCurves]],
    macs: float | None,
    limits: Sequence[Limit] = (),
    extrapolate: bool = False,
) -> Choice:
    """The formula that answers a budget of MACs, other limits, or all of them together.

    The first whose range the budgets end in; else, of those whose smallest network keeps to all limits, the one that
    reaches farthest below the budget.

    Args:
        formulas: Origin of each formula and the formula, the preferred one first; read as far as it is needed.
        macs: Budget of multiply-accumulates of one image, or None.
        limits: Further costs that must not be passed.
        extrapolate: Whether the nearest formula may answer outside its range.

    Raises:
        PlannerError: If there is no budget, or no formula's range holds it; names every range.
    """
    if macs is None and not limits:
        raise PlannerError(NO_BUDGET)
    known: list[Choice] = []
    ends: list[Choice] = []  # their ranges end below the budgets: the largest network of each keeps to all
    dear: list[Choice] = []  # even their smallest network passes a limit
    for source, formula in formulas:
        known.append(Choice(source, formula, macs))
        low, high = formula.macs_range
        inside = macs is not None and in_range(macs / formula.base_macs, formula.c_range)
        if macs is not None and not inside and macs < low:
            continue
        if not keeps(formula, low, limits):
            dear.append(Choice(source, formula))
        elif inside:
            return known[-1]
        elif not keeps(formula, high, limits):
            return Choice(source, formula)
        else:
            ends.append(Choice(source, formula))
    return _nearest(known, ends, dear, macs, extrapolate)


def _nearest(
    known: Sequence[Choice], ends: Sequence[Choice], dear: Sequence[Choice], macs: float | None, extrapolate: bool
) -> Choice:
    """Of formulas of which none holds the budgets: the one whose end answers, or that says why none does."""
    if ends and (macs is None or any(not one.distance(macs) for one in dear)):
        return max(ends, key=lambda one: one.formula.macs_range[1])
    if dear and not ends:
        return min(dear, key=lambda one: one.formula.macs_range[0])  # asks for the least; says by how much it is more
    assert macs is not None
    if extrapolate or len(known) == 1:
        return min(known, key=lambda one: one.distance(macs))
    raise PlannerError(outside(macs, [one.formula.macs_range for one in known]))
