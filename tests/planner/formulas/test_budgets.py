"""Budgets of several kinds, alone and together: the largest architecture that keeps to all of them."""

from pathlib import Path

import pytest

from planner import Formula, PlannerError
from planner.formulas.budgets import prediction_within
from sampler import InputError, Limit, exact_limit


@pytest.fixture(scope="module")
def formula():
    return Formula.load(Path(__file__).resolve().parents[3] / "results" / "published" / "formula.json")


def params_at_most(largest):
    return exact_limit("params", largest)


# What a latency model would say: ten nanoseconds per MAC of one thread.
LATENCY = Limit(
    "latency", 2.0, lambda architectures, classes: exact_limit("macs", 1).cost(architectures, classes) / 1e8
)


@pytest.mark.parametrize("params", [2.5e6, 4e6, 9e6, 30e6])
def test_a_budget_of_params_gives_the_dearest_architecture_of_the_formula_that_keeps_to_it(formula, params):
    found = prediction_within(formula, None, [params_at_most(params)])
    assert found.params == found.costs["params"] <= params and found.binding == "params"
    # Every clearly dearer architecture of the same formula has more params.
    for factor in (1.06, 1.12, 1.3):
        assert formula.predict(found.budget * factor).params > params


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("memory", [15e6, 40e6, 120e6])
def test_a_budget_of_memory_is_kept_and_nearly_used(formula, memory, dtype):
    found = prediction_within(formula, None, [exact_limit("memory", memory, dtype)])
    assert 0.85 * memory < found.costs["memory"] <= memory and found.binding == "memory"
    assert (found.memory == found.costs["memory"]) == (dtype == "float32")


def test_of_two_budgets_the_one_that_decides_is_named(formula):
    loose, tight = (
        prediction_within(formula, 200e6, [params_at_most(30e6)]),
        prediction_within(formula, 200e6, [params_at_most(3e6)]),
    )
    assert (loose.binding, tight.binding) == ("macs", "params")
    assert loose.macs == formula.predict(200e6).macs
    assert tight.params <= 3e6 and tight.macs < loose.macs


def test_of_four_budgets_the_tightest_decides(formula):
    memory = exact_limit("memory", 30e6)
    found = prediction_within(formula, 900e6, [params_at_most(30e6), LATENCY, memory])
    assert found.binding == "latency" and 1.9 < found.costs["latency"] <= 2
    assert found.costs.keys() == found.limits.keys() == {"params", "latency", "memory"}
    assert prediction_within(formula, 900e6, [params_at_most(3e6), LATENCY, memory]).binding == "params"


def test_more_params_than_the_fitted_range_holds_give_its_end(formula):
    assert prediction_within(formula, None, [params_at_most(900e6)]).binding == "range"


def test_what_even_the_smallest_architecture_passes_is_refused_with_by_how_much(formula):
    message = r"at most 1M params cannot be kept: the smallest architecture .* has 2\.028M, 2\.03 times as much"
    with pytest.raises(PlannerError, match=message):
        prediction_within(formula, None, [params_at_most(1e6)])
    # Of several, all that are passed are named, the worst first; the ones that could be kept are not.
    with pytest.raises(PlannerError, match="at most 1 MB memory cannot .* at most 1M params cannot") as refused:
        prediction_within(formula, 200e6, [params_at_most(1e6), LATENCY, exact_limit("memory", 1e6)])
    assert "latency" not in str(refused.value)


def test_no_budget_is_refused(formula):
    with pytest.raises(PlannerError, match="no budget: give --flops, --params, --latency or --memory"):
        prediction_within(formula, None)


@pytest.mark.parametrize("largest", [0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_is_no_positive_number_is_refused(largest):
    with pytest.raises(InputError, match="a budget of params must be a positive number"):
        exact_limit("params", largest)
