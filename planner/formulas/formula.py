"""A fitted formula: for a budget, the architecture of one base network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from planner.errors import PlannerError
from planner.formulas.rungs import Rung
from planner.formulas.stages import StageCurves
from planner.gaussian.curve import Curve, Exponent
from planner.text import deferred
from planner.text.documents import path_of, write_out
from planner.text.quantities import budget_of, format_count
from sampler import Architecture, BaseNetwork, Limit, architecture_complexity, base, rule_named, solve_width, stack
from sampler.architecture import MAX_CHANNELS, MAX_PIXELS
from sampler.checks import checked_whole, shown
from sampler.complexity import base_macs
from sampler.solve import TOLERANCE

Direction = Literal["shrink", "enlarge"]
Kind = Literal["loglinear", "tinynet", "compound"]
# Points this near c = 1 belong to both directions: TinyNet's window ends at 1.05.
OVERLAP = 1.05
# A budget this little outside the range is a rounding of the range's own end.
RANGE_SLACK = 0.01
# Less MACs than any network has: a number whose unit was forgotten.
UNITLESS = 10_000
NOTABLE = 0.002  # of accuracy: less than that is no reason to look at a training instead


@dataclass(frozen=True, eq=False)
class Branch:
    """The curves of one direction.

    Attributes:
        rule: Scaling rule that makes integers.
        c_range: Smallest and largest c of the trainings that the front was taken of.
        r: Resolution multiplier over c.
        d: Depth multiplier over c.
        stages: Each stage's share of the MACs and its depth over c; None where the table was scaled uniformly.
    """

    rule: str
    c_range: tuple[float, float]
    r: Curve
    d: Curve
    stages: StageCurves | None = None


@dataclass(frozen=True, eq=False)
class Formula:
    """Budget -> (r, d, w), learned for one base network.

    Attributes:
        base: Name of the base network.
        resolution: The resolution that r multiplies, in pixels.
        classes: Outputs of the classifier that c counts.
        base_macs: MACs of the base network at that resolution and classes: c = 1.
        kind: How the curves were fitted.
        branches: Curves for shrinking (c < 1) and for enlarging, where they were fitted.
        accuracy: Top-1 error of the front over c, where it was fitted.
        front: The rows selected for the fit, one dict each with c, r, d, w, macs, accuracy and, where known, the trial
            and the network: `resolution`, `stem`, `widths`, `depths`, `head`. Where posterior means selected them, some
            may be dominated by what was observed.
        errors: Cross-validated errors, by name.
        provenance: What it was fitted on: rows, sha256 of the table, seed, versions.
        surrogate: Accuracy as a function of an architecture's columns, where it was fitted.
        answers: Model that chooses the answer to a budget (`planner.surrogates.answer_model.AnswerModel`), where one
            was fitted.
        non_dominated: The rows that no other dominates by observed accuracy and MACs, in the same form: the front of
            what was trained, its most accurate network included. Empty in files that do not say.
        warnings: What a reader must know before any number, a sentence each.
        ladder: The answers over the fitted range by rising MACs, for readers without the planner; empty where nothing
            chooses them, or it knows too little.

    Example:
        >>> from planner.formulas.codec import loads
        >>> from planner.text.shipped import shipped_formula
        >>> formula = loads(shipped_formula("efficientnet_b0"))
        >>> formula
        Formula(efficientnet_b0 at 224 px, 1000 classes: loglinear, 24.36M to 37.75G MACs, 13 points)
        >>> formula.predict(macs=200e6)
        Prediction(200M MACs: efficientnet_b0 at 180 px, depths 1 2 2 3 3 4 1, widths 16 24 32 64 88 152 256)
    """

    base: str
    resolution: int
    classes: int
    base_macs: int
    kind: Kind
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

    def __repr__(self) -> str:
        low, high = (format_count(macs) for macs in self.macs_range)
        task = f"{self.base} at {self.resolution} px, {self.classes} classes"
        return f"Formula({task}: {self.kind}, {low} to {high} MACs, {len(self.front)} points)"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from planner.notebook import of_formula

        return of_formula(self)

    @property
    def network(self) -> BaseNetwork:
        """The base network, at this formula's resolution."""
        return replace(base(self.base), resolution=self.resolution)

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

    @cached_property
    def exponents(self) -> dict[Direction, dict[str, Exponent]]:
        """The powers of c that r, d and the solved w follow in each direction, with their intervals."""
        from planner.formulas.exponents import exponents_of

        return exponents_of(self)

    def at(self, resolution: int | None = None, classes: int | None = None) -> Formula:
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

    @overload
    def predict(
        self, macs: float | str, extrapolate: bool = False, space: Literal["uniform", "stage"] = "uniform"
    ) -> Prediction: ...

    @overload
    def predict(
        self,
        macs: list[Any] | tuple[Any, ...] | NDArray[Any],
        extrapolate: bool = False,
        space: Literal["uniform", "stage"] = "uniform",
    ) -> list[Prediction]: ...

    def predict(
        self,
        macs: float | str | list[Any] | tuple[Any, ...] | NDArray[Any],
        extrapolate: bool = False,
        space: Literal["uniform", "stage"] = "uniform",
    ) -> Prediction | list[Prediction]:
        """The architecture for a budget.

        r and d come from the curves; the width is solved on the exact count, so that the result is within 1 %
        of the budget.

        Args:
            macs: The budget, in multiply-accumulates of one image: a number, or a text such as `"200M"`; or several,
                which give a list.
            extrapolate: Whether to answer outside the range that the fit saw.
            space: `"uniform"` for one d and one w; `"stage"` for the preferred answer of
                `planner.allocation.allocate`, which also says why.

        Raises:
            PlannerError: If the budget is outside the range and `extrapolate` is not set, or is no positive number.
            InputError: If nothing buildable comes within 1 % of it.
        """
        check_space(space)
        values = macs.tolist() if hasattr(macs, "tolist") else macs  # numpy's and pandas' too
        if isinstance(values, list | tuple):
            return [self._predicted(budget_of(one), extrapolate, space) for one in values]
        return self._predicted(budget_of(values), extrapolate, space)

    @overload
    def answer(
        self,
        macs: float | str | None,
        limits: Sequence[Limit] = (),
        cautious: bool = False,
        extrapolate: bool = False,
        space: Literal["uniform", "stage"] = "uniform",
    ) -> deferred.answer.Answer: ...

    @overload
    def answer(
        self,
        macs: list[Any] | tuple[Any, ...] | NDArray[Any],
        limits: Sequence[Limit] = (),
        cautious: bool = False,
        extrapolate: bool = False,
        space: Literal["uniform", "stage"] = "uniform",
    ) -> list[deferred.answer.Answer]: ...

    def answer(
        self,
        macs: float | str | list[Any] | tuple[Any, ...] | NDArray[Any] | None,
        limits: Sequence[Limit] = (),
        cautious: bool = False,
        extrapolate: bool = False,
        space: Literal["uniform", "stage"] = "uniform",
    ) -> deferred.answer.Answer | list[deferred.answer.Answer]:
        """The best buildable network within a budget, by all that the trainings taught: what `planner predict` prints.

        Where too little was taught the curves answer, as `predict` does; the answer says so.

        Args:
            macs: The budget, as in `predict`; None where the limits alone decide.
            limits: What else must not be passed.
            cautious: Whether networks are compared by the lower bounds of their accuracies instead of the means.
            extrapolate: Whether the curves answer outside the range that the fit saw.
            space: `"stage"` also for networks whose stages are scaled apart.

        Raises:
            PlannerError: As `predict`; or if no network keeps to the budget and the limits.
        """
        from planner.answers.predict import answer_for

        values: Any = macs.tolist() if macs is not None and hasattr(macs, "tolist") else macs
        if isinstance(values, list | tuple):
            return [answer_for(self, one, limits, cautious, extrapolate, space=space)[0] for one in values]
        return answer_for(self, values, limits, cautious, extrapolate, space=space)[0]

    def _predicted(self, macs: float, extrapolate: bool, space: str) -> Prediction:
        """The architecture for one budget: r and d of the curves, and the width that is solved."""
        if space == "stage":
            from planner.allocation.allocate import allocate

            return allocate(self, macs, extrapolate=extrapolate).best.prediction
        inside = self.checked(macs, extrapolate)
        c = macs / self.base_macs
        branch = self.branch(c)
        r, d = float(branch.r(c)[0]), float(branch.d(c)[0])
        rule = rule_named(branch.rule)
        pixels = max(int(rule.pixels(self.resolution, r)[0]), self.network.stride)
        solved = solve_width(self.network, rule, pixels, d, macs, self.classes)
        cost = architecture_complexity(solved.architecture, self.classes)
        return Prediction(
            formula=self,
            budget=macs,
            architecture=solved.architecture,
            macs=solved.macs,
            params=cost.params,
            memory=cost.memory,
            c=c,
            r=solved.architecture.resolution / self.resolution,
            d=d,
            w=solved.width_multiplier,
            rule=branch.rule,
            in_range=inside,
            pixels_nudged=solved.pixels_nudged,
            stage_nudged=solved.stage_nudged,
            channels_nudged=solved.channels_nudged,
        )

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

    def save(self, path: str | Path) -> None:
        """Writes the formula file, schema `planner-formula/1`.

        Raises:
            PlannerError: If the file cannot be written.
        """
        from planner.formulas.codec import dumps

        target = path_of(path)
        write_out(target if target.name else target.absolute(), dumps(self))  # "." has no name

    @classmethod
    def load(cls, path: str | Path) -> Formula:
        """Reads a formula file.

        Raises:
            PlannerError: If the file is missing, not of the schema, or holds impossible values.
        """
        from planner.formulas.codec import load

        return load(path_of(path))


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer to one budget.

    Attributes:
        formula: Whose answer it is.
        budget: MACs asked for.
        architecture: The answer, integers only.
        macs: Its exact MACs.
        params: Its exact params.
        memory: Its peak bytes of inference with one image in float32.
        c: Budget over the base network's MACs.
        r: Its resolution over the base resolution.
        d: Its depth multiplier, from the curve.
        w: Its width multiplier, solved on the exact count.
        rule: The scaling rule that made the integers.
        in_range: Whether the budget lies in the range that the fit saw.
        pixels_nudged: Pixels the resolution was moved to meet the budget.
        stage_nudged: Index of the stage whose width was moved to meet the budget, or None.
        channels_nudged: Channels by which it was moved.
        binding: The budget that decides: `macs`, the name of a limit, or `range` where the fitted range ends before.
        costs: What it costs of each limit's kind.
        limits: The most it was allowed to cost, by the same names.
        expected: Its `accuracy`, where somebody knows better than the formula's surrogate alone; else None.
    """

    formula: Formula
    budget: float
    architecture: Architecture
    macs: int
    params: int
    memory: int
    c: float
    r: float
    d: float
    w: float
    rule: str
    in_range: bool
    pixels_nudged: int
    stage_nudged: int | None
    channels_nudged: int
    binding: str = "macs"
    costs: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    expected: dict[str, Any] | None = None

    def __repr__(self) -> str:
        one = self.architecture
        depths, widths = (" ".join(map(str, numbers)) for numbers in (one.depths, one.widths))
        network = f"{one.base} at {one.resolution} px, depths {depths}, widths {widths}"
        return f"Prediction({format_count(self.budget)} MACs: {network})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from planner.notebook import of_prediction

        return of_prediction(self)

    @cached_property
    def accuracy(self) -> dict[str, Any] | None:
        """Expected top-1 accuracy with its 90 % interval, or None.

        `of` says whose: this `architecture`'s, by the surrogate, or that of the `front` at this budget. `in_range` says
        whether it lies within what was trained: outside, the interval is wider.
        """
        surrogate = self.formula.surrogate
        if self.expected is not None:
            return self.expected
        if surrogate is not None:
            from planner.allocation.believe import check_reads, columns_of

            check_reads(self.formula)
            columns = columns_of(self.formula, stack([self.architecture]))
            # Integers do not say what they were rounded from, which is what the surrogate was taught.
            columns |= {name: np.array([getattr(self, name)]) for name in "rdw"}
            inputs = np.column_stack([columns[name] for name in surrogate.inputs])
            cost = columns[surrogate.cost] if surrogate.cost else None
            mean, low, high = (float(part[0]) for part in surrogate.intervals_of(inputs, cost))
            of, inside = "architecture", bool(surrogate.in_range_of(inputs, cost)[0])
        elif self.formula.accuracy is not None:
            error_low, error_high = self.formula.accuracy.interval(self.c, seen=self.formula.c_range)
            mean, low, high = 1 - float(self.formula.accuracy(self.c)[0]), 1 - error_high, 1 - error_low
            of, inside = "front", self.in_range
        else:
            return None
        return bounded_accuracy(mean, low, high, of, inside)

    @property
    def trained(self) -> dict[str, Any] | None:
        """The best training up to the budget, where it reached more than is expected here; else None.

        A formula is smooth, and integers are not: the network trained may be the better answer. Its accuracy is that
        of one training, and the best of many flatters itself.
        """
        accuracy, formula = self.accuracy, self.formula
        # Applied to another resolution or number of classes, the formula is not that of its points any more.
        known = formula.non_dominated or formula.front
        own = [one for one in known if math.isclose(one["macs"], one["c"] * formula.base_macs, rel_tol=1e-6)]
        near = [one for one in own if one["macs"] <= self.budget * (1 + TOLERANCE)]
        if accuracy is None or not near:
            return None
        best = max(near, key=lambda one: float(one["accuracy"]))
        return best if best["accuracy"] > accuracy["mean"] + NOTABLE else None

    def as_dict(self) -> dict[str, Any]:
        """Everything a reader needs to build the network, in JSON's types."""
        return {
            "accuracy": self.accuracy,
            "base": self.architecture.base,
            "binding": self.binding,
            "budget_macs": self.budget,
            "c": self.c,
            "c_range": list(self.formula.c_range),
            "channels_nudged": self.channels_nudged,
            "classes": self.formula.classes,
            "d": self.d,
            "depths": list(self.architecture.depths),
            "head": self.architecture.head,
            "costs": self.costs,
            "in_range": self.in_range,
            "kind": self.formula.kind,
            "limits": self.limits,
            "macs": self.macs,
            "macs_range": list(self.formula.macs_range),
            "memory": self.memory,
            "params": self.params,
            "pixels_nudged": self.pixels_nudged,
            "r": self.r,
            "resolution": self.architecture.resolution,
            "rule": self.rule,
            "stage_nudged": self.stage_nudged,
            "stem": self.architecture.stem,
            "trained": self.trained,
            "warnings": list(self.formula.warnings),
            "w": self.w,
            "widths": list(self.architecture.widths),
        }


def check_space(space: object) -> None:
    """Refuses what is neither `uniform` nor `stage`.

    Raises:
        PlannerError: Naming it.
    """
    if not isinstance(space, str) or space not in ("uniform", "stage"):
        raise PlannerError(f"space is {shown(space)}; uniform or stage is wanted")


def bounded_accuracy(mean: float, lower: float, upper: float, of: str, inside: bool) -> dict[str, Any]:
    """An expected accuracy and its 90 % interval, as `Prediction.accuracy`, of numbers that may pass 0 or 1."""
    ends = (("mean", mean), ("lower", lower), ("upper", upper))
    return {**{name: min(1.0, max(0.0, one)) for name, one in ends}, "level": 0.9, "of": of, "in_range": inside}


def answered(c_range: tuple[float, float], direction: Direction, branches: int) -> tuple[float, float]:
    """The part of a direction's range of c for which its curves answer; see `Formula.answered`."""
    low, high = c_range
    if branches == 1:
        return low, high
    return (low, min(high, 1.0)) if direction == "shrink" else (max(low, 1.0), high)


def in_range(c: float, c_range: tuple[float, float]) -> bool:
    """Whether c lies between two values, up to rounding."""
    return c_range[0] * (1 - RANGE_SLACK) <= c <= c_range[1] * (1 + RANGE_SLACK)


def outside(macs: float, ranges: Sequence[tuple[float, float]]) -> str:
    """Why a budget of MACs is refused that lies in none of the ranges that formulas were fitted on."""
    spans = " and ".join(f"{format_count(low)} to {format_count(high)}" for low, high in ranges)
    whose = "this formula was" if len(ranges) == 1 else "these formulas were"
    unit = f" with its unit, as {macs:g}M" if macs < UNITLESS else ""
    return (
        f"{format_count(macs)} MACs is outside the {spans} that {whose} fitted on; "
        f"choose a budget inside{unit}, or give --extrapolate"
    )
