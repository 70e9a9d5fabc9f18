"""The ledger, an Optuna study, to be written (`planner.study.opened` and `planner.study.reader` read it).

What a coordinator writes: trainings to do, what came of them, and what was left undone by one that was killed.
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import PlannerError
from planner.study.facts import is_ours, problem_of
from planner.study.ledger_file import is_there, make, reading
from planner.study.patience import patient
from planner.study.reader import Records
from planner.study.rebuilding import ANOTHER_SEED, observations_in, rebuilt, was_there, what_is_left
from planner.study.storage import annotate, name_values, new_study, set_state, storage_errors, storage_of, write_study
from planner.study.trials import COSTS, architecture_of, parameters, recorded, trial_training, widened
from planner.study.urls import safe_url
from planner.tables.table import ASKS
from planner.text.documents import parse, read_text, write_own
from sampler import Architecture, Architectures, architecture_complexity, architecture_from
from sampler.complexity import count
from sampler.scaling import effective_multipliers
from trainer.engines.engine import observation_path
from trainer.faults import reach
from trainer.observation import Observation, Training

if TYPE_CHECKING:
    import optuna

# A training whose process died is queued again, but not for ever: what kills it may be the training.
MOST_TRIES = 3
# What the next try of a training keeps of the one before.
_KEPT = ("r", "d", "w", "origin", "seed", "first_seed", "repeat", "tries", ASKS, *COSTS)
QUEUE_FILE = "queueing.json"
IN_LEDGER = "(nothing is lost: the ledger has it)"
LARGEST_QUEUE = 1_000_000_000
# The attributes of a running trial that say whose it is: a coordinator's, where there are several, or an asker's.
COORDINATOR, ASKER = "coordinator", "asker"
# Until when a trial that was asked for is its asker's, whoever that was: seconds since 1970; 0 for one that is not.
ASKED_UNTIL = "asked_until"


class Ledger(Records):
    """A study's trials, to be read and written; its storage is made where there is none yet.

    Args:
        folder: The study's folder.
        settings: The study's settings.

    Raises:
        PlannerError: If the ledger was lost and cannot be made anew, or as `Records` says.
    """

    writes = True

    def _opened(self) -> optuna.Study:
        path = self.file
        if path is not None and not is_there(path):
            self._make(path)
        if path is not None:
            reading(path).close()  # nothing is written to what is damaged
        with self.locks.opening():
            storage = storage_of(self.url, made=path is not None)
            found = self._loaded(storage)
            if found is None:
                if what_is_left(self.folder):
                    raise self._missing(f"{safe_url(self.url)} has no study {self.folder.name}")
                found = new_study(storage, self.folder.name, self.settings.seed, self.settings.score)
        self._refuse_gaps(found)
        return found

    def _make(self, path: Path) -> None:
        """Makes a ledger's file: empty where nothing was trained yet, else of what is left of the trainings."""
        if not what_is_left(self.folder):
            make(path, partial(self._write_study, trials=()))
            if was_there(self.folder) and not self.settings.storage:
                self.tell(f"{path} was lost: begun anew, for nothing had been trained; what waited is to queue again")
            return
        if self.settings.storage or not observations_in(self.folder):
            raise self._missing(f"{path} is missing")
        with self.locks.coordinating():
            trials = rebuilt(self.folder, self.settings, self.distributions())
            make(path, partial(self._write_study, trials=trials))
        n = len(observations_in(self.folder))
        self.tell(f"{path} was lost: made anew of {n} observations; what waited is in none of them, so queue it again")

    def _write_study(self, path: Path, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
        settings = self.settings
        write_study(path, self.folder.name, settings.seed, trials, settings.score)

    def _refuse_gaps(self, study: optuna.Study) -> None:
        """Refuses a ledger from which trials are missing: Optuna would give their successors' numbers again."""
        numbers = [one.number for one in study.get_trials(deepcopy=False)]
        missing = sorted(set(range(len(numbers))) - set(numbers))
        if missing:
            raise self._damaged(f"trial {missing[0]} is gone")

    @contextmanager
    def coordinating(self) -> Iterator[None]:
        """Is a coordinator of this study: the only one, or in PostgreSQL one of several.

        Raises:
            PlannerError: If another process coordinates this study and it must be the only one, or the storage refuses.
        """
        with storage_errors(self.url), self.locks.queueing():
            self.finish_queueing()  # one that was killed is finished first
        with storage_errors(self.url), self.locks.coordinating():
            if self._metric_names() is None:  # of an older version
                name_values(self.study, self.settings.score)
            yield

    @contextmanager
    def queueing(self) -> Iterator[None]:
        """Queues trainings by what is there, after what a killed process had begun to; nobody else queues meanwhile.

        Raises:
            PlannerError: As `coordinating`.
        """
        with storage_errors(self.url), self.locks.queueing(), self.exporting(again=False):
            self.finish_queueing()
            yield

    @contextmanager
    def exporting(self, again: bool) -> Iterator[None]:
        """Writes trials.csv and epochs.csv once something is done, however it ends.

        Args:
            again: Whether the same may be done again; else it is only told that they cannot be written.

        Raises:
            PlannerError: If they cannot be written, where that is the only trouble.
        """
        try:
            yield
        except BaseException:
            with suppress(Exception):
                self.export()
            raise
        try:
            self.export()
        except PlannerError as error:
            if again:
                raise
            self.tell(f"{error} {IN_LEDGER}")

    def enqueue(self, architectures: Architectures, origin: str, seeds: int = 1) -> None:
        """Queues architectures.

        Args:
            architectures: Networks to train; `multipliers` hold r, d, w.
            origin: Name of what chose them, such as `stratified`.
            seeds: How often to train each, from the study's seed upwards.
        """
        cost = count(architectures, self.settings.data.classes)
        asked = []
        for row, architecture in enumerate(architectures):
            facts: dict[str, Any] = {"origin": origin, "tries": 1}
            multipliers = zip("rdw", architectures.multipliers[row].tolist(), strict=True)
            facts.update({name: value for name, value in multipliers if np.isfinite(value)})  # integers may have none
            facts.update({name: int(getattr(cost, name)[row]) for name in COSTS})
            for repeat in range(seeds):
                own = {**facts, "seed": self.settings.seed + repeat, "repeat": repeat}
                asked.append({"architecture": asdict(architecture), "facts": own})
        self._enqueue_all(asked)

    def _enqueue_all(self, asked: Sequence[Mapping[str, Any]]) -> None:
        """Queues all of some trainings: one that is killed in between is finished at the next start."""
        self.finish_queueing()
        token = secrets.token_hex(8)
        document = {"token": token, "trainings": list(asked)}
        path = self.folder / QUEUE_FILE
        write_own(path, json.dumps(document, allow_nan=False))
        reach("queue.written")
        self.finish_queueing()

    def finish_queueing(self) -> None:
        """Queues the rest of what `_enqueue_all` was queueing when it was killed.

        Raises:
            PlannerError: If its file is damaged.
        """
        path = self.folder / QUEUE_FILE
        if not path.is_file():
            return
        wrong = "not what was being queued"
        try:
            document = parse(read_text(path, LARGEST_QUEUE, wrong, "remove it"))
            token, asked = document["token"], document["trainings"]
            todo = [(architecture_from(one["architecture"]), dict(one["facts"])) for one in asked]
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise PlannerError(f"{path}: {wrong} ({error}); remove it, then queue again") from error
        done = {one.user_attrs.get("queued") for one in self._trials()}
        for place, (architecture, facts) in enumerate(todo):
            if (name := f"{token}-{place}") not in done:
                self._enqueue(architecture, {**facts, "queued": name})
                reach("queue.added")
        path.unlink()
        reach("queue.done")

    def ask_for(
        self, architecture: Architecture, origin: str, asks: Mapping[str, Any], seed: int | None = None
    ) -> None:
        """Queues one training that is not the study's own in everything.

        Args:
            architecture: Network to train; its r, d, w are the effective ones.
            origin: Name of what asks for it, such as `greedy`.
            asks: Wishes of its own: `epochs`, `data_share`, `recipe` (a text of `planner.study.recipes`), `holdout`,
                `data` (other images: `source`, `side`, and what is known of them, `classes` and `fingerprint`),
                `parent` (the trial whose kept network it inherits from, or the name of a network that was given),
                `noise` (on what it inherits), `keep` (whether its network is kept).
            seed: Random seed of the training; the study's by default.
        """
        classes = asks.get("data", {}).get("classes", self.settings.data.classes)
        cost = architecture_complexity(architecture, classes)
        sizes = architecture.resolution, architecture.depths, architecture.widths
        multipliers = effective_multipliers(self.space.network, *(np.array([one]) for one in sizes))[0]
        facts: dict[str, Any] = {"origin": origin, "tries": 1, "repeat": 0, ASKS: dict(asks)}
        facts.update({name: float(value) for name, value in zip("rdw", multipliers, strict=True)})
        facts.update({name: int(getattr(cost, name)) for name in COSTS})
        self._enqueue(architecture, {**facts, "seed": self.settings.seed if seed is None else seed})

    def _enqueue(self, architecture: Architecture, attributes: dict[str, Any]) -> None:
        self.study.enqueue_trial(
            parameters(architecture, self.space.knobs),
            user_attrs={**attributes, "architecture": asdict(architecture), "rule": self.settings.space.rule},
        )

    def repeat(self, number: int, seeds: int) -> None:
        """Queues an architecture again, with seeds that it was not queued with before.

        Raises:
            PlannerError: If there is no such trial.
        """
        wanted, trials = self._frozen(number).user_attrs, self._trials()
        same = [one.user_attrs for one in trials if one.user_attrs["architecture"] == wanted["architecture"]]
        last = max(facts.get("repeat", 0) for facts in same)
        kept = {name: wanted[name] for name in ("r", "d", "w", *COSTS) if name in wanted}
        asked = []
        for repeat in range(last + 1, last + 1 + seeds):
            facts = {**kept, "origin": "repeat", "tries": 1, "seed": self.settings.seed + repeat, "repeat": repeat}
            asked.append({"architecture": wanted["architecture"], "facts": facts})
        self._enqueue_all(asked)

    @contextmanager
    def training_only(self, numbers: Collection[int]) -> Iterator[None]:
        """Of what waits, only some trials and their further tries are claimed meanwhile; the rest waits on.

        Args:
            numbers: The trials.
        """
        self._alone = frozenset(numbers)
        try:
            yield
        finally:
            self._alone = None

    @patient
    def claim(self, by: str = COORDINATOR, until: float = 0.0) -> tuple[int, Architecture, int] | None:
        """Takes the oldest queued trial: its number, architecture and seed; None where the queue is empty.

        Args:
            by: Taker: the attribute that says whose it is.
            until: Time until which it is the taker's, who need not live as long; 0 for as long as the taker lives.
        """
        from optuna.trial import TrialState

        # Under the lock, because `ask` makes up a trial where another coordinator took the last one in between, and
        # because a running trial without its coordinator's number would look like a dead one's.
        with self.locks.claiming():
            for other in self._every((TrialState.WAITING,)):
                if not is_ours(other.user_attrs):
                    # Queued by another program: there is nothing that could be trained.
                    annotate(self.study, other, {"message": "no architecture: not queued by the planner"})
                    set_state(self.study, other, TrialState.FAIL)
            waiting = self._queue()
            if not waiting:
                return None
            reach("claim.before")
            trial = self._begun(waiting[0])
            if until or trial.user_attrs.get(ASKED_UNTIL):
                trial.set_user_attr(ASKED_UNTIL, until)
            if self.locks.number is not None:
                trial.set_user_attr(by, self.locks.number)
            reach("claim.done")
        return trial.number, architecture_of(trial.user_attrs), trial.user_attrs.get("seed", self.settings.seed)

    def _begun(self, waiting: optuna.trial.FrozenTrial) -> optuna.trial.Trial:
        """A waiting trial as one that runs."""
        from optuna.distributions import IntDistribution
        from optuna.trial import Trial, TrialState

        ranges = widened(self.distributions(), self._fixed(waiting))
        if self._alone is None:
            return self.study.ask(ranges)
        set_state(self.study, waiting, TrialState.RUNNING)  # `ask` would take the oldest that waits
        trial = Trial(self.study, waiting._trial_id)
        for name, range_ in ranges.items():
            assert isinstance(range_, IntDistribution)
            trial.suggest_int(name, range_.low, range_.high, step=range_.step)
        return trial

    def _fixed(self, trial: optuna.trial.FrozenTrial) -> dict[str, int]:
        """The parameters that a waiting trial was queued with, which Optuna would else draw.

        Raises:
            PlannerError: If they are not its architecture's.
        """
        found, wanted = (
            trial.system_attrs.get("fixed_params"),
            parameters(architecture_of(trial.user_attrs), self.space.knobs),
        )
        if found != wanted:
            raise self._damaged(f"trial {trial.number}: fixed_params is {found!r:.60}")
        return wanted

    @patient
    def record(self, number: int, observation: Observation, again: bool = False) -> None:
        """Writes an observation to its trial; a second time changes nothing.

        Args:
            number: The trial.
            observation: Result of the training.
            again: Whether a training that diverged is tried once more, with another seed.
        """
        with self.locks.claiming():
            self._record(number, observation, again)

    def _record(self, number: int, observation: Observation, again: bool) -> None:
        from optuna.trial import TrialState

        trial = self._frozen(number)
        if trial.state.is_finished():
            return
        if trial.state == TrialState.WAITING:  # handed back since it was asked for, and told after all
            set_state(self.study, trial, TrialState.RUNNING)
        facts = recorded(observation)
        del facts["architecture"]
        annotate(self.study, trial, facts)
        reach("record.annotated")
        if again and observation.status == "diverged" and "first_seed" not in trial.user_attrs:
            seed = trial.user_attrs.get("seed", self.settings.seed)
            self._enqueue_again(trial, seed=seed + ANOTHER_SEED, first_seed=seed, tries=1)
        if observation.status == "ok":
            assert observation.accuracy is not None
            self.study.tell(number, [observation.accuracy, float(observation.macs)])
        else:
            self.study.tell(number, state=TrialState.FAIL)
        reach("record.told")

    @patient
    def progress(self, number: int, epochs: int) -> None:
        """Writes down how many epochs a running training has done."""
        annotate(self.study, self._frozen(number), {"epochs_done": epochs})

    @patient
    def put_back(self, number: int, reason: str) -> None:
        """A running trial waits again, because its coordinator stopped: no try of its own is lost."""
        from optuna.trial import TrialState

        with self.locks.claiming():
            trial = self._frozen(number)
            if trial.state == TrialState.RUNNING:
                annotate(self.study, trial, {"message": reason})
                set_state(self.study, trial, TrialState.WAITING)

    @patient
    def requeue(self, number: int, reason: str) -> bool:
        """Ends a running trial as killed and queues its architecture again.

        Returns:
            Whether it was queued again; not after `MOST_TRIES` of which none got further than the one before.
        """
        with self.locks.claiming():
            return self._requeue(number, reason)

    def _requeue(self, number: int, reason: str, its_own: bool = True) -> bool:
        """As `requeue`; no try is counted where the death was not the training's own, but its coordinator's."""
        from optuna.trial import TrialState

        trial = self._frozen(number)
        if trial.state.is_finished():  # another coordinator took this one for dead, and did it
            return True
        facts = trial.user_attrs
        done, before = facts.get("epochs_done", 0), facts.get("epochs_before", 0)
        tries = 1 if done > before else facts.get("tries", 1)
        again = tries < MOST_TRIES or not its_own
        if again:  # before it ends, so that a kill in between loses neither
            self._enqueue_again(trial, tries=tries + its_own, epochs_before=max(done, before))
        reach("requeue.queued")
        annotate(self.study, trial, {"status": "killed", "message": reason})
        reach("requeue.annotated")
        self.study.tell(number, state=TrialState.FAIL)
        reach("requeue.told")
        return again

    def is_retry(self, number: int) -> bool:
        """Whether a trial is a further try of a training."""
        return "retry_of" in self._frozen(number).user_attrs

    def _enqueue_again(self, trial: optuna.trial.FrozenTrial, **changed: Any) -> None:
        """Queues a trial's training once more, unless a coordinator that was killed has done so."""
        if any(one.user_attrs.get("retry_of") == trial.number for one in self._trials()):
            return
        kept = {name: trial.user_attrs[name] for name in _KEPT if name in trial.user_attrs}
        self._enqueue(architecture_of(trial.user_attrs), {**kept, **changed, "retry_of": trial.number})

    @patient
    def reconcile(self) -> tuple[int, int]:
        """Brings the ledger up to date after a coordinator died; only while coordinating.

        Returns:
            How many finished observations were found on disk and recorded, and how many trainings queued again.
        """
        found = queued = 0
        with self.locks.claiming():
            alive = self.locks.alive()
            for trial in self.running():
                until = trial.user_attrs.get(ASKED_UNTIL)
                owners = (trial.user_attrs.get(name) for name in (COORDINATOR, ASKER))
                if not until and not alive.isdisjoint(owners):
                    continue
                observation = self.on_disk(trial.number)
                if observation is not None:
                    self._record(trial.number, observation, again=True)
                    found += 1
                elif until:
                    self._hand_back(trial, until)
                else:
                    queued += self._requeue(trial.number, "its coordinator was killed", its_own=False)
        return found, queued

    def _hand_back(self, trial: optuna.trial.FrozenTrial, until: float) -> None:
        """Has a training wait again that was asked for, where nobody told of it in time; its number stays."""
        if time.time() > until:
            self.put_back(trial.number, "asked for, and not told of in time")

    @patient
    def elsewhere(self) -> int:
        """Trainings that other coordinators, alive, are at."""
        others = self.locks.alive() - {self.locks.number}
        return sum(trial.user_attrs.get(COORDINATOR) in others for trial in self.running()) if others else 0

    def asked_for(self, number: int) -> bool:
        """Whether a trial was asked for until some time, and nobody told of it; it may have been handed back since."""
        trial = self._frozen(number)
        return not trial.state.is_finished() and bool(trial.user_attrs.get(ASKED_UNTIL))

    def became_of(self, number: int) -> str:
        """Why a trial is not being trained, in words."""
        trial = self._frozen(number)
        if not trial.state.is_finished():
            return "it waits, and nobody asked for it"
        again = next((one.number for one in self._trials() if one.user_attrs.get("retry_of") == number), None)
        status, accuracy = trial.user_attrs.get("status", "killed"), trial.user_attrs.get("accuracy")
        told = f"it was told before ({status}{'' if accuracy is None else f', {accuracy:g}'})"
        return told if again is None else f"{told}, and is trial {again} now"

    def unfinished(self) -> list[int]:
        """Numbers of what waits and what is being trained."""
        return [one.number for one in self._pending()]

    def running(self) -> list[optuna.trial.FrozenTrial]:
        """Trials that are being trained, or were when their process ended."""
        from optuna.trial import TrialState

        return self._trials((TrialState.RUNNING,))

    def training(self, number: int) -> Training:
        """The training of a trial."""
        return trial_training(number, self._frozen(number).user_attrs, self.settings, self.folder)

    def pending_trainings(self) -> list[Training]:
        """What waits and what is being trained."""
        return [trial_training(one.number, one.user_attrs, self.settings, self.folder) for one in self._pending()]

    def on_disk(self, number: int) -> Observation | None:
        """The observation that a worker wrote for a trial, or None.

        A file of another training (the ledger may be an older one, restored), or none that is whole, is set aside.
        """
        path = observation_path(self.observations, number)
        if not path.exists():
            return None
        try:
            observation = Observation.from_json(path.read_text(encoding="utf-8"))
            problem = problem_of(recorded(observation)) or observation.other_than(self.training(number))
        except ValueError as error:
            problem = str(error)
        if problem is None:
            return observation
        self._set_aside(path, problem)
        return None

    def _set_aside(self, path: Path, why: str) -> None:
        """Gives a file another name, so that nothing overwrites it."""
        names = (path.with_name(f"{path.name}.other{n or ''}") for n in itertools.count())
        other = next(name for name in names if not name.exists())
        path.rename(other)
        self.tell(f"{path}: not of trial {int(path.stem)} ({' '.join(why.split())[:200]}); kept as {other.name}")
