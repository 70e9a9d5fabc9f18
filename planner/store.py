"""The ledger: an Optuna study, and the only file that talks to its storage.

One trial is one observation. A trial's parameters are the resolution and the per-stage integers; everything else
(stem, head, multipliers, costs, provenance) is an attribute, so that any Optuna sampler and dashboard can read it.
"""

from __future__ import annotations

import json
import secrets
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.coordination import locks_of
from planner.documents import parse, read_text
from planner.errors import PlannerError
from planner.settings import StudySettings
from planner.stopping import Curve
from planner.storage import agree, driver_errors, shown, storage_errors, storage_of, study_name, with_driver
from planner.table import ASKS, Table, csv_text, frame_sha256, usable
from planner.trials import COSTS, architecture_of, asked_apart, curves_of, epochs_frame, parameters, trials_frame
from sampler import Architecture, Architectures, architecture_complexity, architecture_from, rule_named
from sampler.architecture import stack
from sampler.complexity import count
from sampler.scaling import effective_multipliers
from trainer.engines.engine import observation_path
from trainer.faults import reach
from trainer.files import write_atomically
from trainer.observation import Observation

if TYPE_CHECKING:
    import optuna
    import pandas as pd

# A training whose process died is queued again, but not for ever: what kills it may be the training.
MOST_TRIES = 3
# What a second try of a diverged training adds to its seed: more than anybody's repeats.
ANOTHER_SEED = 1_000_003
# What the next try of a training keeps of the one before.
KEPT = ("r", "d", "w", "origin", "seed", "first_seed", "repeat", "tries", ASKS, *COSTS)
NAMES = ["accuracy", "macs"]  # what dashboards call the two values
QUEUE_FILE = "queueing.json"
LARGEST_QUEUE = 1_000_000_000
# The attribute of a running trial that says whose it is, where there are several coordinators.
COORDINATOR = "coordinator"


def asked_key(asks: Mapping[str, Any]) -> str:
    """What a training has of its own, as a key of `Ledger.attempts`."""
    return json.dumps(dict(asks), sort_keys=True)


def _stacked(trials: Sequence[optuna.trial.FrozenTrial]) -> Architectures | None:
    """The architectures of trials, a layered one as what its stages amount to; None where there is none."""
    found = [architecture_of(trial.user_attrs) for trial in trials if "architecture" in trial.user_attrs]
    plain = [
        one
        if type(one) is Architecture
        else Architecture(one.base, one.resolution, one.stem, one.widths, one.depths, one.head)
        for one in found
    ]
    return stack(plain) if plain else None


class Ledger:
    """A study's trials.

    Args:
        folder: The study's folder.
        settings: The study's settings.

    Raises:
        PlannerError: If the storage cannot be opened.
    """

    def __init__(self, folder: Path, settings: StudySettings) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self.settings = folder, settings
        self.space = settings.search_space()
        self.observations = folder / "observations"
        self._frame: pd.DataFrame | None = None
        self._table: Table | None = None
        self.url = with_driver(settings.storage) or f"sqlite:///{folder / 'ledger.db'}"
        self.locks = locks_of(self.url, folder, folder.name)
        with storage_errors(self.url), driver_errors(self.url), self.locks.opening():
            storage = storage_of(self.url)
            self.study = optuna.create_study(
                study_name=study_name(storage, folder, own=not settings.storage),
                storage=storage,
                directions=["maximize", "minimize"],
                sampler=optuna.samplers.RandomSampler(seed=settings.seed),
                load_if_exists=True,
            )
            self._check_study()
            if settings.storage:
                agree(self.study, settings)

    @property
    def shared(self) -> bool:
        """Whether other coordinators may be at work beside this one."""
        return self.locks.number is not None

    def _check_study(self) -> None:
        """Refuses a study that another program made; names its values for dashboards.

        Raises:
            PlannerError: If its values are not accuracy and MACs.
        """
        import optuna

        wanted = [optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            names = self.study.metric_names
            if self.study.directions != wanted or names not in (None, NAMES):
                raise PlannerError(
                    f"{shown(self.url)}: study {self.study.study_name} was not made by the planner (its values are not "
                    "accuracy and macs); name another --study, or another --storage"
                )
            if names is None:
                self.study.set_metric_names(NAMES)

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {name}" for name, n in self.counts().items())
        return f"Ledger({self.folder}, {self.settings.base}: {counts})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from planner.notebook import of_ledger

        return of_ledger(self)

    @contextmanager
    def coordinating(self) -> Iterator[None]:
        """Is a coordinator of this study: the only one, or in PostgreSQL one of several.

        Raises:
            PlannerError: If another process coordinates this study and it must be the only one, or the storage refuses.
        """
        with self.queueing():
            pass  # one that was killed is finished first
        with storage_errors(self.url), self.locks.coordinating():
            yield

    @contextmanager
    def queueing(self) -> Iterator[None]:
        """Queues trainings by what is there, after what a killed process had begun to; nobody else queues meanwhile.

        Raises:
            PlannerError: As `coordinating`.
        """
        with storage_errors(self.url), self.locks.queueing():
            self.finish_queueing()
            yield

    def enqueue(self, architectures: Architectures, origin: str, seeds: int = 1) -> None:
        """Queues architectures.

        Args:
            architectures: What to train; `multipliers` hold r, d, w.
            origin: What chose them, such as `stratified`.
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
        document = {"token": token, "from": len(self.study.get_trials(deepcopy=False)), "trainings": list(asked)}
        path = self.folder / QUEUE_FILE
        try:
            write_atomically(path, json.dumps(document, allow_nan=False))
        except OSError as error:
            raise PlannerError(f"{path}: {error.strerror or error}; free space or rights, then run again") from error
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
            token, asked, first = document["token"], document["trainings"], int(document["from"])
            todo = [(architecture_from(one["architecture"]), dict(one["facts"])) for one in asked]
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise PlannerError(f"{path}: {wrong} ({error}); remove it, then queue again") from error
        there = self.study.get_trials(deepcopy=False)[first:]
        done = {one.user_attrs["queued"] for one in there if "queued" in one.user_attrs}
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
            architecture: What to train; its r, d, w are the effective ones.
            origin: What asks for it, such as `greedy`.
            asks: What it has of its own: `epochs`, `recipe` (a name), `holdout`, `parent` (the trial whose kept network
                it inherits from), `keep` (whether its network is kept).
            seed: Of the training; the study's by default.
        """
        cost = architecture_complexity(architecture, self.settings.data.classes)
        sizes = architecture.resolution, architecture.depths, architecture.widths
        multipliers = effective_multipliers(self.space.network, *(np.array([one]) for one in sizes))[0]
        facts: dict[str, Any] = {"origin": origin, "tries": 1, "repeat": 0, ASKS: dict(asks)}
        facts.update({name: float(value) for name, value in zip("rdw", multipliers, strict=True)})
        facts.update({name: int(getattr(cost, name)) for name in COSTS})
        self._enqueue(architecture, {**facts, "seed": self.settings.seed if seed is None else seed})

    def _enqueue(self, architecture: Architecture, attributes: dict[str, Any]) -> None:
        self.study.enqueue_trial(
            parameters(architecture),
            user_attrs={**attributes, "architecture": asdict(architecture), "rule": self.settings.space.rule},
        )

    def repeat(self, number: int, seeds: int) -> None:
        """Queues an architecture again, with seeds that it was not queued with before.

        Raises:
            PlannerError: If there is no such trial.
        """
        trials = [one for one in self.study.get_trials(deepcopy=False) if "architecture" in one.user_attrs]
        wanted = next((one.user_attrs for one in trials if one.number == number), None)
        if wanted is None:
            raise PlannerError(
                f"{self.folder}: there is no trial {number}; `planner front` lists those worth repeating"
            )
        same = [one.user_attrs for one in trials if one.user_attrs["architecture"] == wanted["architecture"]]
        last = max(facts.get("repeat", 0) for facts in same)
        kept = {name: wanted[name] for name in ("r", "d", "w", *COSTS) if name in wanted}
        asked = []
        for repeat in range(last + 1, last + 1 + seeds):
            facts = {**kept, "origin": "repeat", "tries": 1, "seed": self.settings.seed + repeat, "repeat": repeat}
            asked.append({"architecture": wanted["architecture"], "facts": facts})
        self._enqueue_all(asked)

    def claim(self) -> tuple[int, Architecture, int] | None:
        """Takes the oldest queued trial: its number, architecture and seed; None where the queue is empty."""
        from optuna.trial import TrialState

        # Under the lock, because `ask` makes up a trial where another coordinator took the last one in between, and
        # because a running trial without its coordinator's number would look like a dead one's.
        with self.locks.claiming():
            waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            for other in [one for one in waiting if "architecture" not in one.user_attrs]:
                # Queued by another program: there is nothing that could be trained.
                self._annotate(other, {"message": "no architecture: not queued by the planner"})
                self.study._storage.set_trial_state_values(other._trial_id, state=TrialState.FAIL)
                waiting.remove(other)
            if not waiting:
                return None
            reach("claim.before")
            trial = self.study.ask(self._distributions_with(waiting[0]))
            if self.locks.number is not None:
                trial.set_user_attr(COORDINATOR, self.locks.number)
            reach("claim.done")
        return trial.number, architecture_of(trial.user_attrs), trial.user_attrs.get("seed", self.settings.seed)

    def record(self, number: int, observation: Observation, again: bool = False) -> None:
        """Writes an observation to its trial; a second time changes nothing.

        Args:
            number: The trial.
            observation: What came of it.
            again: Whether a training that diverged is tried once more, with another seed.
        """
        with self.locks.claiming():
            self._record(number, observation, again)

    def _record(self, number: int, observation: Observation, again: bool) -> None:
        from optuna.trial import TrialState

        trial = self._frozen(number)
        if trial.state.is_finished():
            return
        facts = asdict(observation)
        del facts["architecture"]
        facts.update(facts.pop("fidelity"))
        self._annotate(trial, facts)
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

    def progress(self, number: int, epochs: int) -> None:
        """Writes down how many epochs a running training has done."""
        self._annotate(self._frozen(number), {"epochs_done": epochs})

    def put_back(self, number: int, reason: str) -> None:
        """A running trial waits again, because its coordinator stopped: no try of its own is lost."""
        from optuna.trial import TrialState

        with self.locks.claiming():
            trial = self._frozen(number)
            if trial.state == TrialState.RUNNING:
                self._annotate(trial, {"message": reason})
                self.study._storage.set_trial_state_values(trial._trial_id, state=TrialState.WAITING)

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
        self._annotate(trial, {"status": "killed", "message": reason})
        reach("requeue.annotated")
        self.study.tell(number, state=TrialState.FAIL)
        reach("requeue.told")
        return again

    def _enqueue_again(self, trial: optuna.trial.FrozenTrial, **changed: Any) -> None:
        """Queues a trial's training once more, unless a coordinator that was killed has done so."""
        after = self.study.get_trials(deepcopy=False)[trial.number + 1 :]
        if any(one.user_attrs.get("retry_of") == trial.number for one in after):
            return
        kept = {name: trial.user_attrs[name] for name in KEPT if name in trial.user_attrs}
        self._enqueue(architecture_of(trial.user_attrs), {**kept, **changed, "retry_of": trial.number})

    def reconcile(self) -> tuple[int, int]:
        """Brings the ledger up to date after a coordinator died; only while coordinating.

        Returns:
            How many finished observations were found on disk and recorded, and how many trainings queued again.
        """
        found = queued = 0
        with self.locks.claiming():
            alive = self.locks.alive()
            for trial in self._running():
                if trial.user_attrs.get(COORDINATOR) in alive:
                    continue
                observation = self.on_disk(trial.number)
                if observation is not None:
                    self._record(trial.number, observation, again=True)
                    found += 1
                elif "architecture" in trial.user_attrs:
                    queued += self._requeue(trial.number, "its coordinator was killed", its_own=False)
        return found, queued

    def elsewhere(self) -> int:
        """Trainings that other coordinators, alive, are at."""
        others = self.locks.alive() - {self.locks.number}
        return sum(trial.user_attrs.get(COORDINATOR) in others for trial in self._running()) if others else 0

    def _running(self) -> list[optuna.trial.FrozenTrial]:
        from optuna.trial import TrialState

        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def on_disk(self, number: int) -> Observation | None:
        """The observation that a worker wrote for a trial, or None."""
        path = observation_path(self.observations, number)
        try:
            return Observation.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not there, or not whole: the training is done again
            return None

    def macs_of(self, number: int) -> int:
        """MACs of a trial's network."""
        return int(self._frozen(number).user_attrs["macs"])

    def asks_of(self, number: int) -> dict[str, Any]:
        """What a trial's training has of its own; empty where it is the study's."""
        return dict(self._frozen(number).user_attrs.get(ASKS, {}))

    def network_path(self, number: int) -> Path:
        """Where a trial's trained network is kept, if it was asked to be."""
        return self.folder / "networks" / f"{number:06d}.safetensors"

    def attempts(self, seed: int | None = None) -> dict[tuple[Architecture, str], tuple[int, str | None]]:
        """The newest trial of everything that was asked for, by architecture and `asked_key`: number and status.

        Args:
            seed: Of the trainings; the study's by default.

        Returns:
            Numbers and statuses; the status of what has not ended is None.
        """
        seed = self.settings.seed if seed is None else seed
        return {
            (architecture_of(facts), asked_key(facts.get(ASKS, {}))): (
                trial.number,
                facts.get("status") if trial.state.is_finished() else None,
            )
            for trial in self.study.get_trials(deepcopy=False)
            if "architecture" in (facts := trial.user_attrs)
            and facts.get("first_seed", facts.get("seed", self.settings.seed)) == seed
        }

    def architecture(self, number: int) -> Architecture:
        """The architecture of a trial.

        Raises:
            PlannerError: If there is no such trial.
        """
        trials = self.study.get_trials(deepcopy=False)
        if number >= len(trials) or "architecture" not in trials[number].user_attrs:
            raise PlannerError(f"{self.folder}: there is no trial {number}; trials.csv and `planner front` list them")
        return architecture_of(trials[number].user_attrs)

    def numbers(self, architecture: Architecture) -> list[int]:
        """Numbers of the trials of an architecture, however they were trained."""
        trials = [one for one in self.study.get_trials(deepcopy=False) if "architecture" in one.user_attrs]
        return [one.number for one in trials if architecture_of(one.user_attrs) == architecture]

    def accuracy_of(self, number: int) -> float | None:
        """Accuracy of a trial; None where it has none."""
        trial = self._frozen(number)
        return float(trial.values[0]) if trial.values else None

    def seconds_of(self, number: int) -> float:
        """Seconds that a trial's training took; 0 where that is not known."""
        return float(self._frozen(number).user_attrs.get("seconds") or 0.0)

    def waiting_macs(self) -> list[int]:
        """MACs of what waits, in the order of the queue."""
        from optuna.trial import TrialState

        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return [int(trial.user_attrs["macs"]) for trial in waiting if "macs" in trial.user_attrs]

    def curves(self) -> list[Curve]:
        """The accuracies by epoch of every training that went through all epochs."""
        return curves_of(self._finished())

    def counts(self) -> dict[str, int]:
        """Trials by what became of them: ok, failed, running, waiting."""
        from optuna.trial import TrialState

        names = {
            TrialState.COMPLETE: "ok",
            TrialState.FAIL: "failed",
            TrialState.RUNNING: "running",
            TrialState.WAITING: "waiting",
            TrialState.PRUNED: "failed",
        }
        counts = dict.fromkeys(("ok", "failed", "running", "waiting"), 0)
        for trial in self.study.get_trials(deepcopy=False):
            counts[names[trial.state]] += 1
        return counts

    def tried(self, otherwise: bool = False) -> Architectures | None:
        """Every architecture that was queued, whatever became of it; None where there is none.

        Args:
            otherwise: Also those that were only asked for as the study does not train: fine-tunes, fewer epochs.
        """
        trials = self.study.get_trials(deepcopy=False)
        return _stacked([one for one in trials if otherwise or not asked_apart(one.user_attrs)])

    def pending(self) -> Architectures | None:
        """What waits and what is being trained; None where there is nothing."""
        return _stacked(self._pending())

    def pending_epochs(self) -> list[int]:
        """The epochs of each of `pending`."""
        usual = self.settings.fidelity.epochs
        return [one.user_attrs.get(ASKS, {}).get("epochs", usual) for one in self._pending()]

    def _pending(self) -> list[optuna.trial.FrozenTrial]:
        from optuna.trial import TrialState

        trials = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING))
        return [trial for trial in trials if "architecture" in trial.user_attrs]

    def asked(self) -> int:
        """Architectures queued so far for the study itself, those tried again or with other seeds counted once."""
        attributes = [trial.user_attrs for trial in self.study.get_trials(deepcopy=False)]
        return sum("retry_of" not in facts and not facts.get("repeat") and ASKS not in facts for facts in attributes)

    def frame(self) -> pd.DataFrame:
        """Every finished trial as a row, in the columns of `planner.table`."""
        finished = self._finished()
        if self._frame is None or len(self._frame) != len(finished):  # finished trials change no more
            self._frame, self._table = trials_frame(finished, self.settings), None
        return self._frame.copy()

    def export(self) -> Path:
        """Writes every finished trial to `trials.csv`, and what was seen in their epochs to `epochs.csv`.

        Raises:
            PlannerError: If one cannot be written.
        """
        path = self.folder / "trials.csv"
        reach("export.begun")
        try:
            write_atomically(path, csv_text(self.frame()))
            reach("export.trials")
            write_atomically(self.folder / "epochs.csv", csv_text(epochs_frame(self._finished())))
        except OSError as error:
            raise PlannerError(f"{path}: {error.strerror or error}; free space, then run again") from error
        reach("export.done")
        return path

    def table(self) -> Table:
        """The finished trials that can be fitted.

        Raises:
            PlannerError: If there are none.
        """
        frame = self.frame()
        if self._table is None:
            self._table = usable(frame, frame_sha256(frame), str(self.folder), self.settings.base)
        return replace(self._table, frame=self._table.frame.copy())

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """The range of every parameter: what the space's lowest and highest corner make of it."""
        from optuna.distributions import IntDistribution

        corners = self.space.decode(np.array([[0.0] * self.space.dimensions, [1.0] * self.space.dimensions]))
        low, high = parameters(corners[0]), parameters(corners[1])
        step = rule_named(self.space.rule).divisor
        return {
            name: IntDistribution(low[name], high[name], step=step if name.startswith("width") else 1) for name in low
        }

    def _distributions_with(self, trial: optuna.trial.FrozenTrial) -> dict[str, optuna.distributions.BaseDistribution]:
        """The ranges, wider where a queued trial lies outside: Optuna would draw another value instead."""
        from optuna.distributions import IntDistribution

        ranges = self.distributions()
        for name, value in trial.system_attrs.get("fixed_params", {}).items():
            usual = ranges[name]
            assert isinstance(usual, IntDistribution)
            if not usual._contains(value):
                ranges[name] = IntDistribution(min(usual.low, value), max(usual.high, value))
        return ranges

    def _finished(self) -> list[optuna.trial.FrozenTrial]:
        trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if trial.state.is_finished() and "architecture" in trial.user_attrs]

    def _frozen(self, number: int) -> optuna.trial.FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def _annotate(self, trial: optuna.trial.FrozenTrial, facts: dict[str, Any]) -> None:
        import optuna

        live = optuna.trial.Trial(self.study, trial._trial_id)
        for name, value in facts.items():
            live.set_user_attr(name, value)
