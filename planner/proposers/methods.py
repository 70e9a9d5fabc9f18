"""Which architectures of a pool to train next, by any proposer, on a study's ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import PlannerError
from planner.front.pareto import as_losses, non_dominated_mask
from planner.proposers.apart import uniform_where_untried
from planner.proposers.outlook import described_inputs
from planner.proposers.pool import architectures_frame
from planner.proposers.proposal import propose
from planner.proposers.protocol import GainPer, ProposalTask
from planner.proposers.registry import PROPOSERS
from planner.study.trials import trained
from planner.tables.table import ASKS, NOISE
from sampler import Architectures, SearchSpace
from sampler.knobs import knob_sizes
from sampler.moves import column_names, from_rows

if TYPE_CHECKING:
    import pandas as pd

    from planner.study.reader import Records

# The front's selection never has fewer points (`planner.front.pareto.FEWEST_KEPT`).
FEWEST_INITIAL = 8


def initial_size(space: SearchSpace) -> int:
    """Architectures of the initial design: two for each coefficient of a line in the space's factors, 8 at least.

    A line over k factors has k + 1 coefficients, and is the mean of the surrogate: as many trainings determine it, and
    as many again say how far they scatter about it. That is 8 for uniform scaling and 32 for seven stages.
    """
    return max(FEWEST_INITIAL, 2 * (space.dimensions + 1))


def missing_initial(ledger: Records, space: SearchSpace) -> int:
    """How many of the initial design were neither trained nor are queued; failed ones are missing."""
    counts = ledger.counts()
    return max(0, initial_size(space) - counts["ok"] - counts["running"] - counts["waiting"])


def front_architectures(rows: pd.DataFrame, space: SearchSpace) -> Architectures | None:
    """The architectures on the front of trainings; None where there are no trainings."""
    if rows.empty:
        return None
    kept = rows[non_dominated_mask(as_losses(rows["accuracy"], rows["macs"]))]
    sizes = knob_sizes(space.network, space.knobs)
    names = list(column_names(len(space.network.stages), sizes))
    return from_rows(space.network, kept[names].to_numpy(dtype=np.int64), sizes)


def noise_variance(ledger: Records) -> float | None:
    """Of accuracy between seeds, where architectures were trained with several."""
    return ledger.table().noise_variance if ledger.counts()["ok"] else None


@dataclass(frozen=True, eq=False)
class StudyRows:
    """A study's trials as proposers read them.

    Attributes:
        ledger: Ledger of the study.
    """

    ledger: Records

    @cached_property
    def finished(self) -> pd.DataFrame:
        """Every training that ended, whatever became of it."""
        return self.ledger.frame()

    @cached_property
    def trained(self) -> pd.DataFrame:
        """The trainings with an accuracy as the study scores it."""
        return trained(self.finished)

    @property
    def observed(self) -> pd.DataFrame:
        """What was trained as the study trains, whatever became of it, and after it what waits, without accuracy.

        Trainings that were stopped have the accuracy that their curves lead to expect; where there are any, a column
        `noise_variance` says how well each is known.
        """
        import pandas as pd

        rows, expected = self.finished[~self._otherwise], self.expected
        if len(expected):
            others = rows[~rows["trial"].isin(expected["trial"])]
            rows = pd.concat([others.assign(**{NOISE: noise_variance(self.ledger) or 0.0}), expected])
        return self.with_waiting(rows.reset_index(drop=True))

    @cached_property
    def expected(self) -> pd.DataFrame:
        """The trainings that were stopped, as they would have ended."""
        return self.ledger.expected()

    @property
    def others(self) -> pd.DataFrame:
        """What was trained otherwise: fine-tunes, other epochs."""
        rows: pd.DataFrame = self.finished[self._otherwise].reset_index(drop=True)
        return rows

    @property
    def _otherwise(self) -> Any:
        frame = self.finished
        return frame[ASKS].notna().to_numpy(dtype=bool) if ASKS in frame else np.zeros(len(frame), dtype=bool)

    def with_waiting(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows, and after them what waits, without accuracy."""
        import pandas as pd

        pending = self.ledger.pending()
        if pending is None:
            return rows
        waiting = architectures_frame(pending, self.ledger.space).assign(
            status="waiting", accuracy=np.nan, seconds=np.nan, epochs=self.ledger.pending_epochs()
        )
        return pd.concat([rows, waiting[[name for name in waiting if name in rows]]], ignore_index=True)

    def task(self, pool: pd.DataFrame, seed: int, per: GainPer, budgets: Sequence[float] | None) -> ProposalTask:
        """The task of choosing among the rows of a pool."""
        rows, space = self.trained, self.ledger.space
        inputs = described_inputs(rows, pool) if len(rows) else described_inputs(pool, pool)
        ranges = {name: (one.low, one.high, one.step) for name, one in self.ledger.distributions().items()}
        return ProposalTask(
            inputs,
            seed=seed,
            noise_variance=NOISE if len(self.expected) else noise_variance(self.ledger) if len(rows) else None,
            per=per,
            budgets=budgets or None,
            alike=uniform_where_untried(rows, pool, space, [*inputs, "macs"]),
            ranges=ranges,
            others=self.others,
        )


def choose_rows(
    ledger: Records,
    pool: Architectures,
    n: int,
    method: str,
    seed: int,
    per: GainPer = "trial",
    budgets: Sequence[float] | None = None,
) -> list[int]:
    """Chooses what to train next.

    Args:
        ledger: The study's ledger.
        pool: Architectures that could be trained, none of them tried.
        n: How many; fewer come back where the pool holds fewer.
        method: Name of a proposer.
        seed: Random seed: same seed, same choice.
        per: For `bayes`: gain per `trial`, or per `second` of training.
        budgets: For `bayes`: MACs whose answers are to be improved, instead of the whole front.

    Returns:
        Row numbers of the pool, the best first.

    Raises:
        PlannerError: If there is no such proposer, or it chooses what is not in the pool.
    """
    proposer, rows, frame = PROPOSERS[method], StudyRows(ledger), architectures_frame(pool, ledger.space)
    labels = list(proposer(rows.observed, frame, n, rows.task(frame, seed, per, budgets)))
    chosen = [int(label) for label in labels if label in frame.index]
    if len(set(chosen)) != len(labels) or len(labels) > n:
        raise PlannerError(
            f"--method {method}: its proposer gave {len(labels)} rows, {len(set(chosen))} of them different ones of "
            f"the pool, and {n} are wanted; check it by planner.proposers.conformance.check_proposer"
        )
    return chosen


def choose_epochs(
    ledger: Records,
    pool: Architectures,
    n: int,
    epochs: Sequence[int],
    seed: int,
    budgets: Sequence[float] | None = None,
) -> list[tuple[int, int]]:
    """Chooses what to train next and for how long: by what it teaches, per second, of the study's own epochs.

    Args:
        ledger: The study's ledger.
        pool: Architectures that could be trained, none of them tried for the study's own epochs.
        n: How many.
        epochs: Numbers of epochs among which is chosen; the study's own is always among them.
        seed: Random seed: same seed, same choice.
        budgets: MACs whose answers are to be improved, instead of the whole front.

    Returns:
        Row numbers of the pool with their epochs, the best first.
    """
    import pandas as pd

    usual, study = ledger.settings.fidelity.epochs, StudyRows(ledger)
    lengths = sorted({*epochs, usual})
    known, whole = trained(study.finished, shorter=True), architectures_frame(pool, ledger.space)
    frame = pd.concat([whole.assign(epochs=one) for one in lengths], ignore_index=True)
    rows = study.with_waiting(known)
    inputs = list(dict.fromkeys([*described_inputs(rows, whole), *(["epochs"] if len(lengths) > 1 else [])]))
    fidelity = {"epochs": float(usual)} if "epochs" in inputs else None
    labels = propose(
        rows,
        frame,
        n,
        inputs=inputs,
        seed=seed,
        per="second",
        fidelity=fidelity,
        noise_variance=noise_variance(ledger),
        budgets=budgets,
        alike=uniform_where_untried(known, whole, ledger.space, [*inputs, "macs"]),
    )
    return [(label % len(whole), lengths[label // len(whole)]) for label in map(int, labels)]
