"""Limits of a network's costs: which ones it passes, and the dearest network that keeps to all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from planner.formulas.prediction import Prediction
from sampler import Limit, stack


def priced(prediction: Prediction, limits: Sequence[Limit]) -> Prediction:
    """A prediction with its costs of the limits' kinds."""
    alone, classes = stack([prediction.architecture]), prediction.formula.classes
    costs = {limit.name: float(limit.cost(alone, classes)[0]) for limit in limits}
    return replace(prediction, costs=costs, limits={limit.name: limit.largest for limit in limits})


def passed(prediction: Prediction, limits: Sequence[Limit]) -> list[Limit]:
    """The limits that a priced prediction passes, the one passed most first."""
    over = [limit for limit in limits if prediction.costs[limit.name] > limit.largest]
    return sorted(over, key=lambda limit: limit.largest / prediction.costs[limit.name])


def largest(
    at: Callable[[float], Prediction],
    limits: Sequence[Limit],
    span: tuple[float, float],
    ends: tuple[Prediction, Prediction],
    halvings: int,
    beyond: Sequence[float] = (),
) -> Prediction:
    """The dearest network found that keeps to all limits, by bisection of the logarithm of the budget.

    Args:
        at: Gives the priced network for a budget of MACs; its costs grow with it, up to the setbacks of rounding.
        limits: Costs that must not be passed.
        span: Two budgets of MACs, the smaller one first.
        ends: Networks for these: one that keeps to all limits, and one that does not.
        halvings: Number of times that the span is halved.
        beyond: Factors of the budget found, the largest first, at which a setback of rounding is looked for.

    Returns:
        The network; its `binding` names the limit that a larger one passes.
    """
    below, above = map(math.log, span)
    best, binding = ends[0], passed(ends[1], limits)
    for _ in range(halvings):
        middle = (below + above) / 2
        tried = at(math.exp(middle))
        if over := passed(tried, limits):
            above, binding = middle, over
        else:
            below, best = middle, tried
    for factor in beyond:
        if math.exp(below) * factor <= span[1] and not passed(tried := at(math.exp(below) * factor), limits):
            best = tried
            break
    return replace(best, binding=binding[0].name)
