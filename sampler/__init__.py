"""What can be built, and what it exactly costs: base networks, rules, spaces, first designs (numpy only).

Each name is imported when it is first used, so that the command line can say what it is without numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampler.architecture import Architecture, Architectures, BaseNetwork, KnobbedArchitecture, Stage, stack
    from sampler.bases import base, base_names
    from sampler.complexity import Complexity, architecture_complexity
    from sampler.designs import random_design, sobol_design, stratified_design, target_design
    from sampler.errors import InputError
    from sampler.families import Family, Sizes, network_of, register_family, registered, unregister_family
    from sampler.layered import LayeredArchitecture, architecture_from
    from sampler.limits import Limit, exact_limit
    from sampler.scaling import RULES, ScalingRule, rule_named, scale, scaled
    from sampler.solve import SolvedWidth, solve_width
    from sampler.space import SearchSpace

# Where each public name lives.
_PUBLIC = {
    "RULES": "sampler.scaling",
    "Architecture": "sampler.architecture",
    "Architectures": "sampler.architecture",
    "BaseNetwork": "sampler.architecture",
    "Complexity": "sampler.complexity",
    "Family": "sampler.families",
    "InputError": "sampler.errors",
    "KnobbedArchitecture": "sampler.architecture",
    "LayeredArchitecture": "sampler.layered",
    "Limit": "sampler.limits",
    "ScalingRule": "sampler.scaling",
    "SearchSpace": "sampler.space",
    "Sizes": "sampler.families",
    "SolvedWidth": "sampler.solve",
    "Stage": "sampler.architecture",
    "architecture_complexity": "sampler.complexity",
    "architecture_from": "sampler.layered",
    "base": "sampler.bases",
    "base_names": "sampler.bases",
    "exact_limit": "sampler.limits",
    "network_of": "sampler.families",
    "random_design": "sampler.designs",
    "register_family": "sampler.families",
    "registered": "sampler.families",
    "rule_named": "sampler.scaling",
    "scale": "sampler.scaling",
    "scaled": "sampler.scaling",
    "sobol_design": "sampler.designs",
    "solve_width": "sampler.solve",
    "stack": "sampler.architecture",
    "stratified_design": "sampler.designs",
    "target_design": "sampler.designs",
    "unregister_family": "sampler.families",
}

__all__ = [
    "RULES",
    "Architecture",
    "Architectures",
    "BaseNetwork",
    "Complexity",
    "Family",
    "InputError",
    "KnobbedArchitecture",
    "LayeredArchitecture",
    "Limit",
    "ScalingRule",
    "SearchSpace",
    "Sizes",
    "SolvedWidth",
    "Stage",
    "architecture_complexity",
    "architecture_from",
    "base",
    "base_names",
    "exact_limit",
    "network_of",
    "random_design",
    "register_family",
    "registered",
    "rule_named",
    "scale",
    "scaled",
    "sobol_design",
    "solve_width",
    "stack",
    "stratified_design",
    "target_design",
    "unregister_family",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sampler' has no attribute {name!r}; public names: {', '.join(__all__)}")
    value = globals()[name] = getattr(import_module(_PUBLIC[name]), name)
    return value
