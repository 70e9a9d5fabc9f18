"""What a table alone taught: curves of its dimensions over its cost, and the best rows of every budget."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.formulas.branch import in_range
from planner.gaussian.curve import Curve
from planner.table_formulas.prediction import AnswerOrigin, KnownRow, TablePrediction, TableRung
from sampler.architecture import FloatArray
from sampler.checks import is_number, shown

# Of the dearest row within a budget: the nearest to the curves is looked for among what spends as much.
NEAR_SPENT = 0.8


@dataclass(frozen=True, eq=False)
class TableCurves:
    """Cost -> the named dimensions, learned from one table.

    Attributes:
        dims: Names of the dimensions, in the order in which they were given.
        score: Name of the column of scores.
        lower: Whether smaller scores are better.
        cost: Name of the column of costs.
        cost_range: Smallest and largest cost of the rows that were fitted, in the table's own unit.
        middle: Cost by which the curves' input is divided.
        curves: Curve of each dimension that varies, over the cost divided by `middle`.
        constants: Value of each dimension that does not vary.
        grid: The few values of each dimension, ascending, where every one has few; empty where one has many.
        rows: Rows that may answer, by ascending `within`: of the table, of its pool and of its grid.
        ladder: Best rows by ascending `within`: the answer is the last that the budget pays for. Empty where too
            little is known to choose by.
        doubt: Reason for an empty ladder; "" where there is one.
        where: Words that chose the table's rows, by column.
        errors: Errors by name: `curve_..` (leave-one-out RMSE of a dimension's logarithm), `score_..` and `cost_..`
            (of the surrogates, cross-validated).
        provenance: Origin of the fit: rows, table_sha256, seed, versions.
    """

    dims: tuple[str, ...]
    score: str
    lower: bool
    cost: str
    cost_range: tuple[float, float]
    middle: float
    curves: dict[str, Curve]
    constants: dict[str, float]
    grid: dict[str, list[float]]
    rows: tuple[KnownRow, ...]
    ladder: tuple[TableRung, ...] = ()
    doubt: str = ""
    where: dict[str, str] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        low, high = self.cost_range
        what = f"{self.score} over {self.cost}, {low:.4g} to {high:.4g}"
        return f"TableFormula({', '.join(self.dims)} for {what}, {self.provenance.get('rows', '?')} rows)"

    @property
    def candidates(self) -> int:
        """How many rows the fit chose among; of very many `rows` holds some."""
        return int(self.provenance.get("candidates", len(self.rows)))

    def on_curves(self, cost: float) -> dict[str, float]:
        """The value of each dimension on the curves at a cost, by name; infinite where a damaged curve overflows."""
        with np.errstate(all="ignore"):
            moved = {name: float(curve(cost / self.middle)[0]) for name, curve in self.curves.items()}
        return {name: moved.get(name, self.constants.get(name, math.nan)) for name in self.dims}

    def rung(self, budget: float) -> TableRung | None:
        """The best row by all that the table taught, or None where nothing says one or the budget pays for none."""
        place = bisect_right(self.ladder, budget, key=lambda rung: rung.row.within)
        return self.ladder[place - 1] if place else None

    def nearest(self, budget: float) -> KnownRow | None:
        """The row within a budget whose dimensions are nearest to the curves, in deviations of their logarithms.

        It is looked for among the rows that cost at least 80 % of the dearest within the budget.
        """
        count = int(np.searchsorted(self._within, budget, side="right"))
        if not count:
            return None
        first = int(np.searchsorted(self._within[:count], NEAR_SPENT * self._within[count - 1]))
        wanted = np.log(list(self.on_curves(budget).values()))
        away = (((self._logs[first:count] - wanted) / self._scales) ** 2).sum(axis=1)
        return self.rows[first + int(np.argmin(away))]

    def best_trained(self, budget: float) -> KnownRow | None:
        """The row of the best measured score that a budget pays for; of equals the cheapest."""
        count = int(np.searchsorted(self._within, budget, side="right"))
        trained = [row for row in self.rows[:count] if row.score is not None]
        sign = -1 if self.lower else 1
        return max(trained, key=lambda row: sign * (row.score or 0.0), default=None)

    def answer(self, budget: float, extrapolate: bool = False) -> TablePrediction:
        """The dimensions for one cost.

        Raises:
            PlannerError: If it is no positive number, or outside the fitted range and `extrapolate` is not set.
        """
        asked = checked_cost(budget)
        inside = in_range(asked, self.cost_range)
        if not inside and not extrapolate:
            raise PlannerError(outside_costs(asked, self.cost, self.cost_range))
        curve, nearest, best = self.on_curves(asked), self.nearest(asked), self.best_trained(asked)
        rung = self.rung(asked) if inside else None
        if rung is not None:
            dims = dict(zip(self.dims, rung.row.values, strict=True))
            by, reason = self._chosen(rung)
            return TablePrediction(asked, inside, by, reason, dims, rung.row, rung.expected(), curve, nearest, best)
        row = nearest if inside and self.grid else None
        dims = curve if row is None else dict(zip(self.dims, row.values, strict=True))
        return TablePrediction(
            asked, inside, "curves", self._fallback(inside, row), dims, row, None, curve, nearest, best
        )

    def _chosen(self, rung: TableRung) -> tuple[AnswerOrigin, str]:
        """Whose the answer of the ladder is, and why it is this one."""
        of = f"of {self.candidates} rows it has the best expected {self.score} within the cost"
        if rung.row.score is not None:
            return "training", f"{of}; it was trained"
        unknown = "" if rung.row.cost_upper is None else ", and neither was its cost measured: measure it first"
        return "search", f"{of}; it was not trained{unknown}"

    def _fallback(self, inside: bool, row: KnownRow | None) -> str:
        """Why the curves answer."""
        if not inside:
            return "the cost is outside what was fitted, where only the curves say something"
        nearest = "the row nearest to the curves answers" if row is not None else "the curves answer"
        return f"{nearest}: {self.doubt or 'no row is within the cost'}"

    @cached_property
    def _within(self) -> FloatArray:
        return np.array([row.within for row in self.rows])

    @cached_property
    def _logs(self) -> FloatArray:
        values = np.array([row.values for row in self.rows], dtype=np.float64)
        logs: FloatArray = np.log(values.reshape(len(self.rows), len(self.dims)))
        return logs

    @cached_property
    def _scales(self) -> FloatArray:
        spread: FloatArray = self._logs.std(axis=0)
        return np.where(spread > 0, spread, 1.0)


def checked_cost(given: Any) -> float:
    """A cost to ask for.

    Raises:
        PlannerError: If it is no positive finite number.
    """
    if not is_number(given) or not 0 < given < math.inf:
        raise PlannerError(f"the cost is {shown(given)}; a positive number in the table's own unit is wanted, as 40")
    return float(given)


def outside_costs(cost: float, name: str, span: Sequence[float]) -> str:
    """Why a cost is refused that lies outside the range that a table's formula was fitted on."""
    return (
        f"a {name} of {cost:g} is outside the {span[0]:.4g} to {span[1]:.4g} that this formula was fitted on; choose "
        "one inside, or give --extrapolate"
    )
