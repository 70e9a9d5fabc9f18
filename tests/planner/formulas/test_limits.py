"""The dearest network that keeps to limits: one bisection for curves of uniform networks and of stages."""

import math

import numpy as np
import pytest

from planner.formulas.limits import largest, passed, priced
from sampler import Limit, exact_limit

SPAN = (50e6, 800e6)


@pytest.fixture
def searched(shipped):
    """A function: what the bisection finds below a limit, and the budgets at which it asked for networks."""

    def find(limit, halvings, beyond=()):
        asked = []

        def at(macs):
            asked.append(macs)
            return priced(shipped.predict(macs, extrapolate=True), [limit])

        ends = tuple(map(at, SPAN))
        asked.clear()
        return largest(at, [limit], SPAN, ends, halvings, beyond), asked

    return find


def test_it_asks_once_for_each_halving_and_comes_as_near_as_these_allow(searched):
    found, asked = searched(exact_limit("macs", 200e6), 10)
    assert len(asked) == 10
    assert found.macs <= 200e6 and found.binding == "macs"
    # The span is four octaves: after ten halvings 0.3 %, and a network is within 1 % of its budget.
    assert found.budget > 200e6 * 2 ** (-4 / 2**10) / 1.01


def test_a_setback_of_rounding_beyond_the_bisection_is_found(searched):
    def cost(networks, classes):
        macs = exact_limit("macs", 1).cost(networks, classes)
        return np.where(abs(macs - 224e6) < 4e6, 0.9, macs / 200e6)  # falls once more beyond 200M MACs

    limit = Limit("time", 1.0, cost)
    alone, _ = searched(limit, 10)
    with_setback, asked = searched(limit, 10, beyond=(1.12, 1.06))
    assert with_setback.budget == pytest.approx(1.12 * alone.budget) and len(asked) == 11
    assert not passed(with_setback, [limit])


def test_beyond_the_span_nothing_is_looked_for(searched):
    found, asked = searched(exact_limit("macs", 780e6), 12, beyond=(1.12,))
    assert max(asked) < SPAN[1] and math.isclose(found.macs, 780e6, rel_tol=0.02)


def test_the_limit_that_is_passed_most_is_named_first(shipped):
    limits = [exact_limit("params", 4e6), exact_limit("memory", 1e6)]
    assert [limit.name for limit in passed(priced(shipped.predict(800e6), limits), limits)] == ["memory", "params"]
