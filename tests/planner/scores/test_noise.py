"""The noise of a target, by its repeated trainings, and the ceiling that it sets: against the truth, simulated."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from planner.scores.audit import audit

TABLES = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "tables"
needs_tables = pytest.mark.skipif(not TABLES.is_dir(), reason="the shared tables are not here")


def noisy(truth, std, runs, rng):
    """Repeated trainings of each row."""
    table = truth[:, None] + std * rng.standard_normal((len(truth), runs))
    return pd.DataFrame(table, columns=[f"run{i + 1}" for i in range(runs)])


def reached(truth, target):
    """What the truth reaches against a noisy target."""
    found = {"spearman": scipy.stats.spearmanr(truth, target).statistic}
    for top, share in (("top20", 0.2), ("top5", 0.05)):
        rows = np.argsort(target)[-math.ceil(share * len(truth)) :]
        found[f"spearman_{top}"] = scipy.stats.spearmanr(truth[rows], target[rows]).statistic
    return found | {"regret_1": target.max() - target[np.argmax(truth)]}


TRUTHS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "crowded at the top": lambda rng, n: -rng.exponential(size=n),
    "long at the top": lambda rng, n: rng.exponential(size=n),
}


@pytest.mark.parametrize("kind", TRUTHS)
@pytest.mark.parametrize("std", [0.1, 0.6])
def test_the_noise_ceiling_is_what_the_truth_reaches(kind, std):
    rng = np.random.default_rng(5)
    tables = []
    for _ in range(30):
        truth = TRUTHS[kind](rng, 1500)
        tables.append((truth, noisy(truth, std, 3, rng)))
    expected = pd.DataFrame([reached(truth, runs.mean(axis=1).to_numpy()) for truth, runs in tables]).mean()
    found = []
    for _, runs in tables[:3]:
        noise = audit(runs.assign(zen=range(1500)), ["zen"], repeats=["run1", "run2", "run3"], resamples=1).noise
        assert noise.std == pytest.approx(std, rel=0.05)
        found.append({name: noise.measures[name].value for name in expected.index})
    got = pd.DataFrame(found).mean()
    assert got["spearman"] == pytest.approx(expected["spearman"], abs=0.02)
    assert got["spearman_top20"] == pytest.approx(expected["spearman_top20"], abs=0.06)
    assert got["spearman_top5"] == pytest.approx(expected["spearman_top5"], abs=0.15)
    # One extreme row decides a regret; where the best crowd at a limit, about half of it is found.
    assert got["regret_1"] == pytest.approx(expected["regret_1"], abs=1.6 * std / math.sqrt(3))
    if expected["regret_1"] > std / 4:
        assert got["regret_1"] > 0.3 * expected["regret_1"]


def test_one_training_has_a_lower_ceiling_than_the_mean_of_three():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=800)
    frame = noisy(truth, 0.6, 3, rng).assign(zen=rng.normal(size=800))
    for target, runs in (("run2", 1), (None, 3)):
        noise = audit(frame, ["zen"], target, repeats=["run1", "run2", "run3"], resamples=10).noise
        pearson = 1 / math.sqrt(1 + 0.6**2 / runs)
        assert noise.trainings == runs
        assert noise.measures["spearman"].value == pytest.approx(6 / math.pi * math.asin(pearson / 2), abs=0.03)


def test_noise_that_differs_between_good_and_bad_networks_is_seen():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=2000)
    frame = noisy(truth, np.where(truth > 0.5, 0.01, 0.2)[:, None], 3, rng).assign(zen=rng.normal(size=2000))
    tail = audit(frame, ["zen"], repeats=["run1", "run2", "run3"], resamples=10).noise.measures["spearman_top20"]
    bad_rows_that_got_lucky_aside = reached(truth, frame[["run1", "run2", "run3"]].mean(axis=1).to_numpy())
    assert tail.value == pytest.approx(bad_rows_that_got_lucky_aside["spearman_top20"], abs=0.1)


def test_identical_repeats_set_no_ceiling_and_pure_noise_leaves_nothing():
    rng = np.random.default_rng(0)
    same = pd.DataFrame({"run1": rng.normal(size=300), "zen": rng.normal(size=300)}).assign(run2=lambda t: t["run1"])
    noise = audit(same, ["zen"], repeats=["run1", "run2"], resamples=100).noise
    assert (noise.std, noise.measures["regret_1"].value) == (0, 0)
    assert noise.measures["spearman"].value == noise.measures["kendall_top5"].value == pytest.approx(1)
    pure = noisy(np.zeros(300), 1.0, 3, rng).assign(zen=rng.normal(size=300))
    noise = audit(pure, ["zen"], repeats=["run1", "run2", "run3"], resamples=10).noise
    assert noise.measures["spearman"].value < 0.35


def test_rows_of_a_group_are_repeats_as_columns_are():
    rng = np.random.default_rng(0)
    wide = noisy(rng.normal(size=60), 0.5, 3, rng).assign(zen=rng.normal(size=60), arch=[f"{i:03}" for i in range(60)])
    long = wide.melt(id_vars=["arch", "zen"], value_name="accuracy").sample(frac=1, random_state=0)
    columns = audit(wide, ["zen"], repeats=["run1", "run2", "run3"], resamples=10)
    rows = audit(long, ["zen"], "accuracy", group="arch", resamples=10)
    assert rows.rows == 60
    assert rows.noise.std == pytest.approx(columns.noise.std)
    assert rows.noise.trainings == columns.noise.trainings == 3
    for name, one in columns.noise.measures.items():
        if one.value is not None:
            assert rows.noise.measures[name].value == pytest.approx(one.value), name
    by_row, by_column = (found.scores[0].measures["spearman"] for found in (rows, columns))
    assert by_row.value == pytest.approx(by_column.value)


def test_a_group_of_one_tells_nothing_of_the_noise_and_is_used_all_the_same():
    rng = np.random.default_rng(0)
    frame = noisy(rng.normal(size=30), 0.5, 1, rng).assign(zen=rng.normal(size=30), arch=range(30))
    twice = pd.concat([frame, frame.head(10).assign(run1=lambda t: t["run1"] + 0.2)])
    found = audit(twice, ["zen"], "run1", group="arch", resamples=100)
    assert found.rows == 30
    assert found.noise.std == pytest.approx(0.2 / math.sqrt(2))
    assert found.noise.trainings == pytest.approx(40 / 30)


@needs_tables
def test_three_seeds_of_nasbench_macro_set_a_ceiling_that_a_fourth_training_respects():
    path = TABLES / "nasbench_macro_cifar10.csv.gz"
    found = audit(path, ["acc_run1"], repeats=["acc_run2", "acc_run3"], macs="flops", resamples=100)
    frame = pd.read_csv(path)
    target = frame[["acc_run2", "acc_run3"]].mean(axis=1)
    got, ceiling = found.scores[0].measures, found.noise.measures
    assert got["spearman"].value == pytest.approx(scipy.stats.spearmanr(frame["acc_run1"], target).statistic)
    for name in ("spearman", "spearman_top20", "spearman_top5"):
        assert got[name].value < ceiling[name].value < 1
    assert found.noise.std == pytest.approx(math.sqrt(frame[["acc_run2", "acc_run3"]].var(axis=1).mean()))
