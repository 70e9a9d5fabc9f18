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
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from botorch.acquisition.analytic import AnalyticAcquisitionFunction
from botorch.models.model import Model
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.utils.transforms import t_batch_mode_transform
from torch import Tensor

# Candidates scored at a time; with 50 strips, 26 MB a temporary.
CHUNK = 65_536
LOG_2PI = math.log(2 * math.pi)
# Below, 1 + z Phi(z) / phi(z) is all rounding, and its limit 1 / z^2 is exact to 1e-9.
FAR = -3e4


@dataclass(frozen=True, eq=False)
class Staircase:
    """The best accuracy that has been reached for every cost.

    Attributes:
        edges: `(k + 2,)` log costs, rising: from minus infinity over the front's to the reference's.
        heights: `(k + 1,)` accuracies reached between them, rising; the first is the reference's.
    """

    edges: Tensor
    heights: Tensor

    @classmethod
    def of(cls, costs: Tensor, accuracies: Tensor, reference: tuple[float, float]) -> Staircase:
        """The staircase of any points; those that are dominated or beyond the reference do not matter.

        Args:
            costs: `(m,)` log costs.
            accuracies: `(m,)`.
            reference: Highest log cost and lowest accuracy.

        Raises:
            ValueError: If a number is missing or not finite.
        """
        limit, floor = reference
        points = torch.stack([costs.double(), accuracies.double()]) if len(costs) else _float64([]).reshape(2, 0)
        if not (torch.isfinite(points).all() and math.isfinite(limit) and math.isfinite(floor)):
            raise ValueError("costs, accuracies and reference must be finite; leave out trainings that failed")
        order = sorted(range(points.shape[1]), key=lambda i: (float(points[0, i]), -float(points[1, i])))
        edges, heights = [-math.inf], [floor]
        for i in order:
            cost, accuracy = float(points[0, i]), float(points[1, i])
            if cost < limit and accuracy > heights[-1]:
                edges.append(cost)
                heights.append(accuracy)
        return cls(_float64([*edges, limit]), _float64(heights))

    def hypervolume(self) -> float:
        """Area between the front and the reference, in units of log cost times accuracy."""
        widths = self.edges[2:] - self.edges[1:-1]
        return float((widths * (self.heights[1:] - self.heights[0])).sum())


def _float64(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def log_expected_gain(mean: Tensor, std: Tensor, costs: Tensor, front: Staircase) -> Tensor:
    """Logarithm of the expected gain in hypervolume of every candidate on its own.

    Args:
        mean: `(n,)` expected accuracies.
        std: `(n,)` their standard deviations; 0 for what is known.
        costs: `(n,)` log costs.
        front: What has been reached.

    Returns:
        `(n,)`; minus infinity where nothing can be gained.
    """
    parts = [
        _log_gain(mean[start : start + CHUNK], std[start : start + CHUNK], costs[start : start + CHUNK], front)
        for start in range(0, len(mean), CHUNK)
    ]
    return torch.cat([mean[:0], *parts])


def log_most_gain(mean: Tensor, std: Tensor, costs: Tensor, front: Staircase) -> Tensor:
    """An upper bound of `log_expected_gain`, at the price of one strip: as if the front rose nowhere after a candidate.

    Args and returns as there.
    """
    strip = torch.searchsorted(front.edges[1:-1].contiguous(), costs, right=True)
    width = (front.edges[-1] - costs).clamp(min=0)
    return width.log() + log_improvement(mean, std, front.heights[strip])


def _log_gain(mean: Tensor, std: Tensor, costs: Tensor, front: Staircase) -> Tensor:
    starts = torch.maximum(front.edges[:-1], costs.unsqueeze(-1))
    widths = (front.edges[1:] - starts).clamp(min=0)
    return torch.logsumexp(widths.log() + log_improvement(mean.unsqueeze(-1), std.unsqueeze(-1), front.heights), dim=-1)


def log_improvement(mean: Tensor, std: Tensor, height: Tensor) -> Tensor:
    """Logarithm of the expected improvement of a Gaussian over a height; of what is certain where std is 0."""
    above = mean - height
    z = above / std.clamp(min=1e-300)
    uncertain = std.log() + _log_phi_and_z_Phi(z)
    return torch.where(std > 0, uncertain, above.clamp(min=0).log())


def _log_phi_and_z_Phi(z: Tensor) -> Tensor:  # noqa: N802  # phi and Phi are two functions
    """log(phi(z) + z Phi(z)), to rounding for every z: Eq. 9 of Ament et al."""
    near = z.clamp(min=-1)
    direct = torch.log(torch.exp(-0.5 * near**2 - 0.5 * LOG_2PI) + near * torch.special.ndtr(near))
    tail = z.clamp(min=FAR, max=-1)
    ratio = math.sqrt(math.pi / 2) * torch.special.erfcx(-tail / math.sqrt(2))
    decline = torch.where(z > FAR, torch.log1p(tail * ratio), -2 * torch.log(z.clamp(max=-1).abs()))
    return torch.where(z > -1, direct, -0.5 * z**2 - 0.5 * LOG_2PI + decline)


class ExactCostExpectedHypervolumeImprovement(AnalyticAcquisitionFunction):
    """The same as an acquisition function of BoTorch, over any single-outcome model of accuracy; log-valued.

    Evaluate candidates as `n x 1 x d`: as one batch of `n` the model would build an `n x n` covariance.

    Args:
        model: Gives the posterior of accuracy, to be maximised.
        cost: `(n, d)` inputs to `(n,)` costs, exactly; positive.
        front: What has been reached, over log costs.
    """

    def __init__(self, model: Model, cost: Callable[[Tensor], Tensor], front: Staircase) -> None:
        super().__init__(model=model)
        self.cost, self.front = cost, front

    @t_batch_mode_transform(expected_q=1)  # type: ignore[arg-type]
    def forward(self, X: Tensor) -> Tensor:  # noqa: N803  # BoTorch's name
        """`(n,)` log expected gains of `(n, 1, d)` inputs."""
        posterior = cast(GPyTorchPosterior, self.model.posterior(X))
        mean, variance = (part.reshape(len(X)).double() for part in (posterior.mean, posterior.variance))
        return log_expected_gain(
            mean, variance.clamp(min=0).sqrt(), self.cost(X.squeeze(-2)).double().log(), self.front
        )
