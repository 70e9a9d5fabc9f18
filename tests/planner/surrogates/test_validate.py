"""Cross-validation: folds, and coverage inside them."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from planner.surrogates.validate import HeldOutPredictions, coverage, folds_of, kendall


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
    found = coverage(HeldOutPredictions(np.zeros(100), residuals, folds), 0.5)
    # None of fold 0; of the others, whose half is calibrated on a third of tens, three quarters.
    assert found == pytest.approx(0.75 * 0.75, abs=0.02)


@pytest.mark.parametrize("digits", [0, 1, 15])
@pytest.mark.parametrize("rows", [3, 4, 20, 300])
def test_kendall_is_scipy_s_to_the_last_bit_with_ties_and_without(rows, digits):
    rng = np.random.default_rng(rows)
    for share in (-1.0, 0.0, 0.5, 1.0):
        a = np.round(rng.normal(size=rows) * 2, digits)
        b = np.round(share * a + (1 - abs(share)) * rng.normal(size=rows), digits)
        if np.ptp(a) and np.ptp(b):
            assert kendall(a, b) == float(kendalltau(a, b).statistic)


def test_two_rows_and_constants_have_no_kendall():
    assert kendall(np.arange(2.0), np.arange(2.0)) is None
    assert kendall(np.arange(5.0), np.ones(5)) is None and kendall(np.ones(5), np.arange(5.0)) is None
