"""Whether r and d grow with the budget, and the smoother curve that does, where the data allow it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.formulas.protocol import FormulaCurve
from planner.gaussian.curve_fit import CurveFit
from sampler.architecture import FloatArray

_STEPS = 200  # values of c at which a curve is looked at
# Below the highest value so far, in logs (in r itself for `tinynet`): a quarter of a pixel of 224 is rounded away.
FALL = 1e-3
# Length scales tried, as multiples of the fitted one; infinity is a power law and nothing else.
STIFFER = (1.5, 2.0, 3.0, 5.0, 8.0, math.inf)
# A smoother curve may have a leave-one-out error this much larger: then the data do not contradict it.
ALLOWED = 1.1


@dataclass(frozen=True)
class Shape:
    """What is known of a curve's direction over the fitted range.

    Attributes:
        monotone: Whether it never falls with c.
        smoothed: Whether it had to be smoothed for that.
        price: Leave-one-out error of the best curve that never falls, over that of the curve as fitted; 1 where
            that one never falls, None where no smoother one was tried or none was monotone.
        falls: From which c to which the curve falls farthest, None where it never does.
    """

    monotone: bool
    smoothed: bool = False
    price: float | None = 1.0
    falls: tuple[float, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        falls = None if self.falls is None else list(self.falls)
        return {"monotone": self.monotone, "smoothed": self.smoothed, "price": self.price, "falls": falls}


def falls_between(curve: FormulaCurve, c_range: tuple[float, float]) -> tuple[float, float] | None:
    """From which c to which a curve falls farthest within a range, or None where it never does, up to rounding."""
    c: FloatArray = np.geomspace(*c_range, _STEPS)
    mean = curve.mean(c)
    below = np.maximum.accumulate(mean) - mean
    last = int(np.argmax(below))
    return (float(c[np.argmax(mean[: last + 1])]), float(c[last])) if below[last] > FALL else None


def never_falling(x: FloatArray, y: FloatArray) -> FloatArray:
    """The nearest values `(m,)` that never fall with x, by least squares."""
    from sklearn.isotonic import IsotonicRegression

    return np.asarray(IsotonicRegression().fit_transform(x, y), dtype=np.float64)


def made_monotone(
    fitted: CurveFit, c_range: tuple[float, float], refit: Callable[[float, bool], CurveFit] | None
) -> tuple[CurveFit, Shape]:
    """The curve as fitted where it never falls, or else the first smoother one that the data allow.

    Tried are longer length scales, then the same with the points moved to the nearest that never fall (isotonic
    regression). Allowed is a leave-one-out error of at most 1.1 times that of the curve as fitted. Where none is, the
    curve stays as the data have it.

    Args:
        fitted: The curve of maximum likelihood.
        c_range: Smallest and largest c at which it will be asked.
        refit: Gives the fit whose length scale is at least so large, to points as they are (False) or moved (True);
            None where the curve must stay as it is.
    """
    falls = falls_between(fitted.curve, c_range)
    if falls is None:
        return fitted, Shape(True)
    prices = []
    tried = [(factor, False) for factor in STIFFER] + [(factor, True) for factor in (1.0, *STIFFER[:-1])]
    for factor, moved in tried if refit else ():
        assert refit is not None
        smoother = refit(factor * fitted.curve.length_scale, moved)
        if falls_between(smoother.curve, c_range) is None:
            prices.append(smoother.rmse / fitted.rmse)
            if prices[-1] <= ALLOWED:
                return smoother, Shape(True, True, prices[-1])
    return fitted, Shape(False, False, min(prices) if prices else None, falls)
