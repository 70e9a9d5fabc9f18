"""What can be built, and what it exactly costs: base networks, rules, spaces, first designs (numpy only)."""

from sampler.architecture import Architecture, Architectures, BaseNetwork, Stage, stack
from sampler.bases import base, base_names
from sampler.complexity import Complexity, architecture_complexity
from sampler.designs import random_design, sobol_design, stratified_design, target_design
from sampler.errors import InputError
from sampler.layered import LayeredArchitecture, architecture_from
from sampler.limits import Limit, exact_limit
from sampler.scaling import RULES, ScalingRule, rule_named, scale, scaled
from sampler.solve import SolvedWidth, solve_width
from sampler.space import SearchSpace

__all__ = [
    "RULES",
    "Architecture",
    "Architectures",
    "BaseNetwork",
    "Complexity",
    "InputError",
    "LayeredArchitecture",
    "Limit",
    "ScalingRule",
    "SearchSpace",
    "SolvedWidth",
    "Stage",
    "architecture_complexity",
    "architecture_from",
    "base",
    "base_names",
    "exact_limit",
    "random_design",
    "rule_named",
    "scale",
    "scaled",
    "sobol_design",
    "stack",
    "solve_width",
    "stratified_design",
    "target_design",
]
