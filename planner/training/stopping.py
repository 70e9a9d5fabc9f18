"""Which trainings cannot pay any more: their curves, compared with those of networks of similar cost.

Optuna's pruners compare trainings whatever they cost, and would stop all small networks. Here a training's final
accuracy is predicted from those that cost about the same (`planner.study.stopped`), and compared with the front where
it stands.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.study.stopped import alike, predicted
from planner.study.trials import LearningCurve
from sampler.architecture import FloatArray

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
    if not EARLIEST * epochs <= done < epochs or not cheaper or not (others := alike(running, finished)):
        return False
    then = np.array([one.accuracies[done - 1] for one in others])
    final = np.array([one.accuracies[-1] for one in others])
    return upper_bound(then, final, running.accuracies[-1]) < max(cheaper)


def upper_bound(then: FloatArray, final: FloatArray, now: float) -> float:
    """The final accuracy that a training now at some accuracy passes with a probability of 5 % only.

    Args:
        then: `(m,)` accuracies of finished trainings at the same epoch.
        final: `(m,)` their accuracies at the end.
        now: The running one's.
    """
    from scipy.stats import t

    mean, deviation = predicted(then, final, now)
    return mean + float(t.ppf(CONFIDENCE, len(then) - 2)) * deviation
