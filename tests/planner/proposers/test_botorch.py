"""The expected gain in hypervolume at known cost: against draws, against brute force, and where numbers get small."""

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.stats import norm

from planner.front.gains import FrontStaircase, log_expected_gain, log_improvement, log_most_gain
from planner.proposers.botorch import ExactCostExpectedHypervolumeImprovement

REFERENCE = (2.0, 0.1)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def area(points, reference):
    """Hypervolume of (log cost, accuracy) points by counting cells of the grid that they span."""
    limit, floor = reference
    xs = sorted({limit, *(x for x, _ in points if x < limit)})
    total = 0.0
    for left, right in zip(xs, xs[1:], strict=False):
        height = max([floor, *(a for x, a in points if x <= left)])
        total += (right - left) * (height - floor)
    return total


def a_case(seed):
    rng = np.random.default_rng(seed)
    front = np.column_stack([rng.uniform(0, 2.2, 6), rng.uniform(0, 1, 6)])[: rng.integers(0, 7)]
    return front, rng.uniform(0, 1), rng.uniform(0.01, 0.3), rng.uniform(0, 2)


def staircase(front, reference=REFERENCE):
    return FrontStaircase.of(torch.tensor(front[:, 0]), torch.tensor(front[:, 1]), reference)


@pytest.mark.parametrize("seed", [*range(15), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(15, 100))])
def test_it_equals_the_mean_gain_of_a_million_draws(seed):
    front, mean, std, cost = a_case(seed)
    ours = log_expected_gain(tensor(mean), tensor(std), tensor(cost), staircase(front)).exp().item()
    before = area(front.tolist(), REFERENCE)
    # Drawn three times as wide and weighted, or a gain five deviations out would never be drawn.
    draws = np.random.default_rng(1000 + seed).normal(mean, 3 * std, 1_000_000)
    weights = norm.pdf(draws, mean, std) / norm.pdf(draws, mean, 3 * std)
    # The gain is piecewise linear in the accuracy: by its values at the knots, it need not be counted a million times.
    knots = np.array(sorted({-9.0, 9.0, REFERENCE[1], *front[:, 1].tolist()}))
    gains = weights * np.interp(
        draws, knots, [area([*front.tolist(), (cost, one)], REFERENCE) - before for one in knots]
    )
    assert abs(ours - gains.mean()) <= 3.5 * gains.std() / 1000 + 1e-12


def test_the_hypervolume_is_the_area_under_the_staircase():
    for seed in range(20):
        front = a_case(seed)[0]
        assert staircase(front).hypervolume() == pytest.approx(area(front.tolist(), REFERENCE), abs=1e-12)


def test_dominated_repeated_and_unreachable_points_do_not_matter():
    front = np.array([[0.5, 0.4], [1.0, 0.6]])
    more = np.array([[0.5, 0.4], [0.7, 0.4], [0.7, 0.3], [1.0, 0.6], [0.2, 0.05], [2.5, 0.99], [0.5, 0.2]])
    for one, other in zip(
        (staircase(front).edges, staircase(front).heights),
        (staircase(more).edges, staircase(more).heights),
        strict=True,
    ):
        assert one.tolist() == other.tolist()


def test_without_any_point_the_gain_is_the_whole_rectangle():
    empty = FrontStaircase.of(tensor(), tensor(), REFERENCE)
    gain = log_expected_gain(tensor(0.6), tensor(0.0), tensor(0.5), empty).exp().item()
    assert gain == pytest.approx((2.0 - 0.5) * (0.6 - 0.1))
    assert empty.hypervolume() == 0


def test_beyond_the_reference_cost_or_below_what_is_certain_nothing_is_gained():
    front = staircase(np.array([[0.5, 0.4]]))
    gains = log_expected_gain(tensor(0.9, 0.3, 0.9), tensor(0.1, 0.0, 0.0), tensor(2.1, 1.0, 2.0), front)
    assert gains.tolist() == [-math.inf] * 3


@pytest.mark.parametrize(
    "z", [-1e6, -1e5, -3.1e4, -2.9e4, -1000.0, -40.0, -10.0, -1.0001, -0.9999, 0.0, 1.0, 8.0, 500.0]
)
def test_the_improvement_is_exact_far_out_in_the_tail(z):
    mpmath.mp.dps = 60
    exact = mpmath.log(mpmath.npdf(z) + z * mpmath.ncdf(z)) if z > -1000 else None
    ours = log_improvement(tensor(z), tensor(1.0), tensor(0.0)).item()
    if exact is None:  # mpmath's own cancels: the series of Mills' ratio
        exact = (
            -(mpmath.mpf(z) ** 2) / 2
            - mpmath.log(2 * mpmath.pi) / 2
            - 2 * mpmath.log(-z)
            + mpmath.log1p(-3 / mpmath.mpf(z) ** 2)
        )
    assert ours == pytest.approx(float(exact), rel=1e-9)


def test_the_improvement_of_one_objective_is_the_textbook_s():
    mean, std, height = 0.4, 0.2, 0.5
    z = (mean - height) / std
    textbook = std * (norm.pdf(z) + z * norm.cdf(z))
    assert log_improvement(tensor(mean), tensor(std), tensor(height)).exp().item() == pytest.approx(textbook)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="must be finite; leave out trainings that failed"):
        FrontStaircase.of(tensor(0.5), tensor(bad), REFERENCE)
    with pytest.raises(ValueError, match="must be finite"):
        FrontStaircase.of(tensor(0.5), tensor(0.5), (bad, 0.1))


def test_a_million_candidates_are_ranked_chunk_by_chunk_as_one_by_one():
    rng = np.random.default_rng(0)
    mean, cost = torch.tensor(rng.uniform(0, 1, 150_000)), torch.tensor(rng.uniform(0, 2, 150_000))
    front = staircase(a_case(5)[0])
    together = log_expected_gain(mean, torch.full_like(mean, 0.1), cost, front)
    for row in (0, 65_535, 65_536, 149_999):
        alone = log_expected_gain(mean[row : row + 1], tensor(0.1), cost[row : row + 1], front)
        assert together[row].item() == pytest.approx(alone.item(), rel=1e-12)


@pytest.mark.parametrize("function", [log_expected_gain, log_most_gain])
def test_arrays_and_tensors_give_the_same(function):
    rng = np.random.default_rng(3)
    mean, std, cost = (
        rng.uniform(-2, 2, 999),
        rng.uniform(0, 0.3, 999) * rng.integers(0, 2, 999),
        rng.uniform(0, 2, 999),
    )
    front = staircase(a_case(5)[0])
    arrays = function(mean, std, cost, front)
    tensors = function(*map(torch.from_numpy, (mean, std, cost)), front)
    assert isinstance(arrays, np.ndarray) and np.isneginf(arrays).any() and arrays.min() < -40
    assert np.allclose(arrays, tensors.numpy(), rtol=1e-10, atol=0)


@pytest.mark.parametrize("seed", range(10))
def test_the_bound_is_never_below_the_gain_and_equals_it_beyond_the_front(seed):
    rng = np.random.default_rng(seed)
    mean, std, cost = (torch.tensor(rng.uniform(low, high, 300)) for low, high in ((0, 1), (0.01, 0.3), (0, 2)))
    front = staircase(a_case(seed)[0])
    gain, bound = log_expected_gain(mean, std, cost, front), log_most_gain(mean, std, cost, front)
    assert (bound >= gain - 1e-9).all()
    last = cost >= front.edges[-2]
    assert last.any() and torch.allclose(bound[last], gain[last])


def test_botorch_takes_it_as_an_acquisition_function():
    from botorch.models import SingleTaskGP
    from botorch.optim import optimize_acqf_discrete

    rng = np.random.default_rng(1)
    x = torch.tensor(rng.uniform(0.1, 1, (12, 2)))
    y = (x.sum(1, keepdim=True) / 2).sqrt()
    model = SingleTaskGP(x, y)

    def cost(inputs):
        return 1e6 * inputs.prod(-1)

    front = FrontStaircase.of(cost(x).log(), y.squeeze(-1), (math.log(1e6), 0.0))
    acquisition = ExactCostExpectedHypervolumeImprovement(model, cost, front)
    grid = torch.cartesian_prod(*[torch.linspace(0.1, 1, 15).double()] * 2)
    with torch.no_grad():
        values = acquisition(grid.unsqueeze(1))
        one_by_one = [acquisition(row.reshape(1, 1, 2)).item() for row in grid]
        best, value = optimize_acqf_discrete(acquisition, q=1, choices=grid)
    assert values.shape == (225,)
    assert np.allclose(values.numpy(), one_by_one, rtol=1e-6)
    assert best.squeeze(0).tolist() == grid[int(np.argmax(one_by_one))].tolist()
    assert value.item() == pytest.approx(max(one_by_one))
