"""The accuracy surrogate as its users call it: what it learns, what it refuses, and what it says of itself."""

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import planner
from planner import PlannerError


def law(frame, limit=0.8):
    """Accuracy that saturates as a power law of the widths, and a little of the resolution."""
    return limit - 0.9 * frame["width_1"] ** -0.5 * frame["width_2"] ** -0.3 * (frame["resolution"] / 96) ** -0.4


def networks(rows, seed=0, noise=0.002):
    """Made-up trainings that follow the law."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "resolution": rng.integers(3, 8, rows) * 32,
            "width_1": rng.integers(1, 9, rows) * 8,
            "width_2": rng.integers(1, 9, rows) * 8,
        }
    )
    return frame.assign(accuracy=law(frame) + rng.normal(0, noise, rows))


INPUTS = ["resolution", "width_1", "width_2"]


@pytest.fixture(scope="module")
def surrogate():
    return planner.fit_surrogate(networks(60), inputs=INPUTS)


def test_a_saturating_power_law_is_learned_from_sixty_networks(surrogate):
    fresh = networks(500, seed=1)
    predicted = surrogate.predict(fresh)
    assert list(predicted.columns) == ["mean", "lower", "upper", "in_range"]
    error = predicted["mean"] - law(fresh)
    assert np.sqrt(np.mean(error**2)) < 0.0015  # three quarters of the noise
    inside = (fresh["accuracy"] >= predicted["lower"]) & (fresh["accuracy"] <= predicted["upper"])
    assert 0.82 <= inside.mean() <= 0.98


def test_beyond_the_networks_seen_the_law_goes_on(surrogate):
    far = pd.DataFrame({"resolution": [384], "width_1": [256], "width_2": [256]})
    assert surrogate.predict(far)["mean"][0] == pytest.approx(law(far)[0], abs=0.02)


def test_the_index_of_the_table_is_kept_and_the_mean_lies_in_its_interval(surrogate):
    frame = networks(7, seed=2).set_index(pd.Index(list("abcdefg")))
    predicted = surrogate.predict(frame, level=0.01)
    assert predicted.index.tolist() == list("abcdefg")
    assert (predicted["lower"] <= predicted["mean"]).all() and (predicted["mean"] <= predicted["upper"]).all()


def test_intervals_widen_with_their_level(surrogate):
    frame = networks(50, seed=3)
    widths = [
        (found["upper"] - found["lower"]).to_numpy()
        for found in (surrogate.predict(frame, level=level) for level in (0.3, 0.6, 0.9, 0.99, 0.9999))
    ]
    assert (np.diff(widths, axis=0) > 0).all()


def test_posteriors_of_frames_and_of_arrays_are_the_same_numbers(surrogate):
    frame = networks(20, seed=4)
    mean, std = surrogate.posterior(frame)
    again = surrogate.posterior_of(frame[INPUTS].to_numpy())
    assert np.array_equal(mean, again[0]) and np.array_equal(std, again[1])
    assert np.allclose(mean, surrogate.predict(frame)["mean"])
    assert (std > 0).all()


def test_noise_between_trainings_is_told_apart_from_not_knowing():
    surrogate = planner.fit_surrogate(networks(200, noise=0.01), inputs=INPUTS, validate=False)
    fresh = networks(100, seed=5)
    assert np.median(surrogate.noise_std(fresh)) == pytest.approx(0.01, rel=0.3)
    assert np.median(surrogate.posterior(fresh)[1]) < 0.005


def test_chunks_do_not_show(surrogate):
    frame = networks(9_000, seed=6)
    whole, _ = surrogate.posterior(frame)
    parts = np.concatenate([surrogate.posterior(frame[i : i + 1_000])[0] for i in range(0, 9_000, 1_000)])
    assert np.allclose(whole, parts, rtol=0, atol=1e-12)


def test_the_same_seed_gives_the_same_surrogate_and_row_order_changes_little():
    frame = networks(40)
    one, two = (planner.fit_surrogate(frame, inputs=INPUTS, seed=3).as_dict() for _ in range(2))
    assert one == two
    turned = planner.fit_surrogate(frame[::-1], inputs=INPUTS, seed=3)
    fresh = networks(100, seed=7)
    mean = planner.Surrogate.from_dict(one).predict(fresh)["mean"]
    assert np.allclose(turned.predict(fresh)["mean"], mean, atol=1e-3)


def test_percent_and_fractions_give_the_same_up_to_the_unit():
    frame, fresh = networks(40), networks(100, seed=8)
    fraction = planner.fit_surrogate(frame, inputs=INPUTS)
    percent = planner.fit_surrogate(frame.assign(accuracy=100 * frame["accuracy"]), inputs=INPUTS)
    for column in ("mean", "lower", "upper"):
        assert np.allclose(percent.predict(fresh)[column], 100 * fraction.predict(fresh)[column], rtol=1e-3)


def test_errors_are_of_rows_held_out_and_stand_beside_a_line(surrogate):
    names = ["rmse", "kendall", "kendall_top20", "coverage_50", "coverage_80", "coverage_90"]
    assert list(surrogate.errors) == [*names, *(f"linear_{name}" for name in names)]
    assert surrogate.errors["rmse"] < 0.5 * surrogate.errors["linear_rmse"]
    assert surrogate.errors["kendall"] > surrogate.errors["linear_kendall"]
    assert 0.75 <= surrogate.errors["coverage_90"] <= 1


def test_nothing_to_learn_is_seen_in_cross_validation():
    rng = np.random.default_rng(0)
    frame = networks(100).assign(accuracy=rng.normal(0.5, 0.1, 100))
    surrogate = planner.fit_surrogate(frame, inputs=INPUTS)
    assert abs(surrogate.errors["kendall"]) < 0.2
    assert surrogate.errors["rmse"] == pytest.approx(0.1, rel=0.25)
    fresh = networks(2_000, seed=9).assign(accuracy=rng.normal(0.5, 0.1, 2_000))
    found = surrogate.predict(fresh)
    assert 0.8 <= ((fresh["accuracy"] >= found["lower"]) & (fresh["accuracy"] <= found["upper"])).mean() <= 0.97


def test_one_diverged_training_does_not_spoil_the_rest():
    frame = networks(60)
    frame.loc[7, "accuracy"] = -40.0
    fresh = networks(300, seed=10)
    predicted = planner.fit_surrogate(frame, inputs=INPUTS).predict(fresh)
    assert np.sqrt(np.mean((predicted["mean"] - law(fresh)) ** 2)) < 0.01


def test_repeats_with_a_measured_noise_are_not_interpolated():
    rng = np.random.default_rng(0)
    frame = pd.concat([networks(15, noise=0)] * 4, ignore_index=True)
    frame["accuracy"] += rng.normal(0, 0.02, len(frame))
    surrogate = planner.fit_surrogate(frame, inputs=INPUTS, noise_variance=0.02**2)
    spread = frame.groupby(INPUTS)["accuracy"].std().mean()
    assert spread > 0.01
    again = surrogate.predict(frame)["mean"]
    assert np.ptp(again.groupby([frame[name] for name in INPUTS]).agg(np.ptp)) == pytest.approx(0, abs=1e-9)
    # Cross-validation keeps copies together: a fold that held one copy would be told the answer by the others.
    assert surrogate.errors["rmse"] > 0.015


def test_known_noise_is_believed_row_by_row():
    """Rows said to be worthless are overruled by the others, in a number, an array and a column alike."""
    frame = networks(60, noise=0.0)
    bad = np.arange(60) % 3 == 0
    frame["accuracy"] += np.where(bad, np.random.default_rng(1).normal(0, 0.05, 60), 0)
    frame["seed_variance"] = np.where(bad, 0.05**2, 0.0)
    fresh = networks(200, seed=11)

    def error(noise):
        fitted = planner.fit_surrogate(frame, inputs=INPUTS, noise_variance=noise, validate=False)
        found = fitted.predict(fresh)["mean"]
        return float(np.sqrt(np.mean((found - law(fresh)) ** 2)))

    column = error("seed_variance")
    assert column == pytest.approx(error(frame["seed_variance"].to_numpy()))
    assert column < 0.5 * error(None)


def test_macs_are_read_where_both_tables_have_them_and_done_without_where_one_lacks_them():
    rng = np.random.default_rng(0)
    frame = networks(60).assign(macs=rng.integers(10**6, 10**9, 60))
    frame["accuracy"] += 0.02 * np.log10(frame["macs"])
    surrogate = planner.fit_surrogate(frame, inputs=INPUTS, validate=False)
    assert surrogate.cost == "macs"
    low, high = (surrogate.predict(networks(50, seed=1).assign(macs=macs))["mean"] for macs in (1e6, 1e9))
    assert np.median(high - low) == pytest.approx(0.06, abs=0.02)
    plain = surrogate.predict(networks(50, seed=1))["mean"]
    assert ((low < plain) & (plain < high)).mean() > 0.8
    read = planner.Surrogate.from_dict(surrogate.as_dict())
    with pytest.raises(PlannerError, match="no column macs; the surrogate was fitted with that cost"):
        read.predict(networks(50, seed=1))


def test_a_cost_that_was_asked_for_is_needed():
    frame = networks(30).assign(flops=np.arange(30) + 1e6)
    surrogate = planner.fit_surrogate(frame, inputs=INPUTS, cost="flops")
    with pytest.raises(PlannerError, match="no column flops"):
        surrogate.predict(networks(5))
    mean, _ = surrogate.posterior_of(frame[INPUTS].to_numpy(), frame["flops"].to_numpy())
    assert np.allclose(mean, surrogate.predict(frame)["mean"])
    with pytest.raises(PlannerError, match="the cost flops is wanted"):
        surrogate.posterior_of(frame[INPUTS].to_numpy())
    with pytest.raises(PlannerError, match=r"cost of shape \(2,\); \(30,\) is wanted"):
        surrogate.posterior_of(frame[INPUTS].to_numpy(), [1.0, 2.0])


def test_the_inputs_of_a_study_are_found_and_only_its_finished_trainings_used(tmp_path):
    frame = networks(40).assign(depth_1=2, epochs=np.arange(40) % 4 + 1, seed=0, status="ok", base="efficientnet_b0")
    killed = frame.head(3).assign(status="killed", accuracy=np.nan)
    path = tmp_path / "trials.csv.gz"
    pd.concat([frame, killed]).to_csv(path, index=False)
    surrogate = planner.fit_surrogate(path)
    assert surrogate.inputs == ("resolution", "width_1", "width_2", "epochs")
    assert surrogate.provenance["rows"] == 40
    assert len(surrogate.predict(path)) == 43


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 6, 9])
def test_very_few_rows_are_enough_for_a_cautious_answer(rows):
    surrogate = planner.fit_surrogate(networks(rows), inputs=INPUTS)
    found = surrogate.predict(networks(100, seed=12))
    assert np.isfinite(found[["mean", "lower", "upper"]].to_numpy()).all()
    assert (found["upper"] > found["lower"]).all()


def test_awkward_columns_are_no_trouble():
    """Constants, booleans, columns over decades with and without zeros, negative ones, nullable and thirty of them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"extra{i}": rng.normal(size=50) for i in range(25)})
    frame["constant"] = 7
    frame["flag"] = rng.random(50) < 0.5
    frame["rate"] = 10 ** rng.uniform(-6, 0, 50)
    frame["decay"] = np.where(rng.random(50) < 0.2, 0, 10 ** rng.uniform(-6, 0, 50))
    frame["blocks"] = pd.array(rng.integers(1, 5, 50), dtype="Int64")
    inputs = list(frame.columns)
    frame["accuracy"] = 0.5 + 0.05 * np.log10(frame["rate"]) + 0.1 * frame["flag"] + rng.normal(0, 0.01, 50)
    surrogate = planner.fit_surrogate(frame, inputs=inputs)
    scales = dict(zip(inputs, surrogate.mixture.features.scales, strict=True))
    assert scales["constant"] == "constant" and scales["rate"] == "log" and scales["decay"] == "log1p"
    assert scales["flag"] == scales["extra3"] == "raw"
    assert surrogate.errors["kendall"] > 0.7


@pytest.mark.parametrize("value", [0.0, 0.7, -3.0])
def test_a_constant_target_is_predicted_as_it_is(value):
    found = planner.fit_surrogate(networks(20).assign(accuracy=value), inputs=INPUTS)
    predicted = found.predict(networks(10, seed=1))
    assert np.allclose(predicted["mean"], value, atol=0.05)
    assert found.errors["kendall"] is None


def test_constant_inputs_give_the_mean():
    frame = networks(30).assign(resolution=96, width_1=8, width_2=8)
    found = planner.fit_surrogate(frame, inputs=INPUTS).predict(frame)
    assert np.allclose(found["mean"], frame["accuracy"].mean(), atol=0.02)


def test_a_tail_upwards_is_as_welcome_as_one_downwards(surrogate):
    frame, fresh = networks(60), networks(300, seed=1)
    up = planner.fit_surrogate(frame.assign(loss=-frame["accuracy"]), inputs=INPUTS, target="loss")
    difference = up.predict(fresh)["mean"] + surrogate.predict(fresh)["mean"]
    assert np.sqrt(np.mean(difference**2)) < 0.003


@pytest.mark.parametrize("bad", [np.nan, np.inf, "deep", None])
@pytest.mark.parametrize("column", ["width_1", "accuracy"])
def test_what_is_no_number_is_refused_with_its_place(bad, column):
    frame = networks(20).astype(object)
    frame.loc[3, column] = bad
    with pytest.raises(PlannerError, match=rf"^{column} is no finite number in 1 of 20 rows \(first: row 4, "):
        planner.fit_surrogate(frame, inputs=INPUTS)


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        ({}, {"inputs": ["depth"]}, "no column depth; its columns are resolution, width_1, width_2, accuracy"),
        ({}, {"inputs": INPUTS, "target": "top1"}, "no column top1"),
        ({}, {"inputs": []}, "a list of 1 to 200 different column names is wanted"),
        ({}, {"inputs": ["width_1", "width_1"]}, "different column names"),
        ({}, {"inputs": "width_1"}, "a list of 1 to 200"),
        ({}, {"inputs": INPUTS, "cost": "macs"}, "no column macs"),
        ({"macs": 0}, {"inputs": INPUTS}, "the cost macs must be positive in every row"),
        ({}, {"inputs": INPUTS, "noise_variance": -1.0}, "noise_variance must be finite and not negative"),
        ({}, {"inputs": INPUTS, "noise_variance": [1.0, 2.0]}, r"noise_variance of shape \(2,\); one number, or one"),
        ({}, {"inputs": INPUTS, "noise_variance": "variance"}, "no column variance"),
        ({"status": "killed"}, {"inputs": INPUTS}, "0 finished trainings in the table; at least 2 are needed"),
        ({"accuracy": 1e200}, {"inputs": INPUTS}, "numbers beyond 1e100"),
    ],
    ids=lambda value: "" if not isinstance(value, str) else value[:24],
)
def test_what_cannot_be_fitted_is_refused(change, arguments, words):
    with pytest.raises(PlannerError, match=words):
        planner.fit_surrogate(networks(20).assign(**change), **arguments)


def test_a_table_without_a_study_s_columns_wants_inputs():
    with pytest.raises(PlannerError, match=r"inputs were not given, and none of resolution, width_1\.\."):
        planner.fit_surrogate(pd.DataFrame({"c1": [1, 2, 3], "accuracy": [0.1, 0.2, 0.3]}))


def test_a_column_that_is_there_twice_is_refused():
    frame = networks(20)
    frame = pd.concat([frame, frame[["width_1"]]], axis=1)
    with pytest.raises(PlannerError, match="2 columns are called width_1"):
        planner.fit_surrogate(frame, inputs=INPUTS)


def test_what_cannot_be_predicted_is_refused(surrogate):
    frame = networks(5)
    with pytest.raises(PlannerError, match="no column width_2"):
        surrogate.predict(frame.drop(columns="width_2"))
    with pytest.raises(PlannerError, match="width_1 of row 2 is 0; it was positive where the surrogate was fitted"):
        surrogate.predict(frame.assign(width_1=[8, 0, 8, 8, 8]))
    with pytest.raises(PlannerError, match=r"inputs of shape \(5, 2\); \(n, 3\) is wanted"):
        surrogate.posterior_of(frame[INPUTS[:2]].to_numpy())
    with pytest.raises(PlannerError, match="hold 1 numbers that are not finite"):
        surrogate.posterior_of([[96, 8, math.nan]])
    with pytest.raises(PlannerError, match="fitted without a cost"):
        surrogate.posterior_of([[96, 8, 8]], [1e6])
    for level in (0, 1, -0.5, 90, math.nan):
        with pytest.raises(PlannerError, match="a share between 0 and 1 is wanted"):
            surrogate.predict(frame, level=level)


def test_no_rows_are_predicted_as_none(surrogate):
    assert surrogate.predict(networks(5).head(0)).shape == (0, 4)
    assert surrogate.posterior_of(np.empty((0, 3)))[0].shape == (0,)


def test_more_rows_than_a_posterior_takes_are_thinned(monkeypatch):
    monkeypatch.setattr("planner.surrogates.fit.MOST_FITTED_ROWS", 50)
    surrogate = planner.fit_surrogate(networks(80), inputs=INPUTS)
    assert surrogate.provenance["rows"] == 50


def test_a_column_of_words_is_a_task_whose_level_is_learned():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"width": rng.integers(8, 64, 40), "data": np.array(["cifar10", "flowers"])[np.arange(40) % 2]}
    )
    frame["accuracy"] = 0.5 + 0.08 * np.log(frame["width"]) - 0.2 * (frame["data"] == "flowers")
    surrogate = planner.fit_surrogate(frame.iloc[:30], inputs=["width", "data"])
    assert surrogate.inputs == ("width", "data=cifar10", "data=flowers")
    rest = frame.iloc[30:]
    assert np.abs(surrogate.predict(rest)["mean"] - rest["accuracy"]).max() < 0.02
    again = planner.Surrogate.from_dict(json.loads(json.dumps(surrogate.as_dict())))
    assert again.predict(rest)["mean"].tolist() == surrogate.predict(rest)["mean"].tolist()
    with pytest.raises(PlannerError, match="data of row 1 is 'dogs'; the surrogate knows cifar10, flowers"):
        surrogate.predict(rest.assign(data="dogs"))
    with pytest.raises(PlannerError, match="data holds 51 different words; at most 50 can be told apart"):
        many = frame.iloc[np.arange(51) % 40].assign(data=[f"set {i} of many" for i in range(51)])
        planner.fit_surrogate(many, inputs=["width", "data"])


def test_fitting_imports_nothing_heavy_but_what_reads_a_table(tmp_path):
    """Pandas is there because the table is a frame; nothing of torch's, BoTorch's or scikit-learn's is."""
    networks(20).assign(status="ok").to_csv(tmp_path / "t.csv", index=False)
    program = (
        "import json, sys\n"
        "import planner\n"
        "from planner.surrogates import answer, answer_model, fit, lessons\n"
        "heavy = {'torch', 'gpytorch', 'botorch', 'linear_operator', 'timm', 'sklearn', 'pymoo', 'scipy.stats'}\n"
        "seen = [sorted((heavy | {'pandas', 'scipy'}) & set(sys.modules))]\n"
        "planner.fit_surrogate('t.csv')\n"
        "print(json.dumps([*seen, sorted(heavy & set(sys.modules))]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout) == [[], []], done.stderr
