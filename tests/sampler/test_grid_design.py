"""Compound scaling's grid: every way to share a budget, at equal MACs, spread over the simplex."""

import numpy as np
import pytest

from sampler import InputError, SearchSpace, exact_limit, stack
from sampler.complexity import count
from sampler.grid_design import Start, grid_design, simplex

B0 = SearchSpace("efficientnet_b0", 224, rule="efficientnet")
SMALL = SearchSpace("efficientnet_b0", 90, classes=20)


def exponents(drawn, start, macs):
    """(a, g) of each network, from its multipliers."""
    times = np.log(macs / start.macs)
    r, d, _ = drawn.multipliers.T
    return np.log(d / start.d) / times, np.log(r / start.r) / times


def test_twice_the_base_network_is_shared_in_every_proportion():
    drawn = grid_design(B0, 30)
    assert len({row.tobytes() for row in drawn.integers()}) == 30
    assert (np.abs(count(drawn, 1000).macs / (2 * B0.base_macs) - 1) <= 0.03).all()
    a, g = exponents(drawn, Start(B0.base_macs), 2 * B0.base_macs)
    on_grid = a * 20
    assert on_grid == pytest.approx(np.rint(on_grid), abs=1e-6)  # alpha^20 is a power of two
    assert (a >= -1e-9).all() and (g >= -0.01).all() and (a + 2 * g <= 1.01).all()  # pixels are whole
    assert a.max() > 0.8 and g.max() > 0.4 and (a + 2 * g).min() < 0.2  # each dimension has most of it somewhere


def test_a_grid_through_a_training_is_at_twice_its_macs_or_those_asked_for():
    start = Start(2_822_208, 76 / 90, 0.3625)
    for macs in (None, 5e6, 1.8e6):
        drawn = grid_design(SMALL, 12, macs, start)
        wanted = macs or 2 * start.macs
        assert (np.abs(count(drawn, 20).macs / wanted - 1) <= 0.03).all()
        a, g = exponents(drawn, start, wanted)
        assert (np.abs(a * 20 - np.rint(a * 20)) < 1e-6).all() and a.min() >= -1e-9 and g.max() > 0.2


def test_what_was_seen_is_not_drawn_again_and_limits_are_kept():
    first = grid_design(SMALL, 10)
    again = grid_design(SMALL, 10, seen=first)
    assert not {row.tobytes() for row in first.integers()} & {row.tobytes() for row in again.integers()}
    params = count(first, 20).params
    light = SearchSpace("efficientnet_b0", 90, classes=20, limits=(exact_limit("params", float(np.median(params))),))
    assert (count(grid_design(light, 5), 20).params <= np.median(params)).all()
    assert stack(list(grid_design(SMALL, 10))).integers().tolist() == first.integers().tolist()  # nothing by chance


def test_the_simplex_holds_all_twentieths():
    assert len(simplex()) == 231 and len(simplex(-0.5)) == 1326
    a, g = simplex(-0.5).T
    assert a.min() == -0.5 and g.min() == -0.25 and (1 - a - 2 * g).min() == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("space", "arguments", "message"),
    [
        (SearchSpace("efficientnet_b0", 224, kind="stage", rule="free"), {"n": 3}, "it needs a uniform space"),
        (SMALL, {"n": 0}, "at least one architecture"),
        (SMALL, {"n": 3, "macs": 1.01 * SMALL.base_macs}, "scales nothing; give other MACs"),
        (SMALL, {"n": 3, "macs": -1.0}, "scales nothing"),
        (SMALL, {"n": 5000}, "distinct architectures of the grid cost .* within 3%; ask for fewer"),
        (SMALL, {"n": 3, "macs": 1000.0}, "only 0 of 3 distinct"),
    ],
)
def test_an_impossible_grid_is_refused_in_words(space, arguments, message):
    with pytest.raises(InputError, match=message):
        grid_design(space, **arguments)
