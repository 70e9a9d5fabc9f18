"""An earlier study as a prior: it helps where it is right, and is left aside where it is wrong."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from planner import Formula, PlannerError
from planner.fitting.curves import fit_curves
from planner.fitting.fit import fit
from planner.fitting.transfer import log_likelihood
from planner.formulas.codec import dumps, read_formula, signed
from planner.gaussian.curve_fit import LOGLINEAR, fit_process

BASE, B0_MACS = "efficientnet_b0", 385_814_752
MANY = np.geomspace(0.03, 1, 20)
SEEDS = range(5)
DENSE = np.geomspace(0.03, 1, 200)


def rule(c):
    """Resolution that no power law has."""
    return np.exp(0.2 * np.log(c) + 0.15 * np.sin(1.6 * np.log(c)))


def opposite(c):
    """Another rule altogether."""
    return np.exp(-0.3 * np.log(c) + 0.2 * np.cos(2.1 * np.log(c)))


def scattered(curve, seed, points, noise=0.05):
    rng = np.random.default_rng(seed)
    c = np.exp(rng.uniform(np.log(0.03), 0, points))
    return c, curve(c) * np.exp(rng.normal(0, noise, points))


@pytest.fixture(scope="module")
def priors():
    """Curves that 20 trainings with little scatter gave earlier: of the same rule, and of another."""
    noise = np.exp(np.random.default_rng(99).normal(0, 0.02, 20))
    fitted = fit_curves(MANY, rule(MANY) * noise, opposite(MANY) * noise)
    return {"right": fitted.r.curve, "wrong": fitted.d.curve}


def with_prior(c, r, prior):
    """The curve of r with that prior."""
    return fit_curves(c, r, c**0.3, c_range=(0.03, 1.0), priors=(prior, None)).r


def rmse(curve):
    return float(np.sqrt(np.mean((np.log(curve(DENSE)) - np.log(rule(DENSE))) ** 2)))


@pytest.mark.parametrize("points", [5, pytest.param(8, marks=pytest.mark.slow)])
def test_a_right_prior_helps_where_there_are_few_new_trainings(priors, points):
    alone, helped, weights = [], [], []
    for seed in SEEDS:
        c, r = scattered(rule, seed, points)
        alone.append(rmse(fit_curves(c, r, r).r.curve))
        one = with_prior(c, r, priors["right"])
        helped.append(rmse(one.curve))
        weights.append(one.transfer.weight)
    print(f"{points} points: error {np.mean(alone):.3f} alone, {np.mean(helped):.3f} with; weights {weights}")
    assert np.median(weights) >= 0.6
    assert np.mean(helped) < 0.75 * np.mean(alone)


@pytest.mark.parametrize("points", [pytest.param(5, marks=pytest.mark.slow), 15])
def test_a_wrong_prior_gets_no_weight_and_does_no_harm(priors, points):
    alone, with_it, weights = [], [], []
    for seed in SEEDS:
        c, r = scattered(rule, seed, points)
        alone.append(rmse(fit_curves(c, r, r).r.curve))
        one = with_prior(c, r, priors["wrong"])
        with_it.append(rmse(one.curve))
        weights.append(one.transfer.weight)
    print(f"{points} points: error {np.mean(alone):.3f} alone, {np.mean(with_it):.3f} with; weights {weights}")
    assert np.mean(weights) <= 0.1 and np.median(weights) == 0
    assert np.mean(with_it) < 1.1 * np.mean(alone)


def test_without_weight_the_curve_is_the_one_without_a_prior(priors):
    for seed in SEEDS:
        c, r = scattered(rule, seed, 8)
        one = with_prior(c, r, priors["wrong"])
        if not one.transfer.weight:
            assert one.curve.prior is None
            assert one.curve(DENSE).tolist() == with_prior(c, r, None).curve(DENSE).tolist()
            assert one.rmse == one.transfer.without
            return
    pytest.fail("a wrong prior always had weight")


def test_the_evidence_is_the_density_of_the_data_under_the_model():
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 0, 9)
    y = 0.2 * x + rng.normal(0, 0.1, 9)
    curve = fit_process(x, y, LOGLINEAR, 0).curve
    covariance = [
        [
            curve.slope_variance * a * b
            + curve.variance * math.exp(-((a - b) ** 2) / 2 / curve.length_scale**2)
            + (a == b) * curve.noise_variance
            for b in x
        ]
        for a in x
    ]
    expected = multivariate_normal(np.zeros(9), covariance).logpdf(y)
    assert log_likelihood(fit_process(x, y, LOGLINEAR, 0)) == pytest.approx(expected, rel=1e-6)


def frame_of(curve, seed, points, lowest=0.05):
    rng = np.random.default_rng(seed)
    c = np.geomspace(lowest, 1, points)
    noise = np.exp(rng.normal(0, 0.03, (2, points)))
    accuracy, macs = np.linspace(0.5, 0.8, points), np.rint(c * B0_MACS)
    return pd.DataFrame(
        {"base": BASE, "accuracy": accuracy, "macs": macs, "r": curve(c) * noise[0], "d": c**0.3 * noise[1]}
    )


@pytest.fixture(scope="module")
def earlier_formula():
    """A formula that was fitted to many trainings."""
    return fit(frame_of(rule, 1, 19))


@pytest.fixture
def earlier(earlier_formula, tmp_path):
    """That formula, and its file."""
    earlier_formula.save(tmp_path / "earlier.json")
    return earlier_formula, tmp_path / "earlier.json"


@pytest.fixture(scope="module")
def helped(earlier_formula):
    """A formula that was fitted to few trainings, with that one as its prior."""
    return fit(frame_of(rule, 2, 6), prior=earlier_formula)


def test_a_formula_with_a_prior_goes_through_its_file_and_plain_python(earlier, tmp_path):
    formula = fit(frame_of(rule, 2, 6), prior=earlier[1])
    curve = formula.branches["shrink"].r
    assert curve.prior_weight > 0 and curve.prior is not None
    again = read_formula(dumps(formula), Formula)
    assert dumps(again) == dumps(formula)
    document = json.loads(dumps(formula))["branches"]["shrink"]["r"]

    def mean(one, x):  # what a reader of the file writes
        near = sum(
            a * math.exp(-0.5 * ((x - p) / one["length_scale"]) ** 2)
            for a, p in zip(one["alpha"], one["inputs"], strict=True)
        )
        y = one["offset"] + one["slope"] * x + one["variance"] * near
        return y + one["prior_weight"] * mean(one["prior"], x) if one.get("prior") else y

    for c in (0.05, 0.2, 0.7, 1.0):
        assert math.exp(mean(document, math.log(c))) == pytest.approx(again.branches["shrink"].r(c)[0], rel=1e-12)
        expected = curve.prior_weight * math.log(earlier[0].branches["shrink"].r(c)[0])
        own = document | {"prior": None}
        assert curve.mean(c)[0] == pytest.approx(expected + mean(own, math.log(c)), rel=1e-9)


def test_the_exponent_far_away_is_the_slopes_together(helped):
    curve = helped.branches["shrink"].r
    assert curve.prior is not None
    far = np.log(curve([1e40, 1e41]))
    assert (far[1] - far[0]) / np.log(10) == pytest.approx(curve.far_exponent, abs=1e-6)
    assert curve.far_exponent == pytest.approx(curve.slope + curve.prior_weight * curve.prior.slope)


def test_the_formula_says_what_the_prior_was_worth(earlier, run, tmp_path):
    frame_of(rule, 2, 6).to_csv(tmp_path / "new.csv", index=False)
    code, out, _ = run("fit", "new.csv", "--prior", "earlier.json", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["prior"] == {
        "name": "earlier.json",
        "base": "efficientnet_b0",
        "kind": "loglinear",
        "table_sha256": earlier[0].provenance["table_sha256"],
    }
    worth = found["curves"]["shrink_r"]["prior"]
    assert worth["weight"] > 0 and worth["leave_one_out_with"] < worth["leave_one_out_without"]
    code, out, _ = run("fit", "new.csv", "--prior", "earlier.json")
    assert code == 0
    head = "shrink: prior earlier.json for resolution: weight"
    words = head + r" (\S+), leave-one-out RMSE of log r (\S+) with, (\S+) without"
    said = re.search(words, out)
    wanted = (worth["weight"], worth["leave_one_out_with"], worth["leave_one_out_without"])
    assert [float(one) for one in said.groups()] == pytest.approx(wanted, abs=1e-3)


def test_a_study_serves_as_a_prior_by_its_name(earlier, run, tmp_path):
    folder = tmp_path / "results" / "first"
    folder.mkdir(parents=True)
    earlier[0].save(folder / "formula.json")
    frame_of(rule, 2, 6).to_csv(tmp_path / "new.csv", index=False)
    code, out, _ = run("fit", "new.csv", "--prior", "first", "--json")
    assert code == 0 and json.loads(out)["prior"]["name"] == "first"


def test_another_base_network_serves_as_a_prior_since_c_is_relative(earlier):
    from sampler.complexity import base_macs

    frame = frame_of(rule, 2, 6).assign(base="resnet50")
    frame["macs"] = np.rint(frame["macs"] / B0_MACS * base_macs("resnet50", 224, 1000))
    formula = fit(frame, prior=earlier[0])
    assert formula.base == "resnet50" and formula.provenance["prior"]["base"] == "efficientnet_b0"
    assert formula.branches["shrink"].r.prior_weight > 0
    macs = 0.2 * formula.base_macs
    assert formula.predict(macs).macs == pytest.approx(macs, rel=0.01)


def test_a_direction_the_prior_never_saw_is_fitted_without_it_and_said(earlier, run, tmp_path):
    both = pd.concat([frame_of(rule, 2, 8), frame_of(rule, 3, 8, lowest=8.0).iloc[:-1]])
    both.assign(accuracy=both["macs"].rank() / 20).to_csv(tmp_path / "new.csv", index=False)
    code, out, _ = run("fit", "new.csv", "--prior", "earlier.json")
    assert code == 0
    assert "enlarge: prior earlier.json for depth: it has no curve in this direction" in out
    assert Formula.load("formula.json").branches["enlarge"].r.prior is None


def test_priors_that_cannot_serve_are_refused(earlier, run, tmp_path, compound_frame):
    frame_of(rule, 1, 19).to_csv(tmp_path / "same.csv", index=False)
    new = frame_of(rule, 2, 6)
    with pytest.raises(PlannerError, match="was fitted on this very table, so it would be believed"):
        fit(frame_of(rule, 1, 19), prior=earlier[0])
    with pytest.raises(PlannerError, match="the prior is of kind loglinear, .*; fit both with the same --kind"):
        fit(new, "tinynet", prior=earlier[0])
    with pytest.raises(PlannerError, match="kind compound has no curves that could depart from a --prior"):
        fit(new, "compound", prior=earlier[0])
    with pytest.raises(
        PlannerError, match="--prior nowhere: neither a formula file nor a study with one; run `planner"
    ):
        fit(new, prior="nowhere")
    with pytest.raises(PlannerError, match="nowhere.json: No such file or directory; give a formula"):
        fit(new, prior="nowhere.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prior_weight": None}, "shrink.r.prior_weight is None; number is wanted"),
        ({"prior_weight": "much"}, "shrink.r.prior_weight is 'much'; number is wanted"),
        ({"prior": 3}, "shrink.r.prior is 3; object is wanted"),
        ({"prior": {}}, "shrink.r.prior"),
    ],
)
def test_a_damaged_prior_in_a_file_is_refused(helped, change, words):
    document = json.loads(dumps(helped))
    document["branches"]["shrink"]["r"].update(change)
    with pytest.raises(PlannerError, match=words):
        read_formula(json.dumps(signed(document)), Formula)


def test_priors_nested_without_end_or_on_another_scale_are_refused(earlier):
    document = json.loads(dumps(earlier[0]))
    curve = document["branches"]["shrink"]["r"]
    for _ in range(12):
        curve = curve | {"prior": curve, "prior_weight": 0.5}
    document["branches"]["shrink"]["r"] = curve
    with pytest.raises(PlannerError, match="priors nested deeper than 8"):
        read_formula(json.dumps(signed(document)), Formula)
    curve = json.loads(dumps(earlier[0]))["branches"]["shrink"]["r"]
    document["branches"]["shrink"]["r"] = curve | {"prior": curve | {"output_scale": "identity"}, "prior_weight": 0.5}
    with pytest.raises(PlannerError, match="its prior are on different output scales"):
        read_formula(json.dumps(signed(document)), Formula)
