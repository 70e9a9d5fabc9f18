"""By which accuracies the front is taken: posterior means, so that one lucky training does not bend a curve.

A surrogate sees every training's integers and its exact MACs (`planner.formulas.networks`; it takes logarithms itself).
What a training is worth lies between what it expects and what was measured: see `Surrogate.worth`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import PlannerError
from planner.formulas.networks import MULTIPLIERS, network_inputs
from planner.front import pareto
from planner.surrogates.fit import fit_surrogate
from planner.surrogates.rows import varying
from planner.surrogates.surrogate import Surrogate
from planner.tables.table import NOISE, Table
from sampler.architecture import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd


# Of trainings, for a surrogate: fewer say too little of what is noise, and smoothing them would invent it. From twenty
# on it predicts the rest of the reference study no worse by its seventeen integers than by r and d.
FEWEST_ROWS = 20
# Of more trainings than MANY_ROWS the surrogate learns from LEARNED_ROWS drawn by chance, and of what NSGA-III selects
# MOST_POINTS are kept, evenly by their rank in MACs: a curve in two numbers is learned no better from more, and slowly.
MANY_ROWS, LEARNED_ROWS, _MOST_POINTS = 3_000, 200, 60
KEY = ("macs", "r", "d")  # what tells one row from another
OBSERVED, EXPECTED = "observed accuracies", "posterior means"


@dataclass(frozen=True, eq=False)
class _Belief:
    """A surrogate of accuracy over r, d and cost.

    Attributes:
        surrogate: The surrogate.
        base_macs: MACs of c = 1.
    """

    surrogate: Surrogate
    base_macs: int

    def accuracies(self, c: ArrayLike, r: ArrayLike, d: ArrayLike) -> FloatArray:
        """Expected accuracy `(n,)` of architectures of these multipliers, at that cost."""
        mean, _ = self.surrogate.posterior(_inputs_of(c, r, d, self.base_macs))
        return np.asarray(mean, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class FitSelection:
    """The rows that a curve is fitted to.

    Attributes:
        rows: `(m,)` row numbers, sorted by cost.
        accuracy: `(n,)` accuracies of all rows, by which they were chosen: what each is worth.
        expected: `(n,)` what the surrogate expects of another training of each; what was observed without one.
        by: Name of those: `"posterior means"` or `"observed accuracies"`.
        why: Why they are the observed ones, where they are.
        surrogate: Surrogate that gave the posterior means, or would have; None where there is none.
    """

    rows: IntArray
    accuracy: FloatArray
    expected: FloatArray
    by: str
    why: str | None
    surrogate: Surrogate | None = None

    def front_of(self, table: Table) -> pd.DataFrame:
        """The chosen rows, with a column `expected` where posterior means chose them."""
        front = table.frame.iloc[self.rows]
        return front if self.why else front.assign(expected=self.accuracy[self.rows])


def rows_of(frame: pd.DataFrame, points: Sequence[dict[str, Any]]) -> NDArray[np.bool_]:
    """Marks the rows `(n,)` of a table that are among a formula's points."""
    known = {_key(point) for point in points if all(name in point for name in KEY)}
    return np.array([_key(row) in known for row in frame[list(KEY)].to_dict("records")], dtype=bool)


def _key(row: Mapping[Any, Any]) -> tuple[int, float, float]:
    return int(row["macs"]), round(float(row["r"]), 9), round(float(row["d"]), 9)


def select(table: Table, share: float, seed: int, raw: bool = False) -> FitSelection:
    """NSGA-III's selection of a table by posterior means, or by observed accuracies where they are better."""
    surrogate, accuracy, expected, why = (None, *_as_observed(table), "asked for") if raw else _believed(table, seed)
    many = len(table.frame) > MANY_ROWS
    if many:
        share = min(share, _MOST_POINTS / len(table.frame))
    rows = pareto.nsga3_rows(accuracy, table.frame["macs"], share, seed=seed)
    if many and len(rows) > _MOST_POINTS:
        rows = rows[np.linspace(0, len(rows) - 1, _MOST_POINTS).round().astype(int)]
    return FitSelection(rows, accuracy, expected, OBSERVED if why else EXPECTED, why, surrogate)


def observed_accuracy(table: Table) -> FloatArray:
    """Accuracies `(n,)` as they were measured."""
    return table.frame["accuracy"].to_numpy(dtype=np.float64)


def _as_observed(table: Table) -> tuple[FloatArray, FloatArray]:
    """What trainings are worth and what is expected of them, where nothing but the measurements is known."""
    return observed_accuracy(table), observed_accuracy(table)


def _believed(table: Table, seed: int) -> tuple[Surrogate | None, FloatArray, FloatArray, str | None]:
    """The surrogate, what the trainings are worth by it and what it expects; or the observed accuracies, and why."""
    taught = with_stopped(table)
    frame, columns = network_inputs(taught)
    try:
        surrogate = _surrogate(taught, frame, columns, seed)
        frame = frame.iloc[: len(table.frame)]
        expected = np.asarray(surrogate.posterior(frame)[0], dtype=np.float64)
    except PlannerError as error:
        return None, *_as_observed(table), str(error)
    # Of very many it saw some, and what the others are worth by their own results would favour these.
    worth = expected if len(taught.frame) > MANY_ROWS else surrogate.worth()[: len(frame)]
    return surrogate, worth, expected, None


def belief(table: Table, seed: int = 0) -> _Belief:
    """A surrogate of a table's accuracy over r, d and cost.

    Raises:
        PlannerError: If the table is too small for one, or the surrogate refuses it.
    """
    taught = with_stopped(table)
    return _Belief(_surrogate(taught, taught.frame, varying(MULTIPLIERS, taught.frame), seed), table.base_macs)


def with_stopped(table: Table) -> Table:
    """All that a surrogate learns from: the rows of a table, and after them those of trainings that were stopped."""
    import pandas as pd

    if table.stopped is None:
        return table
    return replace(table, frame=pd.concat([table.frame, table.stopped], ignore_index=True), stopped=None)


def _inputs_of(c: ArrayLike, r: ArrayLike, d: ArrayLike, base_macs: int) -> pd.DataFrame:
    """The surrogate's inputs of uniformly scaled architectures."""
    import pandas as pd

    columns = {"r": r, "d": d, "macs": np.asarray(c, dtype=np.float64) * base_macs}
    return pd.DataFrame({name: np.asarray(values, dtype=np.float64) for name, values in columns.items()})


def _surrogate(table: Table, frame: pd.DataFrame, columns: list[str], seed: int) -> Surrogate:
    rows = len(frame)
    if rows < FEWEST_ROWS:
        raise PlannerError(f"{rows} trainings are too few for a surrogate, which needs {FEWEST_ROWS}")
    if not columns:
        raise PlannerError("neither r nor d varies between the trainings, so there is nothing a surrogate could learn")
    learned, noise = learned_rows(rows, seed), noise_variances(table)
    observations = frame.assign(accuracy=observed_accuracy(table)).iloc[learned]
    noise = None if noise is None else noise[learned]
    surrogate = fit_surrogate(observations, columns, "accuracy", "macs", noise, seed)
    error, spread = surrogate.errors.get("rmse"), float(observations["accuracy"].std(ddof=0))
    if error is None or error >= spread:
        raise PlannerError("a surrogate predicts left-out trainings no better than their mean does")
    return surrogate


def learned_rows(n: int, seed: int) -> IntArray:
    """Numbers of those of n rows that a surrogate learns from, ascending."""
    if n <= MANY_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, LEARNED_ROWS, replace=False))


def noise_variances(table: Table) -> FloatArray | None:
    """Known variance `(n,)` of each row's accuracy, between seeds or of what is expected of a stopped training.

    Zeros where nobody measured it, and it is fitted; None where all would be.
    """
    if table.noise_variance is None and NOISE not in table.frame:
        return None
    between_seeds = np.zeros(len(table.frame))
    if table.noise_variance is not None:
        between_seeds = np.asarray(table.noise_variance / table.frame["repeats"].to_numpy(), dtype=np.float64)
    if NOISE not in table.frame:
        return between_seeds
    expected = table.frame[NOISE].to_numpy(dtype=np.float64)
    return np.where(np.isnan(expected), between_seeds, expected)
