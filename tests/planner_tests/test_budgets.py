"""Budgets of MACs and params together: the largest architecture that keeps to all of them."""

from pathlib import Path

import numpy as np
import pytest

from planner import Formula, PlannerError
from planner.formulas.budgets import covers, within


@pytest.fixture(scope="module")
def formula():
    return Formula.load(Path(__file__).resolve().parents[2] / "results" / "published" / "formula.json")


@pytest.mark.parametrize("params", [2.5e6, 4e6, 9e6, 30e6])
def test_a_budget_of_params_gives_the_dearest_architecture_of_the_formula_that_keeps_to_it(formula, params):
    found = within(formula, None, params)
    assert found.params <= params and found.binding == "params"
    # Every clearly dearer architecture of the same formula has more params.
    for factor in (1.06, 1.12, 1.3):
        assert formula.predict(found.budget * factor).params > params


def test_of_two_budgets_the_one_that_decides_is_named(formula):
    loose, tight = within(formula, 200e6, 30e6), within(formula, 200e6, 3e6)
    assert (loose.binding, tight.binding) == ("macs", "params")
    assert loose.macs == formula.predict(200e6).macs
    assert tight.params <= 3e6 and tight.macs < loose.macs


def test_more_params_than_the_fitted_range_holds_give_its_end(formula):
    assert within(formula, None, 900e6).binding == "range"


def test_fewer_params_than_the_smallest_architecture_has_are_refused_with_the_difference(formula):
    with pytest.raises(PlannerError, match=r"1M params cannot be had: the smallest .* has [\d,]+, \d+% more"):
        within(formula, None, 1e6)


def test_no_budget_is_refused(formula):
    with pytest.raises(PlannerError, match="no budget: give --flops, --params or both"):
        within(formula, None, None)


def test_a_formula_covers_what_lies_between_its_ends(formula):
    low, high = formula.macs_range
    ends = [formula.predict(end).params for end in (low, high)]
    assert all(covers(formula, macs, None) for macs in np.geomspace(low, high, 5))
    assert not covers(formula, low / 2, None) and not covers(formula, 2 * high, None)
    assert covers(formula, None, np.mean(ends)) and not covers(formula, None, 2 * ends[1])
    assert not covers(formula, None, ends[0] / 2)
