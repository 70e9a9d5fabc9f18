"""How to spend one budget on the stages: by the learned curves, by search through the surrogate, and which to take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from planner.allocation.allocation import CAUTION, Allocation, Name, Option
from planner.allocation.believe import (
    NO_STAGES,
    NO_SURROGATE,
    Belief,
    at_bounds,
    doubt_of_stages,
    surrogate_belief,
    taught,
)
from planner.allocation.decode import Target, decode_shares
from planner.allocation.search import best_at
from planner.errors import PlannerError
from planner.formulas.budgets import NO_BUDGET, prediction_of, prediction_within
from planner.formulas.formula import FormulaCurves
from planner.formulas.limits import largest, passed
from planner.formulas.prediction import Prediction
from planner.formulas.stages import shares_of
from planner.text.quantities import budget_of
from sampler import Limit, rule_named, stack
from sampler.architecture import Architectures, FloatArray
from sampler.checks import shown
from sampler.knobs import stack_alike
from sampler.moves import effective
from trainer.score import ACCURACY, Score

Way = Literal["both", "curves"]
_HALVINGS = 10  # of the range of log MACs, where limits decide
NOTHING = (
    "this formula knows nothing of single stages: its table was scaled uniformly, or is too small for a "
    "surrogate; train "
    "architectures of `planner sample --space stage`, then `planner fit`"
)
NO_CURVES = (
    "no curves of the stages: the table was scaled uniformly, so that every stage's share follows from one width"
)
_CURVES_ONLY = "no search: only the curves were asked for"


def allocate(
    formula: FormulaCurves,
    macs: float | None,
    limits: Sequence[Limit] = (),
    cautious: bool = False,
    extrapolate: bool = False,
    seed: int = 0,
    way: Way = "both",
) -> Allocation:
    """Spends a budget on the stages in both ways.

    Args:
        formula: A formula with curves of the stages, a surrogate, or both.
        macs: Budget of multiply-accumulates of one image; without it, that of the uniform answer to the limits.
        limits: Limits of other costs.
        cautious: Whether to search for, and compare, lower bounds of the accuracy (1.28 standard deviations below
            the mean) instead of means.
        extrapolate: Whether to answer outside the range that the fit saw.
        seed: Random seed of the search.
        way: `"curves"` for these alone: milliseconds, where the search takes seconds.

    Raises:
        PlannerError: If the formula knows nothing of stages, the budget is outside its range, no architecture keeps
            to budget and limits, or `way` is no such word.
    """
    if way not in get_args(Way):
        raise PlannerError(f"way is {shown(way)}; {' or '.join(get_args(Way))} is wanted")
    if macs is None and not limits:
        raise PlannerError(NO_BUDGET)
    budget = float(prediction_within(formula, None, limits, extrapolate).macs) if macs is None else budget_of(macs)
    formula.checked(budget, extrapolate)
    options: dict[Name, Option] = {}
    missing: dict[Name, str] = {}
    doubt = doubt_of_stages(formula)
    posterior = None if doubt else surrogate_belief(formula)
    if formula.branch(budget / formula.base_macs).stages is None:
        missing["curves"] = NO_CURVES
    else:
        try:
            options["curves"] = _by_curves(formula, budget, limits, posterior)
        except PlannerError as error:  # the other answer may still keep to budget and limits
            missing["curves"] = f"no answer of the curves: {error}"
    if posterior is None:
        missing["search"] = doubt
    elif way == "curves":
        missing["search"] = _CURVES_ONLY
    else:
        try:
            options["search"] = _by_search(formula, budget, limits, cautious, extrapolate, posterior, options, seed)
        except PlannerError as error:
            missing["search"] = f"no answer of the search: {error}"
    if not options:
        nothing = missing["curves"] == NO_CURVES and missing["search"] in (NO_SURROGATE, NO_STAGES)
        raise PlannerError(NOTHING if nothing else "; ".join(missing.values()))
    return Allocation(budget, options, missing, *_preferred(options, missing, cautious), cautious)


def curve_target(formula: FormulaCurves, c: float) -> Target:
    """Resolution, depths and shares of the stages that the curves ask for at c.

    Raises:
        PlannerError: If the formula has no curves of the stages there.
    """
    branch = formula.branch(c)
    if branch.stages is None:
        raise PlannerError(NO_CURVES)
    pixels = int(rule_named(branch.rule).pixels(formula.resolution, float(branch.r(c)[0]))[0])
    return Target(
        max(pixels, formula.network.stride),
        tuple(branch.stages.blocks(formula.network, c).tolist()),
        tuple(branch.stages.share(c).tolist()),
        tuple(branch.stages.channels(formula.network, c).tolist()),
    )


def _by_curves(formula: FormulaCurves, budget: float, limits: Sequence[Limit], posterior: Belief | None) -> Option:
    """The curves' answer, with what is believed of it."""
    return _option(formula, by_curves(formula, budget, limits), posterior)


def by_curves(formula: FormulaCurves, budget: float, limits: Sequence[Limit] = ()) -> Prediction:
    """What the curves of the stages answer: at the budget, or the largest below it that keeps to the limits.

    Raises:
        PlannerError: If there are none, nothing buildable costs the budget, or no answer keeps to the limits.
    """

    def at(macs: float) -> Prediction:
        c = macs / formula.base_macs
        rule = rule_named(formula.branch(c).rule)
        found = decode_shares(formula.network, rule, curve_target(formula, c), macs, formula.classes)
        return prediction_of(formula, macs, found.architecture, limits, found.pixels_nudged)

    answer = at(budget)
    if not passed(answer, limits):
        return answer
    low = min(formula.macs_range[0], budget)
    smallest = at(low)
    if over := passed(smallest, limits):
        name, most = over[0].name, over[0].largest
        raise PlannerError(
            f"at most {most:,.4g} {name} cannot be kept: the smallest architecture by the curves of the stages has "
            f"{smallest.costs[name]:,.4g}; give more, or take another base network"
        )
    return largest(at, limits, (low, budget), (smallest, answer), _HALVINGS)


def _by_search(
    formula: FormulaCurves,
    budget: float,
    limits: Sequence[Limit],
    cautious: bool,
    extrapolate: bool,
    posterior: Belief,
    options: dict[Name, Option],
    seed: int,
) -> Option:
    """The architecture that the surrogate likes best, by exact search inside what it was taught."""
    rule = formula.branch(budget / formula.base_macs).rule
    grid = taught(formula, rule)

    def score(architectures: Architectures) -> FloatArray:
        mean, std = posterior(architectures)
        return mean - CAUTION * std if cautious else mean

    starts = [option.prediction.architecture for option in options.values()]
    try:
        starts.append(prediction_within(formula, budget, limits, extrapolate).architecture)
    except PlannerError:
        pass  # no uniform architecture costs the budget: the search has starts of its own
    found = best_at(
        budget,
        score,
        grid,
        stack_alike(formula.network, starts, formula.knobs) if starts else None,
        limits,
        formula.classes,
        seed=seed,
    )
    option = _option(formula, prediction_of(formula, budget, found.architecture, limits), posterior)
    whole = "all" if found.exhaustive else "the best found of"
    return replace(option, notes=(f"{whole} {found.scored:,} architectures scored", *_rests_on(formula)))


def _rests_on(formula: FormulaCurves) -> list[str]:
    """How many trainings the expectation of stages apart rests on, where that is known."""
    known = formula.provenance.get("stage_varied")
    return [] if known is None else [f"expected by {known[0]} of {known[1]} trainings that scaled stages apart"]


def _option(formula: FormulaCurves, prediction: Prediction, posterior: Belief | None) -> Option:
    shares = shares_of(formula.network, prediction.architecture, formula.classes)
    if posterior is None:
        return Option(prediction, shares)  # no expectation either: what the surrogate says of stages is not believed
    alone = effective(formula.network, stack([prediction.architecture]))
    mean, std = posterior(alone)
    bounds = at_bounds(taught(formula, prediction.rule), alone)
    return Option(prediction, shares, float(mean[0]), float(std[0]), bounds)


def _preferred(options: dict[Name, Option], missing: dict[Name, str], cautious: bool) -> tuple[Name, str]:
    """The option to take, and why: the search only where it is surely better."""
    if len(options) == 1:
        name, absent = next(iter(options)), next(iter(missing))
        return name, f"the only answer; {missing[absent]}"
    curves, search = options["curves"], options["search"]
    score = options["curves"].prediction.formula.score if "curves" in options else ACCURACY
    what = f"{'upper' if score.lower else 'lower'} bound" if cautious else f"expected {score.name}"
    if curves.prediction.architecture == search.prediction.architecture:
        return "curves", "both are the same architecture"
    assert curves.std is not None and search.std is not None
    gain = search.score(cautious) - curves.score(cautious)
    # The two errors are alike where the architectures are: as if independent, this is too wide rather than too narrow.
    doubt = math.hypot(curves.std, search.std)
    more, less = ("higher", "lower") if score.is_accuracy else ("better", "worse")
    said = f"the search's {what} is {_apart(abs(gain), score)} {more if gain > 0 else less} than the curves'"
    if gain <= 0:
        return "curves", said
    if gain < doubt:
        return "curves", (
            f"{said}, which is less than the uncertainty of the difference ({_apart(doubt, score)}); the curves are "
            "simpler and stay inside the data"
        )
    bound = f"; it touches the end of the data in {', '.join(search.at_bounds)}" if search.at_bounds else ""
    return "search", f"{said}, more than the uncertainty of the difference ({_apart(doubt, score)}){bound}"


def _apart(merits: float, score: Score) -> str:
    """A difference of expectations: of accuracies in percent."""
    return f"{merits:.2%}" if score.is_accuracy else score.gap(merits)
