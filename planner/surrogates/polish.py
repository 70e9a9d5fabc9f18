"""The last steps of the hyper-parameters' search, by GPyTorch's marginal likelihood and BoTorch's fitting, in float64.

The search itself runs on `members.objective`, whose exact gradients cost a tenth of automatic ones at a hundred rows;
it is the same function, so BoTorch starts near its optimum and a few steps suffice.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from planner.surrogates.kernels import CONSTANT, JITTER, Kernel
from planner.surrogates.members import bounds, objective, prior
from planner.surrogates.posterior import Seen
from sampler.architecture import FloatArray

STEPS = 5


def polished(kernel: Kernel, theta: FloatArray, seen: Seen) -> FloatArray:
    """Log hyper-parameters after BoTorch's fit from these; never ones of lower posterior density."""
    with warnings.catch_warnings():
        # BoTorch warns that it stopped after STEPS steps, and its libraries of what torch has deprecated.
        warnings.simplefilter("ignore")
        import botorch
        from gpytorch.mlls import ExactMarginalLogLikelihood

        model = gpytorch_model(kernel, theta, seen)
        try:
            mll = ExactMarginalLogLikelihood(model.likelihood, model)
            with one_thread():
                botorch.optim.fit.fit_gpytorch_mll_scipy(mll, options={"maxiter": STEPS})
        except (botorch.exceptions.errors.ModelFittingError, RuntimeError, ValueError):
            return theta
    low, high = np.array(bounds(kernel)).T
    found: FloatArray = np.clip(model.theta.detach().numpy(), low, high)
    return found if objective(found, kernel, seen)[0] <= objective(theta, kernel, seen)[0] else theta


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch sums in the same order whatever machine it runs on; matrices as small as these gain nothing by threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def gpytorch_model(kernel: Kernel, theta: FloatArray, seen: Seen) -> Any:
    """The member as a GPyTorch model of float64, with `theta` its only parameter and our priors on it."""
    import botorch
    import gpytorch
    import torch

    x, w, known = (torch.as_tensor(values, dtype=torch.float64) for values in (seen.x, seen.w, seen.noise))
    centres, deviations = (torch.as_tensor(values) for values in prior(kernel, seen.x.shape[1]))

    class Covariance(gpytorch.kernels.Kernel):  # type: ignore[misc]  # gpytorch has no types
        def __init__(self) -> None:
            super().__init__()
            self.register_parameter("theta", torch.nn.Parameter(torch.as_tensor(theta).clone()))
            prior_of_logs = gpytorch.priors.NormalPrior(centres, deviations)
            self.register_prior("logs", prior_of_logs, lambda module: module.theta)

        def forward(self, x1: Any, x2: Any, diag: bool = False, **_: Any) -> Any:
            dense = _covariance(kernel, self.theta, x1, x2)
            return dense.diagonal(dim1=-2, dim2=-1) if diag else dense

    class Model(gpytorch.models.ExactGP, botorch.models.gpytorch.GPyTorchModel):  # type: ignore[misc]
        _num_outputs = 1

        def __init__(self) -> None:
            likelihood = gpytorch.likelihoods.FixedNoiseGaussianLikelihood(known + JITTER)
            super().__init__(x, w, likelihood)
            self.covariance = Covariance()

        @property
        def theta(self) -> Any:
            return self.covariance.theta

        def forward(self, inputs: Any) -> Any:
            covariance = self.covariance(inputs).to_dense()
            if self.training:
                covariance = covariance + self.theta[1].exp() * torch.eye(len(inputs), dtype=torch.float64)
            return gpytorch.distributions.MultivariateNormal(
                torch.zeros(inputs.shape[:-1], dtype=torch.float64), covariance
            )

    return Model()


def _covariance(kernel: Kernel, theta: Any, x: Any, z: Any) -> Any:
    """`Kernel.covariance` in torch."""
    import torch

    d = x.shape[-1]
    total = CONSTANT + theta[0].exp() / max(d, 1) * (x @ z.transpose(-1, -2))
    if kernel.form == "linear":
        return total
    lengths = theta[3:].exp()[list(kernel.groups)]
    x, z = x / lengths, z / lengths
    if kernel.form == "joint":
        squared = (x * x).sum(-1)[..., :, None] + (z * z).sum(-1)[..., None, :] - 2 * (x @ z.transpose(-1, -2))
    else:
        squared = (x[..., :, None, :] - z[..., None, :, :]).pow(2).movedim(-1, 0)
    root = (5 * squared).clamp_min(1e-15).sqrt()
    correlation = (1 + root + root**2 / 3) * torch.exp(-root)
    return total + theta[2].exp() * (correlation if kernel.form == "joint" else correlation.mean(0))
