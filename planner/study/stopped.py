"""Trainings that were stopped early, as a surrogate learns from them: with what their curves lead to expect.

Left out, they would be missing because they were bad, and a surrogate of the rest expects too much of networks like
them. So each is an observation of its final accuracy, with a noise of its own: the prediction, by simple linear
regression, from its accuracy when it was stopped, over the trainings of similar cost that came to their end. That is a
right-censored observation of which more is known than its bound. What it is worth: results/studies/stopped.

Notation, over the m finished trainings:

    a, f (m,)   accuracy at the epoch in question, and at the end
    b, s        f ~ b0 + b1 a by least squares, and the standard deviation of its residuals (m - 2 degrees of freedom)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from planner.study.trials import LearningCurve, asked_apart, curves_of, merits_of
from planner.tables.table import NOISE
from sampler.architecture import FloatArray

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from planner.study.settings import StudySettings

STOPPED = "stopped"  # the status
# MACs within a factor of two: curves of like networks look alike, and a band this wide holds some of them.
_BAND = math.log(2)
FEWEST_ALIKE = 6
# Of the epochs done, whose mean is what a stopped training had reached: it was stopped where it looked worst, and from
# that one epoch's accuracy alone too little is expected (by 1.0 point instead of 0.4 on half of NAAP-440).
_LAST = 0.1


def alike(running: LearningCurve, finished: Sequence[LearningCurve]) -> list[LearningCurve]:
    """Those of some trainings that cost about as much as one; none where they are too few to learn from."""
    found = [one for one in finished if abs(math.log(one.macs / running.macs)) <= _BAND]
    return found if len(found) >= FEWEST_ALIKE else []


def predicted(then: FloatArray, final: FloatArray, now: float) -> tuple[float, float]:
    """The final accuracy of a training now at some accuracy, and the standard deviation of that prediction.

    Simple linear regression (Draper & Smith 1998, section 3.1); in these deviations a training's true final accuracy
    has a t distribution of m - 2 degrees of freedom.

    Args:
        then: `(m,)` accuracies of finished trainings at the same epoch; m is 3 or more.
        final: `(m,)` their accuracies at the end.
        now: The running one's.
    """
    m, centred = len(then), then - then.mean()
    spread = float(centred @ centred)
    slope = float(centred @ (final - final.mean())) / spread if spread else 0.0
    residuals = final - final.mean() - slope * centred
    deviation = math.sqrt(float(residuals @ residuals) / (m - 2))
    leverage = 1 / m + ((now - then.mean()) ** 2 / spread if spread else 0.0)
    return float(final.mean()) + slope * (now - float(then.mean())), deviation * math.sqrt(1 + leverage)


def expected_end(stopped: LearningCurve, finished: Sequence[LearningCurve]) -> tuple[float, float] | None:
    """The final accuracy that is expected of a training that was stopped, and the variance of that.

    Args:
        stopped: Curve as far as it goes.
        finished: Trainings of the same task that went through all epochs.

    Returns:
        None where too few finished trainings cost about as much, or its curve is as long as theirs.
    """
    done, others = len(stopped.accuracies), alike(stopped, finished)
    if not others or not 0 < done < min(len(one.accuracies) for one in others):
        return None
    last = slice(done - math.ceil(_LAST * done), done)
    then, final = (
        np.array(part) for part in zip(*((_mean(one, last), one.accuracies[-1]) for one in others), strict=True)
    )
    now, freedom = _mean(stopped, last), len(others) - 2
    mean, deviation = predicted(then, final, now)
    # A t distribution's variance; where it is stopped, it is not expected to become the best, nor less than it is.
    mean = min(max(mean, min(now, float(final.min()))), float(final.max()))
    return mean, deviation**2 * freedom / (freedom - 2)


def _mean(curve: LearningCurve, epochs: slice) -> float:
    return float(np.mean(curve.accuracies[epochs]))


def expected_rows(
    trials: Sequence[optuna.trial.FrozenTrial], frame: pd.DataFrame, settings: StudySettings
) -> pd.DataFrame:
    """Rows of the trainings that were stopped, trained as the study trains, with what is expected of them.

    Args:
        trials: Finished ones.
        frame: The rows of these (`planner.study.trials.trials_frame`), in the same order.
        settings: Settings of the study.

    Returns:
        Those of the rows of which something can be expected: `accuracy` is the expected merit at the end, a further
        column `noise_variance` its variance, and `status` says `ok`.
    """
    curves: dict[int, list[LearningCurve]] = {}
    found: dict[int, tuple[float, float]] = {}
    for place, facts in enumerate(one.user_attrs for one in trials):
        if facts.get("status") != STOPPED or asked_apart(facts, settings.space.knobs):
            continue
        epochs = facts.get("epochs", settings.fidelity.epochs)
        if epochs not in curves:
            curves[epochs] = curves_of(trials, facts, settings)
        so_far = merits_of((record["accuracy"] for record in facts.get("history", [])), settings)
        expected = expected_end(LearningCurve(facts["macs"], so_far), curves[epochs])
        if expected is not None:
            found[place] = expected
    rows = frame.iloc[list(found)].reset_index(drop=True)
    means, variances = ([one[part] for one in found.values()] for part in (0, 1))
    return rows.assign(status="ok", accuracy=means, **{NOISE: variances})
