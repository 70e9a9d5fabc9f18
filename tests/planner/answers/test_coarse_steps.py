"""Answers for networks with coarse steps, held against all networks of a grid, counted by hand."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from planner.answers.formula import Formula
from planner.answers.search import best_networks
from planner.fitting.fit import fit
from planner.formulas.codec import dumps, read_formula
from planner.proposers.pool import architectures_frame, make_pool
from planner.study.designs import draw_design
from sampler import SearchSpace, stack
from sampler.complexity import count
from sampler.knobs import stack_alike

CLASSES = 10


def trainings(space, rows=60):
    """Synthetic trainings of a design: best where pixels, blocks and, where they vary, MLPs are in proportion."""
    design = draw_design(space, rows, "stratified", 0, apart=0.25)
    frame = architectures_frame(design, space)
    off = np.log(frame["r"] / frame["c"] ** 0.2) ** 2 + np.log(frame["d"] / frame["c"] ** 0.2) ** 2
    if space.knobs:
        off = off + 0.5 * np.log(frame["mlp_1"] / (2 * frame["width_1"])) ** 2
    noise = np.random.default_rng(0).normal(0, 0.002, rows)
    return frame.assign(rule=space.rule, accuracy=0.9 - 0.2 * frame["c"] ** -0.25 - 0.03 * off + noise)


@pytest.fixture(scope="module")
def formulas(coarse):
    """Formulas of three stages, and of one with an MLP that was varied."""
    three = SearchSpace("coarse_three", 64, CLASSES, window=(0.1, 4.0))
    mlp = SearchSpace("coarse_mlp_vit", 224, CLASSES, window=(0.1, 4.0), knobs=("mlp",))
    return {space.base: fit(trainings(space), "tinynet", base=space.base) for space in (three, mlp)}


@pytest.fixture(scope="module")
def every(macs_by_hand):
    """Sorted MACs of many networks, by hand: what a grid reaches is there."""
    three = product(range(16, 161, 8), product((8, 16, 32), (16, 32, 64), (24, 48, 96)), product(range(1, 4), repeat=3))
    mlp = product(range(32, 449, 16), range(64, 577, 64), range(1, 13), range(128, 3073, 128))
    return {
        "coarse_three": np.sort([macs_by_hand("coarse_three", r, w, d, {}) for r, w, d in three]),
        "coarse_mlp_vit": np.sort([macs_by_hand("coarse_mlp_vit", r, (w,), (d,), {"mlp": (m,)}) for r, w, d, m in mlp]),
    }


@pytest.mark.parametrize("budgets", [3, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", ["answer", "predict"])
@pytest.mark.parametrize("name", ["coarse_three", "coarse_mlp_vit"])
def test_answers_come_within_one_percent_wherever_a_network_does_and_never_above(
    formulas, every, check_legal, macs_by_hand, name, way, budgets
):
    formula = formulas[name]
    for budget in np.geomspace(*formula.macs_range, budgets):
        found = getattr(formula, way)(budget)
        one = found.architecture
        check_legal(stack([one]))
        macs = macs_by_hand(name, one.resolution, one.widths, one.depths, one.knobs)
        best = every[name][np.searchsorted(every[name], np.rint(budget), side="right") - 1]
        assert macs <= np.rint(budget)
        assert macs >= 0.99 * budget or best < 0.99 * budget


def test_a_knob_that_was_varied_is_chosen_by_what_was_learned(formulas):
    formula = formulas["coarse_mlp_vit"]
    assert formula.knobs == ("mlp",) and "mlp_1" in formula.surrogate.inputs
    low, high = formula.macs_range
    ratios = [one.knobs["mlp"][0] / one.widths[0] for one in (formula.answer(b).architecture for b in (3 * low, high))]
    assert all(1.2 < ratio < 3.4 for ratio in ratios)  # twice the width was best, and four times is the rule
    assert all(set(rung.architecture.knobs) == {"mlp"} for rung in formula.ladder)


def test_a_file_gives_a_formula_with_knobs_back(formulas):
    formula = formulas["coarse_mlp_vit"]
    again = read_formula(dumps(formula), Formula)
    assert again.knobs == formula.knobs and again.ladder == formula.ladder
    budget = 2 * formula.macs_range[0]
    assert again.answer(budget).architecture == formula.answer(budget).architecture


def test_the_search_looks_at_every_value_of_a_knob(formulas, macs_by_hand):
    formula, budget = formulas["coarse_mlp_vit"], 6e8
    ranges = {"resolution": (160, 256), "width_1": (128, 256), "depth_1": (4, 8), "mlp_1": (256, 1024)}

    def score(networks):
        return -np.abs(np.log(networks.knobs["mlp"][:, 0] / 600)) - np.abs(np.log(networks.resolution / 200)) * 0.1

    rows = product(range(160, 257, 16), (128, 192, 256), range(4, 9), range(256, 1025, 128))
    kept = [
        (-abs(np.log(m / 600)) - 0.1 * abs(np.log(r / 200)))
        for r, w, d, m in rows
        if macs_by_hand("coarse_mlp_vit", r, (w,), (d,), {"mlp": (m,)}) <= budget
    ]
    for kind in ("uniform", "stage"):
        found = best_networks(
            formula.network, formula.network.rule, CLASSES, score, macs=budget, ranges=ranges, kind=kind
        )
        assert found[0].score == pytest.approx(max(kept), abs=1e-12)


@pytest.mark.parametrize("kind", ["uniform", "stage"])
def test_pools_hold_legal_networks_with_knobs_of_their_own(coarse, check_legal, kind):
    space = SearchSpace("coarse_two", 64, CLASSES, kind=kind, window=(0.1, 8.0), knobs=("kernel",))
    tried = draw_design(space, 20, "stratified", 0)
    pool = make_pool(space, 500, 0, tried=tried, front=tried.take(slice(0, 3)))
    check_legal(pool)
    rows = [row.tobytes() for row in np.concatenate([pool.integers(), tried.integers()])]
    assert len(set(rows)) == len(rows) and len(set(pool.knobs["kernel"].ravel().tolist())) > 1
    assert space.inside(pool)[0].all()
    frame = architectures_frame(pool, space)
    assert (frame[["kernel_1", "kernel_2"]].to_numpy() == pool.knobs["kernel"]).all()


def test_tables_read_the_knobs_of_their_rows(coarse):
    space = SearchSpace("coarse_mlp_vit", 224, CLASSES, window=(0.1, 4.0), knobs=("mlp",))
    frame = trainings(space)
    with pytest.raises(ValueError, match="macs are not what the networks cost"):
        fit(frame.assign(mlp_1=4 * frame["width_1"]), base="coarse_mlp_vit")
    assert isinstance(frame, pd.DataFrame)


def test_networks_of_which_some_have_knobs_are_counted_together(coarse):
    network = coarse["coarse_mlp_vit"]
    plain = network.architecture()
    both = stack_alike(network, [plain, plain.with_knobs({"mlp": 256})])
    assert both.knobs["mlp"].ravel().tolist() == [768, 256]
    assert count(both, CLASSES).macs[0] == count(stack([plain]), CLASSES).macs[0]
