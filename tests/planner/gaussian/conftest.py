"""Rows and kernels that the tests of Gaussian processes share."""

import numpy as np
import pytest

from planner.gaussian.kernels import Kernel
from planner.gaussian.posterior import Observations

KERNELS = (
    Kernel("linear", "linear"),
    Kernel("one", "joint", (0, 0, 0)),
    Kernel("groups", "joint", (0, 1, 0)),
    Kernel("each", "joint", (0, 1, 2)),
    Kernel("additive", "additive", (0, 1, 2)),
)


@pytest.fixture(params=KERNELS, ids=lambda kernel: kernel.name)
def kernel(request):
    """Each kernel in turn."""
    return request.param


@pytest.fixture(scope="session")
def kernels():
    """All kernels."""
    return KERNELS


@pytest.fixture(scope="session")
def rows():
    """A function: n rows of three features, of a seed."""

    def drawn(n=25, seed=0):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(n, 3))
        w = np.sin(2 * x[:, 0]) + x[:, 1] + rng.normal(0, 0.1, n)
        return Observations(x, (w - w.mean()) / w.std(), rng.uniform(0, 0.05, n))

    return drawn


@pytest.fixture(scope="session")
def hyperparameters():
    """A function: logs of a kernel's hyper-parameters, of a seed."""
    return lambda kernel, seed=0: np.random.default_rng(seed).normal(-0.5, 0.7, kernel.size)
