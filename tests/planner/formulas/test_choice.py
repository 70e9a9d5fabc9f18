"""Of several formulas the one that answers: none is refused what another can answer."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from planner import PlannerError
from planner.formulas.budgets import prediction_within
from planner.formulas.choice import chosen
from planner.text.quantities import format_count
from sampler import exact_limit


@pytest.fixture(scope="module")
def small(shipped):
    """The shipped formula below 12 and above 80 MMACs, and one more in between."""
    return [("low", ranged(shipped, 3e6, 12e6)), ("high", ranged(shipped, 80e6, 900e6))]


def ranged(formula, low, high):
    """A formula that answers for other budgets of MACs."""
    ends = (low / formula.base_macs, high / formula.base_macs)
    return replace(formula, branches={name: replace(one, c_range=ends) for name, one in formula.branches.items()})


def params(most):
    return [exact_limit("params", most)]


def answer(formulas, macs, limits=(), extrapolate=False):
    found = chosen(formulas, macs, limits, extrapolate)
    return found.source, prediction_within(found.formula, found.macs, limits, extrapolate)


@pytest.mark.parametrize("name", ["params", "memory", "activations"])
def test_a_larger_limit_is_never_refused_after_a_smaller_one_and_never_gives_a_smaller_network(small, name):
    costs = [getattr(formula.predict(end), name, None) for _, formula in small for end in formula.macs_range]
    if None in costs:
        costs = [2e5, 1e7]
    largest = [costs[0] * (2 * costs[-1] / costs[0]) ** (i / 4) for i in range(5)]
    found = [answer(small, None, [exact_limit(name, most)])[1] for most in largest]
    assert all(one.costs[name] <= most for one, most in zip(found, largest, strict=True))
    assert all(one.macs <= other.macs * 1.02 for one, other in pairwise(found))


def test_a_limit_between_two_formulas_is_kept_by_the_end_of_the_one_below(small):
    between = (small[0][1].predict(12e6).params + small[1][1].predict(80e6).params) / 2
    for macs in (None, 100e6):  # with MACs that the other formula holds, too
        source, found = answer(small, macs, params(between))
        assert (source, found.binding) == ("low", "range") and found.macs == pytest.approx(12e6, rel=0.01)


def test_a_budget_of_macs_between_two_formulas_is_refused_with_both_ranges_or_extrapolated(small):
    for limits in ((), params(1e9)):
        with pytest.raises(PlannerError, match="20M MACs is outside the 3M to 12M and 80M to 900M that these formulas"):
            chosen(small, 20e6, limits)
    assert [answer(small, macs, (), True)[0] for macs in (2.5e6, 20e6, 50e6, 2e9)] == ["low", "low", "high", "high"]
    assert not answer(small, 50e6, (), True)[1].in_range


def test_macs_beyond_a_range_do_no_harm_where_another_budget_decides(small):
    most = small[0][1].predict(7e6).params
    for formulas, macs in ((small, 20e6), (small, 5e9), (small[:1], 5e9)):
        source, found = answer(formulas, macs, params(most))
        assert (source, found.binding) == ("low", "params") and found.params <= most


@pytest.mark.parametrize("macs", [None, 5e6, 20e6, 200e6])
def test_what_no_formula_can_keep_is_told_by_the_smallest_network_of_all(small, macs):
    smallest = format_count(answer(small[:1], 3e6)[1].params)
    with pytest.raises(PlannerError, match=f"at most 1k params cannot be kept: the smallest .* has {smallest}, "):
        answer(small, macs, params(1000))


def test_the_preferred_formula_answers_what_several_could(small, shipped):
    assert answer([("mine", shipped), *small], 100e6)[0] == "mine"
    assert answer([("mine", shipped), *small], 5e6)[0] == "low"
    unread = iter([small[1], pytest.fail])  # read no farther than needed
    assert answer((one for one in unread), 100e6)[0] == "high" and next(unread) is pytest.fail


@pytest.mark.parametrize("budgets", [("--params", "300k", "1.9M", "4M"), ("--memory", "1MB", "8MB", "40MB")])
def test_the_shipped_formulas_answer_as_one(run, budgets):
    option, *texts = budgets
    answers = [run("predict", option, text, "--json") for text in texts]
    assert [code for code, _, _ in answers] == [0, 0, 0]
    macs = [json.loads(out)["macs"] for _, out, _ in answers]
    assert macs == sorted(macs)


def test_a_refusal_of_macs_names_the_range_that_is_near(run):
    for text in ("0.9M", "15M"):
        code, _, err = run("predict", "--flops", text)
        assert code == 2 and "1.004M to 11.51M and 24.36M to 37.75G" in err
