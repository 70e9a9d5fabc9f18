"""What was learned for one base network: the curves, the points that they were fitted to, and what else is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from planner.errors import PlannerError
from planner.formulas.branch import OVERLAP, Branch, Direction, answered, in_range
from planner.formulas.rungs import Rung
from planner.gaussian.curve import Curve
from planner.text.quantities import budget_of, format_count
from sampler import BaseNetwork, base
from sampler.architecture import MAX_CHANNELS, MAX_PIXELS
from sampler.checks import checked_whole
from sampler.complexity import base_macs
from sampler.knobs import knobs_among
from trainer.score import ACCURACY, Score

# Less MACs than any network has: a number whose unit was forgotten.
_UNITLESS = 10_000


@dataclass(frozen=True, eq=False)
class FormulaRecord:
    """Budget -> (r, d, w), learned for one base network.

    Attributes:
        base: Name of the base network.
        resolution: The resolution that r multiplies, in pixels.
        classes: Outputs of the classifier that c counts.
        base_macs: MACs of the base network at that resolution and classes: c = 1.
        kind: Kind of formula: how the curves were fitted (`planner.formulas.kinds`).
        branches: Curves for shrinking (c < 1) and for enlarging, where they were fitted.
        accuracy: Error of the front over c, where it was fitted: by how much its merit falls short of the best possible
            one (`score.most`).
        front: The rows selected for the fit, one dict each with c, r, d, w, macs, accuracy and, where known, the trial
            and the network: `resolution`, `stem`, `widths`, `depths`, `head`. Where posterior means selected them, some
            may be dominated by what was observed.
        errors: Cross-validated errors, by name.
        provenance: Origin of the fit: rows, sha256 of the table, seed, versions.
        surrogate: Accuracy as a function of an architecture's columns, where it was fitted.
        answers: Model that chooses the answer to a budget (`planner.surrogates.answer_model.AnswerModel`), where one
            was fitted.
        non_dominated: The rows that no other dominates by observed accuracy and MACs, in the same form: the front of
            what was trained, its most accurate network included. Empty in files that do not say.
        warnings: Sentences that a reader must know before any number.
        ladder: The answers over the fitted range by rising MACs, for readers without the planner; empty where nothing
            chooses them, or it knows too little.
        score: Number that the trainings were judged by, with a limit; every accuracy here is its merit.
    """

    base: str
    resolution: int
    classes: int
    base_macs: int
    kind: str
    branches: dict[Direction, Branch]
    accuracy: Curve | None = None
    front: tuple[dict[str, Any], ...] = ()
    errors: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    surrogate: Any = None
    answers: Any = None
    non_dominated: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    ladder: tuple[Rung, ...] = ()
    score: Score = ACCURACY

    def __repr__(self) -> str:
        low, high = (format_count(macs) for macs in self.macs_range)
        task = f"{self.base} at {self.resolution} px, {self.classes} classes"
        return f"Formula({task}: {self.kind}, {low} to {high} MACs, {len(self.front)} points)"

    @property
    def network(self) -> BaseNetwork:
        """The base network, at this formula's resolution."""
        return replace(base(self.base), resolution=self.resolution)

    @property
    def knobs(self) -> tuple[str, ...]:
        """Names of the knobs that the trainings varied; others follow their rules."""
        return tuple(knobs_among(self.network, self.provenance.get("ranges", {})))

    @property
    def c_range(self) -> tuple[float, float]:
        """Smallest and largest c that the fit saw, both directions together."""
        lows, highs = zip(*(branch.c_range for branch in self.branches.values()), strict=True)
        return min(lows), max(highs)

    @property
    def macs_range(self) -> tuple[float, float]:
        """Smallest and largest MACs that the fit saw."""
        low, high = self.c_range
        return low * self.base_macs, high * self.base_macs

    def branch(self, c: float) -> Branch:
        """The curves that answer for c: its own direction's, or the only ones there are."""
        wanted: Direction = "shrink" if c <= 1 else "enlarge"
        return self.branches.get(wanted) or next(iter(self.branches.values()))

    def answered(self, direction: Direction) -> tuple[float, float]:
        """Smallest and largest c of the fitted range for which a direction's curves answer.

        Points a little beyond c = 1 belong to both directions; where there are two, their curves end there.
        """
        return answered(self.branches[direction].c_range, direction, len(self.branches))

    @property
    def unfitted(self) -> tuple[dict[str, Any], ...]:
        """The selected rows that no curve was fitted to: those of a direction with too few distinct budgets."""
        if len(self.branches) == 2:
            return ()
        shrinks = "shrink" in self.branches
        return tuple(one for one in self.front if (one["c"] > OVERLAP if shrinks else one["c"] < 1 / OVERLAP))

    def at(self, resolution: int | None = None, classes: int | None = None) -> Self:
        """The same rule for the base network at another resolution or number of classes: c stays relative.

        Raises:
            InputError: If the base network cannot have them.
        """
        pixels = self.resolution if resolution is None else checked_whole("resolution", resolution, 1, MAX_PIXELS)
        outputs = self.classes if classes is None else checked_whole("classes", classes, 1, MAX_CHANNELS)
        other = replace(self, resolution=pixels, classes=outputs, base_macs=base_macs(self.base, pixels, outputs))
        if (pixels, outputs) == (self.resolution, self.classes):
            return other
        # A surrogate speaks of accuracies on the task it was taught, and of pixels, not of multipliers.
        return replace(other, surrogate=None, answers=None, ladder=())

    def checked(self, macs: float, extrapolate: bool = False) -> bool:
        """Whether a budget of MACs lies in the range that the fit saw.

        Raises:
            PlannerError: If it does not and `extrapolate` is not set, or it is no positive number.
        """
        macs = budget_of(macs)
        inside = in_range(macs / self.base_macs, self.c_range)
        if not inside and not extrapolate:
            raise PlannerError(outside(macs, [self.macs_range]))
        return inside


def outside(macs: float, ranges: Sequence[tuple[float, float]]) -> str:
    """Why a budget of MACs is refused that lies in none of the ranges that formulas were fitted on."""
    spans = " and ".join(f"{format_count(low)} to {format_count(high)}" for low, high in ranges)
    whose = "this formula was" if len(ranges) == 1 else "these formulas were"
    unit = f" with its unit, as {macs:g}M" if macs < _UNITLESS else ""
    return (
        f"{format_count(macs)} MACs is outside the {spans} that {whose} fitted on; "
        f"choose a budget inside{unit}, or give --extrapolate"
    )
