"""Answers that are trained before they are given: the best few networks for a budget, of which the best measured wins.

Expectations of many networks flatter the best of them; trainings of the best few do so less. They are trainings of the
study like any other: the next fit is taught by them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from planner.answers.answer import Answer
from planner.answers.predict import answer_for
from planner.answers.question import AnswerSpace
from planner.errors import PlannerError
from planner.formulas.formula import FormulaCurves
from planner.study.ledger import Ledger
from planner.study.trials import asked_key, trained
from planner.training.loop import train_queued
from planner.training.progress import Listener
from planner.training.resources import Resources
from sampler import Architecture, Limit, stack
from sampler.knobs import knob_sizes, stack_alike, with_own_knobs
from sampler.moves import column_names, effective

ORIGIN = "confirm"
# The same training as the study's own: a trial of the study, or one whose network is kept besides.
_ALIKE: tuple[dict[str, Any], ...] = ({}, {"keep": True})
# What says something of the network, and is waited for; not that it was killed, or stopped.
_TELLING = (None, "ok", "diverged")


@dataclass(frozen=True, eq=False)
class Confirmation:
    """One network that was trained to confirm an answer.

    Attributes:
        answer: The network and what was expected of it before.
        trials: Numbers of its trainings as the study trains, one for each seed.
        accuracy: The mean of what they measured; None where it diverged.
    """

    answer: Answer
    trials: tuple[int, ...]
    accuracy: float | None

    @property
    def words(self) -> str:
        """What it reached, and in which trials."""
        if self.accuracy is None:
            return "one diverged"
        reached = self.answer.prediction.formula.score.text(self.accuracy)
        return f"{reached} (trial{'s' * (len(self.trials) > 1)} {', '.join(map(str, self.trials))})"

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        one, expected = self.answer.architecture, self.answer.accuracy
        measured = {"expected": None if expected is None else expected["mean"], "accuracy": self.accuracy}
        return {
            **one.as_dict(),
            "macs": self.answer.prediction.macs,
            **self.answer.prediction.formula.score.outward(measured),
            "trials": list(self.trials),
        }


def confirm(
    ledger: Ledger,
    formula: FormulaCurves,
    macs: float | str | None,
    limits: Sequence[Limit] = (),
    *,
    n: int,
    cache: Path,
    resources: Resources,
    progress: Listener,
    cautious: bool = False,
    space: AnswerSpace = "uniform",
) -> tuple[Answer, list[Confirmation]]:
    """Trains the best networks for a budget, but for those that the study has trained, and answers with the best.

    Args:
        ledger: The study's ledger.
        formula: The study's formula.
        macs: Budget of MACs, as of `answer_for`, like `limits`, `cautious` and `space`.
        limits: Further costs that must not be passed.
        n: Number of networks.
        cache: Folder of the study's decoded images.
        resources: Place and time of the trainings; whatever else is queued in the study is trained, too.
        progress: Told of every epoch and ending.
        cautious: Whether lower bounds are compared instead of means.
        space: Whether stages may be scaled apart.

    Returns:
        The answer, and every network with what it measured, the best expected first.

    Raises:
        PlannerError: If trainings remain when the time is over (the same call goes on with them), or none ended well.
    """
    found = answer_for(formula, macs, limits, cautious, n=n, space=space)
    networks = [one.architecture for one in found]
    with ledger.queueing():
        if missing := [one for one in networks if not _attempts(ledger, one)]:
            network = ledger.space.network
            ledger.enqueue(effective(network, stack_alike(network, missing)), ORIGIN)
    if _waiting(ledger, networks):
        train_queued(ledger, cache, resources, progress)
    if left := _waiting(ledger, networks):
        raise PlannerError(f"{left} of {len(networks)} trainings remain; the same command goes on with them")
    measured = [_measured(ledger, one) for one in found]
    return _best(measured), measured


def _attempts(ledger: Ledger, one: Architecture) -> list[str | None]:
    """Statuses of the trainings of a network that say something of it, or will; None of those that have not ended."""
    newest = ledger.attempts()
    attempts = [newest.get((one, asked_key(asks))) for asks in _ALIKE]
    return [attempt[1] for attempt in attempts if attempt is not None and attempt[1] in _TELLING]


def _waiting(ledger: Ledger, networks: Sequence[Architecture]) -> int:
    """How many networks have no training that ended."""
    return sum(all(status is None for status in _attempts(ledger, one)) for one in networks)


def _measured(ledger: Ledger, answer: Answer) -> Confirmation:
    """What the study's own trainings of a network reached, whatever their seeds."""
    rows = trained(ledger.frame())
    network, varied = ledger.space.network, ledger.space.knobs
    columns = list(column_names(len(network.stages), knob_sizes(network, varied)))
    integers = with_own_knobs(network, stack([answer.architecture]), varied).integers()[0]
    same = rows[(rows[columns].to_numpy(dtype=np.int64) == integers).all(axis=1)]
    accuracy = float(same["accuracy"].mean()) if len(same) else None
    return Confirmation(answer, tuple(int(number) for number in same["trial"]), accuracy)


def _best(measured: Sequence[Confirmation]) -> Answer:
    """The answer whose network measured the most, with what all of them did.

    Raises:
        PlannerError: If none did.
    """
    if all(one.accuracy is None for one in measured):
        raise PlannerError(f"all {len(measured)} networks for this budget diverged; predict without --confirm")
    best = max(measured, key=lambda one: -math.inf if one.accuracy is None else one.accuracy)
    every = ", ".join(one.words for one in measured)
    reason = f"the best measured of the {len(measured)} best expected, all trained, the best expected first: {every}"
    if len(measured) == 1:
        reason = f"the only network that answers here, trained: {every}; {best.answer.reason}"
    return replace(best.answer, by="training", reason=reason)
