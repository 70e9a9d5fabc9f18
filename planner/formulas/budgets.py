"""Budgets of several kinds at once: the largest architecture of a formula that keeps to all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from planner.errors import PlannerError
from planner.formulas.formula import FormulaCurves
from planner.formulas.limits import largest, passed, priced
from planner.formulas.prediction import Prediction
from planner.text.quantities import format_cost
from sampler import Architecture, Limit, architecture_complexity, stack
from sampler.moves import effective

# Of the range of log MACs: to about 0.1 % of a budget over a range of four decades.
_HALVINGS = 14
# Rounding makes costs along a formula rise in steps, with setbacks of some per cent: where to look for one.
BEYOND = (1.12, 1.08, 1.05, 1.03, 1.015)
NO_BUDGET = "no budget: give --flops, --params, --latency or --memory"


def prediction_within(
    formula: FormulaCurves, macs: float | None, limits: Sequence[Limit] = (), extrapolate: bool = False
) -> Prediction:
    """The formula's architecture for a budget of MACs, for other limits, or for all of them together.

    Costs grow with c along a formula, up to the setbacks of rounding: the answer to limits is the largest c found, by
    bisection and a look beyond, that keeps to all of them.

    Args:
        formula: The formula.
        macs: Budget of multiply-accumulates of one image, or None.
        limits: Further costs that must not be passed.
        extrapolate: Whether to answer outside the range that the fit saw.

    Returns:
        The prediction; its `binding` names the budget that decides.

    Raises:
        PlannerError: If neither is given, or no architecture of the formula keeps to them; says by how much.
    """
    if macs is None and not limits:
        raise PlannerError(NO_BUDGET)
    low, high = formula.macs_range
    if macs is not None:
        answer = priced(formula.predict(macs, extrapolate), limits)
        if not passed(answer, limits):
            return answer
        low, high = min(low, macs), min(high, macs)
    return _largest(formula, limits, low, high)


def prediction_of(
    formula: FormulaCurves, budget: float, one: Architecture, limits: Sequence[Limit] = (), pixels_nudged: int = 0
) -> Prediction:
    """An architecture as a prediction, whatever found it: its exact costs, and its effective multipliers.

    Args:
        formula: The formula whose trainings taught what is expected of it.
        budget: MACs asked for.
        one: The architecture.
        limits: Costs that it must not pass.
        pixels_nudged: Pixels its resolution was moved to meet the budget.
    """
    alone = effective(formula.network, stack([one]))
    cost = architecture_complexity(one, formula.classes)
    r, d, w = alone.multipliers[0].tolist()
    c = budget / formula.base_macs
    found = Prediction(
        formula=formula,
        budget=budget,
        architecture=one,
        macs=cost.macs,
        params=cost.params,
        memory=cost.memory,
        c=c,
        r=r,
        d=d,
        w=w,
        rule=formula.branch(c).rule,
        in_range=formula.checked(budget, extrapolate=True),
        pixels_nudged=pixels_nudged,
    )
    return priced(found, limits)


def keeps(formula: FormulaCurves, macs: float, limits: Sequence[Limit]) -> bool:
    """Whether a formula's network for a budget of MACs keeps to all limits."""
    return not limits or not passed(priced(formula.predict(macs, extrapolate=True), limits), limits)


def _largest(formula: FormulaCurves, limits: Sequence[Limit], low: float, high: float) -> Prediction:
    """The dearest prediction between two budgets of MACs that keeps to all limits."""

    def at(macs: float) -> Prediction:
        return priced(formula.predict(macs, extrapolate=True), limits)

    smallest = at(low)
    if over := passed(smallest, limits):
        raise PlannerError(_impossible(smallest, over))
    top = at(high)
    if not passed(top, limits):
        return replace(top, binding="range")
    return largest(at, limits, (low, high), (smallest, top), _HALVINGS, BEYOND)


def _impossible(smallest: Prediction, over: Sequence[Limit]) -> str:
    """Which limits even the smallest architecture passes, and by how much."""
    parts = []
    for limit in over:
        cost = smallest.costs[limit.name]
        parts.append(
            f"at most {format_cost(limit.name, limit.largest)} {limit.name} cannot be kept: the smallest architecture "
            f"of this formula has {format_cost(limit.name, cost)}, {cost / limit.largest:.3g} times as much"
        )
    return "; ".join(parts) + "; give more, or take another base network"
