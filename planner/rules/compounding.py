"""Compound scaling as a formula for `planner predict` to stand beside."""

from __future__ import annotations

import math
from dataclasses import replace

from planner.formulas.branch import Branch
from planner.formulas.coefficients import EFFICIENTNET, Coefficients
from planner.formulas.formula import FormulaCurves
from planner.gaussian.curve import power_law
from sampler import BaseNetwork, rule_named
from sampler import base as base_named
from sampler.architecture import MAX_PIXELS
from sampler.checks import checked_whole
from sampler.complexity import base_macs

# Of c: from TinyNet's smallest comparison (0.03 of the base, with room) to a little beyond EfficientNet-B7's 98.
SHRUNK, GROWN = (0.02, 1.0), (1.0, 128.0)


def shrinking_rule(network: BaseNetwork) -> str:
    """The scaling rule that rounds smaller networks: the base network's own, unless that rounds every depth up.

    Shrinking, and depth by itself, would then jump by a block in every stage at once: depths go to the nearest integer
    (`inverse`).
    """
    return network.rule if rule_named(network.rule).depth == "round" else "inverse"


def compound(
    base: str, resolution: int | None = None, classes: int = 1000, factors: Coefficients = EFFICIENTNET
) -> FormulaCurves:
    """Compound scaling as a formula: r = c^(log gamma / log s), d likewise, s = alpha beta^2 gamma^2.

    Growing rounds by the base network's own rule, shrinking by `shrinking_rule`. As in any formula the width is solved
    on the exact count, so that the result meets the budget: it is the one compound scaling that `predict`, `scale`,
    `compare` and reports put beside a formula at equal MACs.

    Args:
        base: Name of the base network.
        resolution: The resolution that r multiplies, in pixels; the base network's own by default.
        classes: Outputs of the classifier.
        factors: alpha, beta and gamma; EfficientNet's by default, with s = 1.92.
    """
    network = base_named(base)
    pixels = network.resolution if resolution is None else checked_whole("resolution", resolution, 1, MAX_PIXELS)
    network = replace(network, resolution=pixels)
    per_phi = math.log(factors.cost)
    r, d = (power_law(math.log(factor) / per_phi) for factor in (factors.gamma, factors.alpha))
    return FormulaCurves(
        base=base,
        resolution=network.resolution,
        classes=classes,
        base_macs=base_macs(base, network.resolution, classes),
        kind="compound",
        branches={
            "shrink": Branch(shrinking_rule(network), SHRUNK, r, d),
            "enlarge": Branch(network.rule, GROWN, r, d),
        },
    )
