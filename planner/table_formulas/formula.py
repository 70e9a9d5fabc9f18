"""The formula of a table that users hold: what it knows, and its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, overload

from numpy.typing import NDArray

from planner.errors import PlannerError
from planner.table_formulas.document import curves_text, read_curves_file
from planner.table_formulas.prediction import TablePrediction
from planner.table_formulas.record import TableCurves
from planner.text.documents import path_of, write_out

_MOST_COSTS = 10_000


class TableFormula(TableCurves):
    """Cost -> the dimensions of a table, learned by `planner.fit_table` without any base network.

    Its attributes are those of `planner.table_formulas.record.TableCurves`. Costs are numbers in the table's own unit.
    """

    @overload
    def predict(self, cost: float, extrapolate: bool = False) -> TablePrediction: ...

    @overload
    def predict(self, cost: Sequence[float] | NDArray[Any], extrapolate: bool = False) -> list[TablePrediction]: ...

    def predict(
        self, cost: float | Sequence[float] | NDArray[Any], extrapolate: bool = False
    ) -> TablePrediction | list[TablePrediction]:
        """The dimensions for a cost, by all that the table taught, and what the curves alone say.

        Args:
            cost: Cost in the table's own unit; or several, which give a list.
            extrapolate: Whether to answer outside the range of the table's costs, by the curves.

        Raises:
            PlannerError: If a cost is no positive number, or outside the range and `extrapolate` is not set.
        """
        many = getattr(cost, "tolist", lambda: cost)()
        if isinstance(many, list | tuple):
            if not 0 < len(many) <= _MOST_COSTS:
                raise PlannerError(f"{len(many)} costs; 1 to {_MOST_COSTS:,} are answered at once")
            return [self.answer(one, extrapolate) for one in many]
        return self.answer(many, extrapolate)  # type: ignore[arg-type]

    def save(self, path: str | Path) -> None:
        """Writes the file (schema `planner-curves/1`).

        Raises:
            PlannerError: If it cannot be written.
        """
        write_out(path_of(path), curves_text(self))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The formula of a file.

        Raises:
            PlannerError: If it is missing, damaged, changed since it was written, or a formula of another kind.
        """
        return read_curves_file(path_of(path), cls)
