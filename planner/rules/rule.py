"""One rule for one base network: its ray, its rounding, its networks, and how an answer is moved to its budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np

from planner.errors import PlannerError
from planner.formulas.coefficients import EFFICIENTNET, Coefficients, own_coefficients
from planner.formulas.formula import FormulaCurves
from planner.rules.compounding import shrinking_rule
from planner.rules.quantised import DEPTH_EXPONENT, group_note, published, quantised_family, scaled_parameters
from planner.rules.rays import (
    DEPTH,
    FAST_NAMES,
    FAST_SCALING,
    RESOLUTION,
    WIDTH,
    Ray,
    compound_ray,
    pycls_ray,
    resnet_rs_ray,
)
from planner.rules.scaled import RuleAnswer
from planner.rules.staircase import ScaledNetworks, uniform_family
from sampler import Architecture, BaseNetwork, ScalingRule, architecture_complexity, rule_named, solve_width
from sampler.families import family_of, without_usual_knobs
from sampler.scaling import own_steps

METHODS = {
    "compound": "EfficientNet's: depth, width and resolution at alpha^phi, beta^phi and gamma^phi",
    "fast": f"fast scaling, mostly width: pycls' {FAST_SCALING}; any other of its strings is a method too",
    "resnet-rs": "deeper for long schedules, else wider; resolution slowly",
    "regnet": "a RegNet's own quantised linear widths, at another size",
    "tinynet": "the formula shipped with the planner, or any formula file",
    "width": "width alone",
    "depth": "depth alone",
    "resolution": "resolution alone",
}
_EPOCHS = 350  # ResNet-RS' own schedule


@dataclass(frozen=True)
class Rule:
    """A rule for one base network and one direction.

    Attributes:
        method: Name of it.
        network: The base network, at the resolution that r multiplies.
        rounding: How products become integers.
        ray: How multipliers follow the scale.
        family: The networks at given scales.
        parameters: Numbers that it was given and that follow from the scale, by name.
    """

    method: str
    network: BaseNetwork
    rounding: ScalingRule
    ray: Ray
    family: ScaledNetworks
    parameters: Callable[[float], dict[str, float]]

    def answer(self, s: float, one: Architecture, budget: float, classes: int) -> RuleAnswer:
        """The network at a scale, as an answer to a budget."""
        one = without_usual_knobs(one)
        cost = architecture_complexity(one, classes)
        _, d, w = (float(part[0]) for part in self.ray.at(np.array([s])))
        note = group_note(self.network, one)
        return RuleAnswer(
            method=self.method,
            architecture=one,
            budget=budget,
            macs=cost.macs,
            params=cost.params,
            classes=classes,
            r=one.resolution / self.network.resolution,
            d=d,
            w=w,
            rule=self.rounding.name,
            parameters=self.parameters(s),
            notes=() if note is None else (note,),
        )

    def nudged(self, pure: RuleAnswer) -> RuleAnswer:
        """An answer moved to its budget: the width is solved on the exact count, all else stays where it can."""
        one = pure.architecture
        if self.method != "regnet":
            network = family_of(self.network).with_knobs(self.network, one.knobs)
            solved = solve_width(network, self.rounding, one.resolution, pure.d, pure.budget, pure.classes)
            return pure.at_exactly(solved, solved.width_multiplier)
        # Its stages are no multiples of the base network's: their own widths are what is multiplied.
        parts = zip(self.network.stages, one.widths, one.depths, strict=True)
        stages = tuple(replace(stage, width=width, depth=depth) for stage, width, depth in parts)
        start = replace(self.network, stages=stages)
        solved = solve_width(start, self.rounding, one.resolution, 1.0, pure.budget, pure.classes)
        return pure.at_exactly(solved, pure.w * solved.width_multiplier)


def rule_of(
    method: str,
    network: BaseNetwork,
    share: float,
    rule: str | None = None,
    factors: Coefficients | None = None,
    formula: FormulaCurves | None = None,
    epochs: int | None = None,
) -> Rule:
    """A rule for a base network, and for a share of its MACs as far as growing differs from shrinking.

    Raises:
        PlannerError: If the method is unknown, or is none for this base network.
    """
    if method == "regnet":
        start = published(network)
        ray = Ray(DEPTH_EXPONENT, (1 - DEPTH_EXPONENT) / 2, 0.0)
        return Rule(
            method,
            network,
            rule_named("anynet"),
            ray,
            lambda s: quantised_family(network, s),
            lambda s: asdict(scaled_parameters(start, s)),
        )
    known = factors_of(factors, formula, share)
    ray = compound_ray(known, _start(formula, share)) if method == "compound" else _ray(method, epochs)
    rounding = rule_named(rule or _rounding(method, network, share))

    def parameters(s: float) -> dict[str, float]:
        if method == "compound":
            return {**known.as_dict(), "phi": math.log(s) / math.log(known.cost)}
        return {"scale": s}

    return Rule(method, network, rounding, ray, uniform_family(network, rounding, ray), parameters)


def _ray(method: str, epochs: int | None) -> Ray:
    if method == "resnet-rs":
        return resnet_rs_ray(_EPOCHS if epochs is None else epochs)
    alone = {"width": WIDTH, "depth": DEPTH, "resolution": RESOLUTION}
    found = alone.get(method) or pycls_ray(FAST_SCALING if method in FAST_NAMES else method)
    if found is None:
        raise PlannerError(
            f"method {method!r} is unknown; known: {', '.join(METHODS)}, and pycls' strings such as {FAST_SCALING} "
            "or dwr"
        )
    return found


def _rounding(method: str, network: BaseNetwork, share: float) -> str:
    """The scaling rule that a method rounds with."""
    if method == "compound":
        return network.rule if share > 1 else shrinking_rule(network)
    if method in ("width", "resolution") or own_steps(network):
        return network.rule
    if method in ("depth", "resnet-rs"):
        return shrinking_rule(network)
    return "pycls" if network.head else "anynet"


def factors_of(given: Coefficients | None, formula: FormulaCurves | None, share: float) -> Coefficients:
    """alpha, beta and gamma: as given, none of them below 1; or a formula's, which may be; or EfficientNet's."""
    if formula is None:
        for name, value in (given or EFFICIENTNET).as_dict().items():
            if not 1 - 1e-9 <= value < math.inf:
                raise PlannerError(f"{name} must be at least 1, got {value:g}; phi below 0 shrinks")
        return given or EFFICIENTNET
    own = own_coefficients(formula, formula.branch(share))
    if own is None:
        raise PlannerError(
            f"the formula is of kind {formula.kind}, which has no alpha, beta and gamma; fit one with "
            "`planner fit --kind compound`, or take --method tinynet, which applies any formula"
        )
    return own


def _start(formula: FormulaCurves | None, share: float) -> tuple[float, float]:
    """Where a rule is at c = 1, as r and d: at the base network, unless a formula passes elsewhere."""
    if formula is None:
        return 1.0, 1.0
    branch = formula.branch(share)
    return float(branch.r(1.0)[0]), float(branch.d(1.0)[0])
