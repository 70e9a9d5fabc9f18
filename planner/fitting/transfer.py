"""An earlier study's curve as a prior mean, as far as leave-one-out on the new data bears it out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from planner.errors import PlannerError
from planner.formulas.branch import Direction
from planner.formulas.codec import read_formula_file
from planner.formulas.formula import FormulaCurves
from planner.formulas.protocol import FormulaCurve
from planner.gaussian.curve import Curve
from planner.gaussian.curve_fit import CurveFit
from planner.study.folder import folder_of

_WEIGHTS = (0.2, 0.4, 0.6, 0.8, 1.0)
# Of the log of the marginal likelihood: 20 to 1, strong evidence (Kass & Raftery 1995, section 3.2).
STRONG = 3.0


@dataclass(frozen=True)
class Transfer:
    """What a prior curve was worth to one new curve.

    Attributes:
        weight: Factor of the prior; 0 where it did not help.
        with_prior: Leave-one-out RMSE of the best weight tried.
        without: Leave-one-out RMSE without the prior.
        evidence: By how much that weight raises the log of the marginal likelihood.
    """

    weight: float
    with_prior: float
    without: float
    evidence: float

    def as_dict(self) -> dict[str, float]:
        """In JSON's types."""
        return {
            "weight": self.weight,
            "leave_one_out_with": self.with_prior,
            "leave_one_out_without": self.without,
            "log_evidence": self.evidence,
        }


def transferred(prior: Curve, alone: CurveFit, refit: Callable[[Curve, float], CurveFit]) -> tuple[CurveFit, Transfer]:
    """The new curve as a departure from the prior's, with the weight that predicts left-out points best.

    The prior is used only if that weight makes the leave-one-out error smaller and the marginal likelihood 20 times
    as large: five weights are tried, the best of five is lucky by itself, and with few points any bent prior has
    some weight with which it follows their scatter.

    Args:
        prior: The earlier curve.
        alone: The fit without it.
        refit: Gives the fit to what is left of the data after so much of the prior.
    """
    tried = [(weight, refit(prior, weight)) for weight in _WEIGHTS]
    weight, best = min(tried, key=lambda pair: pair[1].rmse)
    evidence = log_likelihood(best) - log_likelihood(alone)
    used = weight if best.rmse < alone.rmse and evidence >= STRONG else 0.0
    return (best if used else alone), Transfer(used, best.rmse, alone.rmse, evidence)


def log_likelihood(fitted: CurveFit) -> float:
    """Log of the marginal likelihood at the fitted hyper-parameters (Rasmussen & Williams 2006, Eq. 2.30)."""
    curve = fitted.curve
    fit = float(curve.alpha @ np.linalg.solve(curve.precision, curve.alpha))
    return 0.5 * (float(np.linalg.slogdet(curve.precision)[1]) - fit - len(curve.alpha) * math.log(2 * math.pi))


def departing(fitted: CurveFit, prior: Curve, weight: float) -> CurveFit:
    """A fit to residuals as a fit to the data: its curve gets the prior back."""
    return replace(fitted, curve=replace(fitted.curve, prior=prior, prior_weight=weight))


def prior_named(name: str) -> tuple[FormulaCurves, str]:
    """The formula of a file or of a study, and what to call it.

    Raises:
        PlannerError: If there is none.
    """
    path = Path(name)
    if path.is_file() or path.suffix == ".json":
        return read_formula_file(path, FormulaCurves), path.name
    path = folder_of(name) / "formula.json"
    if not path.is_file():
        raise PlannerError(
            f"--prior {name}: neither a formula file nor a study with one; run `planner fit --study {name}` first"
        )
    return read_formula_file(path, FormulaCurves), name


def prior_curve(prior: FormulaCurves, direction: Direction, name: str, like: str) -> Curve | None:
    """The prior's curve of one direction and dimension (`r` or `d`), or None where it has none.

    Raises:
        PlannerError: If it is on another scale than the new curve, which departs from it by a sum.
    """
    branch = prior.branches.get(direction)
    if branch is None:
        return None
    curve: FormulaCurve = getattr(branch, name)
    if not isinstance(curve, Curve) or curve.output_scale != like:
        raise PlannerError(
            f"the prior is of kind {prior.kind}, which models {name} itself and not its logarithm, or the other way "
            "round; fit both with the same --kind"
        )
    return curve
