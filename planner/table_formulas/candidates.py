"""The rows that may answer: of the table, of its pool, and the cells of its grid, whose costs are estimated."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from planner.surrogates.answer_model import doubt_of, places_of
from planner.surrogates.fit import fit_surrogate
from planner.surrogates.surrogate import Surrogate
from planner.table_formulas.prediction import EXPECTED_LEVEL, KnownRow
from planner.table_formulas.rows import TableRows
from planner.text.deferred import pd
from sampler.architecture import FloatArray

MOST_VALUES, MOST_CELLS = 64, 100_000  # of a dimension of a grid; of a grid
FEWEST_PER_VALUE = 2.0  # rows for each value of a dimension: with fewer its values are no grid's


@dataclass(frozen=True, eq=False)
class Candidates:
    """Rows that may answer.

    Attributes:
        values: `(m, k)` values of the dimensions.
        cost: `(m,)` costs; estimates where nobody measured them.
        upper: `(m,)` upper ends of the intervals of estimates; NaN where the cost was measured.
        score: `(m,)` measured scores, large ones better; NaN where nobody measured them.
    """

    values: FloatArray
    cost: FloatArray
    upper: FloatArray
    score: FloatArray

    @property
    def within(self) -> FloatArray:
        """`(m,)` the least budget that pays for each."""
        return np.where(np.isnan(self.upper), self.cost, self.upper)

    def take(self, kept: np.ndarray) -> Candidates:
        """Some of them, by their numbers or as bools."""
        return Candidates(self.values[kept], self.cost[kept], self.upper[kept], self.score[kept])

    def rows(self, lower: bool) -> list[KnownRow]:
        """As records, with scores in the table's own direction."""
        sign = -1.0 if lower else 1.0
        return [
            KnownRow(
                tuple(values),
                cost,
                None if np.isnan(score) else sign * score,
                None if np.isnan(upper) else upper,
            )
            for values, cost, upper, score in zip(
                self.values.tolist(), self.cost.tolist(), self.upper.tolist(), self.score.tolist(), strict=True
            )
        ]


def grid_of(values: FloatArray) -> list[FloatArray]:
    """The values of each dimension, ascending, where every one has few; nothing where one has many."""
    found = [np.unique(column) for column in values.T]
    few = all(
        len(one) == 1 or (len(one) <= MOST_VALUES and FEWEST_PER_VALUE * len(one) <= len(values)) for one in found
    )
    return found if few and prod(len(one) for one in found) <= MOST_CELLS else []


def candidates_of(
    rows: TableRows, pool: TableRows | None, seed: int
) -> tuple[Candidates, list[FloatArray], dict[str, float]]:
    """The rows that may answer, by ascending least budget; the grid; and the errors of estimated costs, by name.

    Cells of the grid that nobody measured come in where a surrogate of the costs, fitted to the rows whose costs are
    known, is better than a guess; and none that may cost less than every trained row, or more.
    """
    grid, errors = grid_of(rows.values), {}
    known = Candidates(rows.values, rows.cost, np.full(len(rows.cost), np.nan), rows.score)
    if pool is not None:
        known = _together(known, pool.values, pool.cost, np.full(len(pool.cost), np.nan))
    found = known
    cells = np.array(list(product(*grid)), dtype=np.float64) if grid else np.empty((0, rows.values.shape[1]))
    costs = _cost_surrogate(known, seed) if len(_new(known, cells)) else None
    if costs is not None:
        errors = {f"cost_{name}": error for name, error in costs.errors.items() if error is not None}
        mean, _, upper = costs.intervals_of(cells[:, _varying(known.values)], level=EXPECTED_LEVEL)
        found = _together(known, cells, np.exp(mean), np.exp(upper))
    inside = (found.within >= rows.cost.min()) & (found.within <= rows.cost.max())
    found = found.take(inside)
    return found.take(np.lexsort((-np.nan_to_num(found.score), found.within))), grid, errors


def frame_named(values: FloatArray) -> pd.DataFrame:
    """Values of the dimensions that vary, with names that no column of a table can clash with."""
    return pd.DataFrame({f"dim_{place}": values[:, place] for place in _varying(values)})


def dim_names(frame: pd.DataFrame) -> list[str]:
    """The names of a frame's columns."""
    return [str(name) for name in frame.columns]


def _varying(values: FloatArray) -> list[int]:
    return [place for place, column in enumerate(values.T) if np.ptp(column) > 0]


def _new(known: Candidates, values: FloatArray) -> np.ndarray:
    """Numbers of the rows that are not known."""
    own, _ = places_of(values, known.values)
    return np.setdiff1d(np.arange(len(values)), own)


def _together(known: Candidates, values: FloatArray, cost: FloatArray, upper: FloatArray) -> Candidates:
    """What is known, and rows that are not yet, untrained."""
    new = _new(known, values)
    return Candidates(
        np.concatenate([known.values, values[new]]),
        np.concatenate([known.cost, cost[new]]),
        np.concatenate([known.upper, upper[new]]),
        np.concatenate([known.score, np.full(len(new), np.nan)]),
    )


def _cost_surrogate(known: Candidates, seed: int) -> Surrogate | None:
    """The logarithm of the cost over the dimensions, or None where it is no better than a guess."""
    frame, logs = frame_named(known.values), np.log(known.cost)
    found = fit_surrogate(frame.assign(log_cost=logs), dim_names(frame), "log_cost", seed=seed)
    return None if doubt_of(found, frame.to_numpy(), logs) else found
