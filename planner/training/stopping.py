"""Which trainings cannot pay any more: their curves, compared with those of networks of similar cost.

Optuna's pruners compare trainings whatever they cost, and would stop all small networks. Here a training's final
accuracy is predicted from those that cost about the same, and compared with the front where it stands.

Notation, over the finished trainings of a band of MACs:

    a, f (m,)   accuracy after the epoch in question, and at the end
    b, s        f ~ b0 + b1 a by least squares, and the standard deviation of its residuals (m - 2 degrees of freedom)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from planner.study.trials import LearningCurve

# MACs within a factor of two: curves of like networks look alike, and a band this wide holds some of them.
BAND = math.log(2)
FEWEST_ALIKE = 6
# Of the epochs: earlier the order of accuracies says little.
EARLIEST = 0.3
CONFIDENCE = 0.95


def cannot_reach_front(running: LearningCurve, finished: Sequence[LearningCurve], epochs: int) -> bool:
    """Whether a running training will, with 95 % confidence, end below a finished one that costs no more.

    Args:
        running: Curve that it has reached so far.
        finished: Trainings of the same task that went through all epochs.
        epochs: Epochs of a whole training.

    Returns:
        False too where that cannot be told: too early, or too few finished trainings of similar cost.
    """
    done = len(running.accuracies)
    cheaper = [one.accuracies[-1] for one in finished if one.macs <= running.macs]
    alike = [one for one in finished if abs(math.log(one.macs / running.macs)) <= BAND]
    if not EARLIEST * epochs <= done < epochs or not cheaper or len(alike) < FEWEST_ALIKE:
        return False
    then = np.array([one.accuracies[done - 1] for one in alike])
    final = np.array([one.accuracies[-1] for one in alike])
    return upper_bound(then, final, running.accuracies[-1]) < max(cheaper)


def upper_bound(then: np.ndarray, final: np.ndarray, now: float) -> float:
    """The final accuracy that a training now at some accuracy passes with a probability of 5 % only.

    The one-sided prediction bound of simple linear regression (Draper & Smith 1998, section 3.1).

    Args:
        then: `(m,)` accuracies of finished trainings at the same epoch.
        final: `(m,)` their accuracies at the end.
        now: The running one's.
    """
    from scipy.stats import t

    m, centred = len(then), then - then.mean()
    spread = float(centred @ centred)
    slope = float(centred @ (final - final.mean())) / spread if spread else 0.0
    residuals = final - final.mean() - slope * centred
    deviation = math.sqrt(float(residuals @ residuals) / (m - 2))
    leverage = 1 / m + ((now - then.mean()) ** 2 / spread if spread else 0.0)
    predicted = float(final.mean()) + slope * (now - float(then.mean()))
    return predicted + float(t.ppf(CONFIDENCE, m - 2)) * deviation * math.sqrt(1 + leverage)
