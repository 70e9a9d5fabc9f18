"""A latency model is fitted: against its own law, and to tables with odd rows, copies and many networks."""

import numpy as np
import pandas as pd
import pytest

from planner.latency.fit import fit_latency


def test_a_sum_of_times_is_recovered_from_its_own_measurements(made_up):
    fitted = fit_latency(made_up())
    new = made_up(seed=1)
    np.testing.assert_allclose(fitted.predict(new), new["latency_ms"], rtol=1e-4)
    expected = {"fixed": 2.0, "macs": 1e-9, "activations": 5e-7, "params": 1e-7}
    assert fitted.coefficients == pytest.approx(expected, rel=1e-4)
    assert fitted.errors["median_relative_error"] < 1e-4 < fitted.errors["macs_only_median_relative_error"]


def test_a_third_of_slow_outliers_does_not_bend_the_rest(made_up):
    table = made_up(60)
    table.loc[::4, "latency_ms"] *= 3
    new = made_up(seed=1)
    assert np.median(np.abs(fit_latency(table).predict(new) / new["latency_ms"] - 1)) < 0.1


def test_the_interval_covers_new_measurements_as_often_as_it_says(made_up):
    covered = []
    for seed in range(20):
        new = made_up(200, noise=0.1, seed=seed + 100)
        low, high = fit_latency(made_up(30, noise=0.1, seed=seed)).interval(new)
        covered.append(((low <= new["latency_ms"]) & (new["latency_ms"] <= high)).mean())
    assert 0.87 < np.mean(covered) < 0.97


def test_one_architecture_under_two_names_is_left_out_together(made_up):
    table = made_up(20, noise=0.3)
    twice = pd.concat([table, table.assign(model="again")])
    # Were a copy kept, the Gaussian process would know the answer.
    assert fit_latency(twice).errors["median_relative_error"] > 0.1
    assert fit_latency(twice).errors["architectures"] == 20


def test_one_network_at_several_resolutions_is_left_out_together():
    # Each network has a speed of its own, which no count tells.
    rng = np.random.default_rng(0)
    parts = []
    for i, own in enumerate(np.exp(rng.normal(0, 0.3, 20))):
        pixels = np.array([160, 192, 224, 256])
        macs = rng.uniform(1e9, 4e9) * (pixels / 224) ** 2
        parts.append(
            pd.DataFrame({"macs": macs, "params": 1e6 + i, "resolution": pixels, "latency_ms": own * macs / 1e8})
        )
    assert fit_latency(pd.concat(parts)).errors["median_relative_error"] > 0.1
    one = parts[0].loc[[0, 1, 2, 3, 3]].assign(macs=np.arange(1, 6) * 1e8)
    assert fit_latency(one).errors["architectures"] == 5  # a sweep of one network is folded by architecture


def test_the_same_seed_gives_the_same_file(made_up):
    table = made_up(noise=0.05)
    assert fit_latency(table, seed=3).dumps() == fit_latency(table, seed=3).dumps()


def test_a_large_table_is_fitted_with_few_points(monkeypatch, made_up):
    table = made_up(60, noise=0.05)
    assert len(fit_latency(table).departure.alpha) == 60
    monkeypatch.setattr("planner.latency.fit.MOST_LATENCY_POINTS", 40)
    fitted = fit_latency(table)
    assert len(fitted.departure.alpha) == 40
    assert fitted.errors["rows"] == 60
    assert np.median(np.abs(fitted.predict(table) / table["latency_ms"] - 1)) < 0.05
