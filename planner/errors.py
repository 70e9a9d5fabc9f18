"""The error that a caller can act on: the sampler's, so that one name catches what any of the packages refuses."""

from sampler.errors import InputError, PlannerError

__all__ = ["InputError", "PlannerError"]
