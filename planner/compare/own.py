"""What a study's own trainings answer to a budget, and what stands beside them as a control.

`answer`, `formula`, `stages` and `best` are the study's own; `confirmed` is the answer after its best expected networks
were trained, `tinynet-fitted` the paper's own curves through the front as observed. `compound-fitted` is the one
compound rule that its trainings bear out best, `compound-anchored` the copied rule through its best training instead of
the base network, and `random-1` and so on are networks of its space that nobody chose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.allocation.allocate import allocate
from planner.answers.predict import answer_for
from planner.compare.background import Background
from planner.compare.contender import DRAWN, Contender, made
from planner.errors import PlannerError
from planner.formulas.coefficients import EFFICIENTNET
from planner.formulas.formula import FormulaCurves
from planner.rules.compounding import shrinking_rule
from planner.rules.rays import compound_ray
from planner.text.quantities import format_count
from sampler import Architecture, BaseNetwork, architecture_complexity, rule_named, solve_width, stratified_design
from sampler import base as base_named
from sampler.complexity import count
from sampler.knobs import knobs_among
from sampler.moves import column_names, from_rows
from sampler.solve import TOLERANCE

if TYPE_CHECKING:
    import pandas as pd

CONFIRMED = 3  # networks that are trained before one of them is the answer
Maker = Callable[[str, float, Background], Contender]


def formula_of_task(method: str, background: Background) -> FormulaCurves:
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


def by_answer(method: str, budget: float, background: Background) -> Contender:
    """The best network within the budget by all that the trainings taught; it may cost less."""
    formula = formula_of_task(method, background)
    answering = getattr(formula, "answer", None)
    if answering is None:
        raise PlannerError(f"{background.name}: this formula holds no answers; fit it again")
    found = answering(budget)
    one = found.prediction.architecture
    chosen = one in _trained(background)
    return made(method, budget, one, background, (found.reason,), own=True, for_its_score=chosen)


def by_confirmed_answer(method: str, budget: float, background: Background) -> Contender:
    """The best measured of the answer's best expected networks, which `planner predict --confirm` has trained."""
    known = _known(background)
    found = [one.architecture for one in answer_for(formula_of_task("confirmed", background), budget, n=CONFIRMED)]
    reached = dict(zip(_networks(known, background), known["accuracy"], strict=True))
    if missing := [one for one in found if one not in reached]:
        study = PurePath(background.name).name
        command = f"`planner predict --study {study} --flops {budget:.0f} --confirm {CONFIRMED}`"
        raise PlannerError(f"{len(missing)} of its {len(found)} best expected networks are not trained: run {command}")
    place = max(range(len(found)), key=lambda i: reached[found[i]])
    told = f"the best measured of the {len(found)} best expected networks, number {place + 1} of them"
    return made(method, budget, found[place], background, (told,), own=True, for_its_score=True)


def by_formula(method: str, budget: float, background: Background) -> Contender:
    """What the smooth curves give."""
    return made(method, budget, formula_of_task(method, background).predict(budget).architecture, background, own=True)


def by_literal_formula(method: str, budget: float, background: Background) -> Contender:
    """TinyNet's own curves of r and d, through the front of the accuracies as they were observed."""
    one = background.literal_formula.predict(budget).architecture
    return made(method, budget, one, background, (), own=True)


def by_stages(method: str, budget: float, background: Background) -> Contender:
    """The preferred way to spend the budget on the stages."""
    answer = allocate(formula_of_task(method, background), budget)
    one = answer.best.prediction.architecture
    return made(method, budget, one, background, (f"by {answer.preferred}",), own=True)


def best(method: str, budget: float, background: Background) -> Contender:
    """The most accurate of the study's own trainings that cost no more than the budget, and 1 %."""
    one, _, n = _best(budget, background)
    told = f"the best of {n} trained up to the budget"
    return made(method, budget, one, background, (told,), own=True, for_its_score=True)


def by_fitted_compound(method: str, budget: float, background: Background) -> Contender:
    """The compound rule of the highest expected accuracy over the study's budgets."""
    formula = background.fitted_compound
    found = formula.provenance["compound"]
    told = ", ".join(f"{name} {found[name]:.3f}" for name in ("alpha", "beta", "gamma"))
    through = found["anchor"].get("macs")
    where = "the base network" if through is None else f"the training of {format_count(through)} MACs"
    one = formula.predict(budget).architecture
    return made(method, budget, one, background, (f"{told}, fitted to the study, through {where}",), own=True)


def by_anchored_compound(method: str, budget: float, background: Background, middle: float) -> Contender:
    """Compound scaling with EfficientNet's constants, from the best training at the middle of the budgets.

    Its stages keep their shares of the width, as the base network's do in compound scaling; blocks are rounded to the
    nearest, as few stages of one block would all double together where they are rounded up.
    """
    anchor, row, _ = _best(middle, background)
    macs = architecture_complexity(anchor, background.classes).macs
    start = _as_base(anchor)
    rule = rule_named(shrinking_rule(start))
    r, d, _ = (float(part[0]) for part in compound_ray(EFFICIENTNET).at(np.array([budget / macs])))
    pixels = max(int(rule.pixels(start.resolution, r)[0]), start.stride)
    one = solve_width(start, rule, pixels, d, budget, background.classes).architecture
    trial = row.get("trial")
    named = "" if trial is None or trial != trial else f"trial {trial}, "  # a missing one is None or NaN
    reached = background.score.text(row["accuracy"])
    through = f"{named}{format_count(macs)} MACs, {anchor.resolution} px, {reached}"
    told = f"EfficientNet's constants through the best training up to {format_count(middle)} MACs ({through})"
    return made(method, budget, one, background, (told,), own=True, for_its_score=one == anchor)


def at_random(method: str, budget: float, background: Background) -> Contender:
    """One of the random networks within 1 % of the budget; `random-1` is the first."""
    place = DRAWN.index(method)
    if background.space is None:
        raise PlannerError(f"{background.name}: a table says no space to draw networks from; name a --study")
    low, high = ((1 + sign * TOLERANCE) * budget / background.space.base_macs for sign in (-1, 1))
    # Another stream than that of the study's first design, whose networks were trained.
    seed = int(np.random.default_rng([background.seed, len(DRAWN)]).integers(2**31))
    design = stratified_design(replace(background.space, window=(low, high)), len(DRAWN), seed, bins=1)
    return made(method, budget, design[place], background, (f"drawn at random, {place + 1} of {len(DRAWN)}",))


def middle_of(budgets: Sequence[float]) -> float:
    """The middle one of some budgets; of an even number, the geometric mean of the middle two."""
    ordered = sorted(budgets)
    return math.sqrt(ordered[(len(ordered) - 1) // 2] * ordered[len(ordered) // 2])


def _best(budget: float, background: Background) -> tuple[Architecture, dict[Any, Any], int]:
    """The most accurate training up to a budget, its row, and how many there are."""
    near = _known(background)
    near = near[near["macs"] <= budget * (1 + TOLERANCE)]
    if near.empty:
        assert background.own is not None
        least = format_count(background.own.frame["macs"].min())
        raise PlannerError(f"no training of {background.name} costs so little; the smallest has {least} MACs")
    order = near.sort_values(["accuracy", "macs"], ascending=[False, True], kind="stable")
    rows = _networks(order, background)
    # A study's costs are exact: where these differ, the training was of a network with a width per layer.
    same = count(rows, background.classes).macs == order["macs"].to_numpy(dtype=np.int64)
    place = int(np.flatnonzero(same)[0]) if background.side and same.any() else 0
    return rows[place], order.to_dict("records")[place], len(near)


def _known(background: Background) -> pd.DataFrame:
    """The study's own trainings whose integers are known."""
    columns = column_names(len(base_named(background.base).stages))
    if background.own is None or not set(columns) <= set(background.own.frame):
        raise PlannerError(f"{background.name}: no finished training whose integers are known; run `planner train`")
    return background.own.frame.dropna(subset=list(columns))


def _networks(frame: pd.DataFrame, background: Background) -> Any:
    network = base_named(background.base)
    knobs = knobs_among(network, frame.columns)
    return from_rows(network, frame[list(column_names(len(network.stages), knobs))].to_numpy(dtype=np.int64), knobs)


def _trained(background: Background) -> set[Architecture]:
    """The networks that were trained; none where nobody knows their integers."""
    try:
        return set(_networks(_known(background), background))
    except PlannerError:
        return set()


def _as_base(one: Architecture) -> BaseNetwork:
    """A network as one that multipliers multiply."""
    network = base_named(one.base)
    parts = zip(network.stages, one.widths, one.depths, strict=True)
    stages = tuple(replace(stage, width=width, depth=depth) for stage, width, depth in parts)
    return replace(network, resolution=one.resolution, stem=one.stem, head=one.head, stages=stages)
