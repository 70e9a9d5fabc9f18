"""Who competes at a budget: the published rules, the study's formula, its best training, what searches found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from planner.compare import own
from planner.compare.background import Background
from planner.compare.contender import DRAWN, RANDOM, Contender, family, made
from planner.errors import PlannerError
from planner.rules import METHODS, at_budget
from planner.rules.rays import pycls_ray
from planner.searches.names import SEARCH_NAMES
from planner.searches.scoring import ChosenBy
from planner.text.quantities import format_count
from sampler import architecture_complexity
from sampler.solve import TOLERANCE

LEARNED = ("answer", "confirmed", "formula", "tinynet-fitted", "stages", "best", "compound-fitted", "compound-anchored")
ALL = (*METHODS, *LEARNED, RANDOM, *SEARCH_NAMES)
SEVERAL = 3  # searched budgets that a reason names, notes of a search that are shown


def contenders(
    background: Background, budgets: Sequence[float], methods: Sequence[str] | None = None
) -> tuple[list[Contender], dict[str, str]]:
    """Every method's network for every budget.

    Args:
        background: Knowledge that the methods may use.
        budgets: MACs.
        methods: Names; by default all those that answer one of the budgets, and whatever was searched.

    Returns:
        The contenders, by budget, then by method; those without a network say why. And, of the methods taken by
        default, those left out with the reason.

    Raises:
        PlannerError: If a method is unknown or lacks its formula, or no method has a network for a budget.
    """
    names = list(dict.fromkeys(ALL if methods is None else methods))
    if methods is not None:
        _check(names, background)
    names = [one for name in names for one in (DRAWN if name == RANDOM else [name])]
    middle = own.middle_of(budgets)
    found = [contender(name, budget, background, middle) for budget in budgets for name in names]
    for budget in budgets:
        here = [one for one in found if one.budget == budget]
        if not any(one.at_budget for one in here):
            why = next((one.notes[0] for one in here if one.architecture is None), "all cost less")
            raise PlannerError(f"{format_count(budget)} MACs: no method has a network for this budget ({why})")
    if methods is not None:
        return found, {}
    able = {one.method for one in found if one.architecture is not None}
    able |= {one.method for one in background.searches} & set(SEARCH_NAMES)  # a search is never passed over in silence
    left_out = {family(one.method): one.notes[0] for one in found if one.method not in able}
    return [one for one in found if one.method in able], left_out


def contender(method: str, budget: float, background: Background, middle: float | None = None) -> Contender:
    """One method's network for a budget; where it has none, with the reason.

    Args:
        method: Name of the method; `random-1` for the first of the random networks.
        budget: MACs.
        background: Knowledge that the method may use.
        middle: The middle of the budgets that are compared; this one by default.
    """
    makers: dict[str, own.Maker] = {
        "answer": own.by_answer,
        "confirmed": own.by_confirmed_answer,
        "formula": own.by_formula,
        "tinynet-fitted": own.by_literal_formula,
        "stages": own.by_stages,
        "best": own.best,
        "compound-fitted": own.by_fitted_compound,
        "compound-anchored": partial(own.by_anchored_compound, middle=middle or budget),
        **dict.fromkeys(DRAWN, own.at_random),
        **dict.fromkeys(SEARCH_NAMES, _searched),
    }
    try:
        return makers.get(method, _by_rule)(method, budget, background)
    except PlannerError as error:
        return Contender(method, budget, None, notes=(str(error),))


def _check(names: Sequence[str], background: Background) -> None:
    if not names:
        raise PlannerError(f"--methods names none; known: {', '.join(ALL)}")
    for name in names:
        if name not in ALL and pycls_ray(name) is None:
            raise PlannerError(f"method {name!r} is unknown; known: {', '.join(ALL)}, and pycls' strings such as dwr")
        if name in ("answer", "confirmed", "formula", "stages"):
            own.formula_of_task(name, background)


def _by_rule(method: str, budget: float, background: Background) -> Contender:
    epochs = background.epochs if method == "resnet-rs" else None
    answer = at_budget(method, background.base, budget, background.resolution, background.classes, epochs=epochs)
    notes = [*answer.notes]
    if answer.pure is not None:
        notes.append(f"moved to the budget: {', '.join(answer.nudges())}")
    return made(method, budget, answer.architecture, background, notes)


def _searched(method: str, budget: float, background: Background) -> Contender:
    """What a search by this name found at this budget, or found for it."""
    named = [one for one in background.searches if one.method == method]
    if not named:
        raise PlannerError(f"{background.name} has no record of such a search")
    runs = [one for one in named if (one.architecture.base, one.classes) == (background.base, background.classes)]
    if not runs:
        last = named[-1]
        raise PlannerError(f"{method} searched {last.architecture.base} with {last.classes} classes, not this task")
    costs = [architecture_complexity(one.architecture, background.classes).macs for one in runs]
    off = [abs(macs / budget - 1) for macs in costs]
    near = [i for i, one in enumerate(runs) if min(off[i], abs(one.budget / budget - 1)) <= TOLERANCE]
    if not near:
        known = ", ".join(format_count(one.budget) for one in runs[:SEVERAL])
        raise PlannerError(f"{method} searched for {known}; search for this budget, too")
    i = min(near, key=lambda i: off[i])
    ended = [f"the search ended at {format_count(costs[i])} MACs"] if off[i] > TOLERANCE else []
    more = len(runs[i].notes) - SEVERAL
    said = [*runs[i].notes[:SEVERAL], *([f"{more} more notes in the search's file"] if more > 0 else [])]
    chosen, own = _CHOSEN[runs[i].chosen_by], runs[i].chosen_by == "trainings"
    notes = [*ended, *([chosen] if chosen else []), *said]
    one = made(method, budget, runs[i].architecture, background, notes, for_its_score=own)
    return replace(one, trainings=runs[i].trainings, seconds=runs[i].seconds)


# Of a training from scratch the measure says it, where that may be one of the comparison's own.
_CHOSEN: dict[ChosenBy, str] = {
    "trainings": "",
    "fine-tunes": "chosen by fine-tunes of inherited weights, not by trainings from scratch",
    "zen": "chosen by the Zen-score of untrained networks",
    "zen-per-block": "chosen by the Zen-score per block of untrained networks",
    "": "how it was chosen is not recorded: search again to know",
}
