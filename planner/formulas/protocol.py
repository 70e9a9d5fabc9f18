"""What a formula's curves must be able to do, and how a kind of formula fits them: for curves that are not ours.

A formula has two curves in each direction, of the resolution multiplier r and of the depth multiplier d, over
c = MACs over the base network's MACs. `planner.formulas.conformance` checks a curve or a kind against this page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from numpy.typing import ArrayLike

from sampler.architecture import FloatArray


class FormulaCurve(Protocol):
    """A positive quantity as a function of c, with what is not known of it."""

    @property
    def output_scale(self) -> Literal["identity", "log"]:
        """`"log"` where mean and covariance are of the quantity's logarithm."""

    def __call__(self, c: ArrayLike) -> FloatArray:
        """The quantity at `(n,)` values of c."""

    def mean(self, c: ArrayLike) -> FloatArray:
        """The quantity at `(n,)` values of c, on the output's scale."""

    def posterior_covariance(self, c: ArrayLike) -> FloatArray:
        """Joint covariance `(n, n)` of the curve itself at `(n,)` values of c, on the output's scale."""

    def interval(self, c: float, level: float = 0.9) -> tuple[float, float]:
        """The quantities between which a new point at c falls with probability `level`."""

    def as_dict(self) -> dict[str, Any]:
        """The curve in JSON's types, from which its kind reads it again."""


@dataclass(frozen=True, eq=False)
class DirectionPoints:
    """The points of one direction that curves are fitted to.

    Attributes:
        c: `(m,)` MACs over the base network's MACs; at least four differ.
        r: `(m,)` resolution multipliers.
        d: `(m,)` depth multipliers.
        c_range: Smallest and largest c at which the curves will be asked.
        seed: Random seed of a fit that draws.
    """

    c: FloatArray
    r: FloatArray
    d: FloatArray
    c_range: tuple[float, float]
    seed: int


@dataclass(frozen=True, eq=False)
class LearnedCurve:
    """A fitted curve.

    Attributes:
        curve: The curve.
        rmse: Leave-one-out root mean square error, on the output's scale.
    """

    curve: FormulaCurve
    rmse: float


# The curves of r and of d for the points of one direction.
CurveFitter = Callable[[DirectionPoints], tuple[LearnedCurve, LearnedCurve]]
# The curve of what `as_dict` gave.
CurveReader = Callable[[dict[str, Any]], FormulaCurve]
