"""Which trainings a curve is fitted to: posterior means, and when they are not to be had."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planner import PlannerError
from planner.fitting.fit import fit
from planner.formulas import selection
from planner.surrogates.surrogate import UNMEASURED
from planner.tables.table import as_table

B0_MACS = 385_814_752
A, G = 0.3, 0.2  # depth and resolution follow c^A and c^G where accuracy is highest


def truth(c, r, d):
    """Accuracy that grows with cost and is best on the rule."""
    off = (np.log(r) - G * np.log(c)) ** 2 + (np.log(d) - A * np.log(c)) ** 2
    return 0.7 + 0.05 * np.log(c) - 0.2 * off


@pytest.fixture
def scattered():
    """60 trainings about the rule, and one far off it that was lucky: its r is twice the rule's."""
    rng = np.random.default_rng(3)
    c = np.geomspace(0.05, 1, 60)
    r, d = c**G * np.exp(rng.normal(0, 0.15, 60)), c**A * np.exp(rng.normal(0, 0.15, 60))
    accuracy = truth(c, r, d)
    r[1] = 2 * c[1] ** G
    accuracy[1] = truth(c[1], c[1] ** G, c[1] ** A) + 0.03
    facts = {"base": "efficientnet_b0", "trial": range(60), "accuracy": accuracy}
    return pd.DataFrame({**facts, "macs": np.rint(c * B0_MACS), "r": r, "d": d})


class Known:
    """A surrogate that knows the truth."""

    def __init__(self):
        self.calls, self.errors, self.inputs = [], {"rmse": 0.0}, ["r", "d"]

    def fit(self, frame, inputs, target, cost, noise_variance, seed):
        self.calls.append((frame, inputs, noise_variance, seed))
        return self

    def worth(self):
        return self.posterior(self.calls[-1][0])[0]

    def posterior(self, frame):
        mean = truth(frame["macs"].to_numpy() / B0_MACS, frame["r"].to_numpy(), frame["d"].to_numpy())
        return mean, np.zeros(len(mean))


@pytest.fixture
def known(monkeypatch):
    surrogate = Known()
    monkeypatch.setattr(selection, "fit_surrogate", surrogate.fit)
    return surrogate


@pytest.fixture
def refusing(monkeypatch):
    def refuse(*_, **__):
        raise PlannerError("its left-out trainings are predicted no better than by their mean")

    monkeypatch.setattr(selection, "fit_surrogate", refuse)


def departure(formula):
    """How far log r lies from the rule, at most."""
    c = np.geomspace(*formula.c_range, 50)
    return np.abs(np.log(formula.branches["shrink"].r(c)) - G * np.log(c)).max()


def test_one_lucky_training_bends_the_curve_of_observed_accuracies_only(scattered, known):
    expected, raw = fit(scattered), fit(scattered, raw=True)
    assert 1 in [point["trial"] for point in raw.front]
    assert 1 not in [point["trial"] for point in expected.front]
    assert departure(expected) < 0.1 < 0.3 < departure(raw)


def test_the_front_keeps_what_was_observed_beside_what_is_expected(scattered, known):
    formula = fit(scattered)
    for point in formula.front:
        row = scattered.iloc[point["trial"]]
        assert point["accuracy"] == row["accuracy"]
        assert point["expected"] == pytest.approx(truth(row["macs"] / B0_MACS, row["r"], row["d"]))
    assert formula.provenance["selection"] == {"by": "posterior means", "why": None}


def test_raw_never_asks_a_surrogate(scattered, known):
    formula = fit(scattered, raw=True)
    assert known.calls == []
    assert not any("expected" in point for point in formula.front)
    assert formula.provenance["selection"] == {"by": "observed accuracies", "why": "asked for"}


def test_below_twenty_trainings_the_observed_accuracies_are_taken_and_it_is_said(scattered, known):
    assert fit(scattered.iloc[::3]).provenance["selection"]["by"] == "posterior means"  # 20 of them
    why = fit(scattered.iloc[:19]).provenance["selection"]["why"]
    assert why == "19 trainings are too few for a surrogate, which needs 20"
    assert len(known.calls) == 1


def test_where_the_surrogate_is_refused_the_observed_accuracies_are_taken_and_it_is_said(scattered, refusing):
    formula, raw = fit(scattered), fit(scattered, raw=True)
    assert formula.provenance["selection"] == {
        "by": "observed accuracies",
        "why": "its left-out trainings are predicted no better than by their mean",
    }
    assert formula.front == raw.front


def test_the_surrogate_sees_what_varies_and_the_noise_between_seeds(scattered, known):
    frame = scattered.assign(d=1.0)
    twice = [frame.assign(seed=0), frame.assign(seed=1, accuracy=frame["accuracy"] + 0.02)]
    fit(pd.concat(twice, ignore_index=True), seed=7)
    seen, inputs, noise, seed = known.calls[0]
    assert (inputs, seed) == (["r"], 7)  # d is the same in all, and w is what these and the MACs leave
    np.testing.assert_allclose(noise, [0.02**2 / 2 / 2] * 60)  # variance of a pair 0.02 apart, of a mean of two
    np.testing.assert_allclose(seen["macs"], scattered["macs"], rtol=1e-12)
    np.testing.assert_allclose(seen["r"], scattered["r"], rtol=1e-12)
    np.testing.assert_allclose(seen["accuracy"], scattered["accuracy"] + 0.01)


@pytest.mark.parametrize("error", [None, 1.0])
def test_a_surrogate_that_predicts_left_out_trainings_badly_is_not_believed(scattered, known, error):
    known.errors["rmse"] = error
    selected = fit(scattered).provenance["selection"]
    assert selected["by"] == "observed accuracies"
    assert selected["why"] == "a surrogate predicts left-out trainings no better than their mean does"


def test_a_table_in_which_only_the_cost_varies_is_taken_as_observed(scattered, known):
    why = fit(scattered.assign(r=0.8, d=1.0)).provenance["selection"]["why"]
    assert why.startswith("neither r nor d varies between the trainings")


def lucky(scattered, noise_variance=None):
    """What the lucky training is worth by a real surrogate, and what was measured and is expected of it."""
    table = replace(as_table(scattered), noise_variance=noise_variance)
    table = replace(table, frame=table.frame.assign(repeats=1))
    found = selection.select(table, 0.2, 0)
    return found.accuracy[1], selection.observed_accuracy(table)[1], found.expected[1]


def test_a_training_is_worth_something_between_what_it_reached_and_what_is_expected_of_it(scattered):
    worth, measured, expected = lucky(scattered)
    assert expected < worth < measured
    assert worth == pytest.approx(measured - UNMEASURED * (measured - expected), abs=0.2 * (measured - expected))


def test_where_seeds_were_repeated_a_training_is_worth_what_their_noise_leaves_of_it(scattered):
    quiet, loud = (lucky(scattered, sd**2) for sd in (1e-4, 0.02))
    assert quiet[0] == pytest.approx(quiet[1], abs=1e-4)
    assert abs(loud[0] - loud[2]) < 0.2 * abs(loud[1] - loud[2])


def test_the_scatter_about_the_posterior_means_widens_the_interval_of_a_new_training(scattered, known):
    quiet = scattered.assign(accuracy=truth(scattered["macs"] / B0_MACS, scattered["r"], scattered["d"]))
    noisy = quiet.assign(accuracy=quiet["accuracy"] + np.random.default_rng(0).normal(0, 0.03, len(quiet)))
    widths = []
    for frame in (quiet, noisy):
        low, high = fit(frame).accuracy.interval(0.3)
        widths.append(np.log(high / low))
    assert widths[1] > 1.5 * widths[0]
