"""By which accuracies the front is taken: posterior means, so that one lucky training does not bend a curve.

A surrogate sees r, d and the exact MACs of every training (it takes logarithms itself). The width is not among them:
those three leave no freedom to it, and so two architectures are compared at equal cost. Where the stages were scaled
apart, and there are trainings enough, it sees the resolution and each stage's width and depth instead of r and d.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner import pareto
from planner.errors import PlannerError
from planner.formulas.stages import evenly, uniform_in
from planner.table import Table
from sampler import base as base_named
from sampler.architecture import FloatArray, IntArray
from sampler.moves import column_names

if TYPE_CHECKING:
    import pandas as pd

    from planner.surrogates.surrogate import Surrogate

# Of trainings, for a surrogate of accuracy over three inputs: four for each number it fits (three length scales, a
# variance, a noise). Fewer say too little of what is noise, and smoothing them would invent it.
FEWEST_ROWS = 20
ROWS_PER_INPUT = 4
# Spread of a row's stages about its own w, in logs: rounding to multiples of 8 makes up to 0.2 of it.
APART = 0.25
# Of more trainings than MANY_ROWS the surrogate learns from LEARNED_ROWS drawn by chance, and of what NSGA-III selects
# MOST_POINTS are kept, evenly by their rank in MACs: a curve in two numbers is learned no better from more, and slowly.
# Nor is such a surrogate polished: torch need not be loaded.
MANY_ROWS, LEARNED_ROWS, MOST_POINTS = 3_000, 200, 60
KEY = ("macs", "r", "d")  # what tells one row from another
OBSERVED, EXPECTED = "observed accuracies", "posterior means"


@dataclass(frozen=True, eq=False)
class Belief:
    """A surrogate of accuracy over r, d and cost.

    Attributes:
        surrogate: The surrogate.
        base_macs: MACs of c = 1.
    """

    surrogate: Surrogate
    base_macs: int

    def accuracies(self, c: ArrayLike, r: ArrayLike, d: ArrayLike) -> FloatArray:
        """Expected accuracy `(n,)` of architectures of these multipliers, at that cost."""
        mean, _ = self.surrogate.posterior(inputs_of(c, r, d, self.base_macs))
        return np.asarray(mean, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Selection:
    """The rows that a curve is fitted to.

    Attributes:
        rows: `(m,)` row numbers, sorted by cost.
        accuracy: `(n,)` accuracies of all rows, by which they were chosen.
        by: What those are: `"posterior means"` or `"observed accuracies"`.
        why: Why they are the observed ones, where they are.
        surrogate: What gave the posterior means, or would have; None where there is none.
    """

    rows: IntArray
    accuracy: FloatArray
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


def select(table: Table, share: float, seed: int, raw: bool = False) -> Selection:
    """NSGA-III's selection of a table by posterior means, or by observed accuracies where they are better."""
    surrogate, accuracy, why = (None, observed(table), "asked for") if raw else _believed(table, seed)
    many = len(table.frame) > MANY_ROWS
    if many:
        share = min(share, MOST_POINTS / len(table.frame))
    rows = pareto.select(accuracy, table.frame["macs"], share, seed=seed)
    if many and len(rows) > MOST_POINTS:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_POINTS).round().astype(int)]
    return Selection(rows, accuracy, OBSERVED if why else EXPECTED, why, surrogate)


def observed(table: Table) -> FloatArray:
    """Accuracies `(n,)` as they were measured."""
    return table.frame["accuracy"].to_numpy(dtype=np.float64)


def _believed(table: Table, seed: int) -> tuple[Surrogate | None, FloatArray, str | None]:
    """The surrogate and its means at the trainings; or the observed accuracies, and why.

    Over many inputs, most of what a surrogate leaves unexplained is no noise: where the stages were scaled apart its
    means are taken only if the noise between seeds was measured.
    """
    stages = stage_inputs(table)
    frame, columns = stages or integer_inputs(table) or (_inputs(table), ["r", "d"])
    try:
        surrogate = _surrogate(table, frame, columns, seed)
        mean, _ = surrogate.posterior(frame)
    except PlannerError as error:
        return None, observed(table), str(error)
    if stages and table.noise_variance is None:
        return surrogate, observed(table), "stages were scaled apart, and no noise between seeds was measured"
    return surrogate, np.asarray(mean, dtype=np.float64), None


def belief(table: Table, seed: int = 0) -> Belief:
    """A surrogate of a table's accuracy over r, d and cost.

    Raises:
        PlannerError: If the table is too small for one, or the surrogate refuses it.
    """
    return Belief(_surrogate(table, _inputs(table), ["r", "d"], seed), table.base_macs)


def inputs_of(c: ArrayLike, r: ArrayLike, d: ArrayLike, base_macs: int) -> pd.DataFrame:
    """The surrogate's inputs of uniformly scaled architectures."""
    import pandas as pd

    columns = {"r": r, "d": d, "macs": np.asarray(c, dtype=np.float64) * base_macs}
    return pd.DataFrame({name: np.asarray(values, dtype=np.float64) for name, values in columns.items()})


def integer_inputs(table: Table) -> tuple[pd.DataFrame, list[str]] | None:
    """The integers of every network, with its MACs, and the names of those that vary; None where they are not known."""
    names = column_names(len(base_named(table.base).stages))
    if not set(names) <= set(table.frame):
        return None
    frame = table.frame[[*names, "macs"]].astype("Float64").astype(float)
    columns = [name for name in names if np.ptp(frame[name]) > 0]
    return (frame, columns) if columns and np.isfinite(frame.to_numpy()).all() else None


def stage_inputs(table: Table) -> tuple[pd.DataFrame, list[str]] | None:
    """Inputs and their names where the stages were scaled apart and there are 4 trainings for each, or None."""
    names = [str(name) for name in table.frame if re.fullmatch(r"(width|depth)_\d+", str(name))]
    if not names or not _scaled_apart(table, names):
        return None
    frame = table.frame[["resolution", *names, "macs"]].astype(float)
    columns = [name for name in ("resolution", *names) if np.ptp(frame[name]) > 0]
    return (frame, columns) if len(frame) >= ROWS_PER_INPUT * len(columns) else None


def _scaled_apart(table: Table, names: Sequence[str]) -> bool:
    """Whether in most rows widths differ between stages by more than rounding makes of one multiplier.

    In the narrowest networks rounding makes much: what the rule gives of one multiplier is not apart, however it looks.
    """
    network = base_named(table.base)
    widths = [f"width_{i + 1}" for i in range(len(network.stages))]
    if "resolution" not in table.frame or not set(widths) <= set(names):
        return False
    rows = evenly(table.frame)
    ratios = np.log(rows[widths].to_numpy(dtype=float) / np.array(network.widths))
    apart = (ratios.std(axis=1) > APART) & ~uniform_in(rows, network, network.rule)
    return bool(apart.mean() > 0.5)


def _inputs(table: Table) -> pd.DataFrame:
    return inputs_of(table.frame["c"], table.frame["r"], table.frame["d"], table.base_macs)


def _surrogate(table: Table, frame: pd.DataFrame, columns: list[str], seed: int) -> Surrogate:
    rows = len(frame)
    if rows < FEWEST_ROWS:
        raise PlannerError(f"{rows} trainings are too few for a surrogate, which needs {FEWEST_ROWS}")
    varied = [name for name in columns if np.ptp(frame[name]) > 0]
    if not varied:
        raise PlannerError("neither r nor d varies between the trainings, so there is nothing a surrogate could learn")
    observations, noise = frame.assign(accuracy=observed(table)), _noise_variance(table)
    if rows > MANY_ROWS:
        some = np.sort(np.random.default_rng(seed).choice(rows, LEARNED_ROWS, replace=False))
        observations, noise = observations.iloc[some], None if noise is None else noise[some]
    surrogate = fit_surrogate(observations, varied, noise, seed, polish=rows <= MANY_ROWS)
    error, spread = surrogate.errors.get("rmse"), float(observations["accuracy"].std(ddof=0))
    if error is None or error >= spread:
        raise PlannerError("a surrogate predicts left-out trainings no better than their mean does")
    return surrogate


def _noise_variance(table: Table) -> FloatArray | None:
    """Variance `(n,)` of each row's accuracy between seeds; None where nobody measured it, and it is fitted."""
    if table.noise_variance is None:
        return None
    return np.asarray(table.noise_variance / table.frame["repeats"].to_numpy(), dtype=np.float64)


def fit_surrogate(
    frame: pd.DataFrame, inputs: list[str], noise_variance: FloatArray | None, seed: int, polish: bool = True
) -> Surrogate:
    """The surrogate of accuracy over some columns of a frame, with its MACs as the cost.

    Raises:
        PlannerError: If it cannot be fitted.
    """
    from planner.surrogates.fit import fit_surrogate as fit

    return fit(frame, inputs, "accuracy", "macs", noise_variance, seed, polish=polish)
