"""The published rules: what a copied rule would give at the same budget.

`at_budget` gives the network within 1 % of a budget and what the rule gives by itself, `by_factor` the network for so
many times the base network's resources, and `compound` is compound scaling as a formula.
"""

from planner.formulas.coefficients import ALPHA, BETA, EFFICIENTNET, GAMMA, Coefficients, coefficients
from planner.rules.compounding import compound
from planner.rules.methods import at_budget, by_factor
from planner.rules.rule import METHODS
from planner.rules.scaled import RuleAnswer

__all__ = [
    "ALPHA",
    "BETA",
    "EFFICIENTNET",
    "GAMMA",
    "METHODS",
    "Coefficients",
    "RuleAnswer",
    "at_budget",
    "by_factor",
    "coefficients",
    "compound",
]
