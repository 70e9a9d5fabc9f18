"""Curves of r and d over c from any points (c, r, d): no base network needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import PlannerError
from planner.fitting.monotone import Shape, made_monotone, never_falling
from planner.fitting.transfer import Transfer, departing, transferred
from planner.formulas.kinds import FORMULA_KINDS, OUR_KINDS, FormulaKind
from planner.formulas.protocol import FormulaCurve
from planner.front.pareto import distinct_budgets
from planner.gaussian.curve import Curve
from planner.gaussian.curve_fit import LOGLINEAR, TINYNET, CurveFit, fit_process
from sampler.architecture import FloatArray

_FORMS = {"log": LOGLINEAR, "identity": TINYNET}
# A curve is fitted to so many points; fewer would be followed one by one.
FEWEST_POINTS = 4


@dataclass(frozen=True, eq=False)
class FittedCurve:
    """One dimension over c.

    Attributes:
        curve: The curve.
        rmse: Leave-one-out RMSE, of the logarithm for `loglinear`.
        shape: Whether it grows with c.
        transfer: Worth of the prior, where there was one.
    """

    curve: FormulaCurve
    rmse: float
    shape: Shape
    transfer: Transfer | None = None


@dataclass(frozen=True, eq=False)
class FittedCurves:
    """Resolution and depth multipliers over c; the width is what the budget leaves."""

    r: FittedCurve
    d: FittedCurve


def fit_curves(
    c: ArrayLike,
    r: ArrayLike,
    d: ArrayLike,
    kind: str = "loglinear",
    seed: int = 0,
    c_range: tuple[float, float] | None = None,
    priors: tuple[Curve | None, Curve | None] = (None, None),
) -> FittedCurves:
    """Fits r(c) and d(c) to points of a front.

    Args:
        c: `(m,)` costs relative to the base network's.
        r: `(m,)` resolution multipliers.
        d: `(m,)` depth multipliers.
        kind: `"loglinear"`: log r over log c, a power law plus a Gaussian process; `"tinynet"`: r over c, a zero-mean
            Gaussian process with an RBF kernel, as section 3.2 of the paper has it.
        seed: Random seed of the optimiser's restarts.
        c_range: Range in which the curves will be asked, and so should not fall; the points' own by default.
        priors: Earlier curves of r and of d, from which to depart.

    Raises:
        PlannerError: If the kind is unknown, there are fewer than 4 points or not as many of each, or a value is not
            positive.
    """
    if kind not in OUR_KINDS or FORMULA_KINDS[kind].scale is None:
        known = (name for name in OUR_KINDS if FORMULA_KINDS[name].scale is not None)
        raise PlannerError(f"kind {kind!r} is unknown; known kinds: {', '.join(known)}")
    x, pair = _positive("c", c), [_positive("r", r), _positive("d", d)]
    if {len(values) for values in pair} != {len(x)}:
        raise PlannerError(
            f"c, r and d have {len(x)}, {len(pair[0])} and {len(pair[1])} values; give one each per point"
        )
    if len(x) < FEWEST_POINTS:
        raise PlannerError(f"{len(x)} points are too few to fit; give at least {FEWEST_POINTS}")
    if (distinct := distinct_budgets(x)) < FEWEST_POINTS:
        raise PlannerError(
            f"{len(x)} points at {distinct} distinct c are too few to fit; give at least {FEWEST_POINTS}"
        )
    asked = (float(x.min()), float(x.max())) if c_range is None else c_range
    fitted = partial(_fit_curve, x, FORMULA_KINDS[kind], seed, asked)
    return FittedCurves(*(fitted(values, prior) for values, prior in zip(pair, priors, strict=True)))


def _fit_curve(
    c: FloatArray, kind: FormulaKind, seed: int, c_range: tuple[float, float], values: FloatArray, prior: Curve | None
) -> FittedCurve:
    assert kind.scale is not None
    form = _FORMS[kind.scale]
    x, y = form.input(c), form.output(values)

    def refit(given: Curve | None, weight: float, shortest: float | None = None, moved: bool = False) -> CurveFit:
        points = never_falling(x, y) if moved else y
        rest = points if given is None or not weight else points - weight * given.mean(c)
        found = fit_process(x, rest, form, seed, shortest=shortest)
        # Moved points predict: what they miss is what was observed (though they knew a little of it).
        found = replace(found, residuals=found.residuals + y - points)
        return found if given is None or not weight else departing(found, given, weight)

    fitted, transfer = refit(None, 0.0), None
    if prior is not None:
        fitted, transfer = transferred(prior, fitted, refit)
    stiffer = partial(refit, fitted.curve.prior, fitted.curve.prior_weight)
    fitted, shape = made_monotone(fitted, c_range, stiffer if kind.monotone else None)
    return FittedCurve(fitted.curve, fitted.rmse, shape, transfer)


def _positive(name: str, values: ArrayLike) -> FloatArray:
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if not (np.isfinite(array) & (array > 0)).all():
        raise PlannerError(f"{name} must be finite and positive at every point; leave the others out")
    return array
