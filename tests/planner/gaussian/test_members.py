"""Hyper-parameters of the members, against GPyTorch's likelihood and BoTorch's fit."""

import warnings

import botorch
import gpytorch
import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime

from planner.gaussian.kernels import CONSTANT, NUGGET_VARIANCE
from planner.gaussian.members import fitted_member, member_prior, negative_log_density, tuned


def test_gradients_are_those_of_finite_differences(kernel, rows, hyperparameters):
    seen, theta = rows(), hyperparameters(kernel)
    _, gradient = negative_log_density(theta, kernel, seen)
    wanted = approx_fprime(theta, lambda at: negative_log_density(at, kernel, seen)[0], 1e-6)
    assert np.allclose(gradient, wanted, rtol=1e-4, atol=1e-4)


def fitted_by_botorch(kernel, theta, seen, steps):
    """Log hyper-parameters after some steps of BoTorch's fit from these, within our bounds."""
    model = gpytorch_model(kernel, theta, seen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it stopped after these steps, and what torch has deprecated
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        botorch.optim.fit.fit_gpytorch_mll_scipy(mll, options={"maxiter": steps})
    return np.clip(model.theta.detach().numpy(), *member_prior(kernel, seen.x.shape[1]).bounds.T)


def gpytorch_model(kernel, theta, seen):
    """The member as a GPyTorch model of float64, with `theta` its only parameter and our priors on it."""
    x, w, known = (torch.as_tensor(values, dtype=torch.float64) for values in (seen.x, seen.w, seen.noise))
    prior = member_prior(kernel, seen.x.shape[1])
    centres, deviations = torch.as_tensor(prior.centres), torch.as_tensor(prior.deviations)

    class Covariance(gpytorch.kernels.Kernel):
        def __init__(self):
            super().__init__()
            self.register_parameter("theta", torch.nn.Parameter(torch.as_tensor(theta).clone()))
            prior_of_logs = gpytorch.priors.NormalPrior(centres, deviations)
            self.register_prior("logs", prior_of_logs, lambda module: module.theta)

        def forward(self, x1, x2, diag=False, **_):
            dense = _covariance(kernel, self.theta, x1, x2)
            return dense.diagonal(dim1=-2, dim2=-1) if diag else dense

    class Model(gpytorch.models.ExactGP, botorch.models.gpytorch.GPyTorchModel):
        _num_outputs = 1

        def __init__(self):
            likelihood = gpytorch.likelihoods.FixedNoiseGaussianLikelihood(known + NUGGET_VARIANCE)
            super().__init__(x, w, likelihood)
            self.covariance = Covariance()

        @property
        def theta(self):
            return self.covariance.theta

        def forward(self, inputs):
            covariance = self.covariance(inputs).to_dense()
            if self.training:
                covariance = covariance + self.theta[1].exp() * torch.eye(len(inputs), dtype=torch.float64)
            return gpytorch.distributions.MultivariateNormal(
                torch.zeros(inputs.shape[:-1], dtype=torch.float64), covariance
            )

    return Model()


def _covariance(kernel, theta, x, z):
    """`Kernel.covariance` in torch."""
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


def test_the_objective_is_gpytorch_s_marginal_likelihood_up_to_constants(kernel, rows, hyperparameters):
    seen = rows()

    def negative(theta):
        model = gpytorch_model(kernel, theta, seen)
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        return -mll(model(*model.train_inputs), model.train_targets).item() * len(seen.w)

    one, two = hyperparameters(kernel, 1), hyperparameters(kernel, 2)
    ours = negative_log_density(one, kernel, seen)[0] - negative_log_density(two, kernel, seen)[0]
    assert ours == pytest.approx(negative(one) - negative(two), abs=1e-6)


def test_botorch_s_fit_finds_nothing_better_than_ours(kernel, rows, hyperparameters):
    seen, start = rows(), hyperparameters(kernel)
    best, value = tuned(kernel, seen)
    assert value == pytest.approx(negative_log_density(best, kernel, seen)[0])
    assert (
        negative_log_density(fitted_by_botorch(kernel, start, seen, 5), kernel, seen)[0]
        < negative_log_density(start, kernel, seen)[0]
    )
    assert negative_log_density(fitted_by_botorch(kernel, best, seen, 50), kernel, seen)[0] > value - 1e-3


def test_a_collapsed_fit_starts_again_elsewhere(monkeypatch, rows, kernels):
    seen, kernel = rows(40), kernels[1]
    honest, _ = tuned(kernel, seen)
    starts = []

    def first_collapses(kernel, seen, start=None, steps=60):
        starts.append(start)
        theta, value = tuned(kernel, seen, start, steps)
        return (np.array([-14.0, 0.0, -14.0, 1.0]), 1e9) if len(starts) == 1 else (theta, value)

    monkeypatch.setattr("planner.gaussian.members.tuned", first_collapses)
    member = fitted_member(kernel, seen, seen)
    assert len(starts) == 3 and starts[0] is None
    assert np.allclose(member.theta, honest, atol=0.05)
