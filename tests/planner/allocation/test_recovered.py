"""A study without noise whose best allocation is known: fitted, decoded and searched, it comes back."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import fsolve

from planner import PlannerError
from planner.allocation import allocate as allocate_module
from planner.allocation.allocate import allocate, curve_target
from planner.allocation.search import best_at
from planner.answers.formula import Formula
from planner.fitting.fit import fit
from planner.formulas.codec import dumps, read_formula
from sampler import SearchSpace, base, exact_limit, random_design, rule_named
from sampler.complexity import base_macs, count
from sampler.moves import Grid, column_names, from_rows

BASE, PIXELS, CLASSES = "resnet18", 64, 20
BASE_MACS = base_macs(BASE, PIXELS, CLASSES)
# Fractions at which the best depths below are near whole numbers: half-way two depths are as good as each other.
BUDGETS = [float(c * BASE_MACS) for c in np.exp([-1.0, -0.5, 0.0, 0.5, 1.0])]


def stage_macs(side, widths, depths):
    """`(4, ...)` MACs of the stages by hand: 3x3 convolutions, two per block, and 1x1 ones in the shortcuts."""
    side = np.ceil(np.ceil(side / 2) / 2)
    parts, c_in = [], widths[0]
    for index in range(4):
        side = side if index == 0 else np.ceil(side / 2)
        width = widths[index]
        first = 9 * c_in * width + 9 * width**2 + (c_in * width if index else 0)
        parts.append(side**2 * (first + (depths[index] - 1) * 18 * width**2))
        c_in = width
    return np.array(parts)


def macs_of(side, widths, depths):
    stem = 147 * widths[0] * np.ceil(side / 2) ** 2
    return stage_macs(side, widths, depths).sum(axis=0) + stem + widths[3] * CLASSES


def best_at_c(c):
    """The best log-ratios of the stages, their depths and the best side."""
    x = np.log(c)
    ratios = np.array([0.1 - 0.3 * x, 0.3 + 0.0 * x, -0.3 + 0.1 * x, -0.1 + 0.2 * x])
    depths = np.array([1.0 + 0 * x, 3.0 + 0 * x, 4.0 + 2.0 * x, 2.0 + 0 * x]).clip(1)
    return ratios, depths, 60 + 6 * x


def accuracy(side, widths, depths):
    """`(n,)` accuracies: what the best allocation reaches, less what these are off."""
    c = macs_of(side, widths, depths) / BASE_MACS
    ratios, blocks, pixels = best_at_c(c)
    logs = np.log(stage_macs(side, widths, depths))
    off = (np.array([[1.0], [1.5], [0.8], [1.2]]) * (logs - logs.mean(axis=0) - ratios) ** 2).sum(axis=0)
    deep, far = (np.log(depths / blocks) ** 2).sum(axis=0), np.log(side / pixels) ** 2
    return (0.9 - 0.2 * c**-0.3) * np.exp(-0.3 * off - 0.3 * deep - 3.0 * far)


def known(budget):
    """The best side, real widths and depths at a budget."""
    ratios, depths, pixels = best_at_c(budget / BASE_MACS)
    side, depths = float(np.rint(pixels)), np.rint(depths)

    def off(logs):
        widths = np.exp(logs)
        parts = np.log(stage_macs(side, widths, depths))
        return [*(parts - parts.mean() - ratios)[:3], np.log(macs_of(side, widths, depths) / budget)]

    logs, _, solved, _ = fsolve(off, np.log([64.0, 128.0, 256.0, 512.0]), full_output=True)
    assert solved == 1
    return side, np.exp(logs), depths


def known_integers(budget):
    """The best in steps of 8 that costs the budget to 1 %, of all widths up to 4 steps from the real ones."""
    side, real, depths = known(budget)
    steps = [8 * (round(width / 8) + np.arange(-4, 5)) for width in real]
    widths = np.array(np.meshgrid(*steps, indexing="ij"), dtype=float).reshape(4, -1)
    macs = macs_of(side, widths, depths)
    widths = widths[:, (macs <= budget) & (macs >= 0.99 * budget)]
    values = accuracy(side, widths, np.tile(depths[:, None], widths.shape[1]))
    return side, widths[:, int(np.argmax(values))], depths, float(values.max())


def table(rows):
    """Observations of `(n, 11)` rows of integers."""
    names = column_names(4)
    side, widths, depths = rows[:, 0].astype(float), rows[:, 2:6].T.astype(float), rows[:, 6:10].T.astype(float)
    macs = macs_of(side, widths, depths).astype(np.int64)
    frame = pd.DataFrame(rows, columns=names).assign(macs=macs, accuracy=accuracy(side, widths, depths))
    return frame.assign(base=BASE, base_resolution=PIXELS, classes=CLASSES, rule="inverse")


@pytest.fixture(scope="module")
def study():
    """150 random architectures, and 40 of the best, rounded to multiples of 8: those are the front."""
    space = SearchSpace(BASE, PIXELS, CLASSES, kind="stage", window=(0.25, 4.0))
    drawn = random_design(space, 150, seed=0).integers()
    best = []
    for c in np.geomspace(0.28, 3.6, 40):
        side, widths, depths = known(c * BASE_MACS)
        channels = 8 * np.rint(widths / 8)
        best.append([side, channels[0], *channels, *depths, 0])
    return table(np.concatenate([drawn, np.array(best).astype(np.int64)]))


@pytest.fixture(scope="module")
def formula(study):
    return fit(study)


@pytest.fixture(scope="module")
def both(formula):
    """The middle budget spent in both ways: the search takes seconds."""
    return allocate(formula, BUDGETS[2])


def test_the_hand_count_is_the_samplers(study):
    rows = study[list(column_names(4))].to_numpy(dtype=np.int64)
    # In the random rows the stem follows the first stage, too: no shortcut of the first stage has weights.
    assert count(from_rows(base(BASE), rows), CLASSES).macs.tolist() == study["macs"].tolist()


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_curves_give_the_known_allocation_back_within_one_rounding_step(formula, budget):
    side, widths, depths, _ = known_integers(budget)
    answer = allocate(formula, budget, way="curves").best.prediction
    assert 0.99 * budget <= answer.macs <= budget
    assert answer.macs == macs_of(float(answer.architecture.resolution), *exact(answer.architecture))
    assert np.abs(np.array(answer.architecture.widths) - widths).max() <= 8
    assert np.abs(np.array(answer.architecture.depths) - depths).max() <= 1
    assert abs(answer.architecture.resolution - side) <= 1


def exact(architecture):
    return np.array(architecture.widths, dtype=float), np.array(architecture.depths, dtype=float)


@pytest.mark.parametrize("budget", [BUDGETS[0], *(pytest.param(one, marks=pytest.mark.slow) for one in BUDGETS[1:])])
def test_the_search_finds_the_known_allocation_with_the_true_score(budget):
    side, widths, depths, value = known_integers(budget)
    lowest, highest = [32, 24, 24, 48, 96, 192, 1, 1, 1, 1, 0], [96, 160, 160, 320, 640, 1280, 4, 5, 8, 4, 0]
    grid = Grid.between(base(BASE), rule_named("inverse"), lowest, highest)

    def score(architectures):
        rows = architectures.integers().astype(float)
        return accuracy(rows[:, 0], rows[:, 2:6].T, rows[:, 6:10].T)

    found = best_at(budget, score, grid, classes=CLASSES)
    assert not found.exhaustive
    assert found.score >= value - 1e-12
    assert 0.99 * budget <= found.macs <= budget
    assert np.abs(np.array(found.architecture.widths) - widths).max() <= 8
    assert found.architecture.depths == tuple(depths)
    assert abs(found.architecture.resolution - side) <= 1


def test_the_curves_survive_the_file(formula):
    again = read_formula(dumps(formula), Formula)
    assert dumps(again) == dumps(formula)
    for budget in BUDGETS:
        c = budget / BASE_MACS
        assert curve_target(again, c) == curve_target(formula, c)


def test_a_formula_in_python_answers_stage_by_stage(formula: Formula, both):
    budget = BUDGETS[2]
    answer = formula.predict(macs=budget, space="stage")
    assert answer.architecture == both.best.prediction.architecture
    assert answer.architecture != formula.predict(macs=budget).architecture


def test_who_wants_the_curves_gets_the_same_ones_without_a_search(formula, both, monkeypatch):
    monkeypatch.setattr(allocate_module, "best_at", None)  # the search: calling it would fail
    alone = allocate(formula, BUDGETS[2], way="curves")
    assert set(both.options) == {"curves", "search"} and set(alone.options) == {"curves"}
    assert alone.as_dict()["allocations"]["curves"] == both.as_dict()["allocations"]["curves"]
    assert alone.reason == "the only answer; no search: only the curves were asked for"


def test_another_word_for_the_way_is_refused(formula):
    with pytest.raises(PlannerError, match="way is 'search'; both or curves is wanted"):
        allocate(formula, BUDGETS[2], way="search")


def test_a_limit_makes_the_curves_answer_for_a_smaller_budget(formula):
    small, large = (allocate(formula, BUDGETS[row], way="curves").best.prediction for row in (1, 3))
    limit = exact_limit("params", 1.02 * small.params)
    answer = allocate(formula, BUDGETS[3], [limit], way="curves").best.prediction
    assert 0.9 * limit.largest <= answer.params <= limit.largest < large.params
    assert answer.binding == "params"
