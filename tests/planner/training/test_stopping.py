"""Early stopping inside a band of cost."""

import numpy as np
import pytest
from scipy import stats

from planner.study.stopped import FEWEST_ALIKE
from planner.study.trials import LearningCurve as Curve
from planner.training.stopping import EARLIEST, cannot_reach_front, upper_bound

EPOCHS = 10


def curve(macs, final, epochs=EPOCHS, noise=0.0, rng=None):
    """Accuracy that rises as 1 - 0.7^epoch towards its end."""
    share = 1 - 0.7 ** np.arange(1, EPOCHS + 1)
    values = final * share / share[-1]
    if noise:
        values = values + rng.normal(0, noise, EPOCHS)
    return Curve(macs, tuple(values[:epochs].tolist()))


def band(finals, macs=1_000_000):
    return [curve(macs + i, final) for i, final in enumerate(finals)]


FINISHED = band([0.4, 0.45, 0.5, 0.52, 0.55, 0.6])


@pytest.mark.parametrize("epochs", range(3, EPOCHS))
def test_a_training_far_below_its_like_is_stopped_and_one_at_their_height_goes_on(epochs):
    assert cannot_reach_front(curve(2_000_000, 0.45, epochs), FINISHED, EPOCHS)
    assert not cannot_reach_front(curve(2_000_000, 0.61, epochs), FINISHED, EPOCHS)


def test_a_cheap_network_is_not_compared_with_dear_ones():
    # Below everything that was finished, but cheaper than all of it: it is on the front, whatever it reaches.
    assert not cannot_reach_front(curve(990_000, 0.1, 5), FINISHED, EPOCHS)
    # And a network ten times dearer finds too few of its like to be judged by.
    assert not cannot_reach_front(curve(10_000_000, 0.1, 5), FINISHED, EPOCHS)


def test_nothing_is_stopped_early_or_with_few_to_compare_with():
    low = 0.1
    assert not cannot_reach_front(curve(2_000_000, low, int(EARLIEST * EPOCHS) - 1), FINISHED, EPOCHS)
    assert not cannot_reach_front(curve(2_000_000, low, 5), FINISHED[: FEWEST_ALIKE - 1], EPOCHS)
    assert not cannot_reach_front(curve(2_000_000, low, EPOCHS), FINISHED, EPOCHS)  # it has ended
    assert not cannot_reach_front(curve(2_000_000, low, 5), [], EPOCHS)


def test_the_bound_is_that_of_linear_regression():
    rng = np.random.default_rng(0)
    then = rng.uniform(0.2, 0.5, 12)
    final = 0.1 + then + rng.normal(0, 0.03, 12)
    line = stats.linregress(then, final)
    residual = final - line.intercept - line.slope * then
    s = np.sqrt((residual**2).sum() / 10)
    error = s * np.sqrt(1 + 1 / 12 + (0.3 - then.mean()) ** 2 / ((then - then.mean()) ** 2).sum())
    expected = line.intercept + 0.3 * line.slope + stats.t.ppf(0.95, 10) * error
    assert upper_bound(then, final, 0.3) == pytest.approx(expected)


def test_equal_accuracies_have_no_slope():
    assert upper_bound(np.full(6, 0.3), np.array([0.4, 0.5] * 3), 0.1) < 0.45 + 2.2 * 0.06 * 1.1


def test_of_networks_that_would_reach_the_front_few_are_stopped():
    rng = np.random.default_rng(1)
    wrong = total = 0
    for _ in range(300):
        finished = [curve(1_000_000, final, noise=0.02, rng=rng) for final in rng.uniform(0.4, 0.6, 12)]
        one = curve(1_000_000, rng.uniform(0.4, 0.62), noise=0.02, rng=rng)
        if one.accuracies[-1] >= max(other.accuracies[-1] for other in finished):
            total += 1
            wrong += cannot_reach_front(Curve(one.macs, one.accuracies[:5]), finished, EPOCHS)
    assert total > 20 and wrong / total <= 0.1
