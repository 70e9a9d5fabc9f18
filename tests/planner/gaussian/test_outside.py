"""Beyond the rows seen: which rows are, what extrapolating is believed to cost, and how intervals widen by it."""

import copy
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import planner
from planner import PlannerError, Surrogate
from planner.gaussian.outside import FREEDOM, PRIOR_ABOVE, PRIOR_BELOW, Outside, sensitivity, students_t
from planner.gaussian.warps import standardised_warp
from planner.surrogates.choose import IDENTITY, Problem
from planner.surrogates.mixture import fit_mixture


def models(rows, seed=0, low=17.0, high=20.0, noise=0.005):
    """Made-up language models: loss as a law of parameters and tokens."""
    rng = np.random.default_rng(seed)
    flops = 10 ** rng.uniform(low, high, rows)
    params = np.sqrt(flops / 120) * 10 ** rng.uniform(-0.5, 0.5, rows)
    frame = pd.DataFrame({"params": params, "tokens": flops / 6 / params, "flops": flops})
    loss = 1.7 + 0.9 * (params / 1e8) ** -0.34 + 1.2 * (frame["tokens"] / 2e9) ** -0.28
    return frame.assign(loss=loss + rng.normal(0, noise, rows))


READ = {"inputs": ["params", "tokens"], "target": "loss", "cost": "flops"}


@pytest.fixture(scope="module")
def surrogate():
    return planner.fit_surrogate(models(60), **READ)


@pytest.fixture(scope="module")
def document(surrogate):
    return json.loads(json.dumps(surrogate.as_dict(), allow_nan=False))


def widths(found):
    return (found["upper"] - found["lower"]).to_numpy()


@pytest.mark.parametrize("freedom", range(1, 12))
@pytest.mark.parametrize("level", [0.01, 0.5, 0.9, 0.999])
def test_students_t_is_scipy_s(freedom, level):
    assert students_t(level, freedom) == pytest.approx(stats.t.ppf(0.5 + level / 2, freedom), rel=1e-9)


def test_larger_language_models_are_out_of_range_and_nine_of_ten_lie_in_their_intervals(surrogate):
    inside, far = models(300, seed=1), models(300, seed=2, low=20.7, high=21.0)
    assert surrogate.predict(inside)["in_range"].mean() > 0.8
    found = surrogate.predict(far)
    assert not found["in_range"].any()
    assert ((far["loss"] >= found["lower"]) & (far["loss"] <= found["upper"])).mean() > 0.8
    assert np.median(widths(found)) > 3 * np.median(widths(surrogate.predict(inside)))


def test_intervals_inside_are_those_without_anything_known_of_the_outside(surrogate):
    """What is done for rows outside leaves those inside to the last bit."""
    rows = models(300, seed=3)
    inside = surrogate.predict(rows)["in_range"]
    other = replace(surrogate, outside=Outside(99.0, 99.0))
    assert other.predict(rows)[inside].equals(surrogate.predict(rows)[inside])
    assert (widths(other.predict(rows))[~inside] > widths(surrogate.predict(rows))[~inside]).all()


@pytest.mark.parametrize("column", ["params", "tokens", "flops"])
@pytest.mark.parametrize("times", [100.0, 0.01])
def test_any_column_out_of_range_is_enough_in_either_direction(surrogate, column, times):
    row = models(1, seed=4, low=18.5, high=18.5)
    assert surrogate.predict(row)["in_range"].all()
    away = pd.concat([row.assign(**{column: row[column] * times**power}) for power in (1, 2, 3)])
    found = surrogate.predict(away)
    assert not found["in_range"].any()
    assert (np.diff(widths(found)) > 0).all()  # the farther, the wider


def test_a_frame_and_an_array_say_the_same(surrogate):
    rows = models(50, seed=5, low=16, high=21)
    found = surrogate.predict(rows)
    inside = surrogate.in_range_of(rows[["params", "tokens"]].to_numpy(), rows["flops"].to_numpy())
    assert found["in_range"].tolist() == inside.tolist() and 0 < inside.sum() < 50


def test_a_rounding_of_the_largest_is_inside_and_one_step_more_is_not():
    frame = pd.DataFrame({"size": [96, 112, 128] * 5, "width": [8, 16, 32, 64, 128] * 3})
    frame["accuracy"] = 0.5 + 0.02 * np.log(frame["size"] * frame["width"])
    fitted = planner.fit_surrogate(frame, inputs=["size", "width"], validate=False)
    asked = pd.DataFrame({"size": [96, 128.2, 130, 95, 128], "width": [8, 128, 64, 64, 136]})
    assert fitted.predict(asked)["in_range"].tolist() == [True, True, False, False, False]


def test_a_column_that_never_varied_is_known_at_its_value_alone():
    frame = models(30).assign(context=1024, dropout=0.0)
    fitted = planner.fit_surrogate(
        frame, inputs=["params", "tokens", "context", "dropout"], target="loss", cost="flops", validate=False
    )
    rows = models(1, seed=4, low=18.5, high=18.5).assign(context=1024, dropout=0.0)
    changed = pd.concat([rows, rows.assign(context=2048), rows.assign(context=512), rows.assign(dropout=0.1)])
    found = fitted.predict(changed)
    assert found["in_range"].tolist() == [True, False, False, False]
    assert (widths(found)[1:] > widths(found)[0]).all()
    again = Surrogate.from_dict(json.loads(json.dumps(fitted.as_dict(), allow_nan=False)))
    assert again.predict(changed).equals(found)


def test_a_value_of_a_word_column_between_those_seen_is_inside():
    frame = pd.DataFrame({"width": np.tile([8, 16, 32, 64], 6), "data": np.repeat(["a", "b", "c"], 8)})
    frame["accuracy"] = 0.5 + 0.05 * np.log(frame["width"]) + 0.1 * (frame["data"] == "b")
    fitted = planner.fit_surrogate(frame, inputs=["width", "data"], validate=False)
    assert fitted.predict(frame)["in_range"].all()


def test_a_straight_line_is_trusted_farther_than_a_bent_one():
    """Leaving the largest out costs nothing where a line is true, and much where it bends beyond."""
    x = np.linspace(1, 3, 40)
    noise = np.random.default_rng(0).normal(0, 0.01, 40)
    told = {}
    for name, y in (("line", x), ("bent", np.maximum(x, 2.2) ** 4)):
        frame = pd.DataFrame({"x": x, "y": y + noise})
        told[name] = planner.fit_surrogate(frame, inputs=["x"], target="y", validate=False).outside
    assert told["line"].above < PRIOR_ABOVE < told["bent"].above
    assert told["line"].freedom == (FREEDOM + 3, FREEDOM + 3)


def test_three_rows_leave_the_prior():
    frame = models(3)
    found = planner.fit_surrogate(frame, **READ, validate=False).outside
    assert (found.above, found.below) == pytest.approx((PRIOR_ABOVE, PRIOR_BELOW)) and found.freedom == (
        FREEDOM,
        FREEDOM,
    )


def test_a_target_that_does_not_vary_among_the_small_ones_teaches_nothing_of_the_large():
    frame = pd.DataFrame({"x": np.geomspace(1, 100, 30)})
    frame["y"] = np.maximum(np.log(frame["x"]) - 3, 0) / 10 + 0.1
    found = planner.fit_surrogate(frame, inputs=["x"], target="y", validate=False)
    assert np.isfinite(found.predict(pd.DataFrame({"x": [0.01, 1e4]}))[["lower", "upper"]].to_numpy()).all()


def test_all_rows_equal_leave_the_prior_and_flag_any_other_row():
    frame = pd.DataFrame({"x": [4.0] * 6, "y": [0.1, 0.2, 0.1, 0.3, 0.2, 0.2]})
    fitted = planner.fit_surrogate(frame, inputs=["x"], target="y", validate=False)
    found = fitted.predict(pd.DataFrame({"x": [4.0, 8.0]}))
    assert found["in_range"].tolist() == [True, False] and widths(found)[1] > widths(found)[0]


def test_far_away_numbers_stay_finite(surrogate):
    row = models(1)
    far = surrogate.predict(pd.concat([row * 1e30, row * 1e-30]))
    assert np.isfinite(far[["mean", "lower", "upper"]].to_numpy()).all() and not far["in_range"].any()


def test_a_saturating_target_is_as_sensitive_as_at_the_rows_end_or_more():
    warp = standardised_warp("above", 1.0, np.array([0.1, 0.5, 0.8, 0.9]))
    end = warp.forward(np.array([0.9, 0.1, 0.1]))
    there = warp.forward(np.array([0.99, -0.8, -1e6]))
    at_end = 1 / warp.slope(np.array([0.9, 0.1, 0.1]))
    # Nearer to the limit no less than at the end; away from it the distance doubles; never more than tenfold.
    assert sensitivity(warp, end, there) == pytest.approx(at_end * [1.0, 2.0, 10.0])


def test_more_rows_move_the_range(surrogate):
    far = models(5, seed=6, low=21.0, high=21.2)
    assert surrogate.conditioned(far).predict(far)["in_range"].all()


def test_old_records_widen_by_the_prior(document, surrogate):
    old = copy.deepcopy(document)
    del old["outside"]
    far = models(20, seed=7, low=20.7, high=21)
    found, known = Surrogate.from_dict(old), Surrogate.from_dict(document)
    assert known.predict(far).equals(surrogate.predict(far))
    assert found.outside.freedom == (FREEDOM, FREEDOM) and not found.predict(far)["in_range"].any()
    inside = models(20, seed=8)
    kept = found.predict(inside)["in_range"]
    assert found.predict(inside)[kept].equals(surrogate.predict(inside)[kept])


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("above", 0.0, "positive numbers"),
        ("below", "wide", "below is 'wide'"),
        ("freedom", {"above": 3}, "KeyError: 'below'"),
        ("freedom", {"above": 3, "below": 2.5}, "whole ones up to 1000"),
        ("constants", [None], "constants holds 1 values; 3 are wanted"),
        ("constants", [None, "x", None], "constants is 'x'"),
    ],
)
def test_a_damaged_part_is_refused(document, key, value, words):
    damaged = copy.deepcopy(document)
    damaged["outside"][key] = value
    with pytest.raises(PlannerError, match=words):
        Surrogate.from_dict(damaged)


def test_distances_are_in_ranges_of_a_column_by_hand():
    inputs = np.array([[10.0, 1.0], [20.0, 2.0], [30.0, 4.0]])
    problem = Problem(("a", "b"), inputs, np.array([1.0, 2.0, 3.0]), np.zeros(3))
    mixture = fit_mixture(problem, IDENTITY, ("raw", "log"), 0)
    rows = np.array([[50.0, 2.0], [20.0, 0.5], [20.0, 16.0], [0.0, 2.0]])
    above, below = Outside().distances(rows, mixture.features, mixture.seen.x)
    assert above == pytest.approx([1.0, 0.0, 1.0, 0.0])  # 20 of a range of 20; two doublings of two
    assert below == pytest.approx([0.0, 0.5, 0.0, 0.5])
