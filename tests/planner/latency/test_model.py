"""Predictions of a latency model: positive, of exact counts, with intervals, and every refusal."""

import math
from dataclasses import replace

import numpy as np
import pytest

from planner.latency.features import features_of
from planner.latency.fit import fit_latency
from sampler.architecture import stack
from sampler.bases import base


def test_a_prediction_is_positive_and_the_sum_rises_with_every_count(model):
    assert all(value >= 0 for value in model.coefficients.values())
    far = {"macs": [1.0, 1e15], "activations": [1.0, 1e12], "params": [1.0, 1e12], "resolution": [1, 10_000]}
    low, high = model.predict(far)
    assert 0 < low < high < math.inf


def test_far_from_the_table_the_sum_of_times_is_left(model):
    far = {"macs": 1e16, "activations": 1e14, "params": 1e14, "resolution": 16_384}
    total = sum(model.coefficients[name] * far[name] for name in ("macs", "activations", "params"))
    assert model.predict(far)[0] == pytest.approx(total + model.coefficients["fixed"], rel=1e-3)


def test_architectures_are_predicted_from_their_exact_counts(made_up):
    table = made_up()
    table["depth_1"] = np.arange(len(table)) % 5 + 2
    fitted = fit_latency(table)
    b0 = base("efficientnet_b0").architecture()
    known = {"macs": 385_814_752, "activations": 6_698_476, "params": 5_288_548, "resolution": 224, "blocks": 16}
    found = features_of(stack([b0]))
    assert {name: int(value[0]) for name, value in found.items()} | {"activations": 0} == known | {"activations": 0}
    assert fitted.features == tuple(known)
    known["activations"] = found["activations"]
    assert fitted.of(stack([b0, b0])).tolist() == [fitted.predict(known)[0]] * 2


def test_what_was_not_seen_is_out_of_range(model, made_up):
    table = made_up()
    assert model.in_range(table).all()
    assert not model.in_range(table.assign(params=1e12)).any()


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({"macs": 1e9}, "needs macs, activations, params, resolution; activations, params, resolution is missing"),
        ({"macs": 0, "activations": 1, "params": 1, "resolution": 1}, "macs must be positive and finite, got 0"),
        ({"macs": [1, math.nan], "activations": 1, "params": 1, "resolution": 1}, "macs must be positive and finite"),
        ({"macs": [1, 2], "activations": [1, 2, 3], "params": 1, "resolution": 1}, "scalars or of one length"),
    ],
)
def test_impossible_features_are_refused(model, features, words, refused):
    assert words in refused(model.predict, features)


@pytest.mark.parametrize("level", [0, 1, -1, 1.5, math.nan])
def test_an_impossible_level_is_refused(model, level, refused):
    assert "level must lie between 0 and 1" in refused(model.factor, level)


def test_the_interval_is_a_rank_of_the_left_out_residuals(model, made_up):
    nine = replace(model, log_residuals=np.arange(1, 10) / 10)
    assert [nine.factor(level) for level in (0.5, 0.8, 0.9, 0.99)] == np.exp([0.5, 0.8, 0.9, 0.9]).tolist()
    new = made_up(3)
    low, high = nine.interval(new, 0.5)
    np.testing.assert_allclose([nine.predict(new) / low, high / nine.predict(new)], math.exp(0.5))


def test_no_row_no_prediction(model):
    assert model.predict({name: [] for name in model.features}).shape == (0,)
