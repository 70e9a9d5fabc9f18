"""A fitted formula: for a budget, the architecture of one base network."""

from __future__ import annotations

from functools import cached_property
from typing import Any, overload

from numpy.typing import NDArray

from planner.formulas.branch import Direction
from planner.formulas.exponents import Exponents, exponents_of
from planner.formulas.prediction import Prediction
from planner.formulas.record import FormulaRecord
from planner.text.quantities import budget_of
from sampler import architecture_complexity, rule_named, solve_width


class FormulaCurves(FormulaRecord):
    """Budget -> (r, d, w), by the curves that were learned for one base network.

    Example:
        >>> from planner.formulas.codec import read_formula
        >>> from planner.text.shipped import shipped_formula
        >>> formula = read_formula(shipped_formula("efficientnet_b0"), FormulaCurves)
        >>> formula
        Formula(efficientnet_b0 at 224 px, 1000 classes: loglinear, 24.36M to 37.75G MACs, 13 points)
        >>> formula.predict(macs=200e6)
        Prediction(200M MACs: efficientnet_b0 at 180 px, depths 1 2 2 3 3 4 1, widths 16 24 32 64 88 152 256)
    """

    @cached_property
    def exponents(self) -> dict[Direction, Exponents]:
        """The powers of c that r, d and the solved w follow in each direction, with their intervals."""
        return exponents_of(self)

    @overload
    def predict(self, macs: float | str, extrapolate: bool = False) -> Prediction: ...

    @overload
    def predict(
        self, macs: list[Any] | tuple[Any, ...] | NDArray[Any], extrapolate: bool = False
    ) -> list[Prediction]: ...

    def predict(
        self, macs: float | str | list[Any] | tuple[Any, ...] | NDArray[Any], extrapolate: bool = False
    ) -> Prediction | list[Prediction]:
        """The architecture for a budget.

        r and d come from the curves; the width is solved on the exact count, so that the result is within 1 %
        of the budget.

        Args:
            macs: The budget, in multiply-accumulates of one image: a number, or a text such as `"200M"`; or several,
                which give a list.
            extrapolate: Whether to answer outside the range that the fit saw.

        Raises:
            PlannerError: If the budget is outside the range and `extrapolate` is not set, or is no positive number.
            InputError: If nothing buildable comes within 1 % of it.
        """
        values = several(macs)
        if isinstance(values, list):
            return [self._predicted(budget_of(macs), extrapolate) for macs in values]
        return self._predicted(budget_of(values), extrapolate)

    def _predicted(self, macs: float, extrapolate: bool) -> Prediction:
        """The architecture for one budget: r and d of the curves, and the width that is solved."""
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
            finer=solved.finer,
        )


def several(macs: Any) -> Any:
    """One budget as it is; several as a list, whether they came as a list, a tuple, or numpy's or pandas' arrays."""
    values = macs.tolist() if hasattr(macs, "tolist") else macs
    return list(values) if isinstance(values, list | tuple) else values
