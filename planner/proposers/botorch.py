"""The expected gain in hypervolume at known cost (`planner.front.gains`) as an acquisition function of BoTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from botorch.acquisition.analytic import AnalyticAcquisitionFunction
from botorch.models.model import Model
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.utils.transforms import t_batch_mode_transform
from torch import Tensor

from planner.front.gains import FrontStaircase, log_expected_gain


class ExactCostExpectedHypervolumeImprovement(AnalyticAcquisitionFunction):
    """The expected gain in hypervolume, over any single-outcome model of accuracy; log-valued.

    Evaluate candidates as `n x 1 x d`: as one batch of `n` the model would build an `n x n` covariance.

    Args:
        model: Gives the posterior of accuracy, to be maximised.
        cost: `(n, d)` inputs to `(n,)` costs, exactly; positive.
        front: Front that was reached, over log costs.
    """

    def __init__(self, model: Model, cost: Callable[[Tensor], Tensor], front: FrontStaircase) -> None:
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
