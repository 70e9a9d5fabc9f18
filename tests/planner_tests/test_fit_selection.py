"""Which trainings a curve is fitted to: posterior means, and when they are not to be had."""

import numpy as np
import pandas as pd
import pytest

from planner import PlannerError
from planner.formulas import selection
from planner.formulas.fit import fit
from planner.table import as_table
from sampler import Architectures, base
from sampler.complexity import count

B0_MACS = 385_814_752
B0 = base("efficientnet_b0")
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
        self.calls, self.errors = [], {"rmse": 0.0}

    def fit(self, frame, inputs, noise_variance, seed, polish=True):
        self.calls.append((frame, inputs, noise_variance, seed))
        return self

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


def staged(rows, spread, seed=0):
    """Networks whose stages are each scaled by about the same, or apart."""
    rng = np.random.default_rng(seed)
    widths = np.rint(10 * np.array(B0.widths) * np.exp(rng.normal(0, spread, (rows, 7)))).astype(int)
    depths = rng.integers(1, 6, (rows, 7))
    frame = pd.DataFrame({"accuracy": rng.uniform(0.5, 0.7, rows), "resolution": rng.integers(100, 224, rows)})
    for i in range(7):
        frame[f"width_{i + 1}"], frame[f"depth_{i + 1}"] = widths[:, i], depths[:, i]
    facts = frame["resolution"].to_numpy(), np.full(rows, 32), widths, depths, np.full(rows, 1280)
    macs = count(Architectures("efficientnet_b0", *facts)).macs
    return as_table(frame.assign(macs=macs, stem=32, head=1280), "efficientnet_b0")


def test_stages_scaled_apart_are_seen_apart_where_there_are_trainings_enough():
    inputs, columns = selection.stage_inputs(staged(80, 0.5))
    assert len(columns) == 15  # resolution, seven widths, seven depths
    assert set(columns) < set(inputs) and "macs" in inputs
    assert inputs["resolution"].between(100, 224).all()
    assert selection.stage_inputs(staged(59, 0.5)) is None  # fewer than four for each
    assert selection.stage_inputs(staged(80, 0.1)) is None  # what rounding does


def narrow(kind, rows):
    """Networks of so few channels that rounding to multiples of 8 moves their stages far apart."""
    from sampler import SearchSpace, random_design

    window, r, w = (0.014, 0.17), (0.35, 1.4), (0.1, 0.4)
    design = random_design(SearchSpace("efficientnet_b0", 90, 20, kind=kind, window=window, r=r, w=w), rows, seed=0)
    frame = pd.DataFrame({"macs": count(design, 20).macs, "resolution": design.resolution, "rule": "inverse"})
    frame = frame.assign(base="efficientnet_b0", base_resolution=90, classes=20, stem=design.stem, head=design.head)
    for i in range(7):
        frame[f"width_{i + 1}"], frame[f"depth_{i + 1}"] = design.widths[:, i], design.depths[:, i]
    return frame.assign(accuracy=0.5)


def test_some_trainings_of_stages_do_not_make_a_study_of_narrow_networks_one_of_stages():
    uniform, stages = narrow("uniform", 60), narrow("stage", 20)
    ratios = np.log(uniform[[f"width_{i + 1}" for i in range(7)]].to_numpy() / B0.widths)
    assert np.median(ratios.std(axis=1)) > selection.APART  # by their looks alone they are apart
    assert selection.stage_inputs(as_table(pd.concat([uniform, stages], ignore_index=True))) is None
    assert selection.stage_inputs(as_table(pd.concat([uniform, *[stages] * 5], ignore_index=True))) is not None


def test_rounding_alone_does_not_make_a_table_one_of_stages():
    from sampler import SearchSpace, random_design

    uniform = random_design(SearchSpace("efficientnet_b0", 224), n=80, seed=0)
    frame = pd.DataFrame({"accuracy": np.linspace(0.5, 0.7, 80), "macs": count(uniform).macs})
    frame["resolution"] = uniform.resolution
    for i in range(7):
        frame[f"width_{i + 1}"], frame[f"depth_{i + 1}"] = uniform.widths[:, i], uniform.depths[:, i]
    assert selection.stage_inputs(as_table(frame, "efficientnet_b0")) is None


def test_the_scatter_about_the_posterior_means_widens_the_interval_of_a_new_training(scattered, known):
    quiet = scattered.assign(accuracy=truth(scattered["macs"] / B0_MACS, scattered["r"], scattered["d"]))
    noisy = quiet.assign(accuracy=quiet["accuracy"] + np.random.default_rng(0).normal(0, 0.03, len(quiet)))
    widths = []
    for frame in (quiet, noisy):
        low, high = fit(frame).accuracy.interval(0.3)
        widths.append(np.log(high / low))
    assert widths[1] > 1.5 * widths[0]
