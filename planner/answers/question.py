"""What is asked of a formula: the budgets, whether the trainings can answer, and what stands beside every answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from planner.allocation.allocate import by_curves
from planner.allocation.believe import NO_SEARCH, doubt_of_stages
from planner.errors import PlannerError
from planner.formulas.budgets import NO_BUDGET, prediction_of, prediction_within
from planner.formulas.formula import FormulaCurves
from planner.formulas.kinds import FORMULA_KINDS
from planner.formulas.prediction import Prediction, bounded_accuracy
from planner.formulas.trainings import TrainedNetwork, TrainedNetworks
from planner.formulas.uniform_networks import rows_read
from planner.rules import compound
from planner.text.quantities import budget_of, format_count
from sampler import Architecture, Limit, stack
from sampler.architecture import Architectures, FloatArray
from sampler.checks import shown
from sampler.complexity import count

AnswerSpace = Literal["uniform", "stage"]


@dataclass(frozen=True, eq=False)
class Question:
    """What was asked of a formula, and what stands beside every answer to it; attributes as in `answer_for`."""

    formula: FormulaCurves
    macs: float | None
    limits: tuple[Limit, ...]
    cautious: bool
    extrapolate: bool
    space: AnswerSpace

    @property
    def most(self) -> float:
        """The most MACs there may be: without a budget of them, what was trained ends."""
        return float(np.rint(self.formula.macs_range[1])) if self.macs is None else self.macs

    @property
    def learned(self) -> bool:
        """Whether the formula was learned of trainings, not copied."""
        return not FORMULA_KINDS[self.formula.kind].constants or bool(self.formula.front)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The smallest and the largest of each column of integers that was trained, where the file knows them."""
        ranges = {} if elsewhere(self.formula) else self.formula.provenance.get("ranges", {})
        return {name: (low, high) for name, (low, high) in ranges.items()}

    @cached_property
    def doubt(self) -> str:
        """Why the trainings taught too little to choose by; nothing where they did not."""
        model = self.formula.answers
        if model is None:
            return _unknown(self.formula)
        if not model.doubt and self.macs is not None and not self.formula.checked(self.macs, extrapolate=True):
            low, high = (format_count(end) for end in self.formula.macs_range)
            return f"{format_count(self.macs)} MACs is outside the {low} to {high} of the trainings"
        return str(model.doubt)

    @cached_property
    def apart(self) -> bool:
        """Whether stages may be scaled apart."""
        return self.space == "stage" and self.doubt == "" and not doubt_of_stages(self.formula)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Why stages are not scaled apart though that was asked."""
        if self.space == "uniform" or self.apart or self._staged:
            return ()
        why = doubt_of_stages(self.formula).removeprefix(NO_SEARCH)
        return (f"all stages are scaled alike: {why}",)

    @property
    def _staged(self) -> bool:
        """Whether the formula has curves of the stages for this budget."""
        return self.space == "stage" and self.formula.branch(self.most / self.formula.base_macs).stages is not None

    @cached_property
    def smooth(self) -> Prediction:
        """What the formula's curves give: those of the stages where stages may differ.

        Where the trainings answer, what is expected of it is corrected as an answer is: the curves follow such answers.

        Raises:
            PlannerError: If nothing on them is buildable, or keeps to the limits.
        """
        if self._staged:
            limited = self.macs is None
            macs = float(prediction_within(self.formula, None, self.limits).macs) if limited else self.most
            found = by_curves(self.formula, macs, self.limits)
        else:
            found = prediction_within(self.formula, self.macs, self.limits, self.extrapolate)
        return found if self.doubt else replace(found, expected=self.expected(found.architecture))

    def expected(self, one: Architecture) -> dict[str, Any]:
        """What the model of answers expects of a network, as `Prediction.accuracy`."""
        model, row = self.formula.answers, self.matrix(stack([one]))
        mean, lower, upper = (float(part[0]) for part in model.expected(row))
        inside = bool(model.in_range(row)[0])
        return bounded_accuracy(mean, lower, upper, "architecture", inside, self.formula.score)

    @cached_property
    def formula_answer(self) -> Prediction | None:
        """What the formula's curves give, or None."""
        try:
            return self.smooth
        except PlannerError:
            return None

    @cached_property
    def published(self) -> Prediction | None:
        """What compound scaling gives within the same budgets; None where it gives nothing, or is the formula."""
        if not self.learned:
            return None
        formula = self.formula
        try:
            rule = replace(compound(formula.base, formula.resolution, formula.classes), score=formula.score)
            found = prediction_within(rule, self.most, self.limits, extrapolate=True)
        except PlannerError:
            return None
        return replace(found, expected=believed(formula, found.architecture))

    @cached_property
    def trainings(self) -> TrainedNetworks:
        """What was trained."""
        return TrainedNetworks(self.formula)

    @cached_property
    def best(self) -> TrainedNetwork | None:
        """The best training within the budgets, or None."""
        return self.trainings.best(self.most, self.limits)

    def matrix(self, architectures: Architectures) -> FloatArray:
        """`(n, k + 1)` what the model of answers reads of architectures."""
        return rows_read(self.formula.answers.surrogate.inputs, architectures, self.formula.classes)


def asked_for(
    formula: FormulaCurves,
    macs: float | str | None,
    limits: Sequence[Limit],
    cautious: bool,
    extrapolate: bool,
    space: AnswerSpace,
) -> Question:
    """What was asked, checked; arguments as in `answer_for`."""
    check_answer_space(space)
    if macs is None and not limits:
        raise PlannerError(NO_BUDGET)
    budget = None if macs is None else budget_of(macs)
    if budget is not None:
        formula.checked(budget, extrapolate)
    return Question(formula, budget, tuple(limits), cautious, extrapolate, space)


def believed(formula: FormulaCurves, one: Architecture) -> dict[str, Any] | None:
    """What a formula's surrogate expects of any network, as `Prediction.accuracy`; None without a surrogate."""
    if formula.surrogate is None:
        return None
    macs = float(count(stack([one]), formula.classes).macs[0])
    return replace(prediction_of(formula, macs, one), expected=None).accuracy


def _unknown(formula: FormulaCurves) -> str:
    """Why a formula has no model that chooses answers."""
    if not formula.front:
        return "nothing was learned of this network yet"
    if formula.surrogate is not None:
        return "its surrogate does not read the networks' integers; `planner fit` again"
    if elsewhere(formula):
        return "it was learned at another resolution or number of classes"
    selection = formula.provenance.get("selection")
    why = selection.get("why") if isinstance(selection, dict) else None
    return f"no surrogate of the {formula.score.name} tells one network from another{f' ({why})' if why else ''}"


def elsewhere(formula: FormulaCurves) -> bool:
    """Whether a formula is applied to another resolution or number of classes than it was learned at."""
    return any(not math.isclose(one["macs"], one["c"] * formula.base_macs, rel_tol=1e-6) for one in formula.front[:1])


def check_answer_space(space: object) -> None:
    """Refuses what is neither `uniform` nor `stage`.

    Raises:
        PlannerError: Naming it.
    """
    if not isinstance(space, str) or space not in ("uniform", "stage"):
        raise PlannerError(f"space is {shown(space)}; uniform or stage is wanted")
