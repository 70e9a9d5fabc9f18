"""Gaussian process regression on plain arrays: each equation once (Rasmussen & Williams 2006).

Notation, for n rows that were measured:

    K (n, n)            covariance of the measurements, the noise on its diagonal included
    y (n,)              what was measured, less the mean
    precision (n, n)    K^-1
    alpha (n,)          K^-1 y                                  Eq. 2.25
    whitener (n, n)     L^-1, where K = L L^T is the Cholesky factorisation; alpha = whitener^T whitener y
    theta (p,)          logs of the hyper-parameters

At a new point with covariances k (n,) to the rows and prior variance v:

    mean = k . alpha                                            Eq. 2.25
    variance = v - k . K^-1 k = v - |whitener k|^2              Eq. 2.26

Three users, one set of equations, two factorisations. Curves over a budget (`curve`) and latency (`robust`) invert K;
the members of a surrogate (`posterior`, `members`) have up to thousands of rows, and factorise. What each of them
computes is in files that were written, to the last bit, so the factorisation is an argument here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sampler.architecture import FloatArray

_BLOCK = 64  # rows below which a triangular inverse is taken as any other
# Gives the inverse of a covariance and half the logarithm of its determinant; may overwrite it.
Inversion = Callable[[FloatArray], tuple[FloatArray, float]]


def inverse_by_lu(covariance: FloatArray) -> tuple[FloatArray, float]:
    """Inverse and half the log determinant of a covariance `(n, n)`, with numpy alone.

    Raises:
        LinAlgError: If it is singular.
    """
    inverse: FloatArray = np.linalg.inv(covariance).astype(np.float64, copy=False)
    return inverse, 0.5 * float(np.linalg.slogdet(covariance)[1])


def inverse_by_cholesky(covariance: FloatArray) -> tuple[FloatArray, float]:
    """As `inverse_by_lu`, in half the time; the covariance is overwritten.

    Raises:
        LinAlgError: If it is not positive definite.
    """
    from scipy.linalg import lapack

    factor, failed = lapack.dpotrf(covariance, lower=1, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("not positive definite")
    inverse = np.tril(lapack.dpotri(factor, lower=1)[0])
    inverse += np.tril(inverse, -1).T
    return inverse, float(np.log(np.diag(factor)).sum())


def whitener_of(covariance: FloatArray) -> FloatArray:
    """The inverse `(n, n)` of a covariance's lower Cholesky factor (Algorithm 2.1, line 2).

    Raises:
        LinAlgError: If it is not positive definite.
    """
    return _inverse_of_lower(np.linalg.cholesky(covariance).astype(np.float64, copy=False))


def _inverse_of_lower(factor: FloatArray) -> FloatArray:
    """Inverse of a lower triangular matrix, by halves: numpy has no triangular solver, and a general one takes 6 x."""
    n = len(factor)
    if n <= _BLOCK:
        return np.tril(np.linalg.inv(factor))
    half = n // 2
    inverse = np.zeros_like(factor)
    inverse[:half, :half] = first = _inverse_of_lower(factor[:half, :half])
    inverse[half:, half:] = second = _inverse_of_lower(factor[half:, half:])
    inverse[half:, :half] = -second @ (factor[half:, :half] @ first)
    return inverse


def grown_whitener(whitener: FloatArray, across: FloatArray, covariance: FloatArray) -> FloatArray:
    """The whitener `(n + q, n + q)` of n rows and q more.

    Args:
        whitener: `(n, n)` of the rows there were.
        across: `(q, n)` covariances of the new rows with those.
        covariance: `(q, q)` covariance of the new rows, noise included.

    Raises:
        LinAlgError: If the new rows' covariance, given the others, is not positive definite.
    """
    n, q = len(whitener), len(covariance)
    explained = across @ whitener.T
    corner = whitener_of(covariance - explained @ explained.T)
    grown = np.zeros((n + q, n + q))
    grown[:n, :n], grown[n:, n:] = whitener, corner
    grown[n:, :n] = -corner @ (explained @ whitener)
    return grown


def precision_diagonal(whitener: FloatArray) -> FloatArray:
    """`(n,)` diagonal of K^-1."""
    diagonal: FloatArray = np.einsum("ij,ij->j", whitener, whitener)
    return diagonal


def left_out(alpha: FloatArray, diagonal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What leaving each row out, at the same hyper-parameters, misses it by: residuals y - mean and variances.

    Eq. 5.12; the variances are those of a measurement, noise included.

    Args:
        alpha: `(n,)`.
        diagonal: `(n,)` diagonal of K^-1.
    """
    return alpha / diagonal, 1 / diagonal


def negative_log_evidence(covariance: FloatArray, y: FloatArray, inversion: Inversion) -> tuple[float, FloatArray]:
    """-log p(y | theta), up to its constant n/2 log(2 pi), and the matrix that its gradient is made of.

    Eq. 5.8, and Eq. 5.9: the slope by one hyper-parameter is half the sum of that matrix times dK/dtheta, entry by
    entry.

    Args:
        covariance: `(n, n)`; the inversion may overwrite it.
        y: `(n,)`.
        inversion: Way of inverting the covariance.

    Returns:
        The number, and K^-1 - alpha alpha^T, `(n, n)`.
    """
    inverse, half_log_determinant = inversion(covariance)
    alpha = inverse @ y
    return 0.5 * float(y @ alpha) + half_log_determinant, inverse - np.outer(alpha, alpha)
