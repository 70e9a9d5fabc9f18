"""Published rules, as formulas: what a copied rule would give at the same budget."""

from __future__ import annotations

import math
from dataclasses import replace

from planner.formulas.curve import power_law
from planner.formulas.formula import Branch, Formula
from sampler import base as base_named
from sampler.complexity import base_macs

# Tan & Le 2019, section 3.3: depth, width and resolution at alpha^phi, beta^phi, gamma^phi.
ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15
# Of c: from TinyNet's smallest comparison (0.03 of the base, with room) to a little beyond EfficientNet-B7's 98.
SHRUNK, GROWN = (0.02, 1.0), (1.0, 128.0)


def compound(base: str, resolution: int | None = None, classes: int = 1000) -> Formula:
    """Compound scaling as a formula: r = c^(log gamma / log s), d likewise, s = alpha beta^2 gamma^2 = 1.92.

    Growing uses the rule `efficientnet`, shrinking `inverse` (depth rounded to nearest). As in any formula the
    width is solved on the exact count, so that the result meets the budget.

    Args:
        base: Name of the base network.
        resolution: The resolution that r multiplies, in pixels; the base network's own by default.
        classes: Outputs of the classifier.
    """
    network = base_named(base)
    network = replace(network, resolution=network.resolution if resolution is None else resolution)
    per_phi = math.log(ALPHA * BETA**2 * GAMMA**2)
    r, d = power_law(math.log(GAMMA) / per_phi), power_law(math.log(ALPHA) / per_phi)
    return Formula(
        base=base,
        resolution=network.resolution,
        classes=classes,
        base_macs=base_macs(base, network.resolution, classes),
        kind="compound",
        branches={"shrink": Branch("inverse", SHRUNK, r, d), "enlarge": Branch("efficientnet", GROWN, r, d)},
    )
