"""Hyper-parameters of the highest posterior density: normal priors of their logs, within bounds.

    -log p(theta | y) = -log p(y | theta) + |(theta - centres) / deviations|^2 / 2 + constants

The curves over a budget are not fitted here: their hyper-parameters are scikit-learn's (`curve_fit`), without priors,
and every formula that was written holds them to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sampler.architecture import FloatArray

# The relative gain below which a step is the last: scipy's own.
_TOLERANCE = 2.220446049250313e-09


@dataclass(frozen=True, eq=False)
class LogPrior:
    """Independent normal priors of the logs of p hyper-parameters.

    Attributes:
        centres: `(p,)` means.
        deviations: `(p,)` standard deviations.
        bounds: `(p, 2)` lowest and highest values that a search goes to.
    """

    centres: FloatArray
    deviations: FloatArray
    bounds: FloatArray

    def penalty(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Negative log density of `(p,)` logs up to its constant, and its gradient."""
        off = (theta - self.centres) / self.deviations
        return 0.5 * float(off @ off), off / self.deviations


def most_probable(
    objective: Callable[..., tuple[float, FloatArray]],
    start: FloatArray,
    arguments: tuple[Any, ...],
    prior: LogPrior,
    steps: int,
    tolerance: float = _TOLERANCE,
) -> tuple[FloatArray, float]:
    """The `(p,)` logs of lowest objective that L-BFGS-B finds from a start, and that objective.

    Args:
        objective: Negative log posterior and its gradient, of the logs and the arguments.
        start: `(p,)` logs; brought within the bounds.
        arguments: Further arguments of the objective.
        prior: Prior whose bounds hold.
        steps: Most steps.
        tolerance: Relative gain below which it ends.
    """
    from scipy.optimize import minimize

    result = minimize(
        objective,
        np.clip(start, *prior.bounds.T),
        arguments,
        "L-BFGS-B",
        jac=True,
        bounds=prior.bounds,
        options={"maxiter": steps, "ftol": tolerance},
    )
    return result.x, float(result.fun)
