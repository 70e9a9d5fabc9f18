"""What a training is worth: the expected gain in hypervolume of a candidate whose cost is known exactly.

Notation, for a front of k points and n candidates:

    costs (k,)       logarithms of a cost, rising; a candidate's own is known, not modelled
    accuracies (k,)  of the front, rising with the costs
    reference        (highest log cost, lowest accuracy): the corner that bounds the hypervolume
    mean, std (n,)   of a candidate's accuracy, Gaussian

A candidate of log cost x and accuracy a dominates what lies at costs >= x and accuracies <= a. The front's points cut
the cost axis into strips; in the strip from s to t the front already reaches the height h, so the gain there is
(t - max(s, x)) * max(a - h, 0), and its expectation (t - max(s, x)) * EI(mean, std, h), with EI the expected
improvement of one objective. The sum over strips is the expected hypervolume improvement (Emmerich et al. 2011)
of two objectives, one of which has no variance. It is added up in logarithms, after Ament et al. 2023
(https://arxiv.org/abs/2310.20708): far from the front it would round to zero, and nothing could be ranked.

The functions take arrays of numpy or tensors of torch, and give the same kind back: tensors where there are very many
candidates, or BoTorch wants gradients; arrays where torch, which takes seconds to load, is not needed otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from sampler.architecture import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values", FloatArray, "Tensor")
# Candidates scored at a time; with 50 strips, 26 MB a temporary.
_CHUNK = 65_536
LOG_2PI = math.log(2 * math.pi)
# Below, 1 + z Phi(z) / phi(z) is all rounding, and its limit 1 / z^2 is exact to 1e-9.
_FAR = -3e4


@dataclass(frozen=True, eq=False)
class FrontStaircase:
    """The best accuracy that has been reached for every cost.

    Attributes:
        edges: `(k + 2,)` log costs, rising: from minus infinity over the front's to the reference's.
        heights: `(k + 1,)` accuracies reached between them, rising; the first is the reference's.
    """

    edges: FloatArray
    heights: FloatArray

    @classmethod
    def of(cls, costs: ArrayLike, accuracies: ArrayLike, reference: tuple[float, float]) -> FrontStaircase:
        """The staircase of any points; those that are dominated or beyond the reference do not matter.

        Args:
            costs: `(m,)` log costs.
            accuracies: `(m,)`.
            reference: Highest log cost and lowest accuracy.

        Raises:
            ValueError: If a number is missing or not finite.
        """
        limit, floor = reference
        costs, accuracies = np.asarray(costs, dtype=np.float64), np.asarray(accuracies, dtype=np.float64)
        if not all(np.isfinite(numbers).all() for numbers in (costs, accuracies, reference)):
            raise ValueError("costs, accuracies and reference must be finite; leave out trainings that failed")
        edges, heights = [-math.inf], [floor]
        for i in np.lexsort((-accuracies, costs)):
            if costs[i] < limit and accuracies[i] > heights[-1]:
                edges.append(float(costs[i]))
                heights.append(float(accuracies[i]))
        return cls(np.array([*edges, limit]), np.array(heights))

    def hypervolume(self) -> float:
        """Area between the front and the reference, in units of log cost times accuracy."""
        widths = np.diff(self.edges[1:])
        return float((widths * (self.heights[1:] - self.heights[0])).sum())

    def reached(self, costs: Values) -> Values:
        """`(n,)` accuracies reached at `(n,)` log costs."""
        library, _ = _libraries(costs)
        strip = library.searchsorted(_like(self.edges[1:-1], costs), costs, side="right")
        reached: Values = _like(self.heights, costs)[strip]
        return reached


def _libraries(values: Any) -> tuple[Any, Any]:
    """The library of an array or a tensor, and its special functions; their functions used here share their names."""
    if isinstance(values, np.ndarray | np.generic):
        import scipy.special

        return np, scipy.special
    import torch

    return torch, torch.special


def _like(array: FloatArray, values: Any) -> Any:
    """An array as the kind of values that it is computed with."""
    return array if isinstance(values, np.ndarray | np.generic) else values.new_tensor(array)


def log_expected_gain(mean: Values, std: Values, costs: Values, front: FrontStaircase) -> Values:
    """Logarithm of the expected gain in hypervolume of every candidate on its own.

    Args:
        mean: `(n,)` expected accuracies.
        std: `(n,)` their standard deviations; 0 for what is known.
        costs: `(n,)` log costs.
        front: Best accuracies reached so far.

    Returns:
        `(n,)`; minus infinity where nothing can be gained.
    """
    parts: list[Any] = [
        _log_gain(mean[start : start + _CHUNK], std[start : start + _CHUNK], costs[start : start + _CHUNK], front)
        for start in range(0, len(mean), _CHUNK)
    ]
    joined: Values = _libraries(mean)[0].concatenate([mean[:0], *parts])
    return joined


def log_most_gain(mean: Values, std: Values, costs: Values, front: FrontStaircase) -> Values:
    """An upper bound of `log_expected_gain`, at the price of one strip: as if the front rose nowhere after a candidate.

    Args and returns as there.
    """
    library, _ = _libraries(mean)
    with np.errstate(divide="ignore"):
        width = library.log((float(front.edges[-1]) - costs).clip(0, None))
    most: Values = width + log_improvement(mean, std, front.reached(costs))
    return most


def _log_gain(mean: Values, std: Values, costs: Values, front: FrontStaircase) -> Values:
    library, special = _libraries(mean)
    edges, heights = _like(front.edges, costs), _like(front.heights, costs)
    widths = (edges[1:] - library.maximum(edges[:-1], costs[:, None])).clip(0, None)
    with np.errstate(divide="ignore"):
        strips = library.log(widths) + log_improvement(mean[:, None], std[:, None], heights)
        gain: Values = special.logsumexp(strips, axis=-1)
    return gain


def log_improvement(mean: Values, std: Values, height: Values) -> Values:
    """Logarithm of the expected improvement of a Gaussian over a height; of what is certain where std is 0."""
    library, _ = _libraries(mean)
    above = mean - height
    z = above / std.clip(1e-300, None)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        uncertain = library.log(std) + _log_phi_and_z_Phi(z)
        improvement: Values = library.where(std > 0, uncertain, library.log(above.clip(0, None)))
    return improvement


def _log_phi_and_z_Phi(z: Values) -> Values:  # noqa: N802  # phi and Phi are two functions
    """log(phi(z) + z Phi(z)), to rounding for every z: Eq. 9 of Ament et al."""
    library, special = _libraries(z)
    near = z.clip(-1, None)
    direct = library.log(library.exp(-0.5 * near**2 - 0.5 * LOG_2PI) + near * special.ndtr(near))
    tail = z.clip(_FAR, -1)
    ratio = math.sqrt(math.pi / 2) * special.erfcx(-tail / math.sqrt(2))
    decline = library.where(z > _FAR, library.log1p(tail * ratio), -2 * library.log(abs(z.clip(None, -1))))
    logs: Values = library.where(z > -1, direct, -0.5 * z**2 - 0.5 * LOG_2PI + decline)
    return logs
