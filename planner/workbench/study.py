"""A study in Python: what the commands do, one method each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

from planner.advice.situation import Situation
from planner.answers.answer import Answer
from planner.answers.formula import Formula
from planner.answers.formulas import fitted_formula
from planner.compare.background import study_background
from planner.compare.comparison import Comparison, compare_in
from planner.compare.measuring import Trained
from planner.errors import PlannerError
from planner.fitting.result import fit_study
from planner.front import pareto
from planner.proposers.queue import ProposalOptions, QueuedProposals, propose_for
from planner.report.source import of_study
from planner.study.asking import Asker, Trial
from planner.study.designs import DESIGNS
from planner.study.folder import cache_of, remember
from planner.study.ledger import Ledger
from planner.study.reader import Records
from planner.study.settings import StudySettings, read_settings
from planner.tables.scored import outward_frame
from planner.text.deferred import pd
from planner.text.durations import seconds_of
from planner.text.markup import Card, drawn
from planner.text.quantities import budget_of
from planner.training.loop import queue, train_queued
from planner.training.progress import Listener
from planner.training.resources import Resources
from planner.workbench.callbacks import EndedTrial, listeners_of
from planner.workbench.notes import Notes
from planner.workbench.own_trainer import known_trainer, trainer_name
from planner.workbench.reporting import check_path, write_report
from sampler import Limit
from sampler.checks import checked_whole, shown
from trainer.protocol import Trainer

_MOST = 2**62  # of a whole number, where nothing else bounds it


class Study:
    """A study in its folder. Other processes, the commands among them, may work on it at the same time.

    `planner.create_study` makes one, `planner.load_study` opens one that is there.

    Args:
        folder: The study's folder.
        trainer: Function that trains, where it is known in this process alone.

    Attributes:
        folder: The study's folder.
        trainer: Function that trains; None where the study's settings say all.
        settings: Everything that the study's results depend on, as `study.toml` has it.

    Raises:
        PlannerError: If there is no study, or its settings are damaged.

    Example:
        study = planner.create_study("dogs", data="imagefolder:photos", window=("1M", "10M"))
        study.run(trials=24)
        study.fit()
        study.predict("3M").prediction.architecture
    """

    def __init__(self, folder: Path, trainer: Trainer | None = None) -> None:
        self.folder, self.trainer = folder, trainer
        self.settings: StudySettings = read_settings(folder / "study.toml")
        self._asker: Asker | None = None
        if trainer is not None and trainer_name(trainer) != self.settings.trainer:
            made = self.settings.trainer or "the image trainer"
            raise PlannerError(f"study {self.name} was made with {made}, not {trainer_name(trainer)}; give that one")

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.folder.name

    @property
    def records(self) -> Records:
        """The ledger as it is now, to be read."""
        return Records(self.folder, self.settings)

    def ledger(self) -> Ledger:
        """The ledger, to be written too."""
        remember(self.folder)
        return Ledger(self.folder, self.settings)

    def run(
        self,
        trials: int | None = None,
        hours: float | None = None,
        *,
        method: str = "stratified",
        seeds: int = 1,
        limits: Sequence[Limit] = (),
        resources: Resources | None = None,
        progress: Listener | None = None,
        log: Sequence[str] = (),
        callbacks: Sequence[Callable[[Study, EndedTrial], object] | Listener] = (),
    ) -> Study:
        """Queues architectures and trains what waits; resumes what was stopped.

        Args:
            trials: Architectures in all, those queued or trained before included; None trains what is queued.
            hours: Only trainings begin that, by those measured, end within so many hours; None for no limit.
            method: `stratified`, `random` or `sobol`.
            seeds: Trainings of each architecture that is added.
            limits: Limits that those added keep, such as `sampler.exact_limit("params", 4e6)`.
            resources: Where to train; on all cores or GPUs of this machine by default.
            progress: Told how the trainings go; lines on stderr of what is worth one by default.
            log: Names of listeners, as `planner train --log` takes them: `jsonl`, `tensorboard`, `wandb`, `mlflow`.
            callbacks: Functions called with the study and an `EndedTrial` after each training, or listeners. One that
                raises something is told of in a line, called no more, and stops nothing.

        Returns:
            The study.

        Raises:
            PlannerError: If nothing can be queued, a tool to log to is missing, or the images, the disk or the device
                refuse; what was recorded is not lost.
        """
        ledger = self.ledger()
        if trials is not None:
            self._queue(ledger, checked_whole("trials", trials, 1, _MOST), method, seeds, limits)
        where = resources or self._resources()
        where = replace(where, hours=where.hours if hours is None else hours, log=(*where.log, *log))
        others = listeners_of(self, callbacks)
        with self._trains():
            train_queued(ledger, cache_of(self.folder), where, progress or Notes(), others=others)
        return self

    def _resources(self) -> Resources:
        """Where trainings run by default: a function of this process alone in this process."""
        return Resources() if self.trainer is None else Resources(engine="inline", device="cpu")

    def _trains(self) -> AbstractContextManager[Any]:
        """Has the study's own function known by its name.

        Raises:
            PlannerError: If the study has neither images nor a trainer.
        """
        if not self.settings.trainer and not self.settings.data.source:
            raise PlannerError(
                f"{self.folder}: neither images nor a trainer; ask for its trainings and tell what they gave, or make "
                "a study with data= or trainer="
            )
        return known_trainer(self.trainer)

    def _queue(self, ledger: Ledger, n: int, method: str, seeds: int = 1, limits: Sequence[Limit] = ()) -> None:
        if method not in DESIGNS:
            raise PlannerError(f"method {shown(method)} is unknown; known methods: {', '.join(DESIGNS)}")
        with ledger.queueing():
            queue(ledger, n, method, limits, checked_whole("seeds", seeds, 1, _MOST))

    @overload
    def ask(self, n: None = None, *, device: str = "cpu", within: float | str | None = None) -> Trial: ...

    @overload
    def ask(self, n: int, *, device: str = "cpu", within: float | str | None = None) -> list[Trial]: ...

    def ask(
        self, n: int | None = None, *, device: str = "cpu", within: float | str | None = None
    ) -> Trial | list[Trial]:
        """Takes trainings that wait, to be done here; new ones are drawn (stratified by MACs) where too few wait.

        They are claimed: nobody else gets them while this object and its process live, or within the time that is
        said. What was asked for and never told then waits again, as what a process that died was training.

        Args:
            n: Number of trainings; one, and not in a list, by default.
            device: Torch device of the jobs, for a trainer that asks its job.
            within: Time after which they are handed out again where nobody told of them, seconds or a text such as
                `"6h"`; until then any process may tell. None for as long as this object lives.

        Raises:
            PlannerError: If it is no time, another process trains the study (where its ledger is SQLite), or none is
                left to draw.
        """
        ledger, wanted = self._asking.ledger, 1 if n is None else checked_whole("n", n, 1, _MOST)
        seconds = None if within is None else seconds_of(within)
        trials = self._asking.ask(wanted, lambda missing: queue(ledger, ledger.asked() + missing), device, seconds)
        return trials[0] if n is None else trials

    def tell(
        self,
        trial: Trial | int,
        score: float | None = None,
        *,
        status: str = "ok",
        loss: float | None = None,
        seconds: float = 0.0,
        device: str = "",
        message: str = "",
    ) -> None:
        """Records what came of a training that was asked for, as if the planner had done it.

        Args:
            trial: Trial that `ask` gave, or its number.
            score: Score that it reached: an accuracy in [0, 1], or what the study's score is; the last that the trial
                reported by default. None unless the status is `ok`.
            status: `ok`; `diverged` or `out_of_memory`, which are not tried again; `killed`, which queues it again.
            loss: Loss on the scoring images, if known.
            seconds: Wall-clock seconds of the training, by which later ones are planned; 0 where nobody knows.
            device: Where it ran; the trial's device by default.
            message: Reason of a failure, in one line.

        Raises:
            PlannerError: If the trial is not being trained, somebody else trains it, or the result is impossible.
        """
        facts: dict[str, Any] = {"loss": loss, "seconds": seconds, "device": device, "message": message}
        number: Any = trial
        if isinstance(trial, Trial):
            number, last = trial.number, trial.history[-1] if trial.history else None
            facts |= {"history": tuple(trial.history), "device": device or trial.device}
            score = last.accuracy if score is None and status == "ok" and last else score
        self._asking.tell(checked_whole("trial", number, 0, _MOST), score, status, facts)

    @property
    def _asking(self) -> Asker:
        """The asker that this object is."""
        if self._asker is None:
            self._asker = Asker(self.ledger())
        return self._asker

    def table(self) -> pd.DataFrame:
        """Every training that ended as a row, however it ended; columns as in `trials.csv`."""
        return self.records.shown()

    def front(self) -> pd.DataFrame:
        """The trainings that no other dominates, seeds averaged, by rising MACs.

        Raises:
            PlannerError: If nothing was trained.
        """
        records = self.records
        front = Situation(records).front.reset_index(drop=True)
        return outward_frame(front.astype({"macs": "int64"}), records.settings.score)  # models had them as floats

    def fit(
        self,
        kind: str = "loglinear",
        *,
        share: float = pareto.FRONT_SHARE,
        seed: int = 0,
        raw: bool = False,
        prior: Formula | str | Path | None = None,
    ) -> Formula:
        """Fits the formula to the trainings, and writes it to `formula.json` in the study's folder.

        Args and errors as `planner.fit`.
        """
        return fit_study(self.records, kind, share, seed, raw, prior).formula

    @property
    def formula(self) -> Formula:
        """The formula that was fitted last.

        Raises:
            PlannerError: If none was, or its file is damaged.
        """
        return fitted_formula(self.name)

    @overload
    def predict(
        self,
        budget: float | str | None,
        limits: Sequence[Limit] = (),
        *,
        cautious: bool = False,
        extrapolate: bool = False,
        space: Literal["uniform", "stage"] = "uniform",
    ) -> Answer: ...

    @overload
    def predict(
        self,
        budget: list[Any] | tuple[Any, ...],
        limits: Sequence[Limit] = (),
        *,
        cautious: bool = False,
        extrapolate: bool = False,
        space: Literal["uniform", "stage"] = "uniform",
    ) -> list[Answer]: ...

    def predict(
        self,
        budget: Any,
        limits: Sequence[Limit] = (),
        *,
        cautious: bool = False,
        extrapolate: bool = False,
        space: Literal["uniform", "stage"] = "uniform",
    ) -> Answer | list[Answer]:
        """The best buildable network within a budget, by all that the trainings taught.

        Args:
            budget: MACs of one image: a number, or a text such as `"3M"`; or several, which give a list. None where the
                limits alone decide.
            limits: Further limits, such as `sampler.exact_limit("params", 4e6)`.
            cautious: Whether the best lower bound of the accuracy is wanted, instead of the best mean.
            extrapolate: Whether to answer outside the range that was fitted.
            space: `"stage"` also for networks whose stages are scaled apart.

        Raises:
            PlannerError: If no formula was fitted, the budget is outside its range, or no network keeps to it.
        """
        answers: Answer | list[Answer] = self.formula.answer(budget, limits, cautious, extrapolate, space)
        return answers

    def propose(self, n: int = 4, method: str = "bayes", options: ProposalOptions | None = None) -> QueuedProposals:
        """Queues the architectures that promise most, to be trained by `run`, or asked for.

        Before enough is trained it queues what the initial design lacks, and says so.

        Args:
            n: Number of architectures.
            method: Name of a proposer, as `planner propose --method` takes it.
            options: How proposals are made: per second, at which budgets, from how many, inside which limits.

        Raises:
            PlannerError: If there is no such proposer, nothing is left to try, or options are impossible.
        """
        return propose_for(self.ledger(), checked_whole("n", n, 1, _MOST), method, options)

    def compare(
        self,
        budgets: Sequence[float | str] | float | str,
        methods: Sequence[str] | None = None,
        *,
        seeds: int = 3,
        final: bool = False,
        epochs: int | None = None,
        resources: Resources | None = None,
        progress: Listener | None = None,
    ) -> Comparison:
        """Trains the network that every method gives for each budget, all alike; writes `comparison.csv`.

        Args:
            budgets: MACs at which to compare, numbers or texts such as `"2M"`.
            methods: Names, as `planner compare --methods` takes them; all that have an answer by default.
            seeds: Number of trainings of each network.
            final: Whether to train on all training images, and score on the validation images.
            epochs: Epochs of each training; the study's by default.
            resources: Where to train; on all cores or GPUs of this machine by default.
            progress: Told how the trainings go; lines on stderr of what is worth one by default.

        Raises:
            PlannerError: If a method is unknown or lacks something, or trainings remain.
        """
        ledger, given = self.ledger(), [budgets] if isinstance(budgets, str | float | int) else budgets
        macs, repeats = [budget_of(one) for one in given], checked_whole("seeds", seeds, 1, _MOST)
        where, listener = resources or self._resources(), progress or Notes()
        measure = Trained(ledger, cache_of(self.folder), where, listener, repeats, final, epochs)
        with self._trains():
            return compare_in(
                study_background(ledger, measure.epochs), measure, macs, methods, self.folder / "comparison.csv"
            )

    def report(self, path: str | Path | None = None, formula: str | Path | None = None) -> Path:
        """Writes one HTML page about the study.

        Args:
            path: File of the page; `report.html` in the study's folder by default.
            formula: File of another formula than the study's own.

        Returns:
            The page's file.

        Raises:
            PlannerError: If nothing was trained, or the page cannot be written.
        """
        page = self.folder / "report.html" if path is None else Path(path)
        check_path(page)
        source = of_study(self.name, None if formula is None else str(formula))
        return write_report(source, page, own=path is None).path

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {name}" for name, n in self.records.counts().items())
        return f"Study({self.folder}, {self.settings.base}: {counts})"

    def card(self) -> Card:
        """What a notebook shows."""
        return self.records.card()

    def _repr_html_(self) -> str:
        return drawn(self.card())
