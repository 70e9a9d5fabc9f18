"""Where a study stands: what was trained, spent and wasted, and what could come next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.front.pareto import front_mask
from planner.proposers.methods import front_architectures, initial_size, noise_variance
from planner.proposers.outlook import Outlook
from planner.proposers.pool import architectures_frame, make_pool
from planner.study.pace import Pace, hours
from planner.study.reader import Records
from planner.study.trials import trained
from planner.tables.status import ok_rows
from sampler.architecture import FloatArray
from sampler.knobs import knob_sizes
from sampler.moves import column_names

if TYPE_CHECKING:
    import pandas as pd


BANDS = 5
_POOL = 5_000  # architectures looked at for what could come next
# Of the range of a multiplier's logarithm: as near to its bound counts as touching.
TOUCHING = 0.05


@dataclass(eq=False)
class Situation:
    """A study, as `planner status` shows it and `planner next` judges it. What is dear is computed when asked for.

    Attributes:
        ledger: The study's ledger.
    """

    ledger: Records

    @cached_property
    def counts(self) -> dict[str, int]:
        """Trainings: ok, failed, running, waiting."""
        return self.ledger.counts()

    @cached_property
    def finished(self) -> pd.DataFrame:
        """Every training that ended, however it did."""
        return self.ledger.frame()

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The trainings that have an accuracy."""
        return trained(self.finished)

    @cached_property
    def initial_size(self) -> int:
        """Architectures of the initial design."""
        return initial_size(self.ledger.space)

    @cached_property
    def pace(self) -> Pace | None:
        """Seconds over MACs, as the study trains."""
        return Pace.of(*self.ledger.timings())

    @cached_property
    def waiting_work(self) -> FloatArray:
        """MACs of what is queued, in its order; for other epochs or images than the study's, in proportion."""
        return np.array(self.ledger.waiting_work(), dtype=np.float64)

    def hours_of(self, macs: FloatArray) -> float | None:
        """Hours that trainings are expected to take; None where nothing was measured."""
        return None if self.pace is None else hours(self.pace.expected(macs)) if len(macs) else 0.0

    @cached_property
    def noise_measured(self) -> bool:
        """Whether any training was repeated with another seed, so that noise was measured."""
        return noise_variance(self.ledger) is not None

    @cached_property
    def noise_std(self) -> float | None:
        """Of accuracy between seeds, measured or, without repeats, as the surrogate learned it."""
        variance = noise_variance(self.ledger)
        if variance is not None:
            return math.sqrt(variance)
        return float(np.median(self.outlook.surrogate.noise_std(self.rows)))

    @cached_property
    def front(self) -> pd.DataFrame:
        """Architectures that no other dominates, seeds averaged, by rising MACs."""
        frame = self.ledger.table().frame
        return frame[front_mask(frame["accuracy"], frame["macs"])].sort_values("macs")

    @property
    def integers(self) -> list[str]:
        """Names of the columns that say what an architecture is."""
        space = self.ledger.space
        return list(column_names(len(space.network.stages), knob_sizes(space.network, space.knobs)))

    @cached_property
    def outlook(self) -> Any:
        """The surrogate and the front that it believes in."""
        ledger = self.ledger
        return Outlook.of(self.rows, self.pool, noise_variance(ledger), ledger.settings.seed, ledger.space)

    @property
    def learned(self) -> int:
        """Trainings that the surrogate learned from: of very many, some."""
        return int(self.outlook.surrogate.provenance["rows"])

    @cached_property
    def pool(self) -> pd.DataFrame:
        """What could be trained."""
        space, ledger = self.ledger.space, self.ledger
        front = front_architectures(self.rows, space)
        return architectures_frame(make_pool(space, _POOL, ledger.settings.seed, ledger.tried(), front), space)

    @cached_property
    def promised(self) -> pd.DataFrame:
        """What the pool promises, the largest gain first, with its MACs."""
        found: pd.DataFrame = self.outlook.of_rows(self.pool).assign(macs=self.pool["macs"])
        return found.sort_values("gain", ascending=False, kind="stable")

    def touching(self) -> list[tuple[str, str, float]]:
        """Multiplier, `lowest` or `highest`, and the share of the front that touches that bound, if it could move."""
        space, found = self.ledger.space, []
        smallest = space.network.stride / space.resolution
        for name in ("r", "d", "w"):
            low, high = getattr(space, name)
            place = np.log(self.front[name].to_numpy(dtype=np.float64) / low) / math.log(high / low)
            if not (name == "r" and low <= smallest * 1.001):
                found.append((name, "lowest", float(np.mean(place <= TOUCHING))))
            found.append((name, "highest", float(np.mean(place >= 1 - TOUCHING))))
        return found

    def as_dict(self) -> dict[str, Any]:
        """The study's state in JSON's types."""
        bad = self.finished[~ok_rows(self.finished)]
        spent, wasted = (hours(frame["seconds"].astype(float).fillna(0.0).tolist()) for frame in (self.finished, bad))
        score = self.ledger.settings.score
        facts = {
            "study": self.ledger.folder.name,
            **self.counts,
            "other_programs": self.ledger.foreign(),
            "spent_hours": spent,
            "wasted_hours": wasted,
            "untimed": int(bad["seconds"].isna().sum()),
            "lost": {str(name): int(n) for name, n in bad["status"].value_counts().sort_index().items()},
            "waiting_hours": self.hours_of(self.waiting_work),
            "bands": self._bands(),
        }
        told: dict[str, Any] = score.outward(facts | ({} if score.is_accuracy else {"score": score.as_dict()}))
        return told

    def _bands(self) -> list[dict[str, Any]]:
        """The best training of each band of MACs."""
        edges = np.geomspace(*self.ledger.space.macs_window, BANDS + 1)
        which = np.searchsorted(edges[1:-1], self.rows["macs"].to_numpy(dtype=np.float64))
        bands = []
        for i in range(BANDS):
            rows = self.rows[which == i]
            band: dict[str, Any] = {"low": float(edges[i]), "high": float(edges[i + 1]), "trained": len(rows)}
            if len(rows):
                best = rows.loc[rows["accuracy"].idxmax()]
                band["best"] = {name: int(best[name]) for name in ("trial", "resolution", "macs")}
                band["best"] |= {name: float(best[name]) for name in ("r", "d", "w", "accuracy")}
            bands.append(band)
        return bands
