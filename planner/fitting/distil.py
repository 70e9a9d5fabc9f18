"""The formula distilled from answers: smooth curves whose networks are expected to score highest over all budgets.

What was trained is scattered, and the mean of good networks is not a good network. So no curve is drawn through points:
of all smooth, never falling curves r(c) and d(c) that one is searched whose rounded networks have the highest mean
score over budgets evenly spaced in log c, by all that is known (`planner.fitting.landscape`). The score is an
expectation, so each network counts with the probability that it is good.

    1. At each budget, all (r, d), weighted by the softmax of their scores: the mean is a first curve.
    2. Its values at a few anchors are moved, one by one and together, as long as the mean score rises, less a weak pull
       to the first curve. The scores are blurred by neighbouring budgets and roundings: what is only good at a point
       is not followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.fitting.landscape import Landscape
from planner.gaussian.curve import Curve, precision_of
from planner.gaussian.kernels import curve_covariance
from sampler.architecture import FloatArray

DISTILLED_BUDGETS = 40  # of one direction
BLUR = (1.0, 2.0, 2.0)  # budgets, places of r and of d
SOFT = 0.5  # temperature of the softmax, as a share of the surrogate's usual standard deviation
_PULL = 0.5  # standard deviations of the scores that a mean squared distance of 1 (in logs) from the first curve costs
FORBIDDEN = 5.0  # the same, for each unit of the logarithm that a curve falls, or leaves the range of the trainings
# A curve's prior: a power law of an exponent about 0.3, and departures of a quarter over a factor of 3 in c.
SLOPE_VARIANCE, VARIANCE, LENGTH_SCALE, NUGGET = 0.1, 0.05, 1.0, 4e-4
_APART, _FEWEST, _MOST = 0.4, 5, 10  # of the anchors: how far in log c, and how many
_STEPS = np.array([-0.3, -0.15, -0.08, -0.04, -0.02, 0.02, 0.04, 0.08, 0.15, 0.3])
_MOST_MOVES = 100
LEAST_GAIN = 1e-3  # of a move, in standard deviations of the scores


@dataclass(frozen=True, eq=False)
class Distilled:
    """The curves, and the standard deviation of near-best networks' log r and log d about them."""

    r: Curve
    d: Curve
    scatter: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Anchors:
    """Curves as values at a few places, joined by a Gaussian process.

    Attributes:
        x: `(a,)` log c of the places.
        precision: `(a, a)` inverse covariance of the values.
        weights: `(k, a)` what the curve at each budget takes of each value.
    """

    x: FloatArray
    precision: FloatArray
    weights: FloatArray

    @classmethod
    def over(cls, x: FloatArray) -> _Anchors:
        """Anchors for budgets of `(k,)` rising log c."""
        number = int(np.clip(round((x[-1] - x[0]) / _APART) + 1, _FEWEST, _MOST))
        places = np.linspace(x[0], x[-1], number)
        precision = precision_of(places, SLOPE_VARIANCE, VARIANCE, LENGTH_SCALE, NUGGET)
        across = curve_covariance(x, places, SLOPE_VARIANCE, VARIANCE, LENGTH_SCALE)
        return cls(places, precision, across @ precision)

    def curve(self, values: FloatArray, noise_variance: float) -> Curve:
        """The curve of `(a,)` values of a logarithm; near-best networks lie about it with this variance."""
        alpha = self.precision @ values
        slope = SLOPE_VARIANCE * float(self.x @ alpha)
        numbers = (0.0, slope, SLOPE_VARIANCE, VARIANCE, LENGTH_SCALE, max(noise_variance, NUGGET))
        return Curve("log", "log", *numbers, self.x, alpha)

    def moves(self) -> FloatArray:
        """`(m, 2 a)` changes of the values of r, then of d: of one anchor, of three neighbours, all, and a tilt."""
        number = len(self.x)
        one = np.eye(number)
        three = np.minimum(1.0, one + np.eye(number, k=1) + np.eye(number, k=-1))
        shapes = np.vstack([one, three, np.ones(number), np.linspace(-1, 1, number)])
        nothing = np.zeros_like(shapes)
        both = np.vstack([np.hstack(pair) for pair in ((shapes, nothing), (nothing, shapes), (shapes, -shapes))])
        return np.vstack([step * both for step in _STEPS])


def distilled(landscape: Landscape, deviation: float) -> Distilled:
    """The curves whose networks are expected to score highest.

    Args:
        landscape: Expected scores over budgets, r and d.
        deviation: The surrogate's usual standard deviation there: what differs by less is as good.
    """
    blurred = landscape.smoothed(BLUR)
    weights = _softmax(blurred, SOFT * deviation)
    first = (np.einsum("kij,i->k", weights, blurred.u), np.einsum("kij,j->k", weights, blurred.v))
    anchors = _Anchors.over(landscape.x)
    values = _moved(blurred, anchors, np.concatenate([np.interp(anchors.x, landscape.x, one) for one in first]))
    found, scatter = {}, {}
    for name, axis, places, mine in zip("rd", (1, 2), (blurred.u, blurred.v), np.split(values, 2), strict=True):
        off = (places - (anchors.weights @ mine)[:, None]) ** 2
        scatter[name] = float(np.sqrt((weights.sum(axis=3 - axis) * off).sum(axis=1).mean()))
        found[name] = anchors.curve(mine, scatter[name] ** 2)
    return Distilled(found["r"], found["d"], scatter)


def _softmax(landscape: Landscape, temperature: float) -> FloatArray:
    """`(k, i, j)` weights that sum to 1 at each budget."""
    scores = landscape.scores - landscape.scores.max(axis=(1, 2), keepdims=True)
    weights = np.exp(scores / max(temperature, np.finfo(np.float64).tiny))
    result: FloatArray = weights / weights.sum(axis=(1, 2), keepdims=True)
    return result


def _moved(landscape: Landscape, anchors: _Anchors, first: FloatArray) -> FloatArray:
    """`(2 a,)` values of log r, then of log d at the anchors, by steepest ascent from the first."""
    unit = float(np.std(landscape.scores)) or 1.0

    def worth(values: FloatArray) -> FloatArray:
        """`(n,)` objectives of `(n, 2 a)` values, in standard deviations of the scores."""
        r, d = (part @ anchors.weights.T for part in np.split(values, 2, axis=1))
        falls = sum((np.maximum.accumulate(one, axis=1) - one).max(axis=1) for one in (r, d))
        far, off = ((values - first) ** 2).mean(axis=1), falls + landscape.beyond(r, d)
        return np.asarray(landscape.at(r, d).mean(axis=1) / unit - _PULL * far - FORBIDDEN * off)

    moves, values = anchors.moves(), first
    height = worth(values[None, :])[0]
    for _ in range(_MOST_MOVES):
        tried = values + moves
        heights = worth(tried)
        best = int(heights.argmax())
        if heights[best] < height + LEAST_GAIN:
            break
        values, height = tried[best], heights[best]
    return values
