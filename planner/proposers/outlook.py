"""What networks that were not trained promise: expected accuracy, and gain over the front that was reached."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.proposers.bayes import MARGIN
from planner.surrogates.rows import STUDY, numbers_in
from sampler.architecture import FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from planner.acquisition import Staircase
    from planner.surrogates.surrogate import Surrogate

COST, TARGET = "macs", "accuracy"
LEVEL = 0.9
# Of more trainings than MANY_ROWS the surrogate learns from LEARNED_ROWS drawn by chance, without cross-validation:
# what comes next is a matter of seconds, and the front still is that of all of them.
MANY_ROWS, LEARNED_ROWS = 3_000, 300


@dataclass(frozen=True, eq=False)
class Outlook:
    """A surrogate of the trainings, and the front that it believes in.

    Attributes:
        surrogate: Of accuracy, over the integers that vary and the MACs.
        front: The staircase of expected accuracies of what was trained, over log MACs.
    """

    surrogate: Surrogate
    front: Staircase

    @classmethod
    def of(
        cls, trained: pd.DataFrame, pool: pd.DataFrame, noise_variance: float | None = None, seed: int = 0
    ) -> Outlook:
        """Fits it.

        Args:
            trained: Finished trainings, in the columns of a study's trials.
            pool: What could be trained, in the same columns.
            noise_variance: Of accuracy between seeds, where it was measured.
            seed: Of the fit.
        """
        import torch

        from planner.surrogates.fit import fit_surrogate

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # a dependency of BoTorch scripts functions as it is loaded
            from planner.acquisition import Staircase

        many = len(trained) > MANY_ROWS
        some = trained.sample(LEARNED_ROWS, random_state=seed) if many else trained
        inputs = inputs_of(trained, pool)
        surrogate = fit_surrogate(some, inputs, TARGET, COST, noise_variance, seed, validate=not many)
        paid = np.log(numbers_in(trained, COST))
        possible = np.log(numbers_in(pool, COST))
        low, high = min(paid.min(), possible.min()), max(paid.max(), possible.max())
        corner = (float(high + MARGIN * max(high - low, 1e-9)), float(numbers_in(trained, TARGET).min()))
        mean, _ = surrogate.posterior(trained)
        return cls(surrogate, Staircase.of(torch.from_numpy(paid), torch.from_numpy(mean), corner))

    def of_rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What each row promises on its own.

        Returns:
            `mean`, `lower` and `upper` accuracy (90 %, noise inside), `gain` (expected, of hypervolume, as a share of
            what was reached) and `points` (expected improvement of accuracy at the row's own MACs, in [0, 1]).
        """
        import torch

        from planner.acquisition import log_expected_gain, log_improvement

        mean, std = (torch.from_numpy(part) for part in self.surrogate.posterior(rows))
        cost = torch.from_numpy(np.log(numbers_in(rows, COST)))
        reached = self.front.heights[torch.searchsorted(self.front.edges[1:-1].contiguous(), cost, right=True)]
        gain = log_expected_gain(mean, std, cost, self.front).exp().numpy()
        promised = self.surrogate.predict(rows, level=LEVEL)
        promised["gain"] = gain / max(self.front.hypervolume(), 1e-12)
        promised["points"] = log_improvement(mean, std, reached).exp().numpy()
        return promised


def inputs_of(trained: pd.DataFrame, pool: pd.DataFrame) -> list[str]:
    """The columns that describe an architecture and vary, among what was trained or in the pool."""
    import re

    columns = [str(name) for name in pool.columns if re.fullmatch(STUDY, str(name)) and name in trained]
    together: dict[str, FloatArray] = {
        name: np.concatenate([numbers_in(trained, name), numbers_in(pool, name)]) for name in columns
    }
    return [name for name, values in together.items() if np.ptp(values) > 0]
