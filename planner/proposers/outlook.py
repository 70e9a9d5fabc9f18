"""What networks that were not trained promise: expected accuracy, and gain over the front that was reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.formulas.selection import LEARNED_ROWS, MANY_ROWS
from planner.front.gains import FrontStaircase, log_expected_gain, log_improvement
from planner.proposers.apart import uniform_where_untried
from planner.proposers.bayes import MARGIN, doubted
from planner.proposers.protocol import Alike
from planner.surrogates.fit import fit_surrogate
from planner.surrogates.rows import numbers_in, training_columns
from sampler.architecture import FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from planner.surrogates.surrogate import Surrogate
    from sampler import SearchSpace

_COST, _TARGET = "macs", "accuracy"
_LEVEL = 0.9
_DEVIATIONS = 1.645  # to each side, of a Gaussian at that level


@dataclass(frozen=True, eq=False)
class Outlook:
    """A surrogate of the trainings, and the front that it believes in.

    Attributes:
        surrogate: Surrogate of accuracy, over the integers that vary and the MACs.
        front: The staircase of expected accuracies of what was trained, over log MACs.
        alike: Function as `planner.proposers.bayes.Known.alike`.
    """

    surrogate: Surrogate
    front: FrontStaircase
    alike: Alike | None = None

    @classmethod
    def of(
        cls,
        trained: pd.DataFrame,
        pool: pd.DataFrame,
        noise_variance: float | None = None,
        seed: int = 0,
        space: SearchSpace | None = None,
    ) -> Outlook:
        """Fits it.

        Args:
            trained: Finished trainings, in the columns of a study's trials.
            pool: Networks that could be trained, in the same columns.
            noise_variance: Variance of accuracy between seeds, where it was measured.
            seed: Random seed of the fit.
            space: Space whose base network and rule say which networks scale stages apart; without, none does.
        """
        # What comes next is a matter of seconds: of very many a surrogate of some, not cross-validated, says it well
        # enough, and the front still is that of all of them.
        many = len(trained) > MANY_ROWS
        some = trained.sample(LEARNED_ROWS, random_state=seed) if many else trained
        inputs = described_inputs(trained, pool)
        surrogate = fit_surrogate(some, inputs, _TARGET, _COST, noise_variance, seed, validate=not many)
        paid = np.log(numbers_in(trained, _COST))
        possible = np.log(numbers_in(pool, _COST))
        low, high = min(paid.min(), possible.min()), max(paid.max(), possible.max())
        corner = (float(high + MARGIN * max(high - low, 1e-9)), float(numbers_in(trained, _TARGET).min()))
        mean, _ = surrogate.posterior(trained)
        names = [*inputs, _COST]
        alike = None if space is None else uniform_where_untried(trained, pool, space, names)
        return cls(surrogate, FrontStaircase.of(paid, mean, corner), alike)

    def of_rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What each row promises on its own.

        Returns:
            `mean`, `lower` and `upper` accuracy (90 %, noise inside), `in_range` (whether the row lies within the range
            of what was trained; the interval is wider where it does not), `gain` (expected, of hypervolume, as a share
            of what was reached) and `points` (expected improvement of accuracy at the row's own MACs, in [0, 1]).
        """
        mean, std = self.surrogate.posterior(rows)
        promised = self.surrogate.predict(rows, level=_LEVEL)
        if self.alike is not None:
            matrix = np.column_stack([numbers_in(rows, name) for name in (*self.surrogate.inputs, _COST)])
            before, (mean, std) = mean, doubted(self.surrogate, matrix, self.alike, mean, std)
            _move(promised, mean, np.where(mean != before, _DEVIATIONS * std, 0.0))
        cost = np.log(numbers_in(rows, _COST))
        gain = np.exp(log_expected_gain(mean, std, cost, self.front))
        promised["gain"] = gain / max(self.front.hypervolume(), 1e-12)
        promised["points"] = np.exp(log_improvement(mean, std, self.front.reached(cost)))
        return promised


def _move(promised: pd.DataFrame, mean: FloatArray, more: FloatArray) -> None:
    """Other means, in place, with intervals that reach further by so much, in quadrature, where that is not 0."""
    moved = more > 0
    for name in ("lower", "upper"):
        reach = promised[name] - promised["mean"]
        wider = np.sign(reach) * np.hypot(reach, more)
        promised[name] = np.where(moved, mean + wider, promised[name])
    promised["mean"] = np.where(moved, mean, promised["mean"])


def described_inputs(trained: pd.DataFrame, pool: pd.DataFrame) -> list[str]:
    """The columns that describe a training and vary, among what was trained or in the pool."""
    return training_columns(pool, trained)
