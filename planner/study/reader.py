"""The trials of a study, as they are read: tables, counts, what was tried.

One trial is one observation. A trial's parameters are the resolution and the per-stage integers; everything else
(stem, head, multipliers, costs, provenance) is an attribute, so that any Optuna sampler and dashboard can read it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import PlannerError
from planner.study.asks import network_path
from planner.study.facts import is_ours
from planner.study.opened import OpenedLedger
from planner.study.rebuilding import LOST
from planner.study.settings import StudySettings
from planner.study.stopped import expected_rows
from planner.study.trials import (
    LearningCurve,
    architecture_of,
    asked_apart,
    asked_key,
    curves_of,
    epochs_frame,
    parameters,
    timings_of,
    trials_frame,
    work_of,
)
from planner.tables.scored import outward_frame
from planner.tables.table import ASKS, Table, csv_text, frame_sha256, usable
from planner.text.markup import Card, drawn
from sampler import Architecture, Architectures, rule_named
from sampler import base as base_named
from sampler.architecture import FloatArray
from sampler.families import family_of
from sampler.knobs import stack_alike
from sampler.moves import stage_columns
from sampler.scaling import buildable
from trainer.faults import reach
from trainer.files import write_atomically
from trainer.mending import told

if TYPE_CHECKING:
    import optuna
    import pandas as pd


def _stacked(trials: Sequence[optuna.trial.FrozenTrial], varied: Sequence[str]) -> Architectures | None:
    """The architectures of trials, of others than stages what their stages amount to; None where there is none.

    Args:
        trials: Trials of one study.
        varied: Names of the knobs that the study varies: all architectures have these, and no others.
    """
    found = [architecture_of(trial.user_attrs) for trial in trials]
    plain = [
        one
        if type(one) is Architecture
        else Architecture(one.base, one.resolution, one.stem, one.widths, one.depths, one.head).with_knobs(
            {name: values for name, values in one.knobs.items() if name in varied}
        )
        for one in found
    ]
    if not plain:
        return None
    network = base_named(plain[0].base)
    stacked = stack_alike(network, plain, varied)
    if any(set(one.knobs) - set(varied) for one in found):  # widths move to where the base network's blocks have them
        stacked = replace(stacked, widths=buildable(network, stacked.widths))
    return stacked


def _tries(number: int, before: Mapping[int, int | None]) -> Iterator[int]:
    """A trial and those that it is a further try of; `before` says of each which one that is."""
    one: int | None = number
    while one is not None:
        yield one
        one = before.get(one)


class Records(OpenedLedger):
    """What a study's trials say.

    Args and errors as `OpenedLedger`.
    """

    def __init__(self, folder: Path, settings: StudySettings) -> None:
        self._exported = -1  # how many finished trials the tables on disk have
        self._alone: frozenset[int] | None = None  # of what waits, trials that are trained now; None for all
        self._frame: pd.DataFrame | None = None
        self._table: Table | None = None
        super().__init__(folder, settings)

    @property
    def shared(self) -> bool:
        """Whether other coordinators may be at work beside this one."""
        return self.locks.number is not None

    def card(self) -> Card:
        """What a notebook shows: settings, and what became of the trials; `planner status` tells where it stands."""
        settings, own = self.settings, not self.settings.data.source  # its trainings are not the image trainer's
        facts = {
            "folder": str(self.folder),
            "base network": f"{settings.base} at {settings.space.resolution} px, {settings.data.classes} classes",
            "images": settings.data.source or None,
            "trainer": settings.command.line if settings.command else settings.trainer or None,
            "score": None if settings.score.is_accuracy else f"{settings.score.name}{settings.score.axis}",
            "training": f"{settings.fidelity.epochs} epochs" + ("" if own else f", recipe {settings.recipe.name}"),
            "trials": ", ".join(f"{n} {name}" for name, n in self.counts().items()),
        }
        return Card("Study", facts)

    def _repr_html_(self) -> str:
        return drawn(self.card())

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {name}" for name, n in self.counts().items())
        return f"Ledger({self.folder}, {self.settings.base}: {counts})"

    def macs_of(self, number: int) -> int:
        """MACs of a trial's network."""
        return int(self._frozen(number).user_attrs["macs"])

    def asks_of(self, number: int) -> dict[str, Any]:
        """What a trial's training has of its own; empty where it is the study's."""
        return dict(self._frozen(number).user_attrs.get(ASKS, {}))

    def network_path(self, number: int) -> Path:
        """Where a trial's trained network is kept, if it was asked to be."""
        return network_path(self.folder, number)

    def attempts(self, seed: int | None = None) -> dict[tuple[Architecture, str], tuple[int, str | None]]:
        """The newest trial of everything that was asked for, by architecture and `asked_key`: number and status.

        Args:
            seed: Random seed of the trainings; the study's by default.

        Returns:
            Numbers and statuses; the status of what has not ended is None.
        """
        seed = self.settings.seed if seed is None else seed
        return {
            (architecture_of(facts), asked_key(facts.get(ASKS, {}))): (
                trial.number,
                facts.get("status") if trial.state.is_finished() else None,
            )
            for trial in self._trials()
            if (facts := trial.user_attrs).get("first_seed", facts.get("seed", self.settings.seed)) == seed
        }

    def architecture(self, number: int) -> Architecture:
        """The architecture of a trial.

        Raises:
            PlannerError: If there is no such trial.
        """
        return architecture_of(self._frozen(number).user_attrs)

    def numbers(self, architecture: Architecture) -> list[int]:
        """Numbers of the trials of an architecture, however they were trained."""
        return [one.number for one in self._trials() if architecture_of(one.user_attrs) == architecture]

    def finished_numbers(self) -> list[int]:
        """Numbers of the trials that have ended, however they did."""
        return [one.number for one in self._finished()]

    def accuracy_of(self, number: int) -> float | None:
        """Accuracy of a trial, or the merit of another score; None where it has none."""
        trial = self._frozen(number)
        return self.settings.score.merit(float(trial.values[0])) if trial.values else None

    def seconds_of(self, number: int) -> float:
        """Seconds that a trial's training took; 0 where that is not known."""
        return float(self._frozen(number).user_attrs.get("seconds") or 0.0)

    def work_of(self, number: int) -> float:
        """What a trial's seconds are in proportion to: its MACs, for the study's usual epochs and images."""
        return work_of(self._frozen(number).user_attrs, self.settings)

    def waiting_work(self) -> list[float]:
        """The work (`work_of`) of what waits, in the order of the queue."""
        waiting = [trial.user_attrs for trial in self._queue()]
        return [work_of(facts, self.settings) for facts in waiting if "macs" in facts]

    def _queue(self) -> list[optuna.trial.FrozenTrial]:
        """What waits, in its order; while only some trials are trained, those and their further tries."""
        from optuna.trial import TrialState

        waiting = self._trials((TrialState.WAITING,))
        if self._alone is None or not waiting:
            return waiting
        before = {trial.number: trial.user_attrs.get("retry_of") for trial in self._trials()}
        return [trial for trial in waiting if not self._alone.isdisjoint(_tries(trial.number, before))]

    def timings(self) -> tuple[FloatArray, FloatArray]:
        """The work of finished trainings, and the seconds that it takes on cores of its own."""
        return timings_of(self._finished(), self.settings)

    def curves(self, number: int) -> list[LearningCurve]:
        """The accuracies by epoch of every training that went through all epochs and was asked for as this one is."""
        return curves_of(self._finished(), self._frozen(number).user_attrs, self.settings)

    def counts(self) -> dict[str, int]:
        """The planner's trials by what became of them: ok, failed, running, waiting.

        While only some of what waits is trained, the others do not count as waiting.
        """
        from optuna.trial import TrialState

        names = {
            TrialState.COMPLETE: "ok",
            TrialState.FAIL: "failed",
            TrialState.RUNNING: "running",
            TrialState.WAITING: "waiting",
            TrialState.PRUNED: "failed",
        }
        counts = dict.fromkeys(("ok", "failed", "running", "waiting"), 0)
        for trial in self._trials():
            counts[names[trial.state]] += 1
        return counts if self._alone is None else {**counts, "waiting": len(self._queue())}

    def foreign(self) -> int:
        """Trials of other programs, such as Optuna's own `optimize`; nothing else counts or reads them."""
        return sum(not (is_ours(one.user_attrs) or LOST in one.user_attrs) for one in self._every())

    def tried(self, otherwise: bool = False) -> Architectures | None:
        """Every architecture that was queued, whatever became of it; None where there is none.

        Args:
            otherwise: Also those that were only asked for as the study does not train: fine-tunes, fewer epochs.
        """
        trials = self._trials()
        varied = self.space.knobs
        return _stacked([one for one in trials if otherwise or not asked_apart(one.user_attrs, varied)], varied)

    def pending(self) -> Architectures | None:
        """What waits and what is being trained; None where there is nothing."""
        return _stacked(self._pending(), self.space.knobs)

    def pending_kinds(self) -> list[tuple[int, Architectures]]:
        """The same by what else is asked of it, such as epochs: one trial's number of each kind, and the networks."""
        kinds = defaultdict[str, list["optuna.trial.FrozenTrial"]](list)
        for one in self._pending():
            asks = one.user_attrs.get(ASKS, {})
            kinds[asked_key({name: asks[name] for name in asks if name not in ("parent", "keep")})].append(one)
        stacked = ((trials[0].number, _stacked(trials, self.space.knobs)) for trials in kinds.values())
        return [(number, networks) for number, networks in stacked if networks is not None]

    def pending_epochs(self) -> list[int]:
        """The epochs of each of `pending`."""
        usual = self.settings.fidelity.epochs
        return [one.user_attrs.get(ASKS, {}).get("epochs", usual) for one in self._pending()]

    def _pending(self) -> list[optuna.trial.FrozenTrial]:
        from optuna.trial import TrialState

        return self._trials((TrialState.WAITING, TrialState.RUNNING))

    def asked(self) -> int:
        """Architectures queued so far for the study itself, those tried again or with other seeds counted once."""
        attributes = [trial.user_attrs for trial in self._trials()]
        return sum("retry_of" not in facts and not facts.get("repeat") and ASKS not in facts for facts in attributes)

    def frame(self) -> pd.DataFrame:
        """Every finished trial as a row, in the columns of `planner.tables.table`; `shown` is what people are given."""
        finished = self._finished()
        if self._frame is None or len(self._frame) != len(finished):  # finished trials change no more
            self._frame, self._table = trials_frame(finished, self.settings), None
        return self._frame.copy()

    def shown(self) -> pd.DataFrame:
        """Every finished trial as a row, with the score as it was reported, under its name."""
        return outward_frame(self.frame(), self.settings.score)

    def export(self) -> Path:
        """Writes every finished trial to `trials.csv`, and what was seen in their epochs to `epochs.csv`.

        What this process wrote before is not written again.

        Raises:
            PlannerError: If one cannot be written.
        """
        path, finished = self.folder / "trials.csv", self._finished()
        epochs = path.with_name("epochs.csv")
        if len(finished) == self._exported and path.is_file() and epochs.is_file():
            return path
        reach("export.begun")
        try:
            write_atomically(path, csv_text(self.shown()))
            reach("export.trials")
            write_atomically(epochs, csv_text(outward_frame(epochs_frame(finished), self.settings.score, merits=False)))
        except OSError as error:
            raise PlannerError(told(error)) from error
        self._exported = len(finished)
        reach("export.done")
        return path

    def table(self) -> Table:
        """The finished trials that can be fitted, and what is expected of those that were stopped.

        Raises:
            PlannerError: If there are none.
        """
        frame = self.frame()
        if self._table is None:
            self._table = self._usable(frame)
            if len(stopped := self.expected()):
                self._table = replace(self._table, stopped=self._usable(stopped).frame)
        return replace(self._table, frame=self._table.frame.copy())

    def expected(self) -> pd.DataFrame:
        """Those rows of `frame` whose training was stopped, with what is expected of them (see `expected_rows`)."""
        return expected_rows(self._finished(), self.frame(), self.settings)

    def _usable(self, frame: pd.DataFrame) -> Table:
        return usable(frame, frame_sha256(frame), str(self.folder), self.settings.base, self.settings.score)

    def distributions(self) -> dict[str, optuna.distributions.IntDistribution]:
        """The range of every parameter: what the space's lowest and highest corner make of it."""
        from optuna.distributions import IntDistribution

        corners = self.space.decode(np.array([[0.0] * self.space.dimensions, [1.0] * self.space.dimensions]))
        low, high = (parameters(corners[end], self.space.knobs) for end in (0, 1))
        rule = rule_named(self.space.rule)
        steps = {"resolution": rule.step}
        if rule.stepped:
            network = self.space.network
            own = family_of(network).width_steps(network)
            steps |= dict(zip(stage_columns("width", len(own)), own, strict=True))
        return {
            name: IntDistribution(
                low[name], high[name], step=steps.get(name, rule.divisor if name.startswith("width") else 1)
            )
            for name in low
        }
