"""The score by which an answer is chosen: own results, caution, curves, and what is expected of a choice."""

import numpy as np
import pandas as pd
import pytest

from planner.surrogates.answer_model import answer_model

INPUTS = ["width", "depth"]


def test_a_cautious_answer_takes_less_of_what_is_uncertain(model, pool, matrix_of):
    matrix = matrix_of(pool)
    off = model.scores(matrix) - model.scores(matrix, cautious=True)
    own, _, deviations = model.own(matrix)
    assert (off >= 0).all() and off[own] == pytest.approx(deviations)
    other = np.setdiff1d(np.arange(len(pool)), own)
    assert off[other] == pytest.approx(model.surrogate.outcomes(matrix)[1][other])


def test_a_trained_row_counts_with_its_own_result_and_one_lucky_row_does_not_win(pool, matrix_of, accuracy):
    rng = np.random.default_rng(0)
    some = pool.sample(40, random_state=0)
    noisy = some.assign(accuracy=accuracy(some) + rng.normal(0, 0.01, len(some)))
    lucky = noisy.index[noisy["macs"].between(20_000, 100_000)][0]
    noisy.loc[lucky, "accuracy"] += 0.02
    place = list(pool.index).index(lucky)
    models = [answer_model(noisy, INPUTS, noise_variance=variance) for variance in (None, 1e-4, 0.0)]
    unknown, told, exact = (each.scores(matrix_of(pool))[place] for each in models)
    plain = models[0].surrogate.predict(pool)["mean"].iloc[place]
    assert plain < unknown < exact and plain < told < exact
    assert exact == pytest.approx(noisy["accuracy"][lucky], abs=2e-3)


def test_repeats_of_one_row_count_as_one_with_their_mean(pool, matrix_of, accuracy):
    some = pool.sample(30, random_state=0)
    twice = pd.concat([some, some]).assign(accuracy=lambda rows: accuracy(rows) + np.repeat([0.01, -0.01], 30))
    model = answer_model(twice, INPUTS, noise_variance=1e-4)
    assert len(model.tried) == 30
    own, reached, _ = model.own(matrix_of(some))
    assert own.tolist() == list(range(30)) and reached == pytest.approx(accuracy(some).to_numpy(), abs=9e-3)


def test_what_is_expected_of_an_answer_is_never_above_the_surrogate_and_its_interval_is_no_shorter(
    model, pool, matrix_of
):
    matrix = matrix_of(pool)
    mean, lower, upper = model.expected(matrix)
    plain = model.surrogate.intervals_of(matrix[:, :-1], matrix[:, -1])
    own, reached, _ = model.own(matrix)
    other = np.setdiff1d(np.arange(len(pool)), own)
    assert (mean[other] <= plain[0][other]).all() and mean[own].tolist() == reached.tolist()
    assert (upper - lower >= (plain[2] - plain[1]) - 1e-12).all() and (lower <= mean).all() and (mean <= upper).all()
