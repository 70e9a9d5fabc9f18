"""Test vectors of a formula: budgets and what they give, so that any reader of the file can check itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from planner.errors import InputError, PlannerError
from planner.formulas.formula import FormulaCurves
from planner.formulas.rungs import rung_at
from sampler import Architecture, architecture_complexity, rule_named
from sampler.scaling import scale
from sampler.solve import width_brackets

Vector = dict[str, Any]
_COUNT = 10
# Written numbers: far closer than TOLERANCE, and the same on machines whose exponentials differ in the last bit.
_DIGITS = 12
_TOLERANCE = 1e-9
NARROWEST = 0.001  # the w of a budget that affords no width at all, where `width_brackets` begins


def vectors_of(formula: FormulaCurves) -> list[Vector]:
    """About ten budgets over the formula's range, half of them for each direction where there are two.

    Each holds c, r, d and w as real numbers, the architecture that they round to (`before_nudge`, the widest within
    the budget), and the formula's answer, or None where nothing buildable comes within 1 % of the budget. Where the
    formula has a ladder, `ladder` is the answer that it gives, or None below its first rung.

    Raises:
        PlannerError: If no budget of the range gives an architecture.
    """
    found = []
    for budget in _budgets_of(formula):
        try:
            found.append(_vector(formula, budget))
        except (InputError, ArithmeticError):
            continue
    if not found:
        raise PlannerError("no budget of this formula's range gives an architecture")
    return found


def _budgets_of(formula: FormulaCurves) -> list[int]:
    """Whole MACs, evenly spaced in their logarithm over each direction's own range."""
    budgets: set[int] = set()
    for direction in formula.branches:
        c = np.geomspace(*formula.answered(direction), _COUNT // len(formula.branches))
        budgets.update(max(1, round(float(value) * formula.base_macs)) for value in c)
    return sorted(budgets)


def multipliers(formula: FormulaCurves, budget: float) -> tuple[float, float, float]:
    """c, r and d of a budget of MACs; r and d are infinite or NaN where a damaged curve overflows."""
    c = budget / formula.base_macs
    branch = formula.branch(c)
    with np.errstate(all="ignore"):
        return c, float(branch.r(c)[0]), float(branch.d(c)[0])


def disagreement(formula: FormulaCurves, vectors: list[Vector]) -> str | None:
    """What a formula gives otherwise than its vectors say, or None."""
    for vector in vectors:
        c, r, d = multipliers(formula, vector["budget"])
        for name, ours in (("c", c), ("r", r), ("d", d)):
            if not math.isclose(ours, vector[name], rel_tol=_TOLERANCE):
                asked = f"{vector['budget']:,} MACs"
                return f"{asked} give {name} {ours:.10g} here, but {vector[name]:.10g} in its test vector"
        if "ladder" in vector and vector["ladder"] != _rung(formula, vector["budget"]):
            return f"{vector['budget']:,} MACs give another rung of the ladder than its test vector says"
    return None


def _vector(formula: FormulaCurves, budget: int) -> Vector:
    c, r, d = multipliers(formula, budget)
    network, rule = formula.network, rule_named(formula.branch(c).rule)
    pixels = max(int(rule.pixels(formula.resolution, r)[0]), network.stride)
    low, _ = width_brackets(network, rule, [pixels], [d], budget, formula.classes)
    w = NARROWEST if np.isnan(low[0]) else float(low[0])
    return {
        "budget": budget,
        **{name: float(f"{value:.{_DIGITS}g}") for name, value in (("c", c), ("r", r), ("d", d), ("w", w))},
        "before_nudge": _integers(scale(network, rule, pixels, d, w)[0], formula.classes),
        "answer": _answer(formula, budget),
        **({"ladder": _rung(formula, budget)} if formula.ladder else {}),
    }


def _answer(formula: FormulaCurves, budget: int) -> Vector | None:
    try:
        architecture = formula.predict(budget, extrapolate=True).architecture  # the ends may round out of the range
    except InputError:
        return None
    return _integers(architecture, formula.classes)


def _rung(formula: FormulaCurves, budget: int) -> Vector | None:
    rung = rung_at(formula.ladder, budget)
    return None if rung is None else _integers(rung.architecture, formula.classes)


def _integers(one: Architecture, classes: int) -> Vector:
    return {**one.as_dict(), "macs": architecture_complexity(one, classes).macs}
