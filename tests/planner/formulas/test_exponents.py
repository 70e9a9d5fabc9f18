"""Exponents are the slopes of what `predict` answers: for every kind, both directions, and the formulas that ship."""

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from planner.answers.formula import Formula
from planner.errors import InputError
from planner.fitting.fit import fit
from planner.formulas.coefficients import coefficients_of
from planner.formulas.exponents import sentences, slope_of
from planner.gaussian.curve import FAR_FROM_POWER_LAW, Curve, power_law
from planner.report.numbers import formula_of
from planner.rules import compound

RESULTS = Path(__file__).resolve().parents[3] / "results"
BUDGETS = 15
# What whole pixels and channels, and moving an answer to its budget by some of them, add to a slope; and to a log.
ROUNDING, STEP = 0.02, 0.12
KNOWN = {"r": 0.2, "d": 0.25}


@pytest.fixture(scope="module")
def formulas(compound_frame):
    """A function: a formula by its name."""
    made = {
        "published": lambda: Formula.load(RESULTS / "published" / "formula.json"),
        "reference": lambda: Formula.load(RESULTS / "reference" / "formula.json"),
        "EfficientNet's": lambda: compound("efficientnet_b0"),
        "loglinear": lambda: fit(compound_frame(KNOWN["r"], KNOWN["d"], 0.05, 20.0)),
        "tinynet": lambda: fit(compound_frame(KNOWN["r"], KNOWN["d"], 0.05, 1.0), "tinynet"),
    }
    return cache(lambda name: made[name]())


NAMES = ("published", "reference", "EfficientNet's", "loglinear", "tinynet")


def answers_of(formula, direction):
    """Log c, and r, d and w of predictions at budgets over a direction's range, both ends among them."""
    low, high = formula.answered(direction)
    low = low * 1.0001 if direction == "enlarge" else low  # c = 1 itself is shrinking's
    found = []
    for c in np.geomspace(low, high, BUDGETS):
        try:
            found.append(formula.predict(c * formula.base_macs, extrapolate=True))
        except InputError:
            continue
    return np.log([one.c for one in found]), {name: np.log([getattr(one, name) for one in found]) for name in "rdw"}


@pytest.mark.parametrize("name", NAMES)
def test_exponents_are_the_slopes_of_what_predict_answers(formulas, name):
    formula = formulas(name)
    assert set(formula.exponents) == set(formula.branches)
    for direction, found in formula.exponents.items():
        x, measured = answers_of(formula, direction)
        assert len(x) >= BUDGETS - 2
        for key, one in found.items():
            assert one.lower <= one.value <= one.upper
            slope = np.polyfit(x, measured[key], 1)[0]
            assert one.lower - ROUNDING <= slope <= one.upper + ROUNDING, (direction, key)
            # Between the two ends: as much as the slope says, up to how far the curve is said to leave a power law.
            ends, allowed = measured[key][-1] - measured[key][0], 2 * math.log1p(one.off) + STEP * (1 + (key == "w"))
            assert abs(ends - one.value * (x[-1] - x[0])) <= allowed, (direction, key)


@pytest.mark.parametrize("name", ["published", "reference"])
def test_what_is_left_of_a_curve_far_from_data_is_not_its_slope(formulas, name):
    """The numbers that were printed once: r ~ c^0.106 where the reference study's answers go as c^0.44."""
    formula = formulas(name)
    far, here = formula.branches["shrink"].r.far_exponent, formula.exponents["shrink"]["r"]
    assert not here.lower <= far <= here.upper


@pytest.mark.parametrize("name", ["loglinear", "tinynet"])
def test_known_exponents_are_found_and_the_width_is_solved(formulas, name):
    for found in formulas(name).exponents.values():
        for key, value in KNOWN.items():
            assert found[key].value == pytest.approx(value, abs=0.02)
        # Stem and head do not scale with the ideal count r^2 d w^2, which would leave (1 - .25 - .4) / 2.
        assert 0.1 < found["w"].value < 0.35


def test_twice_the_macs_in_words_and_as_compound_constants(formulas):
    formula = formulas("loglinear")
    found = formula.exponents["enlarge"]
    assert all(one.power_law for one in found.values())
    told = sentences(formula, "enlarge", found)
    assert told[0].startswith("r ~ c^0.20") and len(told) == 2
    assert told[1] == f"for twice the MACs: pixels x1.15, blocks x1.19, channels x{2 ** found['w'].value:.2f}"
    constants = coefficients_of(formula, "enlarge")
    assert (constants.gamma, constants.alpha) == (pytest.approx(2**0.2, abs=0.01), pytest.approx(2**0.25, abs=0.01))
    assert constants.beta == pytest.approx(2 ** found["w"].value)


def test_a_bent_curve_is_said_to_be_no_power_law(formulas, run, tmp_path):
    """Pixels that stop growing at the middle of the range, and two more of the kind: falling ones, and a jump."""
    c = np.geomspace(0.05, 1.0, 41)
    bends = {
        "stops": np.minimum(c, 0.2) ** 0.5,
        "falls": np.where(c < 0.3, c, 0.3**2 / c) ** 0.4,
        "jumps": np.where(c < 0.2, 0.6, 0.9),
    }
    for name, r in bends.items():
        formula = bent(formulas("loglinear"), c, r)
        found = formula.exponents["shrink"]
        assert found["r"].off > FAR_FROM_POWER_LAW and not found["r"].power_law, name
        assert coefficients_of(formula, "shrink") is None
        told = sentences(formula, "shrink", found)
        assert "on average over the range" in told[1]
        assert any(line.startswith("r follows no power law") for line in told), name
        assert formula_of(formula, "here")["growth"]["shrink"] == told
    slow, fast = bent(formulas("loglinear"), c, bends["stops"]).exponents["shrink"]["r"].near_ends[::-1]
    assert slow == pytest.approx(0, abs=0.1) and fast == pytest.approx(0.5, abs=0.1)


def bent(formula, c, r):
    """A formula whose r follows given points closely."""
    x, y, scale, noise = np.log(c), np.log(r), 0.15, 1e-4
    kernel = np.exp(-0.5 * ((x[:, None] - x[None, :]) / scale) ** 2) + noise * np.eye(len(x))
    curve = Curve("log", "log", float(y.mean()), 0.0, 0.0, 1.0, scale, noise, x, np.linalg.solve(kernel, y - y.mean()))
    branch = replace(formula.branches["shrink"], c_range=(float(c[0]), float(c[-1])), r=curve, d=power_law(0.1))
    return replace(formula, branches={"shrink": branch})


def test_the_interval_is_that_of_bayesian_linear_regression_where_the_curve_is_a_line():
    """Rasmussen & Williams 2006, Eq. 2.8 with one weight: 1 / variance = 1 / prior + sum x^2 / noise."""
    rng = np.random.default_rng(0)
    x, prior, noise = rng.uniform(-3, 0, 12), 0.3, 0.04
    y = 0.4 * x + rng.normal(0, 0.2, 12)
    alpha = np.linalg.solve(prior * np.outer(x, x) + noise * np.eye(12), y)
    curve = Curve("log", "log", 0.0, prior * float(x @ alpha), prior, 0.0, 1.0, noise, x, alpha)
    found = slope_of(curve, (0.05, 1.0))
    half = 1.6449 / math.sqrt(1 / prior + float(x @ x) / noise)
    assert found.value == pytest.approx(curve.slope)
    assert (found.lower, found.upper) == pytest.approx((curve.slope - half, curve.slope + half), rel=1e-4)


def test_the_interval_is_that_of_curves_drawn_from_the_posterior(formulas):
    curve, c = formulas("reference").branches["shrink"].r, np.geomspace(0.015, 0.16, 30)
    draws = np.random.default_rng(1).multivariate_normal(curve.mean(c), curve.posterior_covariance(c), 4000)
    slopes = np.polyfit(np.log(c), draws.T, 1)[0]
    found = slope_of(curve, (0.015, 0.16))
    assert (found.lower, found.upper) == pytest.approx(np.quantile(slopes, [0.05, 0.95]), abs=0.01)


def test_a_curve_that_is_not_positive_has_no_slope():
    line = Curve("identity", "identity", -0.1, 1.0, 0.0, 0.0, 1.0, 0.0, np.empty(0), np.empty(0))
    assert slope_of(line, (0.05, 1)) is None


def test_a_rule_from_a_grid_has_the_interval_of_those_that_cannot_be_told_from_it():
    alike = {"alpha": [1.1, 1.3], "beta": [1.0, 1.2], "gamma": [1.15, 1.2]}
    formula = replace(compound("efficientnet_b0"), provenance={"compound": {"within_0.1_points": alike}})
    found = formula.exponents["shrink"]
    assert (found["d"].lower, found["d"].upper) == pytest.approx(np.log2([1.1, 1.3]))
    assert found["r"].lower <= found["r"].value <= found["r"].upper == pytest.approx(np.log2(1.2))
    assert found["w"].upper - found["w"].lower > 0.1  # what depth and pixels may take, the width may not


def test_fit_prints_and_gives_them(run, formulas, compound_frame, tmp_path):
    compound_frame(KNOWN["r"], KNOWN["d"], 0.05, 0.9, rows=10).to_csv(tmp_path / "t.csv", index=False)
    answer = json.loads(run("fit", "t.csv", "--json")[1])
    slopes, detailed = answer["slopes"]["shrink"], answer["exponents"]["shrink"]
    assert slopes == {name: detailed[name]["exponent"] for name in "rdw"}
    assert slopes["r"] == pytest.approx(0.2, abs=0.01) and slopes["d"] == pytest.approx(0.25, abs=0.01)
    shown = run("fit", "t.csv")[1]
    assert "shrink: for twice the MACs" in shown and "pixels x1.15, blocks x1.19, channels x" in shown
    assert shown.count("learned departure") == 1
