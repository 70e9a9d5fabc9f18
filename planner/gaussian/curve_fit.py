"""One Gaussian process over one input: hyper-parameters by scikit-learn's maximum likelihood, the rest in closed form.

Notation: x `(m,)` the input, y `(m,)` what is modelled, K their kernel matrix, precision = (K + noise I)^-1 and
alpha = precision (y - offset), as in `planner.gaussian.curve`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from planner.gaussian.curve import Curve, Scale, precision_of
from planner.gaussian.equations import left_out
from sampler.architecture import FloatArray

# Of r and d about their curve, in logs: rounding alone scatters them by some percent.
NOISE_BOUNDS = (4e-4, 0.5)
_RESTARTS = 4
MANY = 40  # points, whose likelihood has one clear maximum
_LONGEST = 20.0  # length scale: longer ones are straight lines over any range of c


@dataclass(frozen=True)
class CurveForm:
    """What a curve is a function of, and whether a power law is part of it.

    Attributes:
        input_scale: `"log"` where x = log c.
        output_scale: `"log"` where the logarithm of the quantity is modelled.
        linear: Whether a linear kernel is added: a slope, which both scales in logs make a power law.
        shortest: Smallest length scale of the RBF kernel, in units of x.
    """

    input_scale: Scale
    output_scale: Scale
    linear: bool
    shortest: float

    def input(self, c: FloatArray) -> FloatArray:
        """The x of c."""
        return np.log(c) if self.input_scale == "log" else c

    def output(self, values: FloatArray) -> FloatArray:
        """The y of a quantity."""
        return np.log(values) if self.output_scale == "log" else values


# In log c shorter scales would follow single trainings; over raw c the tiny networks lie within 0.06.
LOGLINEAR = CurveForm("log", "log", True, 0.7)
TINYNET = CurveForm("identity", "identity", False, 0.05)


@dataclass(frozen=True, eq=False)
class CurveFit:
    """A curve and its leave-one-out residuals `(m,)`, on the output's scale."""

    curve: Curve
    residuals: FloatArray

    @property
    def rmse(self) -> float:
        """Leave-one-out root mean squared error."""
        return float(np.sqrt(np.mean(self.residuals**2)))


def fit_process(
    x: FloatArray,
    y: FloatArray,
    form: CurveForm,
    seed: int,
    offset: float = 0.0,
    least_noise: float = 0.0,
    shortest: float | None = None,
) -> CurveFit:
    """The posterior at the hyper-parameters of maximum likelihood.

    Args:
        x: `(m,)` inputs, on the form's scale.
        y: `(m,)` values, on the form's scale.
        form: Scales, and whether a power law is part of it.
        seed: Random seed of the optimiser's restarts.
        offset: Constant of the mean.
        least_noise: Noise variance of a point at least.
        shortest: Smallest length scale, instead of the form's; infinity leaves the RBF kernel out.
    """
    slope_variance, variance, length_scale, noise = _hyperparameters(x, y - offset, form, seed, least_noise, shortest)
    precision = precision_of(x, slope_variance, variance, length_scale, noise)
    alpha = precision @ (y - offset)
    slope = slope_variance * float(x @ alpha)
    numbers = (offset, slope, slope_variance, variance, length_scale, noise)
    curve = Curve(form.input_scale, form.output_scale, *numbers, x, alpha)
    residuals, _ = left_out(alpha, np.diag(precision))
    return CurveFit(curve, residuals)


def _hyperparameters(
    x: FloatArray, y: FloatArray, form: CurveForm, seed: int, least_noise: float, shortest: float | None
) -> tuple[float, float, float, float]:
    """Variance of the slope, variance and length scale of the RBF, and noise variance."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    shortest = form.shortest if shortest is None else shortest
    least = min(max(NOISE_BOUNDS[0], least_noise), 0.99 * NOISE_BOUNDS[1])
    noise = WhiteKernel(max(0.01, least), (least, NOISE_BOUNDS[1]))
    trend = ConstantKernel(0.1, (1e-3, 10.0)) * DotProduct(sigma_0=0.0, sigma_0_bounds="fixed")
    longest = max(_LONGEST, shortest)
    start, bounds = (1.0, (shortest, longest)) if shortest < longest else (shortest, "fixed")
    smooth = ConstantKernel(0.05, (1e-4, 10.0)) * RBF(max(start, shortest), bounds)
    bent = np.isfinite(shortest)
    kernel = (trend + smooth if form.linear else smooth) + noise if bent else trend + noise
    restarts = _RESTARTS if len(x) <= MANY else 0
    process = GaussianProcessRegressor(kernel, n_restarts_optimizer=restarts, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a value at its bound is an answer here
        process.fit(x[:, None], y)
    learned = process.kernel_
    fitted, last = learned.k1, float(learned.k2.noise_level)
    if not bent:
        return float(fitted.k1.constant_value), 0.0, 1.0, last
    slope = float(fitted.k1.k1.constant_value) if form.linear else 0.0
    rbf = fitted.k2 if form.linear else fitted
    return slope, float(rbf.k1.constant_value), float(rbf.k2.length_scale), last
