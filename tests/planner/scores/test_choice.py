"""Which score to take: a winner only where the intervals allow it, else the cheapest that is not clearly worse."""

import numpy as np
import pandas as pd

from planner.scores.choice import choose_score

SECONDS = {"exact": 50.0, "near": 20.0, "noise": 1.0}


def table(n=40):
    rng = np.random.default_rng(0)
    target = np.arange(n) / n
    near = target + rng.normal(0, 0.02, n)
    return pd.DataFrame({"target": target, "exact": target, "near": near, "noise": rng.normal(size=n)})


def test_the_best_is_a_winner_where_all_others_are_clearly_worse():
    found = choose_score(table(), ["exact", "noise"], "target", SECONDS)
    assert found.winner and found.best == found.chosen == "exact"
    assert found.best_in == {"exact": 1.0, "noise": 0.0}
    assert found.behind["exact"].value == 0 and found.behind["noise"].lower > 0


def test_without_a_winner_the_cheapest_that_is_not_clearly_worse_is_taken():
    frame = table().assign(equal=lambda one: one["exact"])
    costs = SECONDS | {"equal": 5.0}
    found = choose_score(frame, ["exact", "near", "equal", "noise"], "target", costs)
    assert not found.winner and found.chosen == "equal"  # noise costs less, and is clearly worse
    assert np.isclose(sum(found.best_in.values()), 1) and found.best_in["exact"] == found.best_in["equal"]


def test_a_cheaper_score_that_is_only_just_worse_is_taken_and_a_clearly_worse_one_is_not():
    target = np.arange(12.0)
    swapped = target[[1, 0, *range(2, 12)]]  # of many resamples without either row it ranks as well
    frame = pd.DataFrame({"target": target, "exact": target, "near": swapped, "noise": -target})
    found = choose_score(frame, ["exact", "near", "noise"], "target", SECONDS)
    assert (found.best, found.chosen, found.winner) == ("exact", "near", False)
    assert found.behind["near"].lower == 0 < found.behind["near"].value and found.behind["noise"].lower > 0


def test_what_is_constant_is_no_choice():
    frame = table().assign(flat=1.0)
    found = choose_score(frame, ["flat", "near"], "target", {"flat": 0.0, "near": 1.0})
    assert found.chosen == "near" and found.behind["flat"].why == "constant"
    assert choose_score(frame, ["flat"], "target", {"flat": 0.0}).best is None


def test_a_single_score_wins_against_nobody():
    found = choose_score(table(), ["near"], "target", SECONDS)
    assert not found.winner and found.chosen == "near"
