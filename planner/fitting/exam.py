"""What a formula's networks are expected to lose against the answers, by cross-validation over budgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.errors import InputError
from planner.fitting.distil import DISTILLED_BUDGETS, Distilled, distilled
from planner.fitting.landscape import SPENT, ColumnRanges, ScoredNetworks, networks_within
from planner.formulas.protocol import FormulaCurve
from planner.formulas.uniform_networks import rows_read
from planner.surrogates.answer_model import AnswerModel
from sampler import Architecture, BaseNetwork, rule_named, solve_width
from sampler.architecture import Architectures, FloatArray
from sampler.knobs import stack_alike

# Every second budget is asked, in folds that leave out each fourth of those: its neighbours lie twice as far from it as
# any budget lies from those that the formula saw.
_FOLDS, _FEWEST = 4, 12


@dataclass(frozen=True, eq=False)
class Task:
    """One base network, what is known of its networks, and one direction's budgets.

    Attributes:
        network: The base network, at the resolution that r multiplies.
        rule: Name of the scaling rule.
        classes: Outputs of the classifier.
        base_macs: MACs of c = 1.
        model: Model of answers, whose surrogate reads integers.
        ranges: Lowest and highest integer of the trainings, by column.
        c_range: Smallest and largest c.
    """

    network: BaseNetwork
    rule: str
    classes: int
    base_macs: int
    model: AnswerModel
    ranges: ColumnRanges
    c_range: tuple[float, float]

    def scores(self, architectures: Architectures) -> FloatArray:
        """`(n,)` scores of architectures."""
        return self.model.scores(rows_read(self.model.surrogate.inputs, architectures, self.classes))

    def networks(self) -> ScoredNetworks:
        """All networks that may be answered."""
        low, high = (c * self.base_macs for c in self.c_range)
        rule = rule_named(self.rule)
        return networks_within(self.network, rule, self.classes, self.scores, self.ranges, (SPENT * low, high + 1))

    def deviation(self) -> float:
        """The surrogate's usual standard deviation at a training."""
        tried = self.model.tried
        return float(np.median(self.model.surrogate.posterior_of(tried[:, :-1], tried[:, -1])[1]))

    def best(self, networks: ScoredNetworks, budgets: FloatArray) -> FloatArray:
        """`(k,)` scores of the answers to budgets, what was trained included."""
        affordable = self.model.tried[:, -1] <= budgets[:, None]
        reached = np.where(affordable, self.model.reached, -np.inf).max(axis=1)
        return np.asarray(np.maximum(networks.best_within(budgets), reached))

    def answered(self, r: float, d: float, budget: float) -> Architecture | None:
        """A formula's network, or None where nothing buildable comes near the budget."""
        rule = rule_named(self.rule)
        pixels = max(int(rule.pixels(self.network.resolution, r)[0]), self.network.stride)
        try:
            return solve_width(self.network, rule, pixels, d, budget, self.classes).architecture
        except InputError:
            return None

    def losses(self, networks: ScoredNetworks, c: FloatArray, curves: tuple[FormulaCurve, FormulaCurve]) -> FloatArray:
        """`(k,)` scores that a formula's networks lose against the answers; NaN where it has none."""
        budgets = c * self.base_macs
        found = [self.answered(*one) for one in zip(curves[0](c), curves[1](c), budgets, strict=True)]
        known = [k for k, one in enumerate(found) if one is not None]
        scores = np.full(len(c), np.nan)
        if known:
            scores[known] = self.scores(stack_alike(self.network, [one for one in found if one is not None]))
        lost: FloatArray = self.best(networks, budgets) - scores
        return lost


@dataclass(frozen=True, eq=False)
class Result:
    """A distilled formula of one direction, and its exam.

    Attributes:
        curves: Curves of r and d.
        losses: `(k,)` scores that its networks are expected to lose against the answers, each by curves that did not
            see the budget.
        losses_before: `(k,)` the same of the curves that it is to replace.
    """

    curves: Distilled
    losses: FloatArray
    losses_before: FloatArray

    @property
    def better(self) -> bool:
        """Whether it loses less than the curves before, and answers as many budgets."""
        here, before = (one[np.isfinite(one)] for one in (self.losses, self.losses_before))
        if not len(here) or not len(before):
            return bool(len(here))
        return bool(len(here) >= len(before) and here.mean() < before.mean())

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types, in units of the score."""
        known = (one[np.isfinite(one)] for one in (self.losses, self.losses_before))
        loss, before = (float(one.mean()) if len(one) else None for one in known)
        facts = {"used": self.better, "budgets": len(self.losses), "loss": loss, "loss_of_front": before}
        return {**facts, "scatter": self.curves.scatter}


def distil(task: Task, before: tuple[FormulaCurve, FormulaCurve]) -> Result | None:
    """The formula of a task distilled from its answers, or None where networks spend too few of its budgets.

    Args:
        task: The task.
        before: The curves of r and d that it is to replace, for comparison.
    """
    networks = task.networks()
    landscape = networks.landscape(np.geomspace(*task.c_range, DISTILLED_BUDGETS) * task.base_macs, task.base_macs)
    if landscape is None or len(landscape.x) < _FEWEST:
        return None
    deviation = task.deviation()
    asked = np.arange(1, len(landscape.x) - 1, 2)
    losses = np.empty(len(asked))
    for fold in range(_FOLDS):
        mine = asked[fold::_FOLDS]
        found = distilled(landscape.without(mine), deviation)
        losses[fold::_FOLDS] = task.losses(networks, np.exp(landscape.x[mine]), (found.r, found.d))
    losses_before = task.losses(networks, np.exp(landscape.x[asked]), before)
    return Result(distilled(landscape, deviation), losses, losses_before)
