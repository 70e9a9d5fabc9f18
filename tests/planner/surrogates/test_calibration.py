"""Intervals that keep their word: quantiles of held-out residuals."""

import numpy as np
import pytest

from planner.surrogates import calibration


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
    assert calibration.deviation_scale(residuals) == pytest.approx(1, abs=0.03)
    assert calibration.deviation_scale(3 * np.minimum(residuals, 1)) > 1.5
