"""Jobs beside a study's trials: what searches and scores measure of networks, done by the workers of an engine.

Zen-scores, utilisation and heirs are no trainings of the study: their numbers are no accuracies that its ledger, which
is an Optuna study of two values, could hold beside the others. So each lies as an observation in the study's folder
`measured`, named by what was asked: whoever asks the same again is answered from there, after any accident. One that
kills its process is tried again as a training is, and then recorded as killed.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

from planner.errors import PlannerError
from planner.study.ledger import MOST_TRIES
from planner.study.reader import Records
from planner.training.interruption import Interruption
from planner.training.resources import ENGINES, Resources
from sampler import Architecture, Architectures, architecture_complexity
from sampler import base as base_named
from sampler.architecture import stack
from sampler.scaling import buildable
from trainer.declared.loading import shipped_network
from trainer.engines.engine import ON_THE_WAY, Engine, Event, Workplace, observation_path, write_observation
from trainer.engines.placement import training_bytes
from trainer.mending import told
from trainer.observation import DataSpec, Fidelity, NetworkMeasure, Observation, Training
from trainer.recipe import Recipe
from trainer.tasks import task_named

MEASURED = "measured"  # the folder in a study's
_AT_ONCE = 8  # workers that are begun for what is asked first, and may be few; as many as fit where more is asked
_DIGITS = 12  # hexadecimal, of a key
_Tell = Callable[[str], None]


class Jobs:
    """Does what is asked, several at a time; a context manager, whose workers stay for what is asked next.

    Args:
        folder: The study's.
        resources: Where, as trainings are placed.
        tell: Told in one line of what went wrong, and of every end.
        bytes_needed: Memory on a GPU that the largest of what is asked needs; asked when the first worker begins.
    """

    def __init__(
        self, folder: Path, resources: Resources, tell: _Tell, bytes_needed: Callable[[Sequence[Training]], int]
    ) -> None:
        self.folder, self.resources, self.tell, self.bytes_needed = folder / MEASURED, resources, tell, bytes_needed
        self.waiting: deque[int] = deque()
        self.asked: dict[int, Training] = {}
        self.tries: defaultdict[int, int] = defaultdict(int)
        self._engine: Engine | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Begins; workers begin with the first thing to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the workers."""
        self._open.close()
        self._engine = None

    def __call__(
        self, wanted: Sequence[Training], done: Callable[[Observation], None] | None = None
    ) -> list[Observation]:
        """Does what was not done before.

        Args:
            wanted: Trainings, or measurements of networks.
            done: Told of each that ends.

        Returns:
            An observation of each.

        Raises:
            PlannerError: If the device, the disk or a file refuses; what was done stays known.
            KeyboardInterrupt: If a signal asked for the end; likewise.
        """
        keys = [_key(one) for one in wanted]
        self.asked = dict(zip(keys, wanted, strict=True))
        try:
            self.waiting = deque(key for key in self.asked if self._known(key) is None)
            if self.waiting:
                self._run(done)
        except OSError as error:
            raise PlannerError(told(error)) from error
        found = [self._known(key) for key in keys]
        if None in found:
            raise PlannerError(f"{found.count(None)} measurements remain; the same command goes on with them")
        return [one for one in found if one is not None]

    def _run(self, done: Callable[[Observation], None] | None) -> None:
        interruption = Interruption(self._engine, None, self.tell)
        with interruption:
            engine = interruption.engine = self._engine = self._engine or self._begun()
            for event in engine.run(lambda: None if interruption.asked else self._next()):
                if self._ended(event, interruption) and done is not None:
                    observation = self._known(event.key)
                    assert observation is not None  # which is what `done` says
                    done(observation)
        if interruption.by_user:
            raise KeyboardInterrupt

    def _begun(self) -> Engine:
        self.folder.mkdir(exist_ok=True)
        trainings = list(self.asked.values())
        place = Workplace(
            observations=self.folder,
            checkpoints=self.folder / "checkpoints",
            jobs=self.folder / "jobs",
            waiting=max(_AT_ONCE, len(self.waiting)),
            bytes_needed=lambda: self.bytes_needed(trainings),
        )
        return self._open.enter_context(ENGINES[self.resources.engine](self.resources, place))

    def _next(self) -> tuple[int, Training] | None:
        return (key := self.waiting.popleft(), self.asked[key]) if self.waiting else None

    def _known(self, key: int) -> Observation | None:
        """The observation of what was asked; one without the network it kept, or of something else, is removed."""
        path = observation_path(self.folder, key)
        if not path.is_file():
            return None
        try:
            found = Observation.from_json(path.read_text(encoding="utf-8"))
            kept = self.asked[key].keep
            if found.other_than(self.asked[key]) is None and (
                found.accuracy is None or not kept or Path(kept).is_file()
            ):
                return found
        except ValueError:
            pass
        path.unlink()
        return None

    def _ended(self, event: Event, interruption: Interruption) -> bool:
        """Acts on an event; whether a job has an observation by it.

        Raises:
            PlannerError: If the user can mend what happened.
        """
        key, name = event.key, self.asked[event.key].architecture.base
        if event.kind in ("epoch", "paused") or (event.kind == "died" and interruption.asked):
            return False
        if event.kind in ON_THE_WAY:
            self.tell(f"measurement of {name}: {event.text}")
            return False
        if event.kind in ("refused", "raised"):
            raise PlannerError(event.text)
        if event.kind == "failed":
            raise RuntimeError(f"a measurement of {name} failed, which is a defect:\n{event.text}")
        if event.kind == "died" and self._known(key) is None:
            self.tries[key] += 1
            if self.tries[key] < MOST_TRIES:
                self.tell(f"measurement of {name}: {event.text}; begun again")
                self.waiting.append(key)
                return False
            write_observation(self.folder, key, self.asked[key], _killed(self.asked[key], event.text))
            self.tell(
                f"measurement of {name}: {event.text}; given up after {MOST_TRIES} tries "
                f"(remove {observation_path(self.folder, key)} to try again)"
            )
        return True


def zen_asked(
    architecture: Architecture,
    classes: int,
    seed: int,
    repeats: int = 4,
    batch: int = 16,
    resolution: int | None = None,
) -> Training:
    """What is asked of a job that computes a Zen-score, as `trainer.zero_cost.zen_score` does."""
    measure = NetworkMeasure("zen", repeats, batch, resolution or 0)
    usual, network = (Fidelity(), Recipe(), DataSpec()), shipped_network(architecture.base)
    return Training(architecture, *usual, seed, classes=classes, network=network, measure=measure)


def zen_bytes(wanted: Sequence[Training]) -> int:
    """Memory on a GPU that the largest of some Zen-scores needs at most: a training's of as many images."""
    measures = [(one, one.measure) for one in wanted if one.measure is not None]
    sized = _stages(
        [replace(one.architecture, resolution=how.resolution or one.architecture.resolution) for one, how in measures]
    )
    classes, batch = wanted[0].classes, max(how.batch for _, how in measures)
    return int(training_bytes(sized, classes, Recipe(batch_size=batch), 0, 0, int(sized.resolution.max())).max())


def with_images(ledger: Records, cache: Path, resources: Resources, tell: _Tell) -> Jobs:
    """Jobs that need the images of a study, which are decoded first.

    Raises:
        InputError: If the images are not those that the study was made with.
    """
    settings, task = ledger.settings, task_named("")
    task.prepare(settings.data_spec(cache), settings.data.fingerprint, ledger.folder.name)

    def needed(wanted: Sequence[Training]) -> int:
        return task.bytes_needed(_stages([one.architecture for one in wanted]), settings.data.classes, wanted[0])

    return Jobs(ledger.folder, resources, tell, needed)


def _stages(architectures: Sequence[Architecture]) -> Architectures:
    """The stages of networks, without what else these have: enough to tell about how much memory they need."""
    plain = [
        Architecture(one.base, one.resolution, one.stem, one.widths, one.depths, one.head) for one in architectures
    ]
    stacked = stack(plain)
    return replace(stacked, widths=buildable(base_named(stacked.base), stacked.widths))


def _key(asked: Training) -> int:
    """A number for what is asked, the same wherever the study's folder is."""
    facts = {"architecture": asdict(asked.architecture), "seed": asked.seed, **asdict(asked.fidelity)}
    text = json.dumps({**facts, **asked.facts(), "classes": asked.classes}, sort_keys=True)
    return int(hashlib.sha256(text.encode()).hexdigest()[:_DIGITS], 16)


def _killed(asked: Training, why: str) -> Observation:
    cost = architecture_complexity(asked.architecture, asked.classes or 1)
    costs = cost.macs, cost.params, cost.activations
    observation = Observation(asked.architecture, asked.fidelity, asked.seed, "killed", None, None, *costs, 0.0, "")
    return replace(observation, message=why)
