"""The surrogate's parts against GPyTorch, scikit-learn, and definitions written out."""

import warnings

import botorch
import gpytorch
import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime
from scipy.stats import lognorm, norm

from planner.gaussian import features, warps, weights
from planner.gaussian.kernels import CONSTANT, JITTER, Kernel
from planner.gaussian.members import bounds, fitted, objective, prior, tuned
from planner.gaussian.posterior import Member, Mixture, Seen, _inverse_of_lower
from planner.surrogates import calibration
from planner.surrogates.choose import IDENTITY, LADDER, Problem, chosen, warp_at
from planner.surrogates.validate import HeldOut, coverage, folds_of

KERNELS = [
    Kernel("linear", "linear"),
    Kernel("one", "joint", (0, 0, 0)),
    Kernel("groups", "joint", (0, 1, 0)),
    Kernel("each", "joint", (0, 1, 2)),
    Kernel("additive", "additive", (0, 1, 2)),
]
by_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


def rows(n=25, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    w = np.sin(2 * x[:, 0]) + x[:, 1] + rng.normal(0, 0.1, n)
    return Seen(x, (w - w.mean()) / w.std(), rng.uniform(0, 0.05, n))


def hyperparameters(kernel, seed=0):
    return np.random.default_rng(seed).normal(-0.5, 0.7, kernel.size)


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
            noise = torch.tensor(seen.noise + values[1] + JITTER)
            likelihood = gpytorch.likelihoods.FixedNoiseGaussianLikelihood(noise)
            super().__init__(torch.tensor(seen.x), torch.tensor(seen.w), likelihood)

        def forward(self, inputs):
            mean = torch.zeros(inputs.shape[:-1], dtype=torch.float64)
            return gpytorch.distributions.MultivariateNormal(mean, total.double()(inputs))

    model = Model().double().eval()
    with torch.no_grad(), gpytorch.settings.fast_computations(False, False, False):
        found = model(torch.tensor(x))
        return found.mean.numpy(), found.variance.numpy()


@by_kernel
def test_the_posterior_is_gpytorch_s(kernel):
    seen, theta = rows(), hyperparameters(kernel)
    x = np.random.default_rng(1).normal(size=(40, 3)) * 2
    mean, variance = Member(kernel, theta, seen).predict(x)
    wanted = by_gpytorch(kernel, theta, seen, x)
    assert np.allclose(mean, wanted[0], rtol=0, atol=1e-6)
    assert np.allclose(variance, wanted[1], rtol=0, atol=1e-6)


@by_kernel
def test_the_posterior_is_that_of_the_equations_written_out(kernel):
    seen, theta = rows(), hyperparameters(kernel)
    x = np.random.default_rng(1).normal(size=(5, 3))
    noisy = kernel.covariance(theta, seen.x, seen.x) + np.diag(seen.noise + np.exp(theta[1]) + JITTER)
    across = kernel.covariance(theta, x, seen.x)
    mean, variance = Member(kernel, theta, seen).predict(x)
    assert np.allclose(mean, across @ np.linalg.solve(noisy, seen.w))
    prior = np.diag(kernel.covariance(theta, x, x))
    assert np.allclose(variance, prior - np.diag(across @ np.linalg.solve(noisy, across.T)))
    assert np.allclose(kernel.variance(theta, x), prior)


@by_kernel
@pytest.mark.parametrize("later", [1, 7])
def test_rows_that_come_later_give_what_all_at_once_give(kernel, later):
    seen, theta = rows(), hyperparameters(kernel)
    order = np.arange(len(seen.w))
    first, rest = seen.rows(order[:-later]), seen.rows(order[-later:])
    member, whole = Member(kernel, theta, first).conditioned(rest), Member(kernel, theta, seen)
    assert np.allclose(member.whitener, whole.whitener, rtol=0, atol=1e-9)
    assert np.allclose(member.alpha, whole.alpha, rtol=0, atol=1e-9)
    assert np.array_equal(member.seen.x, seen.x) and np.array_equal(member.seen.noise, seen.noise)


@by_kernel
def test_covariances_are_those_of_the_joint_posterior_written_out(kernel):
    seen, theta = rows(), hyperparameters(kernel)
    rng = np.random.default_rng(2)
    x, z = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    member, both = Member(kernel, theta, seen), np.concatenate([x, z])
    assert np.allclose(kernel.paired(theta, x, z), kernel.covariance(theta, x, z).diagonal())
    prior = kernel.covariance(theta, seen.x, seen.x) + np.diag(seen.noise + member.noise + JITTER)
    across = kernel.covariance(theta, both, seen.x)
    joint = kernel.covariance(theta, both, both) - across @ np.linalg.solve(prior, across.T)
    assert np.allclose(member.covariance(x, z), joint[:6, 6:])
    assert np.allclose(member.covariance(x, z, paired=True), joint[:6, 6:].diagonal())
    assert np.allclose(member.covariance(x, x, paired=True), member.predict(x)[1])


@by_kernel
def test_gradients_are_those_of_finite_differences(kernel):
    seen, theta = rows(), hyperparameters(kernel)
    _, gradient = objective(theta, kernel, seen)
    wanted = approx_fprime(theta, lambda at: objective(at, kernel, seen)[0], 1e-6)
    assert np.allclose(gradient, wanted, rtol=1e-4, atol=1e-4)


def fitted_by_botorch(kernel, theta, seen, steps):
    """Log hyper-parameters after some steps of BoTorch's fit from these, within our bounds."""
    model = gpytorch_model(kernel, theta, seen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it stopped after these steps, and what torch has deprecated
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        botorch.optim.fit.fit_gpytorch_mll_scipy(mll, options={"maxiter": steps})
    return np.clip(model.theta.detach().numpy(), *np.array(bounds(kernel)).T)


def gpytorch_model(kernel, theta, seen):
    """The member as a GPyTorch model of float64, with `theta` its only parameter and our priors on it."""
    x, w, known = (torch.as_tensor(values, dtype=torch.float64) for values in (seen.x, seen.w, seen.noise))
    centres, deviations = (torch.as_tensor(values) for values in prior(kernel, seen.x.shape[1]))

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
            likelihood = gpytorch.likelihoods.FixedNoiseGaussianLikelihood(known + JITTER)
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


@by_kernel
def test_the_objective_is_gpytorch_s_marginal_likelihood_up_to_constants(kernel):
    seen = rows()

    def negative(theta):
        model = gpytorch_model(kernel, theta, seen)
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        return -mll(model(*model.train_inputs), model.train_targets).item() * len(seen.w)

    one, two = hyperparameters(kernel, 1), hyperparameters(kernel, 2)
    ours = objective(one, kernel, seen)[0] - objective(two, kernel, seen)[0]
    assert ours == pytest.approx(negative(one) - negative(two), abs=1e-6)


@by_kernel
def test_botorch_s_fit_finds_nothing_better_than_ours(kernel):
    seen, start = rows(), hyperparameters(kernel)
    best, value = tuned(kernel, seen)
    assert value == pytest.approx(objective(best, kernel, seen)[0])
    assert objective(fitted_by_botorch(kernel, start, seen, 5), kernel, seen)[0] < objective(start, kernel, seen)[0]
    assert objective(fitted_by_botorch(kernel, best, seen, 50), kernel, seen)[0] > value - 1e-3


@by_kernel
def test_leave_one_out_is_leaving_one_out(kernel):
    seen, theta = rows(), hyperparameters(kernel)
    mean, variance = Member(kernel, theta, seen).leave_one_out()
    for row in range(len(seen.w)):
        others = np.flatnonzero(np.arange(len(seen.w)) != row)
        found, spread = Member(kernel, theta, seen.rows(others)).predict(seen.x[[row]])
        assert mean[row] == pytest.approx(found[0], abs=1e-8)
        assert variance[row] == pytest.approx(spread[0] + np.exp(theta[1]) + seen.noise[row] + JITTER, abs=1e-8)


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 200])
def test_triangular_inverses(n):
    factor = np.tril(np.random.default_rng(n).normal(size=(n, n))) / n + 2 * np.eye(n)
    assert np.allclose(_inverse_of_lower(factor) @ factor, np.eye(n), atol=1e-12)


def test_a_collapsed_fit_starts_again_elsewhere(monkeypatch):
    seen, kernel = rows(40), KERNELS[1]
    honest, _ = tuned(kernel, seen)
    starts = []

    def first_collapses(kernel, seen, start=None, steps=60):
        starts.append(start)
        theta, value = tuned(kernel, seen, start, steps)
        return (np.array([-14.0, 0.0, -14.0, 1.0]), 1e9) if len(starts) == 1 else (theta, value)

    monkeypatch.setattr("planner.gaussian.members.tuned", first_collapses)
    member = fitted(kernel, seen, seen)
    assert len(starts) == 3 and starts[0] is None
    assert np.allclose(member.theta, honest, atol=0.05)


def test_a_mixture_has_the_moments_of_its_members():
    seen = rows()
    members = tuple(Member(kernel, hyperparameters(kernel), seen) for kernel in KERNELS[:3])
    shares = np.array([0.2, 0.3, 0.5])
    warp = warps.Warp("identity", 0.0, 0.0, 1.0)
    plain = features.Features(("a", "b", "c"), ("raw",) * 3, np.ones(3), np.zeros(3), np.ones(3))
    x = np.random.default_rng(1).normal(size=(4, 3))
    mean, variance = Mixture(plain, warp, members, shares).at(x)
    rng = np.random.default_rng(2)
    for row in range(4):
        which = rng.choice(3, 200_000, p=shares)
        each = np.array([[found[row] for found in member.predict(x)] for member in members])
        draws = rng.normal(each[which, 0], np.sqrt(each[which, 1]))
        assert mean[row] == pytest.approx(draws.mean(), abs=0.02)
        assert variance[row] == pytest.approx(draws.var(), rel=0.02)


@pytest.mark.parametrize("kind", ["identity", "above", "below"])
def test_warps_rise_and_go_back(kind):
    target = np.random.default_rng(0).uniform(0.2, 0.7, 50)
    warp = warps.standardised(kind, {"identity": 0.0, "above": 0.75, "below": 0.1}[kind], target)
    warped = warp.forward(target)
    assert np.allclose(warp.back(warped), target)
    assert (np.diff(warped[np.argsort(target)]) > 0).all()
    assert warped.mean() == pytest.approx(0, abs=1e-12) and warped.std() == pytest.approx(1)
    step = 1e-6
    slopes = (warp.forward(target + step) - warp.forward(target - step)) / (2 * step)
    assert np.allclose(warp.slope(target), slopes, rtol=1e-5)


def test_moments_of_warps_are_log_normal_ones():
    above = warps.Warp("above", 0.8, 1.0, 0.5)
    mean, deviation = above.moments(np.array([0.3]), np.array([0.4]))
    distance = lognorm(s=0.5 * np.sqrt(0.4), scale=np.exp(-(1.0 + 0.5 * 0.3)))
    assert mean[0] == pytest.approx(0.8 - distance.mean())
    assert deviation[0] == pytest.approx(distance.std())
    below = warps.Warp("below", 0.1, 1.0, 0.5).moments(np.array([-0.3]), np.array([0.4]))
    distance = lognorm(s=0.5 * np.sqrt(0.4), scale=np.exp(1.0 - 0.5 * 0.3))
    assert below[0][0] == pytest.approx(0.1 + distance.mean()) and below[1][0] == pytest.approx(distance.std())


def test_the_ladder_rises_to_the_left_and_right_of_no_warp():
    target = np.random.default_rng(0).uniform(0.2, 0.7, 50)
    limits = [warp_at(rung, target).limit for rung in range(len(LADDER))]
    assert all(limit < target.min() for limit in limits[:IDENTITY])
    assert all(limit > target.max() for limit in limits[IDENTITY + 1 :])


def problem_of(target_of, n=60):
    rng = np.random.default_rng(0)
    inputs = np.column_stack([rng.integers(1, 9, n) * 8.0, rng.uniform(1, 100, n)])
    target = target_of(inputs, rng.normal(size=n))
    return Problem(("c1", "size"), inputs, target, np.zeros(n))


def test_a_straight_line_in_logs_is_left_unwarped_and_a_power_law_is_warped():
    straight = problem_of(lambda x, noise: 0.3 + 0.1 * np.log(x[:, 0]) + 0.02 * np.log(x[:, 1]) + 0.01 * noise)
    assert chosen(straight, ("log", "log"))[0] == IDENTITY
    law = problem_of(lambda x, noise: 0.8 - 2 * x[:, 0] ** -0.8 * x[:, 1] ** -0.3 * np.exp(0.1 * noise))
    rung, scales = chosen(law, ("log", "log"))
    assert LADDER[rung][0] == "above" and scales == ("log", "log")


def test_what_is_straight_without_a_logarithm_loses_it():
    raw = problem_of(lambda x, noise: 0.3 + 0.01 * x[:, 0] + 0.02 * np.log(x[:, 1]) + 0.01 * noise)
    assert chosen(raw, ("log", "log"))[1] == ("raw", "log")


def test_noise_alone_gives_neither_warp_nor_surprise():
    kept = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        inputs = rng.uniform(1, 10, (40, 2))
        rung, _ = chosen(Problem(("a", "b"), inputs, rng.normal(size=40), np.zeros(40)), ("log", "log"))
        kept += rung == IDENTITY
    assert kept >= 16


def test_columns_whose_names_differ_in_a_number_share_a_group():
    names = ["c1", "c2", "width_1", "resolution", "width_12", "constant", "n_3"]
    scales = ["raw"] * 5 + ["constant", "raw"]
    found = features.Features(tuple(names), tuple(scales), np.ones(7), np.zeros(7), np.ones(7))
    assert found.groups == (0, 0, 1, 2, 1, 3)


def test_stacking_finds_the_weights_that_a_grid_finds():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(400) < 0.7, rng.normal(0, 1, 400), rng.normal(3, 0.5, 400))
    densities = np.array([norm.logpdf(values, 0, 1), norm.logpdf(values, 3, 0.5)])
    grid = np.linspace(0.001, 0.999, 999)
    scores = np.log(grid[:, None] * np.exp(densities[0]) + (1 - grid[:, None]) * np.exp(densities[1])).sum(1)
    assert weights.stacked(densities, strength=0.0)[0] == pytest.approx(grid[scores.argmax()], abs=2e-3)


def test_weights_are_drawn_to_equal_ones_and_survive_impossible_rows():
    equal = weights.stacked(np.zeros((4, 30)))
    assert np.allclose(equal, 0.25)
    found = weights.stacked(np.array([np.full(30, -1e6), np.zeros(30)]))
    assert 0 < found[0] < 0.15 and found.sum() == pytest.approx(1)


@pytest.mark.parametrize("n", [20, 30, 100])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_intervals_of_exchangeable_rows_cover_what_they_say_and_half_a_row_more(n, level):
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(2_000):
        residuals = np.sort(np.abs(rng.standard_t(3, n)))
        covered.append(np.mean(np.abs(rng.standard_t(3, 50)) <= calibration.factor(residuals, level)))
    assert np.mean(covered) == pytest.approx(level + 0.5 / (n + 1), abs=0.012)


def test_many_residuals_are_thinned_to_the_same_quantiles():
    residuals = np.abs(np.random.default_rng(0).normal(size=2_000))
    thin = calibration.thinned(residuals)
    assert len(thin) == 500 and (np.diff(thin) >= 0).all()
    for level in (0.1, 0.5, 0.9, 0.99):
        # Half a row more is more of 500 rows than of 2,000.
        assert calibration.factor(thin, level) == pytest.approx(calibration.factor(np.sort(residuals), level), rel=0.05)


def test_beyond_the_last_residual_intervals_go_on_widening():
    factors = [calibration.factor(np.array([0.5, 1.0]), level) for level in (0.5, 0.7, 0.9, 0.99, 0.999)]
    assert (np.diff(factors) > 0).all()


def test_residuals_of_the_right_size_leave_deviations_alone():
    residuals = np.abs(np.random.default_rng(0).normal(size=5_000))
    assert calibration.scale(residuals) == pytest.approx(1, abs=0.03)
    assert calibration.scale(3 * np.minimum(residuals, 1)) > 1.5


def test_rows_with_equal_inputs_are_held_out_together():
    inputs = np.random.default_rng(0).integers(0, 5, (200, 2)).astype(float)
    folds = folds_of(inputs, 0)
    for row in range(200):
        assert len(set(folds[(inputs == inputs[row]).all(1)].tolist())) == 1
    assert set(folds.tolist()) == set(range(10))


def test_coverage_of_a_fold_is_measured_with_the_residuals_of_the_others():
    """Fold 0 is ten times as far off as the others: its own residuals would have covered it."""
    folds = np.repeat([0, 1, 2, 3], 25)
    residuals = np.where(folds == 0, 10.0, np.tile(np.linspace(0.1, 1, 25), 4))
    found = coverage(HeldOut(np.zeros(100), residuals, folds), 0.5)
    # None of fold 0; of the others, whose half is calibrated on a third of tens, three quarters.
    assert found == pytest.approx(0.75 * 0.75, abs=0.02)
