"""The best single compound rule, by grid search: recovered where it is known, and scored as it says."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planner import PlannerError
from planner.answers.formula import Formula
from planner.fitting import grid
from planner.fitting.fit import fit
from planner.fitting.scaled_score import ScaledScore
from planner.formulas import selection
from planner.rules import at_budget
from planner.tables.table import as_table
from sampler import base, rule_named, solve_width

B0_MACS = 385_814_752
RULES = [(0.28, 0.2), (0.1, 0.3), (0.45, 0.05), (0.0, 0.25)]  # exponents of depth and resolution


def accuracy_of(a, g):
    """Accuracy that grows with cost, and at every cost is best where r, d and w all lie on the rule."""

    def accuracy(c, r, d):
        w = np.sqrt(c / (r**2 * d))
        off = [np.log(one) - exponent * np.log(c) for one, exponent in ((r, g), (d, a), (w, (1 - a - 2 * g) / 2))]
        return 0.8 + 0.03 * np.log(c) - 0.03 * sum(one**2 for one in off)

    return accuracy


def sampled(accuracy, rows=120, lowest=0.03, highest=3.0, seed=0):
    """Trainings anywhere in the space, as a table has them."""
    rng = np.random.default_rng(seed)
    c, r, d = (
        np.exp(rng.uniform(np.log(low), np.log(high), 3 * rows))
        for low, high in ((lowest, highest), (0.2, 2.8), (0.2, 2.8))
    )
    c[:2], r[:2], d[:2] = (lowest, highest), (0.3, 1.5), (0.5, 1.5)
    buildable = np.flatnonzero(c / (r**2 * d) > 0.1)[:rows]  # of the others no width is narrow enough
    c, r, d = c[buildable], r[buildable], d[buildable]
    return pd.DataFrame(
        {"base": "efficientnet_b0", "accuracy": accuracy(c, r, d), "macs": np.rint(c * B0_MACS), "r": r, "d": d}
    )


def trainings(frame):
    return grid.Trainings(
        *(one.to_numpy() for one in (frame["macs"] / B0_MACS, frame["r"], frame["d"], frame["accuracy"]))
    )


@pytest.fixture
def known(monkeypatch):
    """A function: surrogates know this accuracy from now on."""

    def knows(accuracy):
        class Known:
            errors = {"rmse": 0.0}
            inputs = ("r", "d")
            provenance = {"rows": 120}

            def __init__(self, frame):
                self.frame = frame

            def worth(self):
                return self.posterior(self.frame)[0]

            def as_dict(self):
                return {"schema": "known"}

            def posterior(self, frame):
                mean = accuracy(frame["macs"].to_numpy() / B0_MACS, frame["r"].to_numpy(), frame["d"].to_numpy())
                return mean, np.zeros(len(mean))

        monkeypatch.setattr(selection, "fit_surrogate", lambda frame, *_, **__: Known(frame))

    return knows


@pytest.mark.parametrize(("a", "g"), [*RULES[::3], *(pytest.param(*one, marks=pytest.mark.slow) for one in RULES[1:3])])
def test_a_known_rule_is_given_back_to_a_thousandth(known, a, g):
    known(accuracy_of(a, g))
    found = fit(sampled(accuracy_of(a, g)), "compound").provenance["compound"]
    assert found["alpha"] == pytest.approx(2**a, abs=1e-3)
    assert found["beta"] == pytest.approx(2 ** ((1 - a - 2 * g) / 2), abs=1e-3)
    assert found["gamma"] == pytest.approx(2**g, abs=1e-3)
    assert found["alpha"] * found["beta"] ** 2 * found["gamma"] ** 2 == pytest.approx(2)


@pytest.mark.parametrize(("a", "g"), [RULES[0], pytest.param(*RULES[1], marks=pytest.mark.slow)])
def test_a_known_rule_is_given_back_by_a_gaussian_process_on_the_table(a, g):
    # The whole way, with a surrogate that has seen nothing but the trainings.
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    frame = sampled(accuracy_of(a, g))
    x = np.log(np.column_stack([frame["macs"] / B0_MACS, frame["r"], frame["d"]]))
    process = GaussianProcessRegressor(ConstantKernel(100.0) * RBF([10.0] * 3), alpha=1e-10, optimizer=None)
    process.fit(x, frame["accuracy"])
    best = grid.search(lambda c, r, d: process.predict(np.log(np.column_stack([c, r, d]))), trainings(frame))
    assert (best.coefficients.alpha, best.coefficients.gamma) == pytest.approx((2**a, 2**g), abs=1e-3)


def test_the_grid_covers_every_rule_in_twentieths_down_to_minus_a_half():
    pairs = {(round(a, 9), round(g, 9)) for a, g in grid.simplex(grid.LEAST)}
    steps = range(-10, 41)
    wanted = {(i / 20, j / 40) for i in steps for j in steps if 20 - i - j >= -10}
    assert pairs == wanted and len(pairs) == 51 * 52 // 2
    assert {(i / 20, j / 40) for i in range(21) for j in range(21 - i)} < pairs  # the paper's, none negative
    costs = [grid.coefficients(g, a).cost for a, g in pairs]
    assert costs == pytest.approx([2] * len(costs))  # alpha beta^2 gamma^2


def test_the_best_grid_point_is_the_one_that_loops_find(monkeypatch):
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(3, 3))

    def score(c, r, d):
        x = np.log(np.column_stack([c, r, d]))
        return np.sin(x @ weights).sum(axis=1)

    frame = sampled(score, lowest=0.2)
    seen = trainings(frame)
    monkeypatch.setattr(grid, "INDISTINCT", np.inf)  # no other anchor than the base network
    best = grid.search(score, seen, raw=False)
    budgets = np.geomspace(seen.c.min(), seen.c.max(), grid.GRID_BUDGETS)
    scores = {}
    for i in range(-10, 41):
        for j in range(-10, 31 - i):
            a, g = i / 20, j / 40
            cells = [(c, c**g, c**a) for c in budgets]
            inside = all(
                seen.r.min() * np.exp(-grid.NEAR_TRAINING) <= r <= seen.r.max() * np.exp(grid.NEAR_TRAINING)
                and seen.d.min() * np.exp(-grid.NEAR_TRAINING) <= d <= seen.d.max() * np.exp(grid.NEAR_TRAINING)
                for _, r, d in cells
            )
            if inside:
                scores[a, g] = np.mean([score(*map(np.atleast_1d, cell))[0] for cell in cells])
    assert best.points == len(scores) and best.points + best.outside == 1326
    assert best.score >= max(scores.values()) - 1e-12
    top = max(scores, key=scores.get)
    assert abs(best.a - top[0]) <= 0.1 and abs(best.g - top[1]) <= 0.05


def test_pairs_near_a_training_are_counted_and_with_raw_take_its_accuracy():
    # Flat but for one lucky training, which stands exactly where the rule (0.2, 0.2) has a budget.
    budgets = np.geomspace(0.1, 10, grid.GRID_BUDGETS)
    lucky = budgets[12]
    c = np.array([0.1, 10.0, lucky, 1.0, 1.0])
    r = np.array([0.5, 2.0, lucky**0.2, 0.1, 9.0])
    d = np.array([0.5, 2.0, lucky**0.2, 0.1, 9.0])
    seen = grid.Trainings(c, r, d, np.array([0.5, 0.5, 0.9, 0.5, 0.5]))

    def flat(c, r, d):
        return np.full(len(c), 0.5)

    best = grid.search(flat, seen, raw=True)
    assert (best.a, best.g) == pytest.approx((0.2, 0.2), abs=0.026)  # within 5 % of the lucky one, on the grid
    assert (round(best.a * 20, 6) % 1, round(best.g * 40, 6) % 1) == (0, 0)
    places = [
        (b, b**g, b**a)
        for a, g in grid.simplex(grid.LEAST)
        for b in budgets
        if all(0.1 * np.exp(-0.05) <= v <= 9 * np.exp(0.05) for e in (a, g) for v in (0.1**e, 10**e))
    ]
    near = sum(
        any(
            max(abs(np.log(p / q)) for p, q in zip(place, row, strict=True)) < grid.NEAR_TRAINING
            for row in zip(c, r, d, strict=True)
        )
        for place in places
    )
    assert (best.near, best.pairs) == (near, best.points * grid.GRID_BUDGETS)
    assert near >= 1
    smooth = grid.search(flat, seen)
    assert smooth.score == 0.5 and smooth.near == near


def test_a_flat_surrogate_leaves_every_rule_within_a_tenth_of_a_point(known):
    known(lambda c, r, d: np.full(len(c), 0.5))
    found = fit(sampled(accuracy_of(0.2, 0.2), lowest=0.5, highest=2.0), "compound").provenance["compound"]
    for name, (low, high) in found["within_0.1_points"].items():  # those that can be built, from a half to twice
        assert low < 1 and high > 2**0.4, name
    assert found["anchor"] == {"c": 1, "r": 1, "d": 1}  # where none is better, the base network


def test_the_formula_is_a_power_law_that_predicts_both_ways(known):
    known(accuracy_of(0.3, 0.15))
    formula = fit(sampled(accuracy_of(0.3, 0.15)), "compound")
    assert formula.kind == "compound" and set(formula.branches) == {"shrink", "enlarge"}
    for c in (0.1, 0.6, 2.5):
        branch = formula.branch(c)
        assert branch.r(c)[0] == pytest.approx(c**0.15, rel=1e-3)
        assert branch.d(c)[0] == pytest.approx(c**0.3, rel=1e-3)
        assert formula.predict(c * B0_MACS).macs == pytest.approx(c * B0_MACS, rel=0.01)
    assert set(fit(sampled(accuracy_of(0.3, 0.15), highest=0.9), "compound").branches) == {"shrink"}
    assert set(fit(sampled(accuracy_of(0.3, 0.15), lowest=1.3), "compound").branches) == {"enlarge"}


THROUGH = grid.Anchor(0.2, 1.1, 0.6)  # of half the width that the base network's own line has there


def anchored(a, g, anchor=THROUGH):
    """Accuracy that at every cost is best on a rule through an anchor."""

    def accuracy(c, r, d):
        at = np.log(c / anchor.c)
        off = [np.log(r / anchor.r) - g * at, np.log(d / anchor.d) - a * at]
        return 0.8 + 0.03 * np.log(c) - 0.1 * sum(one**2 for one in off)

    return accuracy


@pytest.mark.parametrize(("a", "g"), [pytest.param(0.1, 0.3, marks=pytest.mark.slow), (-0.2, 0.25), (0.5, -0.1)])
def test_a_rule_through_a_training_is_given_back_its_negative_exponents_too(known, tmp_path, a, g):
    truth = anchored(a, g)
    known(truth)
    frame = sampled(truth, lowest=0.1, highest=0.4)
    at_anchor = {"base": "efficientnet_b0", "accuracy": 0.9, "macs": round(0.2 * B0_MACS), "r": 1.1, "d": 0.6}
    frame = pd.concat(
        [frame, pd.DataFrame([{**at_anchor, "accuracy": float(truth(*np.array([[0.2], [1.1], [0.6]]))[0])}])]
    )
    formula = fit(frame.reset_index(drop=True), "compound")
    found = formula.provenance["compound"]
    assert (found["alpha"], found["gamma"]) == pytest.approx((2**a, 2**g), abs=2e-3)
    assert (found["anchor"]["r"], found["anchor"]["d"]) == (1.1, 0.6) and found["anchor"]["macs"] == at_anchor["macs"]
    marks = found["left_out_accuracy"]
    assert marks["through_training"] > marks["through_base"] + 0.001
    for c in (0.05, 0.2, 0.8):
        branch = formula.branch(c)
        assert branch.r(c)[0] == pytest.approx(1.1 * (c / 0.2) ** g, rel=5e-3)
        assert branch.d(c)[0] == pytest.approx(0.6 * (c / 0.2) ** a, rel=5e-3)
    replace(formula, surrogate=None).save(tmp_path / "f.json")
    again = Formula.load(tmp_path / "f.json")  # a reader of version 1 knows such curves
    assert [again.predict(c * B0_MACS).architecture for c in (0.15, 0.35)] == [
        formula.predict(c * B0_MACS).architecture for c in (0.15, 0.35)
    ]
    scaled = at_budget("compound", "efficientnet_b0", 0.3 * B0_MACS, formula=again)
    assert scaled.architecture == formula.predict(0.3 * B0_MACS).architecture


def test_rules_that_cannot_be_built_are_left_out(known):
    """More pixels and more blocks than the narrowest network affords would be the best, were there such networks."""
    frame = sampled(accuracy_of(0.2, 0.2), lowest=0.01, highest=0.2)
    known(lambda c, r, d: 0.5 + 0.02 * np.log(c) + 0.05 * np.log(r) + 0.05 * np.log(d))
    formula = fit(frame, "compound")
    for c in np.geomspace(0.0101, 0.2, 8):
        assert formula.predict(c * B0_MACS, extrapolate=True).macs == pytest.approx(c * B0_MACS, rel=0.01)


def test_a_surrogate_of_integers_is_asked_about_the_networks_that_r_and_d_make():
    class Integers:
        inputs = ("resolution", "depth_3", "width_5", "head")

        def posterior(self, frame):
            self.asked = frame
            return frame["width_5"].to_numpy() / 100, None

    surrogate = Integers()
    table = as_table(sampled(accuracy_of(0.2, 0.2)))
    score = ScaledScore.of(surrogate, table, "inverse")
    c, r, d = np.array([0.1, 0.5]), np.array([0.5, 0.8]), np.array([0.6, 1.0])
    means, asked = score(c, r, d), surrogate.asked
    for place in range(2):
        one = solve_width(
            base("efficientnet_b0"), rule_named("inverse"), round(224 * r[place]), d[place], c[place] * B0_MACS
        )
        assert asked["resolution"][place] == round(224 * r[place])
        assert asked["depth_3"][place] == one.architecture.depths[2]
        assert c[place] * 0.85 < asked["macs"][place] / B0_MACS <= c[place]  # the widest that costs no more
        assert means[place] == asked["width_5"][place] / 100
        assert abs(asked["width_5"][place] - one.architecture.widths[4]) <= 16
    assert score.buildable(c, r, d).all()
    assert not score.buildable(np.array([1e-3]), np.array([1.0]), np.array([1.0]))[0]


def test_the_command_says_the_rule_and_how_it_was_scored(known, run, tmp_path):
    known(accuracy_of(0.28, 0.2))
    sampled(accuracy_of(0.28, 0.2)).to_csv(tmp_path / "t.csv", index=False)
    code, out, err = run("fit", "t.csv", "--kind", "compound")
    assert (code, err) == (0, "")
    assert "alpha 1.214, beta 1.117, gamma 1.149, alpha beta^2 gamma^2 2.00, for twice the MACs" in out
    assert "EfficientNet's: alpha 1.200, beta 1.100, gamma 1.150, alpha beta^2 gamma^2 1.92" in out
    code, answer, _ = run("fit", "t.csv", "--kind", "compound", "--json")
    found = json.loads(answer)
    counts = found["compound"]
    assert f"{counts['pairs_near_a_training']} of {counts['pairs']} pairs have a training within 5 %" in out
    assert "it passes through the base network (r 1.000, d 1.000); expected at budgets left out of the choice: " in out
    assert counts["mostly_outside"] == (counts["outside_the_trainings"] > counts["grid_points"]) == ("MOST of" in out)
    assert found["efficientnet"] == {"alpha": 1.2, "beta": 1.1, "gamma": 1.15}
    assert found["coefficients"]["shrink"]["alpha"] == pytest.approx(2**0.28, abs=1e-3)


def test_too_few_trainings_for_a_grid_are_refused(compound_frame):
    with pytest.raises(PlannerError, match="12 trainings are too few for a surrogate, which needs 20"):
        fit(compound_frame(0.2, 0.3, 0.05, 1.0, rows=12), "compound")
