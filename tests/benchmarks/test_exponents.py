"""Exponents as they are printed beside slopes measured on `predict`'s answers, and how often intervals hold the truth.

Run it as `pytest -m benchmark -s tests/benchmarks/test_exponents.py`. The synthetic study has r = c^0.2 and d = c^0.25.

The answers themselves (the best networks of 15 budgets, by the reference study's model) go as r ~ c^0.48, d ~ c^0.07
and w ~ c^0.07; of the distilled curves 0.48 (0.31 to 0.65), 0.19 (0.03 to 0.35) and 0.05 (-0.25 to 0.40) are printed.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planner.answers.formula import Formula
from planner.answers.search import best_networks
from planner.errors import InputError
from planner.fitting.curves import fit_curves
from planner.fitting.exam import Task
from planner.fitting.fit import fit
from planner.fitting.landscape import WIDEST_STEP
from planner.formulas.exponents import slope_of
from sampler import rule_named, stack
from sampler.complexity import base_macs
from sampler.scaling import depth_ranges, width_ranges

RESULTS = Path(__file__).resolve().parents[2] / "results"
BUDGETS, STUDIES, POINTS = 15, 40, 16
EXPONENT, NOISE = 0.3, 0.05
# Of whole pixels and channels, and of moving answers to their budgets by some of them.
ROUNDING = 0.02


def synthetic():
    c = np.geomspace(0.05, 20.0, 20)
    macs = np.rint(c * base_macs("efficientnet_b0", 224, 1000))
    columns = {"accuracy": np.linspace(0.5, 0.8, 20), "macs": macs, "r": c**0.2, "d": c**0.25}
    return fit(pd.DataFrame({"base": "efficientnet_b0", **columns}), base="efficientnet_b0")


FORMULAS = {
    "published": lambda: Formula.load(RESULTS / "published" / "formula.json"),
    "reference study": lambda: Formula.load(RESULTS / "reference" / "formula.json"),
    "synthetic": synthetic,
}


def measured(formula, direction):
    """Least-squares slopes of r, d and w of predictions over log c."""
    low, high = formula.answered(direction)
    found = []
    for c in np.geomspace(low * 1.0001, high, BUDGETS):
        try:
            found.append(formula.predict(c * formula.base_macs, extrapolate=True))
        except InputError:
            continue
    x = np.log([one.c for one in found])
    return {name: float(np.polyfit(x, np.log([getattr(one, name) for one in found]), 1)[0]) for name in "rdw"}


@pytest.mark.benchmark
@pytest.mark.parametrize("name", FORMULAS)
def test_exponents_beside_answers(name):
    formula = FORMULAS[name]()
    for direction, found in formula.exponents.items():
        slopes = measured(formula, direction)
        for key, one in found.items():
            law = "" if one.power_law else f", no power law: {one.near_ends[0]:.2f} to {one.near_ends[1]:.2f}"
            print(
                f"\n| {name} | {direction} | {key} | {one.value:.3f} ({one.lower:.2f} to {one.upper:.2f}) | "
                f"{slopes[key]:.3f} | x{one.doubling:.2f}{law} |",
                end="",
            )
            assert one.lower - ROUNDING <= slopes[key] <= one.upper + ROUNDING


@pytest.mark.benchmark
def test_exponents_beside_the_best_networks_of_the_reference_study():
    formula = fit(RESULTS / "reference" / "trials.csv")
    branch, ranges = formula.branches["shrink"], formula.provenance["ranges"]
    task = (formula.network, branch.rule, formula.classes)
    score = Task(*task, formula.base_macs, formula.answers, ranges, branch.c_range).scores
    budgets = np.geomspace(*formula.macs_range, BUDGETS)
    found = [best_networks(*task, score, macs=one * 1.0001, ranges=ranges)[0].architecture for one in budgets]
    answers, rule = stack(found), rule_named(branch.rule)
    middles = {"r": np.array([one.resolution for one in found])}
    for name, (low, high) in {
        "d": depth_ranges(formula.network, rule, answers.depths),
        "w": width_ranges(formula.network, rule, answers.widths),
    }.items():
        middles[name] = np.sqrt(np.maximum(low, high / WIDEST_STEP) * high)
    for name, values in middles.items():
        slope, one = np.polyfit(np.log(budgets), np.log(values), 1)[0], formula.exponents["shrink"][name]
        print(f"\n| {name} | {one.value:.3f} ({one.lower:.2f} to {one.upper:.2f}) | answers {slope:.3f} |", end="")
        assert one.lower - ROUNDING <= slope <= one.upper + ROUNDING


@pytest.mark.benchmark
@pytest.mark.parametrize("kind", ["loglinear", "tinynet"])
def test_how_often_the_interval_holds_the_exponent_of_noisy_points(kind):
    rng, inside, widths = np.random.default_rng(0), 0, []
    low, high = (0.05, 20.0) if kind == "loglinear" else (0.05, 1.0)
    for _ in range(STUDIES):
        c = np.geomspace(low, high, POINTS)
        r = c**EXPONENT * np.exp(rng.normal(0, NOISE, POINTS))
        one = slope_of(fit_curves(c, r, r, kind).r.curve, (low, high))
        inside += one.lower <= EXPONENT <= one.upper
        widths.append(one.upper - one.lower)
    print(f"\n{kind}: {inside} of {STUDIES} intervals hold {EXPONENT}, mean width {np.mean(widths):.3f}")
    assert inside >= 0.6 * STUDIES
