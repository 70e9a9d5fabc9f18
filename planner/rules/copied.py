"""A formula applied as a published rule: the shipped one, also on a network it was not learned on, or a file's."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from planner.errors import PlannerError
from planner.formulas.codec import read_formula
from planner.formulas.formula import FormulaCurves
from planner.rules.scaled import RuleAnswer
from planner.text.quantities import format_count
from planner.text.shipped import shipped_formula
from sampler import BaseNetwork, architecture_complexity, rule_named, scale
from sampler.complexity import base_macs
from sampler.scaling import own_steps
from sampler.solve import TOLERANCE

PUBLISHED = "efficientnet_b0"  # whose published networks the shipped formula was fitted to


def scaled_by_formula(
    network: BaseNetwork, macs: float, classes: int, formula: FormulaCurves | None, exact: bool
) -> RuleAnswer:
    """What a formula gives for a budget; its own answer (`pure`) has TinyNet's width w = sqrt(c / (r^2 d)).

    Args:
        network: The base network, at the resolution that r multiplies.
        macs: The budget.
        classes: Outputs of the classifier.
        formula: The formula; the shipped one by default.
        exact: Whether the width is solved on the exact count.

    Raises:
        PlannerError: If the formula is of another base network.
        InputError: If nothing buildable comes within 1 % of the budget.
    """
    known, notes = _applied(network, classes, formula)
    c = macs / known.base_macs
    branch = known.branch(c)
    r, d = float(branch.r(c)[0]), float(branch.d(c)[0])
    if min(r, d) <= 0:
        raise PlannerError(f"at {format_count(macs)} MACs the formula gives r {r:.3g}, d {d:.3g}; take a nearer budget")
    if not known.checked(macs, extrapolate=True):
        low, high = (format_count(value) for value in known.macs_range)
        notes.append(f"{format_count(macs)} is outside the {low} to {high} MACs that the formula was fitted on")
    w, rule = math.sqrt(c / (r**2 * d)), rule_named(branch.rule)
    pixels = max(int(rule.pixels(network.resolution, r)[0]), network.stride)
    one = scale(network, rule, np.array([pixels]), d, w)[0]
    cost = architecture_complexity(one, classes)
    pure = RuleAnswer(
        method="tinynet",
        architecture=one,
        budget=macs,
        macs=cost.macs,
        params=cost.params,
        classes=classes,
        r=pixels / network.resolution,
        d=d,
        w=w,
        rule=branch.rule,
        parameters={"c": c},
        notes=tuple(notes),
    )
    if not exact or abs(pure.error) <= TOLERANCE:
        return pure
    return pure.as_predicted(known.predict(macs, extrapolate=True))


def copied(formula: FormulaCurves, network: BaseNetwork, classes: int) -> FormulaCurves:
    """The r and d of a formula for another base network, at its resolution: c stays relative.

    A network that has steps of its own rounds by these.
    """
    branches = formula.branches
    if own_steps(network):
        branches = {name: replace(branch, rule=network.rule) for name, branch in branches.items()}
    return replace(
        formula,
        branches=branches,
        base=network.name,
        resolution=network.resolution,
        classes=classes,
        base_macs=base_macs(network.name, network.resolution, classes),
        accuracy=None,
        surrogate=None,
    )


def _applied(network: BaseNetwork, classes: int, formula: FormulaCurves | None) -> tuple[FormulaCurves, list[str]]:
    """The formula for this network, resolution and classes, and what to say of it."""
    if formula is not None:
        if formula.base != network.name:
            raise PlannerError(f"the formula is for {formula.base}, not for {network.name}; take that base network")
        return formula.at(network.resolution, classes), []
    own = shipped_formula(network.name)
    text = own or shipped_formula(PUBLISHED)
    assert text is not None
    shipped = read_formula(text, FormulaCurves, "the shipped formula", shipped=True)
    if own is not None:
        return shipped.at(network.resolution, classes), []
    told = f"learned on {PUBLISHED}; {network.name} copies its r and d, as one copies compound scaling"
    return copied(shipped, network, classes), [told]
