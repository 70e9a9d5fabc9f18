"""The search at a budget: against all architectures there are, by other code."""

import itertools

import numpy as np
import pytest

from planner import PlannerError
from planner.allocation.search import best_at
from sampler import SearchSpace, base, exact_limit, rule_named, stack
from sampler.complexity import architecture_complexity, count
from sampler.moves import Grid, from_rows

CLASSES = 20
NETWORK = base("regnety_002")
HIGHEST = [72, 32, 32, 72, 192, 400, 2, 2, 5, 8, 0]


def rough(seed, grid):
    """A smooth random function of the logarithms of the integers, with many summits."""
    rng = np.random.default_rng(seed)
    free = grid.free
    logs = [np.log(np.maximum(levels, 1)) for levels in grid.levels]
    centre, spread = (np.array([fun(one) for one in logs]) for fun in (np.mean, lambda one: max(np.std(one), 1e-9)))
    waves = rng.normal(size=(len(free), 60)) * 2 / np.sqrt(len(free))
    phases, heights = rng.uniform(0, 2 * np.pi, 60), rng.normal(size=60)

    def score(architectures):
        x = ((np.log(np.maximum(architectures.integers(), 1)) - centre) / spread)[:, free]
        return np.cos(x @ waves + phases) @ heights

    return score


@pytest.fixture(scope="module")
def small():
    """A grid of some ten thousand architectures, all of them, and their MACs."""
    grid = Grid.between(NETWORK, rule_named("inverse"), [62, 32, 16, 40, 128, 320, 1, 1, 3, 6, 0], HIGHEST)
    grid = grid.narrowed({"resolution": (62, 66), "width_4": (320, 384), "depth_4": (6, 7)})
    rows = np.array(list(itertools.product(*(levels.tolist() for levels in grid.levels))))
    stems = rule_named("inverse").stem_channels(NETWORK, rows[:, 2] / 24)
    rows[:, 1] = stems
    rows = np.unique(rows, axis=0)
    return grid, rows, count(from_rows(NETWORK, rows), CLASSES).macs


def truth(small, score, budget):
    grid, rows, macs = small
    inside = (macs <= budget) & (macs >= 0.99 * budget)
    return float(score(from_rows(NETWORK, rows[inside])).max()), int(inside.sum())


def test_small_grids_are_searched_whole(small):
    grid, rows, macs = small
    assert grid.size == len(rows)
    for seed in range(10):
        budget = float(np.quantile(macs, np.random.default_rng(seed).uniform(0.1, 0.9)))
        score = rough(seed, grid)
        found = best_at(budget, score, grid, classes=CLASSES)
        best, inside = truth(small, score, budget)
        assert found.exhaustive and found.scored == inside
        assert found.score == best
        assert found.macs == architecture_complexity(found.architecture, CLASSES).macs
        assert 0.99 * budget <= found.macs <= budget


def climbed(small, seed):
    """What the climbs find for a random function, and the best there is."""
    grid, _, macs = small
    budget = float(np.quantile(macs, np.random.default_rng(seed).uniform(0.1, 0.9)))
    score = rough(seed, grid)
    found = best_at(budget, score, grid, classes=CLASSES, enumerated=0)
    assert not found.exhaustive
    return found, truth(small, score, budget)[0]


@pytest.fixture(scope="module")
def ten(small):
    return [climbed(small, seed) for seed in range(10)]


def test_the_climbs_find_the_best_of_most_random_functions(ten):
    assert sum(found.score >= best for found, best in ten) >= 9


@pytest.mark.slow
def test_the_climbs_find_the_best_of_95_in_100_random_functions(small, ten):
    hits = sum(found.score >= best for found, best in [*ten, *(climbed(small, seed) for seed in range(10, 50))])
    print(f"{hits} of 50")
    assert hits >= 48


def b0():
    return Grid.of(SearchSpace("efficientnet_b0", 64, CLASSES, kind="stage"))


def towards(row):
    """How near an architecture is to one, in logarithms."""
    wanted = np.log(np.maximum(row, 1))

    def score(architectures):
        return -((np.log(np.maximum(architectures.integers(), 1)) - wanted) ** 2).sum(axis=1)

    return score


@pytest.mark.slow
def test_of_fifteen_dimensions_a_known_architecture_is_found():
    row = np.array([70, 32, 16, 16, 48, 64, 112, 136, 320, 1, 3, 2, 4, 3, 2, 1, 1280])
    budget = float(count(from_rows(base("efficientnet_b0"), row[None]), CLASSES).macs[0])
    found = best_at(budget, towards(row), b0(), classes=CLASSES)
    assert found.score == 0
    assert stack([found.architecture]).integers()[0].tolist() == row.tolist()


def test_the_same_seed_gives_the_same_answer(small, ten):
    assert climbed(small, 3) == ten[3]


def test_limits_hold(small):
    grid, rows, macs = small
    budget = float(np.median(macs))
    params = count(from_rows(NETWORK, rows), CLASSES).params
    inside = (macs <= budget) & (macs >= 0.99 * budget)
    limit = exact_limit("params", float(np.quantile(params[inside], 0.2)))
    score = rough(1, grid)
    for enumerated in (0, 10**6):
        found = best_at(budget, score, grid, limits=[limit], classes=CLASSES, enumerated=enumerated)
        assert architecture_complexity(found.architecture, CLASSES).params <= limit.largest
    allowed = inside & (params <= limit.largest)
    assert found.score == float(score(from_rows(NETWORK, rows[allowed])).max())


def test_an_impossible_budget_is_refused_with_the_bounds(small):
    grid = small[0]
    for enumerated in (0, 10**6):
        with pytest.raises(
            PlannerError, match="no architecture between 990 and 1,000 MACs was found inside the bounds;"
        ):
            best_at(1000.0, rough(0, grid), grid, classes=CLASSES, enumerated=enumerated)
    with pytest.raises(PlannerError, match="the budget must be a positive number of MACs, got -1"):
        best_at(-1.0, rough(0, grid), grid)


def test_a_score_that_is_not_finite_is_never_the_answer(small):
    grid, _, macs = small
    budget = float(np.median(macs))

    def score(architectures):
        values = rough(0, grid)(architectures)
        return np.where(architectures.depths[:, 0] == 1, np.nan, values)

    assert best_at(budget, score, grid, classes=CLASSES).architecture.depths[0] != 1
