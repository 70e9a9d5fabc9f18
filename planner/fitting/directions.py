"""The branches of a formula: one direction's curves of r and d, through the front, from the answers, or of a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.fitting import grid
from planner.fitting.curves import FEWEST_POINTS, FittedCurve, fit_curves
from planner.fitting.exam import Result, Task, distil
from planner.fitting.monotone import Shape, falls_between
from planner.fitting.transfer import prior_curve
from planner.formulas.branch import OVERLAP, Branch, Direction, answered
from planner.formulas.formula import FormulaCurves
from planner.formulas.kinds import FormulaKind
from planner.formulas.protocol import DirectionPoints
from planner.formulas.stages import StageCurves, stage_curves
from planner.front import pareto
from planner.gaussian.curve import Curve, power_law
from planner.gaussian.curve_fit import LOGLINEAR, fit_process
from planner.surrogates.answer_model import AnswerModel
from planner.tables.table import Table
from planner.text.deferred import pd
from sampler import base as base_named
from sampler.architecture import FloatArray
from sampler.scaling import rules_of

DIRECTIONS: tuple[Direction, ...] = ("shrink", "enlarge")


@dataclass(frozen=True, eq=False)
class FittedDirection:
    """What was fitted for one direction.

    Attributes:
        branch: Branch of the formula.
        errors: Errors by dimension.
        facts: Further facts of the curves, by dimension.
        distilled: Result of distilling them from the answers, where that was tried.
    """

    branch: Branch
    errors: dict[str, float]
    facts: dict[str, dict[str, Any]]
    distilled: Result | None = None


Directions = dict[Direction, FittedDirection]


def one_side(frame: pd.DataFrame, direction: Direction) -> pd.DataFrame:
    """The rows of one direction; those near c = 1 belong to both."""
    return frame[frame["c"] <= OVERLAP] if direction == "shrink" else frame[frame["c"] >= 1 / OVERLAP]


def fitted_directions(
    table: Table, front: pd.DataFrame, kind: FormulaKind, seed: int, prior: FormulaCurves | None = None
) -> Directions:
    """The curves of every direction that has points enough."""
    directions: Directions = {}
    for direction in DIRECTIONS:
        points, seen = one_side(front, direction), one_side(table.frame, direction)["c"]
        if pareto.distinct_budgets(points["macs"]) < FEWEST_POINTS:
            continue
        c_range = (float(seen.min()), float(seen.max()))
        r, d = _curves(points, kind, seed, c_range, direction, prior)
        rule = rule_of_most(points, table.base)
        stages, errors = _stages(points, table, rule, seed)
        branch = Branch(rule, c_range, r.curve, d.curve, stages)
        directions[direction] = FittedDirection(
            branch, {"r": r.rmse, "d": d.rmse, **errors}, {"r": _facts(r), "d": _facts(d)}
        )
    return directions


def _curves(
    points: pd.DataFrame,
    kind: FormulaKind,
    seed: int,
    c_range: tuple[float, float],
    direction: Direction,
    prior: FormulaCurves | None,
) -> tuple[FittedCurve, FittedCurve]:
    """The curves of r and d through the points of one direction."""
    if kind.fit is not None:
        c, r, d = (points[name].to_numpy(dtype=np.float64) for name in ("c", "r", "d"))
        learned = kind.fit(DirectionPoints(c, r, d, c_range, seed))
        falls = [falls_between(part.curve, c_range) for part in learned]
        shapes = [Shape(fall is None, price=None, falls=fall) for fall in falls]
        first, second = (FittedCurve(part.curve, part.rmse, shape) for part, shape in zip(learned, shapes, strict=True))
        return first, second
    like = kind.scale
    assert like is not None
    priors = (None, None) if prior is None else tuple(prior_curve(prior, direction, name, like) for name in ("r", "d"))
    fitted = fit_curves(points["c"], points["r"], points["d"], kind.name, seed, c_range, (priors[0], priors[1]))
    return fitted.r, fitted.d


def distilled_directions(sides: Directions, table: Table, model: AnswerModel, ranges: dict[str, Any]) -> Directions:
    """Each direction with the curves distilled from the answers, where these lose less than those through the front.

    Where the front's stages were scaled apart, its curves stay: uniform networks do not say what r goes with them.
    """
    network, found = replace(base_named(table.base), resolution=table.resolution), dict(sides)
    for name, side in sides.items():
        branch = side.branch
        c_range = answered(branch.c_range, name, len(sides))
        if not c_range[1] > c_range[0] or branch.stages is not None:  # r goes with those stages, not with uniform ones
            continue
        task = Task(network, branch.rule, table.classes, table.base_macs, model, ranges, c_range)
        result = distil(task, (branch.r, branch.d))
        if result is None or not result.better:
            found[name] = replace(side, distilled=result)
            continue
        r, d = result.curves.r, result.curves.d
        falls = {"r": falls_between(r, c_range), "d": falls_between(d, c_range)}
        facts = {one: Shape(falls[one] is None, falls=falls[one]).as_dict() for one in "rd"}
        errors = {**side.errors, **result.curves.scatter}
        found[name] = FittedDirection(replace(branch, r=r, d=d), errors, facts, result)
    return found


def distilling_loss(sides: Directions) -> dict[str, float]:
    """What the formula's networks are expected to lose against the answers, on average over budgets."""
    results = [one.distilled for one in sides.values() if one.distilled is not None]
    losses = [loss for one in results for loss in (one.losses if one.better else one.losses_before)]
    return {"formula_loss": float(np.nanmean(losses))} if np.isfinite(losses).any() else {}


def compound_directions(table: Table, front: pd.DataFrame, best: grid.Best) -> Directions:
    """One rule for every direction that has trainings; its errors are how far the front's r and d lie from it."""
    directions: Directions = {}
    for direction in DIRECTIONS:
        rows, points = one_side(table.frame, direction), one_side(front, direction)
        c, extent = rows["c"], float(np.abs(np.log(rows["c"])).max()) if len(rows) else 0.0
        if extent <= np.log(OVERLAP):
            continue
        curves = dict(zip("rd", map(power_law, (best.g, best.a), best.at_one), strict=True))
        departures = {name: np.log(points[name]) - curve.mean(points["c"]) for name, curve in curves.items()}
        errors = {name: float(np.sqrt(np.mean(one**2))) for name, one in departures.items() if len(one)}
        branch = Branch(rule_of_most(rows, table.base), (float(c.min()), float(c.max())), curves["r"], curves["d"])
        directions[direction] = FittedDirection(branch, errors, {})
    return directions


def rule_of_most(points: pd.DataFrame, base_name: str) -> str:
    """The rule that made most of the points; the base network's own where the table does not say."""
    if "rule" not in points or points["rule"].dropna().empty:
        return base_named(base_name).rule
    counts = points["rule"].value_counts()
    rule = min(counts[counts == counts.max()].index)
    known = rules_of(base_named(base_name))
    if rule not in known:
        raise PlannerError(f"scaling rule {rule!r} in the table is unknown; known rules: {', '.join(known)}")
    return str(rule)


def _stages(points: pd.DataFrame, table: Table, rule: str, seed: int) -> tuple[StageCurves | None, dict[str, float]]:
    """The curves of the stages where the front was not scaled uniformly, and their leave-one-out RMSE in logs."""

    def smooth(x: FloatArray, y: FloatArray, at_one: float, scale: str) -> tuple[Curve, float]:
        form = LOGLINEAR if scale == "log" else replace(LOGLINEAR, output_scale="identity")
        fitted = fit_process(x, y, form, seed, at_one)
        return fitted.curve, fitted.rmse

    network = replace(base_named(table.base), resolution=table.resolution)
    return stage_curves(points, table.frame, network, rule, table.classes, smooth) or (None, {})


def _facts(fitted: FittedCurve) -> dict[str, Any]:
    """What a curve's fit found, in JSON's types."""
    facts = fitted.shape.as_dict()
    return facts if fitted.transfer is None else {**facts, "prior": fitted.transfer.as_dict()}
