"""The errors a caller can act on."""

from sampler.errors import InputError


class PlannerError(InputError):
    """Something the user can mend: the command line prints it as one line and exits with 2."""


__all__ = ["InputError", "PlannerError"]
