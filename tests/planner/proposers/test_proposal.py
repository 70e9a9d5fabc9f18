"""Which rows of a pool are proposed: against brute force, and for tables in every sad state."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import planner
from planner import PlannerError
from planner.gaussian.warps import Warp
from planner.proposers.bayes import FLOOR_DEPTH, MARGIN, Known, best_rows, reference_of
from planner.proposers.proposal import _log_seconds, _thinned
from planner.proposers.spread import spread_out
from planner.surrogates.fit import fit_surrogate
from planner.surrogates.lessons import lessons

INPUTS = ["width", "depth"]
IDENTITY_WARP = Warp("identity", 0.0, 0.0, 1.0)


def grid(most=12):
    """All networks of a small space, with made-up but exact costs."""
    frame = pd.DataFrame([(w, d) for w in range(1, most + 1) for d in range(1, 7)], columns=INPUTS)
    frame.index = [f"net{i}" for i in range(len(frame))]
    return frame.assign(macs=frame["width"] ** 2 * frame["depth"] * 1000)


def accuracy(frame):
    return 0.9 - 0.5 * frame["width"] ** -0.7 - 0.2 * frame["depth"] ** -1.0 - 0.01 * (frame["width"] % 3)


def measured(pool, rows=20, seed=0):
    some = pool.sample(rows, random_state=seed)
    return some.assign(accuracy=accuracy(some))


@pytest.fixture(scope="module")
def pool():
    return grid()


@pytest.fixture(scope="module")
def observed(pool):
    return measured(pool)


def ask(observed, pool, n=1, **more):
    return planner.propose(observed, pool, n, inputs=INPUTS, **more)


def expected_gain(mean, std, cost, points, reference):
    """Gain in area under the staircase of (log cost, accuracy) points, integrated over a Gaussian by quadrature."""
    limit, floor = reference
    xs = sorted({cost, limit, *(x for x, _ in points if cost < x < limit)})
    total = 0.0
    for left, right in zip(xs, xs[1:], strict=False):
        height = max([floor, *(a for x, a in points if x <= left)])
        gain, _ = quad(
            lambda z, h=height: max(mean + std * z - h, 0) * norm.pdf(z), -9, 9, points=[(height - mean) / std]
        )
        total += (right - left) * gain
    return total


def test_the_best_of_a_full_grid_is_that_of_brute_force(pool, observed):
    left = pool.drop(observed.index)
    surrogate = fit_surrogate(observed, INPUTS, "accuracy", "macs", validate=False)
    mean, std = surrogate.outcomes(left[[*INPUTS, "macs"]].to_numpy(float), noise_share=0.0)
    points = list(zip(np.log(observed["macs"]), observed["accuracy"], strict=True))
    costs = np.log(pool["macs"])
    lowest = observed["accuracy"].min()
    span = np.ptp(observed["accuracy"])
    floor = max(min(lowest, mean.min()), lowest - span) - FLOOR_DEPTH * span
    reference = (costs.max() + MARGIN * np.ptp(costs), floor)
    gains = [
        expected_gain(m, s, math.log(cost), points, reference)
        for m, s, cost in zip(mean, std, left["macs"], strict=True)
    ]
    assert ask(observed, pool) == [left.index[int(np.argmax(gains))]]


def test_it_finds_nearly_the_whole_front_in_a_third_of_the_rows(pool):
    def area(frame):
        points, limit = frame.sort_values("macs"), math.log(pool["macs"].max() * 1.1)
        heights = np.maximum.accumulate(points["accuracy"].to_numpy())
        edges = np.append(np.log(points["macs"].to_numpy()), limit)
        return float((np.diff(edges) * heights).sum())

    seen = measured(pool, 6, seed=3)
    while len(seen) < 24:
        seen = pd.concat([seen, (more := pool.loc[ask(seen, pool)]).assign(accuracy=accuracy(more))])
    by_chance = [area(measured(pool, 24, seed)) for seed in range(20)]
    whole = area(pool.assign(accuracy=accuracy(pool)))
    assert whole - area(seen) < 0.1 * (whole - np.mean(by_chance))


def test_large_pools_are_screened_to_the_same_choice(pool, observed, monkeypatch):
    many = grid(most=80)
    exactly = ask(observed, many, 6)
    monkeypatch.setattr("planner.proposers.bayes.SHORTLIST", 100)
    monkeypatch.setattr("planner.proposers.bayes.SCREENED", 200)
    screened = ask(observed, many, 6)
    assert screened[0] == exactly[0] == ask(observed, many)[0]
    # The shortlist reaches over all costs, or the batch would stay near its first row.
    reach = [np.ptp(np.log(many.loc[batch, "macs"])) for batch in (exactly, screened)]
    assert reach[1] > 0.8 * reach[0]


def test_the_same_seed_gives_the_same_rows_and_the_order_of_the_pool_does_not_matter(pool, observed):
    assert ask(observed, pool, 4, seed=3) == ask(observed, pool, 4, seed=3)
    assert ask(observed, pool.iloc[::-1]) == ask(observed, pool)


def test_a_batch_does_not_crowd_and_holds_nothing_twice(pool, observed):
    batch = ask(observed, pool, 8)
    assert len(set(batch)) == 8 and not set(batch) & set(observed.index)
    costs = np.log(pool.loc[batch, "macs"])
    assert np.ptp(costs) > 0.3 * np.ptp(np.log(pool["macs"])) and np.diff(np.sort(costs)).min() >= 0
    # One after another, each believed to come out as the surrogate that knew of those before expected.
    left, columns = pool.drop(observed.index), [*INPUTS, "macs"]
    known = Known(
        fit_surrogate(observed, INPUTS, "accuracy", "macs", validate=False), observed[columns].to_numpy(float)
    )
    reference = reference_of(known, left[columns].to_numpy(float), known.of(left[columns].to_numpy(float))[0])
    for label in batch[:3]:
        rows = left[columns].to_numpy(float)
        (row,) = best_rows(known, rows, 1, reference=reference)
        assert left.index[row] == label
        known, left = known.believing(rows[[row]]), left.drop(label)


def test_what_is_running_is_not_proposed_again_and_is_believed_to_come_out_as_expected(pool, observed):
    first, second = ask(observed, pool, 2)
    running = pool.loc[[first]].assign(accuracy=math.nan, status="running")
    assert ask(pd.concat([observed.assign(status="ok"), running]), pool) == [second]


def test_trainings_that_failed_teach_nothing_but_are_not_tried_again(pool, observed):
    (best,) = ask(observed, pool)
    without = ask(observed, pool.drop(best))
    for failed in (
        {"accuracy": math.nan, "status": "diverged"},
        {"accuracy": 0.1, "status": "killed"},
        {"accuracy": math.inf, "status": "ok"},
    ):
        ledger = pd.concat([observed.assign(status="ok"), pool.loc[[best]].assign(**failed)])
        assert ask(ledger, pool) == without


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_with_next_to_nothing_measured_the_rows_are_spread_over_all_costs(pool, rows):
    seen = measured(pool, rows) if rows else pool.head(0).assign(accuracy=[])
    chosen = ask(seen, pool, 6)
    assert len(set(chosen)) == 6 and not set(chosen) & set(seen.index)
    costs = np.log(pd.concat([seen, pool.loc[chosen]])["macs"])
    assert np.ptp(costs) > 0.85 * np.ptp(np.log(pool["macs"]))
    assert np.diff(np.sort(costs)).max() < 0.45 * np.ptp(np.log(pool["macs"]))
    assert ask(seen, pool, 6) == chosen


@pytest.mark.parametrize(
    "change",
    [
        {"accuracy": math.nan},
        {"accuracy": 0.5},
        {"accuracy": 0.0},
        {"status": "diverged"},
    ],
    ids=["all missing", "all equal", "all nothing", "all diverged"],
)
def test_measurements_that_teach_nothing_spread_the_rows_out(pool, observed, change):
    chosen = ask(observed.assign(**change), pool, 3)
    columns = [*INPUTS, "macs"]
    left = pool.drop(observed.index)
    far = spread_out(left[columns].to_numpy(float), observed[columns].to_numpy(float), 3)
    assert chosen == [left.index[row] for row in far]


def test_rows_measured_again_and_again_are_no_harm(pool, observed):
    repeated = pd.concat(
        [observed, observed.head(5).assign(accuracy=lambda f: f["accuracy"] + 0.001), observed.head(2)]
    )
    chosen = ask(repeated, pool, 3)
    assert not set(chosen) & set(observed.index)
    once = pd.concat([observed.head(1)] * 30)
    assert len(ask(once, pool, 2)) == 2


def test_copies_in_the_pool_count_once(pool, observed):
    twice = pd.concat([pool, pool.rename(index=lambda name: name + "'")])
    assert ask(observed, twice, 5) == ask(observed, pool, 5)
    with pytest.raises(PlannerError, match="none of 20 rows is left: all were tried"):
        ask(observed, pool.loc[observed.index])


def test_a_pool_smaller_than_n_comes_back_whole(pool, observed):
    left = list(pool.drop(observed.index).index[:5])
    assert sorted(ask(observed, pool.loc[left], 9)) == sorted(left)
    assert sorted(ask(observed.head(0), pool.loc[left], 9)) == sorted(left)


def test_pools_with_zeros_that_no_measured_row_has_are_read(pool, observed):
    zeros = pd.concat([pool, pd.DataFrame({"width": [0, 3], "depth": [2, -1], "macs": [500, 700]}, ["none", "less"])])
    chosen = ask(observed, zeros, 20)
    assert len(set(chosen)) == 20 and set(chosen) <= set(zeros.index)
    assert set(zeros.columns) == {*INPUTS, "macs"} and zeros.loc["none", "width"] == 0


def test_more_rows_than_a_surrogate_takes_are_thinned_but_for_the_front(monkeypatch, pool):
    everything = pool.assign(accuracy=accuracy(pool))
    seen = everything.sample(40, random_state=1)
    for module in ("surrogates.fit", "proposers.proposal"):
        monkeypatch.setattr(f"planner.{module}.MOST_FITTED_ROWS", 25)
    chosen = ask(seen, pool, 3)
    assert len(chosen) == 3 and not set(chosen) & set(seen.index)
    kept = seen.iloc[_thinned(seen["macs"].to_numpy(float), seen["accuracy"].to_numpy(), 0)]
    assert len(kept) == 25 and kept.index.is_unique
    best = [row for row in seen.itertuples() if not (seen[seen["macs"] <= row.macs]["accuracy"] > row.accuracy).any()]
    assert {row.Index for row in best} <= set(kept.index)


def test_any_labels_come_back_as_they_are(pool, observed):
    numbered = pool.reset_index(drop=True)
    (label,) = ask(observed, numbered)
    assert pool.index[label] == ask(observed, pool)[0]
    assert isinstance(ask(observed, pool.set_index("width", drop=False))[0], int | np.integer)


def test_the_unit_of_accuracy_and_of_cost_do_not_matter(pool, observed):
    percent = observed.assign(accuracy=100 * observed["accuracy"])
    assert ask(percent, pool, 3) == ask(observed, pool, 3)
    assert ask(observed.assign(macs=observed["macs"] / 1e6), pool.assign(macs=pool["macs"] / 1e6)) == ask(
        observed, pool
    )


def test_budgets_are_kept_exactly(pool, observed):
    limited = ask(observed, pool, 10, limits={"macs": 50_000, "depth": 3})
    assert pool.loc[limited, "macs"].max() <= 50_000 and pool.loc[limited, "depth"].max() <= 3
    with pytest.raises(PlannerError, match="beyond the limits"):
        ask(observed, pool, limits={"macs": 1})


def test_per_second_prefers_cheap_rows_and_needs_seconds(pool, observed):
    timed = observed.assign(seconds=observed["macs"] ** 1.0 / 1000)
    by_trial, by_second = (pool.loc[ask(timed, pool, 6, per=per), "macs"] for per in ("trial", "second"))
    assert np.log(by_second).mean() < np.log(by_trial).mean()
    known = pool.assign(seconds=pool["macs"] / 1000)
    assert ask(observed, known, per="second") == ask(timed, pool, per="second")
    assert ask(observed, pool.assign(seconds=7.0), 3, per="second") == ask(observed, pool, 3)
    with pytest.raises(PlannerError, match="per second needs a column seconds"):
        ask(observed, pool, per="second")


def test_a_lucky_measurement_is_believed_as_far_as_the_noise_allows(observed):
    lucky = observed.iloc[[5]].assign(accuracy=lambda f: f["accuracy"] + 0.05)
    table = pd.concat([observed.drop(lucky.index), lucky])

    def reached(noise_variance, share):
        surrogate = fit_surrogate(table, INPUTS, "accuracy", "macs", noise_variance, validate=False)
        return surrogate.reached(share)[-1] - lucky["accuracy"].item()

    assert reached(None, 0.0) == pytest.approx(0, abs=1e-5)
    assert reached(0.03**2, 0.0) < -0.005
    assert reached(0.03**2, 1.0) <= reached(0.03**2, 0.0) + 1e-9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda o, p: ask(o, p, 0), "n is 0; at least one"),
        (lambda o, p: ask(o.drop(columns="accuracy"), p), "observed: no column accuracy; its columns are"),
        (lambda o, p: ask(o, p.drop(columns="macs")), "no column macs"),
        (lambda o, p: ask(o, p.assign(width="wide")), "width is no finite number"),
        (lambda o, p: ask(o, p.assign(macs=0)), "macs of row 1 is 0; a positive cost"),
        (lambda o, p: ask(o, p.assign(depth=math.nan)), "depth is no finite number"),
        (lambda o, p: ask(o, p.head(0)), "none of 0 rows is left"),
        (lambda o, p: planner.propose(o, p, inputs="width"), "a list of different column names"),
        (lambda o, p: planner.propose(o, p, inputs=["width", "width"]), "a list of different column names"),
        (lambda o, p: ask(o, p, per="hour"), "trial or second"),
        (lambda o, p: ask(o, p, noise_share=2), "a share"),
    ],
)
def test_what_is_impossible_is_refused_in_one_line(pool, observed, change, words):
    with pytest.raises(PlannerError, match=words) as refused:
        change(observed, pool)
    assert "\n" not in str(refused.value)


def test_tables_may_be_files_and_the_tables_given_are_not_changed(pool, observed, tmp_path):
    observed.to_csv(tmp_path / "observed.csv", index=False)
    pool.to_csv(tmp_path / "pool.csv", index=False)
    before = observed.copy(), pool.copy()
    (label,) = ask(str(tmp_path / "observed.csv"), tmp_path / "pool.csv")
    assert pool.index[label] == ask(observed, pool)[0]
    pd.testing.assert_frame_equal(before[0], observed)
    pd.testing.assert_frame_equal(before[1], pool)


def test_a_surrogate_given_more_rows_is_that_of_a_refit_with_its_hyperparameters(pool, observed):
    surrogate = fit_surrogate(observed.head(15), INPUTS, "accuracy", "macs", validate=False)
    more = surrogate.conditioned(observed.tail(5))
    member, old = more.mixture.members[-1], surrogate.mixture.members[-1]
    assert np.array_equal(member.theta, old.theta)
    assert np.array_equal(more.mixture.weights, surrogate.mixture.weights)
    x, w = more.mixture.seen.x, more.mixture.seen.w  # a Gaussian process in three lines
    prior = member.kernel.covariance(member.theta, x, x) + (member.noise + 1e-8) * np.eye(20)
    at = more.mixture.features.of(pool[[*INPUTS, "macs"]].to_numpy(float))
    mean = member.kernel.covariance(member.theta, at, x) @ np.linalg.solve(prior, w)
    assert np.allclose(member.predict(at)[0], mean, atol=1e-8)
    assert np.allclose(more.mixture.warp.back(w), pd.concat([observed.head(15), observed.tail(5)])["accuracy"])
    with pytest.raises(PlannerError, match="no column accuracy"):
        surrogate.conditioned(pool)


def test_without_validation_a_fit_predicts_the_same_kind_of_thing(observed, pool):
    light = fit_surrogate(observed, INPUTS, "accuracy", "macs", validate=False)
    whole = fit_surrogate(observed, INPUTS, "accuracy", "macs")
    assert light.errors == {} and light.provenance["folds"] == 0 and whole.errors["rmse"] > 0
    gap = (light.predict(pool)["mean"] - whole.predict(pool)["mean"]).abs().max()
    assert gap < 0.02
    again = planner.Surrogate.from_dict(light.as_dict())
    assert np.array_equal(again.posterior(pool)[0], light.posterior(pool)[0])


def test_importing_planner_for_propose_is_cheap():
    code = (
        "import planner, sys; planner.propose; print([m for m in ('torch', 'pandas', 'botorch') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def short_and_long(correlation, seed=0):
    """Networks measured for 2 and 10 epochs; what the short trainings say of the long ones is up to `correlation`."""
    rng = np.random.default_rng(seed)
    width = np.tile(np.geomspace(8, 128, 60), 2)
    epochs = np.repeat([2, 10], 60)
    long = 0.5 + 0.1 * np.log2(width / 8) - 0.03 * np.abs(np.log2(width / 40))
    other = 0.3 + 0.2 * rng.random(120)
    accuracy = np.where(epochs == 10, long, correlation * (long - 0.2) + (1 - correlation) * other)
    return pd.DataFrame({"width": width, "epochs": epochs, "macs": width**2, "accuracy": accuracy})


def test_short_trainings_are_chosen_where_they_tell_of_long_ones_and_cost_less():
    options = {"inputs": ["width", "epochs"], "fidelity": {"epochs": 10}, "per": "second"}
    for correlation, most_short in ((1.0, True), (0.0, False)):
        table = short_and_long(correlation)
        table["seconds"] = table["epochs"] * table["macs"]
        seen = table.iloc[[0, 20, 40, 59, 60, 70, 80, 90, 100, 119]]
        chosen = planner.propose(seen, table, 4, **options)
        short = int((table.loc[chosen, "epochs"] == 2).sum())
        assert (short >= 3) == most_short, (correlation, short)


@pytest.mark.parametrize(
    ("crowded", "told", "within"),
    [(range(5), True, 0.01), (range(1, 20, 4), True, 0.01), (range(1, 20, 4), False, 0.3)],
)
def test_seconds_of_a_crowded_machine_are_no_slope(crowded, told, within):
    """What a row of the pool would take, from 20 trainings of which five ran beside other programs."""
    macs = np.geomspace(1e6, 1e8, 20)
    own = 3e-6 * macs
    observed = pd.DataFrame({"macs": macs, "seconds": own * np.where(np.isin(np.arange(20), crowded), 40, 1)})
    if told:
        observed = observed.assign(cpu_seconds=own, threads=1)
    found = np.exp(_log_seconds(observed, pd.DataFrame({"macs": [1e6, 1e8]}), ["macs"]))
    assert found == pytest.approx([3.0, 300.0], rel=within)


def test_a_row_at_the_fidelity_that_counts_is_worth_what_it_is_without_fidelities():
    table = short_and_long(0.5)
    seen = table.iloc[[*range(0, 60, 6), *range(60, 120, 6)]]
    columns = ["width", "epochs", "macs"]
    surrogate = fit_surrogate(seen, ["width", "epochs"], "accuracy", "macs", validate=False)
    plain, counting = (Known(surrogate, seen[columns].to_numpy(float), 0.0, f) for f in ({}, {1: 10.0}))
    rows = table[table["epochs"] == 10][columns].to_numpy(float)
    for one, other in zip(plain.of(rows), counting.of(rows), strict=True):
        assert np.allclose(one, other)
    # And what a shorter one would teach is less, but not nothing.
    short = table[table["epochs"] == 2][columns].to_numpy(float)
    assert (counting.of(short)[1] < counting.of(rows)[1]).all() and (counting.of(short)[1] > 0).all()


def alone(surrogate, number=-1):
    """The surrogate of one of its members, without calibration: a Gaussian process and nothing else."""
    mixture = surrogate.mixture
    one = replace(mixture, members=(mixture.members[number],), weights=np.ones(1))
    return replace(surrogate, mixture=replace(one, warp=IDENTITY_WARP), residuals=np.empty(0))


@pytest.mark.parametrize("noise_variance", [0.0, 0.02])
def test_what_a_short_training_teaches_is_by_how_much_it_would_narrow_the_long_one_s_variance(noise_variance):
    """Against the same Gaussian process given the short training too: cov^2 / (var + noise), and not var cor^2."""
    table = short_and_long(0.7)
    seen, columns = table.iloc[[*range(0, 60, 6), *range(63, 120, 9)]], ["width", "epochs", "macs"]
    surrogate = alone(fit_surrogate(seen, ["width", "epochs"], "accuracy", "macs", validate=False))
    rows = table[columns].to_numpy(float)
    short, long = rows[25:35], rows[85:95]
    known = Known(surrogate, seen[columns].to_numpy(float), 0.0, {1: 10.0}, noise_variance)
    narrowed = []
    for one, whole in zip(short, long, strict=True):
        before = surrogate.outcomes(whole[None], 1.0)[1][0]
        after = surrogate.believing(one[None], np.zeros(1), noise_variance).outcomes(whole[None], 1.0)[1][0]
        narrowed.append(math.sqrt(before**2 - after**2))
    assert np.allclose(known.of(short)[1], narrowed, rtol=1e-6)
    # What was taken for it before: no noise of the short one, and of the long one what no short one tells.
    mixture = surrogate.mixture
    x, z = (mixture.features.of(one) for one in (short, long))
    correlation = mixture.covariance(x, z, paired=True) / np.sqrt(mixture.at(x)[1] * mixture.at(z)[1])
    assert (surrogate.outcomes(long, 0.0)[1] * correlation > 1.05 * known.of(short)[1]).all()


def test_lessons_of_one_row_are_those_of_many_and_of_pairs(pool, observed):
    surrogate = fit_surrogate(observed, INPUTS, "accuracy", "macs", validate=False)
    rows = pool[[*INPUTS, "macs"]].to_numpy(float)
    every = lessons(surrogate, rows[:9], rows[20:29])
    assert every.shape == (9, 9)
    assert np.allclose(every.diagonal(), lessons(surrogate, rows[:9], rows[20:29], paired=True))
    assert np.allclose(every[4:5], lessons(surrogate, rows[4:5], rows[20:29]))
    own = lessons(surrogate, rows[:9], rows[:9], paired=True)
    assert (own <= surrogate.outcomes(rows[:9], 1.0)[1]).all() and (own > 0).all()
    assert (lessons(surrogate, rows[:9], rows[:9], 0.05**2, paired=True) < own).all()


@pytest.mark.parametrize("fidelity", [{"depth": 3}, {"epochs": math.nan}, {"macs": 4}])
def test_a_fidelity_must_be_a_finite_value_of_an_input(fidelity):
    table = short_and_long(1.0)
    with pytest.raises(PlannerError, match=r"fidelity .* is impossible; give finite values of inputs"):
        planner.propose(table, table, inputs=["width", "epochs"], fidelity=fidelity)
