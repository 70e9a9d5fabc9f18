"""`audit`: against scipy and the definitions, closed cases, coverage of its intervals, and every refusal."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from planner.errors import PlannerError
from planner.scores.audit import audit


def made_up(rows=60, seed=0):
    """Accuracy grows with MACs and with quality; zen sees a bit of both, noise sees nothing. Ties are common."""
    rng = np.random.default_rng(seed)
    macs, quality, error = rng.normal(size=(3, rows))
    return pd.DataFrame(
        {
            "accuracy": np.round(70 + macs + quality, 1),
            "macs": np.round(np.exp(18 + macs)),
            "params": np.round(np.exp(14 + 0.5 * macs + 0.5 * error)),
            "zen": np.round(macs + quality + 0.5 * error, 1),
            "noise": rng.integers(0, 5, rows),
        }
    )


def measures(found, name):
    return next(score for score in found.scores if score.name == name).measures


def quick(frame, *proxies, **options):
    return audit(frame, proxies, **{"target": "accuracy", "resamples": 50, **options})


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rows", [50, 237])
def test_rank_correlations_are_scipys_overall_and_in_the_tail(rows, seed):
    frame = made_up(rows, seed)
    found = quick(frame, "zen", "noise")
    threshold = np.sort(frame["accuracy"])[-math.ceil(rows / 5)]
    tail = frame[frame["accuracy"] >= threshold]
    assert found.tops["top20"] == len(tail)
    for name in ("zen", "noise", "macs"):
        got = measures(found, name)
        for part, of in (("", frame), ("_top20", tail)):
            expected = scipy.stats.spearmanr(of[name], of["accuracy"]).statistic
            assert got[f"spearman{part}"].value == pytest.approx(expected, abs=1e-12)
            expected = scipy.stats.kendalltau(of[name], of["accuracy"]).statistic
            assert got[f"kendall{part}"].value == pytest.approx(expected, abs=1e-12)


def choices(scores, k):
    """All sets of k rows that are the k best for somebody who breaks ties in some way."""
    edge = np.sort(scores)[-k]
    above, tied = np.flatnonzero(scores > edge), np.flatnonzero(scores == edge)
    return [[*above, *some] for some in itertools.combinations(tied, k - len(above))]


@pytest.mark.parametrize("seed", range(5))
def test_regret_and_top_found_are_means_over_every_way_to_break_ties(seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"accuracy": rng.integers(0, 40, 50) / 40, "zen": rng.integers(0, 9, 50)})
    got = measures(quick(frame, "zen"), "zen")
    accuracy, zen = frame["accuracy"].to_numpy(), frame["zen"].to_numpy()
    for k in (1, 5, 10):
        best = [accuracy[rows].max() for rows in choices(zen, k)]
        assert got[f"regret_{k}"].value == pytest.approx(accuracy.max() - np.mean(best))
    top = set(np.flatnonzero(accuracy >= np.sort(accuracy)[-10]))
    shares = [len(top & set(rows)) / len(top) for rows in choices(zen, len(top))]
    assert got["found_top20"].value == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("seed", range(3))
def test_the_correlation_at_equal_macs_is_that_of_the_residuals_of_ranks(seed):
    frame = made_up(80, seed)
    ranks = frame.rank()
    cost = np.column_stack([np.ones(80), ranks["macs"]])
    rest = {
        name: ranks[name] - cost @ np.linalg.lstsq(cost, ranks[name], rcond=None)[0] for name in ("zen", "accuracy")
    }
    expected = np.corrcoef(rest["zen"], rest["accuracy"])[0, 1]
    assert measures(quick(frame, "zen"), "zen")["equal_macs"].value == pytest.approx(expected)


@pytest.mark.parametrize(("sign", "smaller"), [(1, ()), (-1, ("copy",)), (-1, ("accuracy",))])
def test_the_target_itself_as_proxy_is_perfect(sign, smaller):
    frame = made_up(300).assign(copy=lambda t: sign * t["accuracy"])
    got = measures(quick(frame, "copy", smaller=smaller), "copy")
    for name, one in got.items():
        if name.startswith(("spearman", "kendall", "found", "equal")):
            assert (one.value, one.lower, one.upper) == pytest.approx((1, 1, 1)), name
        elif name.startswith("regret"):
            assert (one.value, one.lower, one.upper) == (0, 0, 0), name


def test_the_target_upside_down_is_the_worst_proxy():
    frame = made_up(300).assign(copy=lambda t: -t["accuracy"])
    found = quick(frame, "copy")
    got = measures(found, "copy")
    for name in ("spearman", "kendall", "spearman_top20", "kendall_top5", "equal_macs"):
        assert got[name].value == pytest.approx(-1)
    assert got["regret_1"].value == pytest.approx(frame["accuracy"].max() - frame["accuracy"].min())
    assert got["found_top20"].value == 0
    assert found.scores[0].worth_using is False


def test_a_proxy_that_knows_nothing_finds_what_chance_finds():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"accuracy": rng.normal(size=4000), "zen": rng.normal(size=4000)})
    got = measures(quick(frame, "zen"), "zen")
    assert abs(got["spearman"].value) < 0.04 and got["spearman"].lower < 0 < got["spearman"].upper
    assert got["found_top20"].value == pytest.approx(0.2, abs=0.04)
    assert got["found_top5"].value == pytest.approx(0.05, abs=0.04)


def test_intervals_are_scipys_percentiles():
    frame = made_up(80)[["zen", "accuracy"]]
    got = measures(audit(frame, ["zen"], "accuracy", resamples=1500), "zen")
    for name, measure in (("spearman", scipy.stats.spearmanr), ("kendall", scipy.stats.kendalltau)):
        expected = scipy.stats.bootstrap(
            (frame["zen"].to_numpy(), frame["accuracy"].to_numpy()),
            lambda x, y, measure=measure: measure(x, y).statistic,
            paired=True,
            vectorized=False,
            n_resamples=1500,
            confidence_level=0.9,
            method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval
        # Each percentile has a Monte Carlo error of about 0.003; the intervals are 0.1 wide.
        assert (got[name].lower, got[name].upper) == pytest.approx(tuple(expected), abs=0.015)


def test_kendalls_interval_from_fewer_rows_is_as_wide_as_that_from_all():
    frame = made_up(4000)[["zen", "accuracy"]]
    got = measures(audit(frame, ["zen"], "accuracy", resamples=300), "zen")["kendall"]
    rng = np.random.default_rng(1)
    x, y = frame["zen"].to_numpy(), frame["accuracy"].to_numpy()
    taus = [scipy.stats.kendalltau(x[rows], y[rows]).statistic for rows in rng.integers(0, 4000, (300, 4000))]
    lower, upper = np.quantile(taus, [0.05, 0.95])
    assert got.upper - got.lower == pytest.approx(upper - lower, rel=0.2)  # unshrunk it would be twice as wide
    assert got.lower == pytest.approx(lower, abs=0.003)


def test_the_difference_to_a_baseline_is_paired():
    # Two nearly equal scores: apart their intervals overlap widely, together they differ for sure.
    frame = made_up(200)
    frame["macs"] = frame["zen"].rank() + np.random.default_rng(0).normal(0, 8, 200) + 1000
    frame = frame.drop(columns="params")
    found = quick(frame, "zen", resamples=300)
    got = measures(found, "zen")
    zen, macs = got["spearman"], measures(found, "macs")["spearman"]
    assert got["beyond"].value == pytest.approx(zen.value - macs.value)
    assert got["beyond"].upper - got["beyond"].lower < 0.5 * (zen.upper - zen.lower)


def test_only_a_proxy_that_beats_the_best_baseline_is_worth_using():
    found = quick(made_up(400), "zen", "noise")
    worth = {score.name: (score.worth_using, score.rival) for score in found.scores}
    assert worth == {
        "zen": (True, "macs"),
        "noise": (False, "macs"),
        "macs": (True, "params"),
        "params": (False, "macs"),
    }


def test_a_proxy_that_fails_among_the_best_is_not_worth_using():
    frame = made_up(1000)
    good = frame["accuracy"] >= frame["accuracy"].quantile(0.8)
    frame["zen"] = np.where(good, 100 - frame["accuracy"] / 100, frame["accuracy"])
    score = quick(frame, "zen").scores[0]
    assert score.measures["beyond"].lower > 0 > score.measures["beyond_top20"].upper
    assert score.worth_using is False


def test_the_seed_decides_the_intervals_and_the_order_of_rows_decides_nothing_else():
    frame = made_up(100)
    once, again, other = (quick(frame, "zen", seed=seed).scores for seed in (1, 1, 2))
    assert once == again != other
    for name, one in measures(quick(frame[::-1], "zen"), "zen").items():
        assert one.value == pytest.approx(once[0].measures[name].value), name


def test_too_few_rows_of_a_tail_are_said_instead_of_a_number():
    found = quick(made_up(49).assign(accuracy=np.arange(49)), "zen")
    got = measures(found, "zen")
    assert found.tops == {"top20": 10, "top5": 3}
    assert got["spearman_top20"].value is not None
    for name in ("spearman_top5", "kendall_top5", "found_top5", "beyond_top5"):
        assert (got[name].value, got[name].why) == (None, "too few")


def test_a_constant_proxy_is_said_to_rank_nothing():
    found = quick(made_up().assign(flat=3.0), "flat")
    got = measures(found, "flat")
    assert got["spearman"].why == got["kendall_top20"].why == got["equal_macs"].why == "constant"
    assert found.scores[0].worth_using is False
    # Whoever follows it takes a random row.
    accuracy = made_up()["accuracy"]
    assert got["regret_1"].value == pytest.approx(accuracy.max() - accuracy.mean())


def test_a_proxy_that_ranks_as_macs_do_says_nothing_at_equal_macs():
    got = measures(quick(made_up().assign(latency=lambda t: np.sqrt(t["macs"])), "latency"), "latency")
    assert (got["equal_macs"].value, got["equal_macs"].why) == (None, "as MACs")
    assert got["beyond"].value == pytest.approx(0)


def test_a_table_without_macs_has_no_verdict():
    score = quick(made_up().drop(columns=["macs", "params"]), "zen").scores[0]
    assert (score.worth_using, score.rival) == (None, None)
    assert (score.measures["beyond"].why, score.measures["equal_macs"].why) == ("no baseline", "no MACs")


def test_macs_may_have_another_name():
    frame = made_up()
    renamed = frame.rename(columns={"macs": "flops"})
    assert measures(quick(renamed, "zen", macs="flops"), "zen") == measures(quick(frame, "zen"), "zen")


def test_rows_without_a_value_are_left_out_and_said():
    frame = made_up(40).assign(status=["diverged"] * 3 + ["ok"] * 37)
    frame.loc[0:4, "zen"] = np.nan
    frame.loc[10, "accuracy"] = np.nan
    found = quick(frame, "zen")
    assert found.left_out == {"status diverged": 3, "no zen": 2, "no accuracy": 1}
    assert found.rows == 34 and list(found.frame["zen"]) == list(frame["zen"].drop([*range(5), 10]))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [12, 60])
def test_intervals_cover_the_truth_about_as_often_as_they_say(rows):
    # Of a normal distribution both rank correlations are known: 6 / pi asin(rho / 2) and 2 / pi asin(rho).
    rng = np.random.default_rng(0)
    spearman = [6 / math.pi * math.asin(rho / 2) for rho in (0.8, 0.5)]
    truth = {"spearman": spearman[0], "kendall": 2 / math.pi * math.asin(0.8), "beyond": spearman[0] - spearman[1]}
    covered = dict.fromkeys(truth, 0)
    covariance = [[1, 0.8, 0.5], [0.8, 1, 0.4], [0.5, 0.4, 1]]  # zen and macs are independent given accuracy
    for i in range(200):
        accuracy, zen, macs = rng.multivariate_normal([0, 0, 9], covariance, rows).T
        frame = pd.DataFrame({"accuracy": accuracy, "zen": zen, "macs": macs})
        got = measures(audit(frame, ["zen"], "accuracy", resamples=200, seed=i), "zen")
        for name, value in truth.items():
            covered[name] += got[name].lower <= value <= got[name].upper
    assert all(0.84 <= n / 200 <= 0.97 for n in covered.values()), covered


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (
            {},
            {"proxies": ["zne"]},
            "the table: no column zne; its columns are accuracy, macs, params, zen, noise; did you mean zen?",
        ),
        ({}, {"target": "acc"}, "no column acc"),
        ({}, {"macs": "flops"}, "no column flops"),
        ({}, {"group": "arch"}, "no column arch"),
        ({}, {"target": None}, "no target given"),
        ({}, {"target": "zen"}, "zen is the target and a proxy of itself"),
        ({}, {"smaller": ["loss"]}, "smaller is better in 'loss', which is neither proxy nor target"),
        ({}, {"repeats": ["accuracy"]}, "repeats are two or more columns"),
        ({}, {"repeats": ["accuracy", "noise"], "group": "noise"}, "not both"),
        ({}, {"repeats": ["noise", "params"]}, "accuracy is neither one of noise, params nor their mean"),
        ({}, {"group": "row"}, "no two rows are equal in row"),
        ({"accuracy": 0.5}, {}, "accuracy is 0.5 in every row; there is nothing to rank"),
        ({"zen": np.nan}, {}, r"0 rows to compare, 20 left out \(no zen\); at least 10 are wanted"),
        ({"zen": np.inf}, {}, "zen of row 1 is inf; a finite number or nothing is wanted"),
        ({"zen": "fast"}, {}, "zen of row 1 is 'fast'; a finite number or nothing is wanted"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(change, options, words):
    frame = made_up(20).assign(**change)
    if options.get("group") == "row":
        frame["row"] = range(20)
    with pytest.raises(PlannerError, match=words):
        audit(frame, **{"proxies": ["zen"], "target": "accuracy", **options})
