"""Who competes at a budget: the published rules, the study's formula, its best training, what searches found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.compare.background import Background
from planner.errors import InputError, PlannerError
from planner.formulas.formula import Formula
from planner.quantities import format_count
from planner.rules import METHODS, at_budget
from planner.rules.rays import pycls_ray
from sampler import Architecture, architecture_complexity
from sampler import base as base_named
from sampler.complexity import count
from sampler.moves import column_names, from_rows
from sampler.solve import TOLERANCE

REFERENCE = "compound"
SEARCHES = ("greedy", "rbis", "adjust")
CHOOSERS = ("best", *SEARCHES)  # take a network because it scored well
OWN = ("formula", "stages", "best")
ALL = (*METHODS, *OWN, *SEARCHES)
SEVERAL = 3  # searched budgets that a reason names, notes of a search that are shown


@dataclass(frozen=True)
class Contender:
    """A method's network for a budget.

    Attributes:
        method: Its name.
        budget: MACs.
        architecture: The network, or None where the method has none.
        macs: Its exact MACs; 0 without.
        params: Its exact params; 0 without.
        trainings: Trainings that the method needed to find it; the comparison's own are none of them.
        seconds: How long those took, summed up.
        notes: What a reader should know; without a network, why.
    """

    method: str
    budget: float
    architecture: Architecture | None
    macs: int = 0
    params: int = 0
    trainings: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def error(self) -> float:
        """Distance of its MACs from the budget, as a share of it; negative below."""
        return self.macs / self.budget - 1

    @property
    def at_budget(self) -> bool:
        """Whether its MACs are within 1 % of the budget."""
        return self.architecture is not None and abs(self.error) <= TOLERANCE


def contenders(
    background: Background, budgets: Sequence[float], methods: Sequence[str] | None = None
) -> tuple[list[Contender], dict[str, str]]:
    """Every method's network for every budget.

    Args:
        background: What the methods may know.
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
    found = [contender(name, budget, background) for budget in budgets for name in names]
    for budget in budgets:
        here = [one for one in found if one.budget == budget]
        if not any(one.at_budget for one in here):
            why = next((one.notes[0] for one in here if one.architecture is None), "all cost less")
            raise PlannerError(f"{format_count(budget)} MACs: no method has a network for this budget ({why})")
    if methods is not None:
        return found, {}
    able = {one.method for one in found if one.architecture is not None}
    able |= {one.method for one in background.searches} & set(SEARCHES)  # a search is never passed over in silence
    left_out = {one.method: one.notes[0] for one in found if one.method not in able}
    return [one for one in found if one.method in able], left_out


def contender(method: str, budget: float, background: Background) -> Contender:
    """One method's network for a budget; where it has none, with the reason."""
    makers: dict[str, Maker] = {"formula": _by_formula, "stages": _by_stages, "best": _best}
    makers.update(dict.fromkeys(SEARCHES, _searched))
    try:
        return makers.get(method, _by_rule)(method, budget, background)
    except InputError as error:
        return Contender(method, budget, None, notes=(str(error),))


Maker = Callable[[str, float, Background], Contender]


def _check(names: Sequence[str], background: Background) -> None:
    if not names:
        raise PlannerError(f"--methods names none; known: {', '.join(ALL)}")
    for name in names:
        if name not in ALL and pycls_ray(name) is None:
            raise PlannerError(f"method {name!r} is unknown; known: {', '.join(ALL)}, and pycls' strings such as dwr")
        if name in ("formula", "stages"):
            _formula(name, background)


def _formula(method: str, background: Background) -> Formula:
    """The study's formula.

    Raises:
        PlannerError: If there is none, or it is of another base network.
    """
    formula, name = background.formula, background.name
    if formula is None:
        raise PlannerError(f"{name}: no formula, which {method} needs; run `planner fit` for this study first")
    if formula.base != background.base:
        raise PlannerError(f"{name}: its formula is of {formula.base}, not of {background.base}; fit it again")
    return formula.at(background.resolution, background.classes)


def _made(
    method: str, budget: float, one: Architecture, background: Background, notes: Sequence[str], own: bool = False
) -> Contender:
    """A contender with its exact costs, and what is odd about it; `own` charges it the study's own trainings."""
    cost = architecture_complexity(one, background.classes)
    said = list(notes)
    if background.side and one.resolution > background.side:
        said.append(f"its {one.resolution} px are more than the images' {background.side}: they are enlarged")
    trainings, seconds = (background.trainings, background.seconds) if own else (0, 0.0)
    return Contender(method, budget, one, cost.macs, cost.params, trainings, seconds, tuple(said))


def _by_rule(method: str, budget: float, background: Background) -> Contender:
    epochs = background.epochs if method == "resnet-rs" else None
    answer = at_budget(method, background.base, budget, background.resolution, background.classes, epochs=epochs)
    notes = [*answer.notes]
    if answer.pure is not None:
        notes.append(f"moved to the budget: {', '.join(answer.nudges())}")
    return _made(method, budget, answer.architecture, background, notes)


def _by_formula(method: str, budget: float, background: Background) -> Contender:
    answer = _formula(method, background).predict(budget)
    return _made(method, budget, answer.architecture, background, (), own=True)


def _by_stages(method: str, budget: float, background: Background) -> Contender:
    from planner.allocation.allocate import allocate

    answer = allocate(_formula(method, background), budget)
    return _made(method, budget, answer.best.prediction.architecture, background, (f"by {answer.preferred}",), own=True)


def _best(method: str, budget: float, background: Background) -> Contender:
    """The most accurate of the study's own trainings that cost no more than the budget, and 1 %."""
    own, network = background.own, base_named(background.base)
    columns = column_names(len(network.stages))
    if own is None or not set(columns) <= set(own.frame):
        raise PlannerError(f"{background.name}: no finished training whose integers are known; run `planner train`")
    near = own.frame[own.frame["macs"] <= budget * (1 + TOLERANCE)].dropna(subset=list(columns))
    if near.empty:
        least = format_count(own.frame["macs"].min())
        raise PlannerError(f"no training of {background.name} costs so little; the smallest has {least} MACs")
    order = near.sort_values(["accuracy", "macs"], ascending=[False, True], kind="stable")
    rows = from_rows(network, order[list(columns)].to_numpy(dtype=np.int64))
    # A study's costs are exact: where these differ, the training was of a network with a width per layer.
    same = count(rows, background.classes).macs == order["macs"].to_numpy(dtype=np.int64)
    one = rows[int(np.flatnonzero(same)[0]) if background.side and same.any() else 0]
    return _made(method, budget, one, background, (f"the best of {len(near)} trained up to the budget",), own=True)


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
    made = _made(method, budget, runs[i].architecture, background, [*ended, *said])
    return replace(made, trainings=runs[i].trainings, seconds=runs[i].seconds)
