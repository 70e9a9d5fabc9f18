"""The departure, against scikit-learn's process at equal hyper-parameters."""

import numpy as np

from planner.latency.departure import Departure


def test_the_departure_is_scikit_learns_at_equal_hyper_parameters():
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    rng = np.random.default_rng(1)
    inputs, residuals, new = rng.normal(size=(15, 3)), rng.normal(0, 0.2, 15), rng.normal(size=(7, 3))
    kernel = ConstantKernel(0.3) * Matern(0.8, nu=1.5)
    process = GaussianProcessRegressor(kernel, alpha=0.01, optimizer=None).fit(inputs, residuals)
    ours = Departure(inputs, process.alpha_, 0.3, 0.8)
    np.testing.assert_allclose(ours(new), process.predict(new), atol=1e-10)
