"""The front and NSGA-III's selection, against the definition, optuna and scipy."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from planner import PlannerError
from planner.front.pareto import as_losses, non_dominated_mask, nsga3_rows, spearman


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def by_definition(losses):
    return [not any(dominates(other, row) for other in losses) for row in losses]


def ranks(losses):
    """The number of the front of each row: fronts are taken off one by one, by the definition."""
    left, rank, found = set(range(len(losses))), 0, {}
    while left:
        front = {i for i in left if not any(dominates(losses[j], losses[i]) for j in left)}
        found.update(dict.fromkeys(front, rank))
        left -= front
        rank += 1
    return [found[i] for i in range(len(losses))]


def trainings(seed, n):
    """Accuracies and MACs without ties, and the losses they stand for."""
    rng = np.random.default_rng(seed)
    accuracy, macs = rng.random(n), np.exp(rng.uniform(14, 21, n))
    return accuracy, macs, np.column_stack([1 - accuracy, macs]).tolist()


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_the_mask_agrees_with_the_definition_and_keeps_duplicates(objectives, seed):
    # Integers 0-4 make ties and duplicates common.
    losses = np.random.default_rng(seed).integers(0, 5, (12, objectives)).astype(float)
    losses = np.vstack([losses, losses[:3]])
    assert non_dominated_mask(losses).tolist() == by_definition(losses.tolist())


def test_every_copy_of_a_front_point_is_kept():
    losses = np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])
    assert non_dominated_mask(losses).tolist() == [True, True, True, False]


def test_no_rows_have_no_front():
    assert non_dominated_mask(np.empty((0, 2))).tolist() == []


def test_losses_are_error_and_the_logarithm_of_the_cost():
    assert as_losses([0.25, 1.0], [100, 1e9]).tolist() == [[0.75, 2.0], [0.0, 9.0]]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 41, 100])
def test_the_selection_is_as_large_as_the_rule_says(n, share):
    accuracy, macs, losses = trainings(n, n)
    first = sum(by_definition(losses))
    kept = nsga3_rows(accuracy, macs, share)
    assert len(set(kept.tolist())) == len(kept) == max(math.ceil(share * n), first, min(8, n))


@pytest.mark.parametrize("n", [30, 100])
@pytest.mark.parametrize("seed", range(6))
def test_fronts_are_taken_in_order_and_only_the_last_is_broken(seed, n):
    accuracy, macs, losses = trainings(seed, n)
    kept = set(nsga3_rows(accuracy, macs, share=0.4).tolist())
    rank = ranks(losses)
    last = max(rank[i] for i in kept)
    assert {i for i in range(n) if rank[i] < last} <= kept


def test_rows_come_sorted_by_cost():
    accuracy, macs, _ = trainings(0, 50)
    kept = nsga3_rows(accuracy, macs)
    assert (np.diff(macs[kept]) > 0).all()


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_same_seed_selects_the_same_rows(seed):
    accuracy, macs, _ = trainings(3, 80)
    assert nsga3_rows(accuracy, macs, seed=seed).tolist() == nsga3_rows(accuracy, macs, seed=seed).tolist()


@pytest.mark.parametrize("seed", range(30))
def test_the_order_of_the_rows_does_not_matter(seed):
    n = 10 + seed
    accuracy, macs, _ = trainings(seed, n)
    order = np.random.default_rng(1000 + seed).permutation(n)
    shuffled = order[nsga3_rows(accuracy[order], macs[order])]
    assert shuffled.tolist() == nsga3_rows(accuracy, macs).tolist()


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_copies_of_one_training_neither_fail_nor_are_lost(share):
    kept = nsga3_rows([0.5] * 12, [1e6] * 12, share)
    assert kept.tolist() == list(range(12))  # all of them are on the first front


def test_the_unit_of_the_cost_does_not_matter():
    accuracy, macs, _ = trainings(5, 60)
    assert nsga3_rows(accuracy, macs).tolist() == nsga3_rows(accuracy, macs / 1024).tolist()


@pytest.mark.parametrize(
    ("accuracy", "macs"),
    [(np.nan, 2.0), (np.inf, 2.0), (-np.inf, 2.0), (0.5, np.nan), (0.5, np.inf), (0.5, 0.0), (0.5, -3.0)],
)
@pytest.mark.parametrize("row", [0, 1, 2])
def test_an_impossible_row_is_refused_with_its_number(accuracy, macs, row):
    accuracies, costs = np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0])
    accuracies[row], costs[row] = accuracy, macs
    with pytest.raises(PlannerError, match=rf"missing or impossible in 1 of 3 rows \(first: row {row}, .*status ok"):
        nsga3_rows(accuracies, costs)


def test_no_rows_are_refused_with_what_to_do():
    with pytest.raises(PlannerError, match="no finished training to take a front of; run `planner train` first"):
        nsga3_rows([], [])


@pytest.mark.parametrize("seed", range(3))
def test_the_first_front_is_optunas(seed):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rng = np.random.default_rng(seed)
    accuracy, macs = rng.integers(0, 8, 30) / 8, 10.0 ** rng.integers(6, 12, 30)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in zip(accuracy, macs, strict=True):
        study.add_trial(optuna.trial.create_trial(values=list(values)))
    front = {trial.number for trial in study.best_trials}
    assert set(np.flatnonzero(non_dominated_mask(as_losses(accuracy, macs)))) == front
    assert front <= set(nsga3_rows(accuracy, macs).tolist())


@pytest.mark.parametrize("seed", range(10))
def test_spearman_is_scipys_with_ties_and_without(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 6, 25).astype(float) if seed % 2 else rng.random(25)
    y = x + rng.random(25)
    assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize(
    ("x", "y"),
    [([1, 1, 1, 1], [1, 2, 3, 4]), ([1, 2, 3], [5, 5, 5]), ([1, 2], [1, 2]), ([], []), ([np.nan] * 4, range(4))],
)
def test_no_correlation_of_what_is_constant_too_short_or_missing(x, y):
    assert math.isnan(spearman(x, y))
