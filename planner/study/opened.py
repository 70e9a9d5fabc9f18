"""A ledger that is opened to be read: found, checked, and its trials given by their numbers."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import PlannerError
from planner.study.facts import is_ours, problem_of_trial
from planner.study.ledger_file import damaged, is_there
from planner.study.locks import locks_of
from planner.study.patience import patient
from planner.study.rebuilding import was_there, what_is_left
from planner.study.settings import StudySettings
from planner.study.storage import (
    agree,
    directions_of,
    driver_errors,
    storage_errors,
    storage_to_read,
    study_name,
    value_names,
)
from planner.study.urls import file_of, safe_url, with_driver

if TYPE_CHECKING:
    import optuna


class OpenedLedger:
    """A study's trials, to be read: nothing is made and nothing written where the ledger is.

    Args:
        folder: The study's folder.
        settings: The study's settings.

    Attributes:
        tell: Told in one line what a user must know.
        file: The ledger's file; None of one on a server.

    Raises:
        PlannerError: If there is no ledger, it is damaged, or its storage cannot be opened.
    """

    def __init__(self, folder: Path, settings: StudySettings) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self.settings = folder, settings
        self.space = settings.search_space()
        self.observations = folder / "observations"
        self._checked: set[int] = set()  # numbers of finished trials, which change no more
        self.url = with_driver(settings.storage) or f"sqlite:///{folder / 'ledger.db'}"
        self.locks = locks_of(self.url, folder, folder.name)
        self.tell: Callable[[str], None] = _said
        self.asking = False  # whether a `patient` method is at work
        with storage_errors(self.url), driver_errors(self.url):
            self.file = file_of(self.url)
            self.study = self._opened()
            self._check_study()
            if settings.storage:
                agree(self.study, settings, write=self.writes)

    writes = False

    def _opened(self) -> optuna.Study:
        """The study in its storage.

        Raises:
            PlannerError: If there is none.
        """
        if self.file is not None and not is_there(self.file):
            if self.file.exists() or was_there(self.folder):
                raise self._missing(f"{self.file} is missing")
            import optuna

            return optuna.create_study(directions=["maximize", "minimize"])  # in memory, for a study that is new
        found = self._loaded(storage_to_read(self.url))
        if found is None:
            raise self._missing(f"{safe_url(self.url)} has no study {self.folder.name}")
        return found

    def _loaded(self, storage: Any) -> optuna.Study | None:
        """The study in a storage, or None."""
        import optuna

        name = study_name(storage, self.folder, own=not self.settings.storage)
        sampler = optuna.samplers.RandomSampler(seed=self.settings.seed)
        try:
            return optuna.load_study(study_name=name, storage=storage, sampler=sampler)
        except KeyError as error:
            others = [one.study_name for one in storage.get_all_studies()]
            if others and not self.settings.storage:
                raise PlannerError(
                    f"{safe_url(self.url)} holds the studies {', '.join(others[:3])}, and none of the folder's name; "
                    f"give the folder {self.folder.name} the name of one of them"
                ) from error
            return None

    def _damaged(self, what: str) -> PlannerError:
        return damaged(self.file or safe_url(self.url), what)

    def _missing(self, what: str) -> PlannerError:
        left, study = what_is_left(self.folder), self.folder.name
        if not left:
            return PlannerError(f"{what}: restore it from a copy, or queue anew with `planner sample --study {study}`")
        remedy = f"restore it from a copy, or run `planner train --study {study}`, which makes it anew of them"
        if self.settings.storage or "observations" not in left:
            remedy = "restore it from a copy"
        return PlannerError(f"{what}, and {left} are there: {remedy}")

    def _check_study(self) -> None:
        """Refuses a study that another program made.

        Raises:
            PlannerError: If its values are not the score and MACs.
        """
        score = self.settings.score
        found = [direction.name.lower() for direction in self.study.directions]
        if found != directions_of(score) or self._metric_names() not in (None, value_names(score)):
            raise PlannerError(
                f"{safe_url(self.url)}: study {self.study.study_name} was not made by the planner (its values are not "
                f"{score.name} and macs); name another --study, or another --storage"
            )

    def _metric_names(self) -> list[str] | None:
        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return self.study.metric_names

    @patient
    def _every(self, states: tuple[optuna.trial.TrialState, ...] | None = None) -> list[optuna.trial.FrozenTrial]:
        """Trials of whatever program, in the order of their numbers.

        Raises:
            PlannerError: If they cannot be read.
        """
        with storage_errors(self.url):
            return self.study.get_trials(deepcopy=False, states=states)

    def _trials(self, states: tuple[optuna.trial.TrialState, ...] | None = None) -> list[optuna.trial.FrozenTrial]:
        """The planner's trials, in the order of their numbers, of which some may be missing.

        Raises:
            PlannerError: If one holds what no trial of ours can.
        """
        return self._ours(self._every(states))

    def _ours(self, every: Sequence[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
        """Of trials those of the planner; errors as `_trials`."""
        trials = [one for one in every if is_ours(one.user_attrs)]
        base, stages = self.settings.base, len(self.space.network.stages)
        for trial in trials:
            if trial.number not in self._checked:
                if (problem := problem_of_trial(trial, base, stages)) is not None:
                    raise self._damaged(f"trial {trial.number}: {problem}")
                if trial.state.is_finished():
                    self._checked.add(trial.number)
        return trials

    def _finished(self) -> list[optuna.trial.FrozenTrial]:
        return [trial for trial in self._trials() if trial.state.is_finished()]

    def _frozen(self, number: int) -> optuna.trial.FrozenTrial:
        """A trial by its number.

        Raises:
            PlannerError: If there is none.
        """
        found = next((one for one in self._trials() if one.number == number), None)
        if found is None:
            raise PlannerError(f"{self.folder}: there is no trial {number}; trials.csv and `planner front` list them")
        return found


def _said(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
