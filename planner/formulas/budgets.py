"""Budgets of several kinds at once: the largest architecture of a formula that keeps to all of them."""

from __future__ import annotations

import math
from dataclasses import replace

from planner.errors import PlannerError
from planner.formulas.formula import Formula, Prediction, in_range
from planner.quantities import format_count

# Of the range of log MACs: to about 0.1 % of a budget over a range of four decades.
HALVINGS = 14


def within(formula: Formula, macs: float | None, params: float | None, extrapolate: bool = False) -> Prediction:
    """The formula's architecture for a budget of MACs, of params, or of both.

    Params grow with c along a formula, so a budget of params is the largest c that keeps to it.

    Args:
        formula: The formula.
        macs: Budget of multiply-accumulates of one image, or None.
        params: Budget of learnable scalars, or None.
        extrapolate: Whether to answer outside the range that the fit saw.

    Returns:
        The prediction; its `binding` names the budget that decides.

    Raises:
        PlannerError: If neither is given, or no architecture of the formula keeps to them; says by how much.
    """
    if macs is None and params is None:
        raise PlannerError("no budget: give --flops, --params or both")
    if params is None:
        assert macs is not None
        return formula.predict(macs, extrapolate)
    low, high = formula.macs_range
    if macs is not None:
        answer = formula.predict(macs, extrapolate)
        if answer.params <= params:
            return answer
        high = min(high, macs)
    return _largest(formula, params, low, high)


def covers(formula: Formula, macs: float | None, params: float | None) -> bool:
    """Whether a formula's range reaches a budget of MACs or, without one, a budget of params."""
    if macs is not None:
        return in_range(macs / formula.base_macs, formula.c_range)
    low, high = (formula.predict(end).params for end in formula.macs_range)
    return params is None or low <= params <= high


def _largest(formula: Formula, params: float, low: float, high: float) -> Prediction:
    """The dearest prediction between two budgets of MACs that has at most so many params."""
    best = formula.predict(low)
    if best.params > params:
        raise PlannerError(
            f"{format_count(params)} params cannot be had: the smallest architecture of this formula has "
            f"{best.params:,}, {best.params / params - 1:.0%} more; give at least that"
        )
    below, above = math.log(low), math.log(high)
    if (top := formula.predict(high)).params <= params:
        return replace(top, binding="range")
    for _ in range(HALVINGS):
        middle = (below + above) / 2
        tried = formula.predict(math.exp(middle))
        if tried.params <= params:
            below, best = middle, tried
        else:
            above = middle
    return replace(best, binding="params")
