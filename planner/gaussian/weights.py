"""Weights of members by what each says of the rows it has not seen."""

from __future__ import annotations

import numpy as np

from sampler.architecture import FloatArray

STRENGTH = 4.0  # rows that each member is given for nothing; rankings gain more from averaging than from choosing
_STEPS = 200


def log_densities(means: FloatArray, variances: FloatArray, values: FloatArray) -> FloatArray:
    """Gaussian log densities of `(n,)` values under means and variances that broadcast."""
    densities: FloatArray = -0.5 * ((values - means) ** 2 / variances + np.log(2 * np.pi * variances))
    return densities


def stacked(densities: FloatArray, strength: float = STRENGTH) -> FloatArray:
    """Weights that maximise the leave-one-out density of a mixture, drawn towards equal ones.

    Stacking of predictive distributions (Yao et al. 2018, https://doi.org/10.1214/17-BA1091) with a Dirichlet prior;
    expectation-maximisation, whose objective is concave.

    Args:
        densities: `(m, n)` log density of each row under each member that has not seen it.
        strength: The prior's rows per member.

    Returns:
        `(m,)` positive weights that sum to 1.
    """
    m, n = densities.shape
    likelihoods = np.exp(densities - densities.max(axis=0))
    weights = np.full(m, 1 / m)
    for _ in range(_STEPS):
        shares = weights[:, None] * likelihoods
        shares /= shares.sum(axis=0)
        weights = (shares.sum(axis=1) + strength) / (n + m * strength)
    return weights
