"""What can be built, and what it exactly costs: base networks, rules, spaces, first designs (numpy only).

Each name is imported when it is first used, so that the command line can say what it is without numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

# Where each public name lives.
PUBLIC = {
    "RULES": "sampler.scaling",
    "Architecture": "sampler.architecture",
    "Architectures": "sampler.architecture",
    "BaseNetwork": "sampler.architecture",
    "Complexity": "sampler.complexity",
    "InputError": "sampler.errors",
    "LayeredArchitecture": "sampler.layered",
    "Limit": "sampler.limits",
    "ScalingRule": "sampler.scaling",
    "SearchSpace": "sampler.space",
    "SolvedWidth": "sampler.solve",
    "Stage": "sampler.architecture",
    "architecture_complexity": "sampler.complexity",
    "architecture_from": "sampler.layered",
    "base": "sampler.bases",
    "base_names": "sampler.bases",
    "exact_limit": "sampler.limits",
    "random_design": "sampler.designs",
    "rule_named": "sampler.scaling",
    "scale": "sampler.scaling",
    "scaled": "sampler.scaling",
    "sobol_design": "sampler.designs",
    "stack": "sampler.architecture",
    "solve_width": "sampler.solve",
    "stratified_design": "sampler.designs",
    "target_design": "sampler.designs",
}

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


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'sampler' has no attribute {name!r}; public names: {', '.join(__all__)}")
    value = globals()[name] = getattr(import_module(PUBLIC[name]), name)
    return value
