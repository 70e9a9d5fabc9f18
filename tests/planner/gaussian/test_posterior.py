"""The posterior of a member, against GPyTorch and the equations written out."""

import gpytorch
import numpy as np
import pytest
import torch

from planner.gaussian.kernels import NUGGET_VARIANCE
from planner.gaussian.posterior import Member


def by_gpytorch(kernel, theta, seen, x):
    """The member's posterior from GPyTorch's own kernels."""
    values = np.exp(theta)
    k = gpytorch.kernels
    linear = k.LinearKernel()
    linear.variance = values[0] / 3
    constant = k.ConstantKernel()
    constant.constant = torch.tensor(1.0)
    total = linear + constant
    if kernel.form == "joint":
        curved = k.ScaleKernel(k.MaternKernel(nu=2.5, ard_num_dims=3))
        curved.outputscale = values[2]
        curved.base_kernel.lengthscale = torch.tensor(values[3:][list(kernel.groups)])
        total = total + curved
    if kernel.form == "additive":
        for j in range(3):
            curved = k.ScaleKernel(k.MaternKernel(nu=2.5, active_dims=[j]))
            curved.outputscale = values[2] / 3
            curved.base_kernel.lengthscale = values[3 + j]
            total = total + curved

    class Model(gpytorch.models.ExactGP):
        def __init__(self):
            noise = torch.tensor(seen.noise + values[1] + NUGGET_VARIANCE)
            likelihood = gpytorch.likelihoods.FixedNoiseGaussianLikelihood(noise)
            super().__init__(torch.tensor(seen.x), torch.tensor(seen.w), likelihood)

        def forward(self, inputs):
            mean = torch.zeros(inputs.shape[:-1], dtype=torch.float64)
            return gpytorch.distributions.MultivariateNormal(mean, total.double()(inputs))

    model = Model().double().eval()
    with torch.no_grad(), gpytorch.settings.fast_computations(False, False, False):
        found = model(torch.tensor(x))
        return found.mean.numpy(), found.variance.numpy()


def test_the_posterior_is_gpytorch_s(kernel, rows, hyperparameters):
    seen, theta = rows(), hyperparameters(kernel)
    x = np.random.default_rng(1).normal(size=(40, 3)) * 2
    mean, variance = Member(kernel, theta, seen).predict(x)
    wanted = by_gpytorch(kernel, theta, seen, x)
    assert np.allclose(mean, wanted[0], rtol=0, atol=1e-6)
    assert np.allclose(variance, wanted[1], rtol=0, atol=1e-6)


def test_the_posterior_is_that_of_the_equations_written_out(kernel, rows, hyperparameters):
    seen, theta = rows(), hyperparameters(kernel)
    x = np.random.default_rng(1).normal(size=(5, 3))
    noisy = kernel.covariance(theta, seen.x, seen.x) + np.diag(seen.noise + np.exp(theta[1]) + NUGGET_VARIANCE)
    across = kernel.covariance(theta, x, seen.x)
    mean, variance = Member(kernel, theta, seen).predict(x)
    assert np.allclose(mean, across @ np.linalg.solve(noisy, seen.w))
    prior = np.diag(kernel.covariance(theta, x, x))
    assert np.allclose(variance, prior - np.diag(across @ np.linalg.solve(noisy, across.T)))
    assert np.allclose(kernel.variance(theta, x), prior)


@pytest.mark.parametrize("later", [1, 7])
def test_rows_that_come_later_give_what_all_at_once_give(kernel, later, rows, hyperparameters):
    seen, theta = rows(), hyperparameters(kernel)
    order = np.arange(len(seen.w))
    first, rest = seen.rows(order[:-later]), seen.rows(order[-later:])
    member, whole = Member(kernel, theta, first).conditioned(rest), Member(kernel, theta, seen)
    assert np.allclose(member.whitener, whole.whitener, rtol=0, atol=1e-9)
    assert np.allclose(member.alpha, whole.alpha, rtol=0, atol=1e-9)
    assert np.array_equal(member.seen.x, seen.x) and np.array_equal(member.seen.noise, seen.noise)


def test_covariances_are_those_of_the_joint_posterior_written_out(kernel, rows, hyperparameters):
    seen, theta = rows(), hyperparameters(kernel)
    rng = np.random.default_rng(2)
    x, z = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    member, both = Member(kernel, theta, seen), np.concatenate([x, z])
    assert np.allclose(kernel.paired(theta, x, z), kernel.covariance(theta, x, z).diagonal())
    prior = kernel.covariance(theta, seen.x, seen.x) + np.diag(seen.noise + member.noise + NUGGET_VARIANCE)
    across = kernel.covariance(theta, both, seen.x)
    joint = kernel.covariance(theta, both, both) - across @ np.linalg.solve(prior, across.T)
    assert np.allclose(member.covariance(x, z), joint[:6, 6:])
    assert np.allclose(member.covariance(x, z, paired=True), joint[:6, 6:].diagonal())
    assert np.allclose(member.covariance(x, x, paired=True), member.predict(x)[1])


def test_leave_one_out_is_leaving_one_out(kernel, rows, hyperparameters):
    seen, theta = rows(), hyperparameters(kernel)
    mean, variance = Member(kernel, theta, seen).leave_one_out()
    for row in range(len(seen.w)):
        others = np.flatnonzero(np.arange(len(seen.w)) != row)
        found, spread = Member(kernel, theta, seen.rows(others)).predict(seen.x[[row]])
        assert mean[row] == pytest.approx(found[0], abs=1e-8)
        assert variance[row] == pytest.approx(
            spread[0] + np.exp(theta[1]) + seen.noise[row] + NUGGET_VARIANCE, abs=1e-8
        )
