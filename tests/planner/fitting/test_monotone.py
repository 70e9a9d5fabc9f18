"""r and d grow with the budget where the data allow it, and it is said where they do not."""

import numpy as np
import pandas as pd
import pytest

from planner.fitting.curves import fit_curves
from planner.fitting.fit import fit
from planner.fitting.monotone import falls_between, never_falling
from planner.gaussian.curve import power_law

B0_MACS = 385_814_752
C = np.geomspace(0.05, 1, 30)


def falls(curve, low, high, values=3000):
    """By how much a curve lies below an earlier value of its own, at most, in logs."""
    logs = np.log(curve(np.geomspace(low, high, values))).tolist()
    highest, most = logs[0], 0.0
    for value in logs:
        highest = max(highest, value)
        most = max(most, highest - value)
    return most > 1.01e-3


@pytest.mark.parametrize("seed", range(12))
def test_a_curve_that_is_called_monotone_never_falls_and_one_that_is_not_does(seed):
    rng = np.random.default_rng(seed)
    # Steep and flat rules, with much scatter: some fits fall.
    r = C ** rng.uniform(0, 0.3) * np.exp(rng.normal(0, 0.1, 30))
    d = C ** rng.uniform(-0.1, 0.3) * np.exp(rng.normal(0, 0.2, 30))
    fitted = fit_curves(C[::3], r[::3], d[::3], c_range=(0.02, 1.05))
    for one in (fitted.r, fitted.d):
        assert one.shape.monotone == (not falls(one.curve, 0.02, 1.05))
        assert (one.shape.falls is None) == one.shape.monotone


def test_scatter_that_bends_a_flat_end_is_smoothed_away_at_no_great_price():
    smoothed = 0
    for seed in (0, 2, 4):
        rng = np.random.default_rng(seed)
        r = np.minimum(C, 0.3) ** 0.25 * np.exp(rng.normal(0, 0.03, 30))
        one = fit_curves(C[::2], r[::2], C[::2] ** 0.3).r
        if one.shape.smoothed:
            smoothed += 1
            assert one.shape.monotone and one.shape.price <= 1.1
            assert not falls(one.curve, C[0], C[-2])
    assert smoothed >= 2  # else nothing was shown


def test_what_really_falls_is_kept_and_said_with_where_and_at_what_price():
    # Depth grows to c = 0.25 and falls beyond: without noise, so the data leave no doubt.
    d = np.exp(-0.3 * np.log(C / 0.25) ** 2)
    one = fit_curves(C, C**0.2, d).d
    assert not one.shape.monotone and not one.shape.smoothed
    low, high = one.shape.falls
    assert low == pytest.approx(0.25, rel=0.05) and high == pytest.approx(1, rel=0.01)
    assert one.shape.price is None or one.shape.price > 1.1
    np.testing.assert_allclose(one.curve(C), d, rtol=0.02)


def test_the_papers_kind_is_left_as_the_paper_has_it_and_only_looked_at():
    one = fit_curves(C, C**0.2, np.exp(-0.3 * np.log(C / 0.25) ** 2), "tinynet").d
    assert not one.shape.monotone and one.shape.price is None
    # Zero mean: it falls towards zero outside the points, as METHODS says.
    assert falls_between(fit_curves(C, C**0.2, C**0.3, "tinynet", c_range=(0.05, 30.0)).r.curve, (0.05, 30.0))


@pytest.mark.parametrize(("exponent", "falling"), [(0.2, False), (0.0, False), (-0.05, True)])
def test_where_a_power_law_falls_is_known(exponent, falling):
    found = falls_between(power_law(exponent), (0.1, 10.0))
    assert found == (pytest.approx((0.1, 10.0)) if falling else None)


def test_a_fit_reports_every_curve_and_where_depth_falls(run, tmp_path):
    d = np.exp(-0.3 * np.log(C / 0.25) ** 2)
    frame = pd.DataFrame({"accuracy": np.linspace(0.5, 0.8, 30), "macs": np.rint(C * B0_MACS), "r": C**0.2, "d": d})
    frame["base"] = "efficientnet_b0"
    frame.to_csv(tmp_path / "t.csv", index=False)
    curves = fit(frame, raw=True).provenance["curves"]
    assert curves["shrink_r"] == {"monotone": True, "smoothed": False, "price": 1.0, "falls": None}
    assert curves["shrink_d"]["monotone"] is False
    code, out, _ = run("fit", "t.csv", "--raw")
    assert code == 0
    low, high = (c * B0_MACS / 1e6 for c in curves["shrink_d"]["falls"])
    assert f"shrink: depth FALLS with the budget between {low:.4g}M and {high:.4g}M MACs" in out
    assert "resolution FALLS" not in out


def test_the_shipped_curves_never_fall(shipped):
    for name, branch in shipped.branches.items():
        assert not falls(branch.r, *branch.c_range), name
        assert not falls(branch.d, *branch.c_range), name


def test_the_nearest_values_that_never_fall_are_the_means_of_what_falls():
    x = np.array([3.0, 1.0, 2.0, 4.0, 5.0])
    y = np.array([1.0, 0.0, 4.0, 2.5, 7.0])  # along x: 0, 4, 1, 2.5, 7; the middle three average 2.5
    assert never_falling(x, y).tolist() == [2.5, 0.0, 2.5, 2.5, 7.0]


def test_a_single_budget_has_no_direction():
    assert falls_between(power_law(-1.0), (0.5, 0.5)) is None
