"""The published rules by name: a base network and a budget (or a factor) in, a network out, counted exactly."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from planner.errors import PlannerError
from planner.formulas.coefficients import EFFICIENTNET, Coefficients
from planner.formulas.formula import FormulaCurves
from planner.rules.compounding import compound
from planner.rules.copied import copied, scaled_by_formula
from planner.rules.rule import factors_of, rule_of
from planner.rules.scaled import RuleAnswer
from planner.rules.staircase import nearest
from planner.text.documents import shown
from planner.text.quantities import budget_of
from sampler import BaseNetwork
from sampler import base as base_named
from sampler.architecture import MAX_PIXELS
from sampler.checks import checked_number, checked_whole
from sampler.complexity import base_macs
from sampler.solve import TOLERANCE

# Of the base network's MACs: beyond, no rule was ever tried.
_LEAST, _MOST = 1e-3, 1e3


def at_budget(
    method: str,
    base: str,
    macs: float,
    resolution: int | None = None,
    classes: int = 1000,
    *,
    rule: str | None = None,
    exact: bool = True,
    factors: Coefficients | None = None,
    formula: FormulaCurves | None = None,
    epochs: int | None = None,
) -> RuleAnswer:
    """What a published rule gives for a budget.

    The rule's one free number (its scale) is taken where the rounded network's exact MACs are nearest the budget. Where
    that misses by more than 1 %, as rounding often does, the width is solved anew at that resolution and depth.
    Compound scaling takes resolution and depth at the budget's share of the base network's MACs instead, and solves
    the width.

    Args:
        method: One of `METHODS`, or a pycls scaling type such as `d1_w8_g8_r1`.
        base: Name of the base network.
        macs: The budget, in multiply-accumulates of one image.
        resolution: Resolution that r multiplies, in pixels; the base network's own by default.
        classes: Outputs of the classifier.
        rule: Scaling rule that rounds, instead of the method's.
        exact: Whether to come within 1 %, with the rule's own answer kept in `pure`; else it is the answer.
        factors: alpha, beta and gamma of `compound`; EfficientNet's by default.
        formula: A formula: of `tinynet`; of `compound` it gives the factors, if it is of that kind.
        epochs: Epochs the networks will be trained, for `resnet-rs`; 350 by default.

    Raises:
        PlannerError: If the method is unknown, does not take an argument, or the budget is out of all proportion.
        InputError: If a name is unknown, or nothing buildable comes within 1 % of the budget.

    Example:
        >>> answer = at_budget("fast", "efficientnet_b0", 800e6)
        >>> answer.architecture.depths, abs(answer.error) <= 0.01
        ((1, 2, 2, 3, 3, 4, 1), True)
    """
    _check_arguments(method, rule, factors, formula, epochs)
    network, share = _start(base, macs, resolution, classes)
    if method == "tinynet":
        return scaled_by_formula(network, macs, classes, formula, exact)
    chosen = rule_of(method, network, share, rule, factors, formula, epochs)
    s, one, _ = nearest(chosen.family, macs, share, classes)
    pure = chosen.answer(s, one, macs, classes)
    if exact and method == "compound":
        known = compound(base, network.resolution, classes, factors or EFFICIENTNET)
        if formula is not None:
            known = copied(formula, network, classes)
        if rule is not None:
            branches = {name: replace(one, rule=rule) for name, one in known.branches.items()}
            known = replace(known, branches=branches)
        return pure.as_predicted(known.predict(macs, extrapolate=True))
    return chosen.nudged(pure) if exact and abs(pure.error) > TOLERANCE else pure


def by_factor(
    method: str,
    base: str,
    factor: float,
    resolution: int | None = None,
    classes: int = 1000,
    *,
    rule: str | None = None,
    factors: Coefficients | None = None,
    formula: FormulaCurves | None = None,
    epochs: int | None = None,
) -> RuleAnswer:
    """What a published rule gives for so many times the base network's resources, as rounding leaves it.

    `compound` takes phi = log2 of the factor; other rules take it as their scale, the ideal cost d w^2 r^2; a formula
    takes that many times the base network's MACs as the budget. The answer's `budget` is that many times, too.

    Args:
        method: Name of the rule; this and all others as in `at_budget`.
        base: Name of the base network.
        factor: Above 1 to grow, below to shrink.
        resolution: Resolution that r multiplies, in pixels.
        classes: Outputs of the classifier.
        rule: Scaling rule that rounds.
        factors: alpha, beta and gamma of `compound`.
        formula: A formula.
        epochs: Epochs the networks will be trained.

    Raises:
        PlannerError: Where `at_budget` does.

    Example:
        >>> by_factor("fast", "efficientnet_b0", 2).macs
        781816464
    """
    _check_arguments(method, rule, factors, formula, epochs)
    if checked_number("the scale", factor) <= 0:
        raise PlannerError(f"the scale must be a positive number, got {factor:g}")
    macs = factor * base_macs(base, _at(base, resolution).resolution, classes)
    network, _ = _start(base, macs, resolution, classes)
    if method == "tinynet":
        return scaled_by_formula(network, macs, classes, formula, exact=True)
    chosen = rule_of(method, network, factor, rule, factors, formula, epochs)
    s = factor
    if method == "compound":
        s = factors_of(factors, formula, factor).cost ** math.log2(factor)
    scales, architectures = chosen.family(np.array([s]))
    return chosen.answer(float(scales[0]), architectures[0], macs, classes)


def _at(base: str, resolution: int | None) -> BaseNetwork:
    network = base_named(base)
    if resolution is None:
        return network
    return replace(network, resolution=checked_whole("resolution", resolution, 1, MAX_PIXELS))


def _start(base: str, macs: float, resolution: int | None, classes: int) -> tuple[BaseNetwork, float]:
    """The base network at its resolution, and the budget's share of its MACs."""
    network, macs = _at(base, resolution), budget_of(macs)
    share = macs / base_macs(base, network.resolution, classes)
    if not _LEAST <= share <= _MOST:
        raise PlannerError(
            f"a budget of {macs:.4g} MACs is {share:.3g} times {base}'s at {network.resolution} px; rules are for "
            f"{_LEAST:g} to {_MOST:g} times: take a base network or a resolution nearer to it"
        )
    return network, share


def _check_arguments(
    method: str, rule: str | None, factors: Coefficients | None, formula: FormulaCurves | None, epochs: int | None
) -> None:
    """Refuses what a method would ignore, and what is of another type."""
    kinds: dict[str, tuple[object, type, str]] = {
        "factors": (factors, Coefficients, "Coefficients"),
        "formula": (formula, FormulaCurves, "Formula"),
        "method": (method, str, "str"),
    }
    for what, (value, kind, wanted) in kinds.items():
        if not isinstance(value, kind) and (value is not None or kind is str):
            raise PlannerError(f"{what} is {shown(value)}; a {wanted} is wanted")
    if epochs is not None:
        checked_whole("epochs", epochs, 1, 10**6)
    given = {
        "alpha, beta and gamma": (factors, ("compound",)),
        "a formula": (formula, ("compound", "tinynet")),
        "a number of epochs": (epochs, ("resnet-rs",)),
    }
    for what, (value, takers) in given.items():
        if value is not None and method not in takers:
            raise PlannerError(f"method {method} does not take {what}; leave it out, or take {' or '.join(takers)}")
    if rule is not None and method in ("regnet", "tinynet"):
        raise PlannerError(f"method {method} has its own rounding; leave the rule out")
    if factors is not None and formula is not None:
        raise PlannerError("give alpha, beta and gamma, or a formula that has them, not both")
