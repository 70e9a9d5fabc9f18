"""One learned curve: a power law (or zero) plus a Gaussian process, in closed form.

Notation, for m fitted points:

    x             the input, c or log c               c = MACs over the base network's MACs
    inputs (m,)   the x of the fitted points
    alpha (m,)    (K + noise I)^-1 (y - offset)       Eq. 4 of TinyNet (arXiv:2010.14819)
    precision     (K + noise I)^-1, (m, m)

    mean(x) = offset + slope * x + variance * sum_i alpha_i exp(-(x - inputs_i)^2 / (2 length_scale^2))

The slope is the posterior mean of a linear kernel's weight, so the sum is one Gaussian process: far from the data
the second term vanishes and a power law is left, which is what compound scaling is.

A curve that was transferred departs from an earlier study's: prior_weight * prior.mean(x) is added to the mean, and
taken as known in the variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from planner.gaussian.kernels import curve_covariance, rbf
from planner.gaussian.outside import Outside, beyond_of
from sampler.architecture import FloatArray

Scale = Literal["identity", "log"]
_LEVEL = 0.9  # of the intervals that are told
REACH = NormalDist().inv_cdf(0.5 + _LEVEL / 2)
# A power law is said where it gives the multiplier to 10 % over the whole range: about one step of rounding.
FAR_FROM_POWER_LAW = 0.1


@dataclass(frozen=True)
class Exponent:
    """The power of c that a multiplier follows over a range.

    Attributes:
        value: Least-squares slope of its logarithm over log c.
        lower: Lower end of the 90 % interval.
        upper: Upper end.
        near_ends: Slopes over the lowest and over the highest third of the range.
        off: Largest distance of the power law from the multiplier, as a share of it.
    """

    value: float
    lower: float
    upper: float
    near_ends: tuple[float, float]
    off: float

    @property
    def power_law(self) -> bool:
        """Whether one exponent says what the curve does."""
        return self.off <= FAR_FROM_POWER_LAW

    @property
    def doubling(self) -> float:
        """What twice the MACs multiply it with."""
        return float(2**self.value)

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        ends = {"lower": self.lower, "upper": self.upper, "level": _LEVEL, "near_ends": list(self.near_ends)}
        return {"exponent": self.value, **ends, "off": self.off, "power_law": self.power_law, "doubling": self.doubling}


@dataclass(frozen=True, eq=False)
class Curve:
    """A quantity as a function of c.

    Attributes:
        input_scale: `"log"` where x = log c, `"identity"` where x = c.
        output_scale: `"log"` where the curve gives the logarithm of the quantity.
        offset: Constant of the mean.
        slope: Factor of x in the mean: the exponent of a power law where both scales are logs.
        slope_variance: Prior variance of the slope; 0 for a fixed slope.
        variance: Variance of the RBF kernel; 0 for a pure power law.
        length_scale: Length scale of the RBF kernel, in units of x.
        noise_variance: Variance of one fitted point about the curve, in units of the output squared.
        inputs: `(m,)` the x of the fitted points.
        alpha: `(m,)` their weights.
        prior: Curve of an earlier study on the same output scale, from which this one departs, or None.
        prior_weight: Factor of its mean.
    """

    input_scale: Scale
    output_scale: Scale
    offset: float
    slope: float
    slope_variance: float
    variance: float
    length_scale: float
    noise_variance: float
    inputs: FloatArray
    alpha: FloatArray
    prior: Curve | None = None
    prior_weight: float = 0.0

    @cached_property
    def precision(self) -> FloatArray:
        """`(m, m)`, for the variance; it follows from the kernel and the inputs.

        Raises:
            LinAlgError: If inputs repeat and there is no noise.
        """
        return precision_of(self.inputs, self.slope_variance, self.variance, self.length_scale, self.noise_variance)

    @property
    def far_exponent(self) -> float:
        """The slope, a prior's share included: of the power law that is left far from all data (both scales logs).

        It is no slope of the curve where there are data, unless the curve is a power law and nothing else: for that see
        `planner.formulas.exponents`.
        """
        return self.slope + (0.0 if self.prior is None else self.prior_weight * self.prior.far_exponent)

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types, as formula files have it; keys of a prior only where there is one."""
        document: dict[str, Any] = {"kernel": "rbf"}
        for field in fields(self):
            value = getattr(self, field.name)
            if self.prior is not None or not field.name.startswith("prior"):
                document[field.name] = value.as_dict() if isinstance(value, Curve) else value
        return {**document, "inputs": self.inputs.tolist(), "alpha": self.alpha.tolist()}

    def __call__(self, c: ArrayLike) -> FloatArray:
        """The quantity at `(n,)` values of c."""
        mean = self.mean(c)
        result: FloatArray = np.exp(mean) if self.output_scale == "log" else mean
        return result

    def mean(self, c: ArrayLike) -> FloatArray:
        """Posterior mean at `(n,)` values of c, on the output's scale."""
        x = self._x(c)
        near = self.variance * rbf(x, self.inputs, self.length_scale)
        result: FloatArray = self.offset + self.slope * x + near @ self.alpha
        return result if self.prior is None else result + self.prior_weight * self.prior.mean(c)

    def posterior_variance(self, c: ArrayLike) -> FloatArray:
        """Variance of a new point about the mean (noise included) at `(n,)` values of c, on the output's scale."""
        x = self._x(c)
        cross = self._covariance(x, self.inputs)
        prior = self.slope_variance * x**2 + self.variance
        explained = np.einsum("ni,ij,nj->n", cross, self.precision, cross)
        # Rounding can leave a tiny negative number where data are dense; the noise is a floor in any case.
        result: FloatArray = np.maximum(prior - explained, 0.0) + self.noise_variance
        return result

    def posterior_covariance(self, c: ArrayLike) -> FloatArray:
        """Joint covariance `(n, n)` of the curve itself (no noise) at `(n,)` values of c, on the output's scale."""
        x = self._x(c)
        cross = self._covariance(x, self.inputs)
        result: FloatArray = self._covariance(x, x) - cross @ self.precision @ cross.T
        return result

    def interval(self, c: float, level: float = _LEVEL, seen: tuple[float, float] | None = None) -> tuple[float, float]:
        """Bounds between which a new point falls with probability `level`, under the fitted model.

        Args:
            c: Cost over the base network's.
            level: Probability in (0, 1).
            seen: Range of c that was fitted: beyond it the bounds are wider, as a surrogate's are.
        """
        half = NormalDist().inv_cdf(0.5 + level / 2) * float(np.sqrt(self.posterior_variance(c)[0]))
        half = math.hypot(half, self._beyond(c, level, seen) if seen else 0.0)
        mean = float(self.mean(c)[0])
        low, high = mean - half, mean + half
        return (float(np.exp(low)), float(np.exp(high))) if self.output_scale == "log" else (low, high)

    def _beyond(self, c: float, level: float, seen: tuple[float, float]) -> float:
        """What extrapolating may be off by, on the output's scale: see `planner.gaussian.outside`."""
        (x,), ends = self._x(c), self._x(seen)
        away = beyond_of(np.array([[x]]), ends[:, None])[0]
        fitted = self.mean(np.exp(self.inputs) if self.input_scale == "log" else self.inputs)
        spread = float(np.std(fitted)) if len(fitted) else 0.0
        return spread * float(Outside().reach(np.maximum(away, 0), np.maximum(-away, 0), level)[0])

    def _x(self, c: ArrayLike) -> FloatArray:
        values = np.atleast_1d(np.asarray(c, dtype=np.float64))
        return np.log(values) if self.input_scale == "log" else values

    def _covariance(self, x: FloatArray, z: FloatArray) -> FloatArray:
        return curve_covariance(x, z, self.slope_variance, self.variance, self.length_scale)


def precision_of(
    inputs: FloatArray, slope_variance: float, variance: float, length_scale: float, noise_variance: float
) -> FloatArray:
    """`(m, m)` inverse of the covariance of fitted points, noise included."""
    covariance = curve_covariance(inputs, inputs, slope_variance, variance, length_scale)
    inverse: FloatArray = np.linalg.inv(covariance + noise_variance * np.eye(len(inputs))).astype(np.float64)
    return inverse


def power_law(exponent: float, at_one: float = 1.0) -> Curve:
    """The curve at_one * c^exponent, as a fixed rule has it."""
    nothing = np.empty(0)
    return Curve("log", "log", math.log(at_one), exponent, 0.0, 0.0, 1.0, 0.0, nothing, nothing)
