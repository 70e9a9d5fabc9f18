"""The coordinator of a study's trainings: between the ledger and an engine."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from planner.errors import PlannerError
from planner.study.ledger import IN_LEDGER, Ledger
from planner.study.trials import LearningCurve, merits_of
from planner.training.hours import Hours
from planner.training.interruption import Interruption
from planner.training.keeping import forget_networks
from planner.training.progress import Listener, tell_begun, tell_epoch
from planner.training.resources import MakeEngine, Resources
from planner.training.stopping import cannot_reach_front
from trainer.engines.engine import ON_THE_WAY, Event, Workplace
from trainer.faults import reach
from trainer.gpu_sharing import sharing_advice
from trainer.observation import Observation, Training
from trainer.protocol import TrainingTask

# So many times as long as it took to write the study's tables, before they are written again while training.
_EXPORTS_APART = 20
# Between looks at what other coordinators do, where there are any.
_LOOK_SECONDS = 0.5
# Trainings in a row in which the user's trainer raised something, until it is taken for the trainer's defect.
_MOST_RAISED = 3


class Coordinator:
    """Hands trainings to the engine and writes down what comes back.

    Args:
        ledger: The study's ledger.
        cache: Folder of decoded images.
        resources: Where and how long.
        engine: Makes the engine.
        progress: Told of every epoch and ending.
        task: Task of the study's trainings, prepared: it knows how much memory they need.

    Raises:
        PlannerError: If the engine cannot be made, such as for a device that is not there.
    """

    def __init__(
        self,
        ledger: Ledger,
        cache: Path,
        resources: Resources,
        engine: MakeEngine,
        progress: Listener,
        task: TrainingTask,
    ) -> None:
        self.ledger, self.resources, self.progress, self.task = ledger, resources, progress, task
        self.cache = cache
        self.looked = time.monotonic()  # for trainings of dead coordinators
        self.deadline = None if resources.minutes is None else time.monotonic() + 60 * resources.minutes
        self.hours = None if resources.hours is None else hours_of(ledger, resources.hours)
        self.stops = self._judged if resources.stop_early else None
        self.epochs: dict[int, int] = {}  # of each training
        self.running: set[int] = set()
        self.answered = 0  # trainings whose observations were there before they began
        self.export_at, self.export_failed = 0.0, False
        self.raised = 0  # trainings in a row in which the user's trainer raised something
        self.parts_told = False  # whether it was said that batches were done in parts
        self.worked = ledger.counts()["ok"] > 0  # whether it ever trained anything
        left = self.hours.left if self.hours else None
        self.interruption = Interruption(None, left, progress.note)
        self.waiting = ledger.counts()["waiting"]
        self.engine = engine(resources, self._workplace())
        if advice := sharing_advice(getattr(self.engine, "devices", ())):
            progress.note(advice)

    def run(self) -> int:
        """Trains until nothing is left, or nothing may begin any more.

        Returns:
            How many trainings ended.

        Raises:
            PlannerError: If the user can mend what happened; what was running waits again.
            KeyboardInterrupt: If a signal asked for the end.
        """
        if self.hours:
            at_once = min(self.waiting, self.engine.at_once)
            self.progress.note(self.hours.plan(self.ledger.waiting_work(), at_once))
        with self.interruption:
            try:
                ended = self._train()
                self._put_back("interrupted")  # what an engine ended without a word
            except BaseException:
                with suppress(Exception):  # it may be the ledger that failed: then the next start does this
                    self._put_back("interrupted")
                raise
        if self.hours:
            self.progress.note(self.hours.account(self.ledger.waiting_work()))
        if self.interruption.by_user:
            raise KeyboardInterrupt
        return ended + self.answered

    def _train(self) -> int:
        """Runs the engine until nothing is left or something interrupts it; gives how many trainings ended."""
        ended = 0
        with self.engine as engine:
            self.interruption.engine = engine
            while True:
                for event in engine.run(self._next):
                    reach("event.received")
                    with self.interruption.whole():
                        ended += self._handle(event)
                if not self._others_left():
                    return ended

    def _put_back(self, reason: str) -> None:
        """Queues again what was running, once its worker is gone; records what ended meanwhile."""
        with self.interruption.whole():
            for number in sorted(self.running):
                observation = self.ledger.on_disk(number)
                if observation is None:
                    self.ledger.put_back(number, reason)
                else:
                    self.ledger.record(number, observation, again=True)
                self.running.discard(number)

    def _workplace(self) -> Workplace:
        """Where the engine works."""
        folder = self.ledger.folder
        return Workplace(
            observations=self.ledger.observations,
            checkpoints=folder / "checkpoints",
            jobs=folder / "jobs",
            stops=self.stops,
            waiting=self.waiting,
            bytes_needed=self._bytes_needed,
        )

    def _bytes_needed(self) -> int:
        """Memory on a GPU that the largest of what waits needs, each kind with its own images and batch."""
        classes = self.ledger.settings.data.classes
        kinds = self.ledger.pending_kinds()
        needed = (self.task.bytes_needed(networks, classes, self.ledger.training(one)) for one, networks in kinds)
        return max(needed, default=1)

    def _others_left(self) -> bool:
        """Waits while other coordinators train; whether one of them died, and left something to do."""
        with self.interruption.whole():
            if self.ledger.counts()["waiting"] or self._over():
                return False  # what waits now is what may not begin any more
        if others := self._elsewhere():
            self.progress.note(f"{others} trainings run at other coordinators; waits for them (Ctrl-C: does not)")
        while self._elsewhere() and not self._over():
            time.sleep(_LOOK_SECONDS)
        with self.interruption.whole():
            self.ledger.reconcile()
            return self.ledger.counts()["waiting"] > 0

    def _elsewhere(self) -> int:
        """Trainings of other coordinators."""
        with self.interruption.whole():
            return self.ledger.elsewhere()

    def _over(self) -> bool:
        """Whether nothing may begin any more."""
        if self.interruption.asked:
            return True
        return self.deadline is not None and time.monotonic() > self.deadline

    def _judged(self, event: Event) -> bool:
        with self.interruption.whole():
            return self._stops(event)

    def _stops(self, event: Event) -> bool:
        """Whether a training cannot reach the front any more, by its accuracies so far and those of its own kind."""
        finished = self.ledger.curves(event.key)
        if not finished:
            return False
        so_far = merits_of((record.accuracy for record in event.history), self.ledger.settings)
        running = LearningCurve(self.ledger.macs_of(event.key), so_far)
        return bool(so_far) and cannot_reach_front(running, finished, epochs=len(finished[0].accuracies))

    def _next(self) -> tuple[int, Training] | None:
        if self._over():
            return None
        with self.interruption.whole():
            if self.ledger.shared and time.monotonic() > self.looked + _LOOK_SECONDS:
                self.ledger.reconcile()
                self.looked = time.monotonic()
            if self.hours and (waiting := self.ledger.waiting_work()) and not self.hours.admits(waiting[0]):
                return None
            return self._claimed()

    def _claimed(self) -> tuple[int, Training] | None:
        """The next training, once those are recorded whose observations are there: the ledger may be an older one."""
        while (claimed := self.ledger.claim()) is not None:
            number, _, _ = claimed
            self.running.add(number)
            if (observation := self.ledger.on_disk(number)) is None:
                break
            self._record(number, observation)
            self.answered += 1
        else:
            return None
        if self.hours:
            self.hours.begins(number, self.ledger.work_of(number))
        training = self.ledger.training(number)
        self.epochs[number] = training.fidelity.epochs
        tell_begun(self.progress, number, training)
        data, limit = replace(training.data, cache=str(self.cache)), self.resources.limit or 0.0
        return number, replace(training, data=data, limit=limit)

    def _record(self, number: int, observation: Observation) -> None:
        """Records what came of a training, and shows it in the study's tables, for a small part of the time."""
        self.ledger.record(number, observation, again=True)
        self.running.discard(number)
        self.progress.done(number, observation)
        if (observation.micro_batches or 1) > 1 and not self.parts_told:
            self.parts_told = True
            self.progress.note(
                f"trial {number}: memory was short, so its batches were done in {observation.micro_batches} parts, "
                "whose statistics batch norm saw (where the network has it): its accuracy is not quite comparable with "
                "others'. The column micro_batches says which trials these are; a smaller batch_size, in another "
                "study, treats all alike"
            )
        forget_networks(self.ledger)
        if (began := time.monotonic()) < self.export_at:
            return
        try:
            self.ledger.export()
        except PlannerError as error:  # it is recorded, and at the end they are written once more
            if not self.export_failed:
                self.progress.note(f"{error} {IN_LEDGER}")
            self.export_failed = True
        self.export_at = time.monotonic() + _EXPORTS_APART * (time.monotonic() - began)

    def _handle(self, event: Event) -> int:
        """Acts on one event; gives how many trainings it ended."""
        number = event.key
        if event.kind == "epoch":
            done = len(event.history)
            if self.hours:
                self.hours.epoch(number, done, self.epochs[number])
            self.ledger.progress(number, done)
            tell_epoch(self.progress, number, event.history, self.epochs[number])
            return 0
        if event.kind in ON_THE_WAY:
            self.progress.note(f"trial {number}: {event.text}")
            return 0
        if event.kind == "refused":
            raise PlannerError(event.text)
        if event.kind == "raised":
            return self._raised(number, event.text)
        self.running.discard(number)
        # One that died may have died after its work.
        observation = self.ledger.on_disk(number) if event.kind in ("done", "died") else None
        if self.hours:
            self.hours.ends(number, observation.status if observation else event.kind)
        if observation is not None:
            self._record(number, observation)
            self.raised = 0
            self.worked = self.worked or observation.status == "ok"
            return 1
        assert event.kind != "done", f"trial {number} reported an observation that is not on disk"
        if event.kind == "paused" or (event.kind == "died" and self.interruption.asked):
            self.ledger.put_back(number, "interrupted")
            return 0
        if event.kind == "died":
            again = "queued again" if self.ledger.requeue(number, event.text) else "given up after several tries"
            self.progress.note(f"trial {number}: {event.text}; {again}")
            return 0
        self.ledger.put_back(number, event.text)
        raise RuntimeError(f"trial {number} failed, which is a defect:\n{event.text}")

    def _raised(self, number: int, text: str) -> int:
        """Queues a training again whose trainer raised something, boundedly; ends where several in a row did.

        Raises:
            PlannerError: Then; in one line.
        """
        self.running.discard(number)
        if self.hours:
            self.hours.ends(number, "killed")
        retried = self.ledger.is_retry(number)
        again = "queued again" if self.ledger.requeue(number, text) else "given up after several tries"
        self.progress.note(f"trial {number}: {text}; {again}")
        # Where it trained others, what fails again is its own trouble: the last of a queue are retries, in a row.
        self.raised += not (retried and self.worked)
        if self.raised >= _MOST_RAISED:
            raise PlannerError(
                f"trial {number}: {text}; {self.raised} trainings in a row ended so: mend the trainer, then run the "
                "same command again"
            )
        return 0


def hours_of(ledger: Ledger, hours: float) -> Hours:
    """Hours that know how long the study's trainings took."""
    work, seconds = ledger.timings()
    return Hours(hours, work.tolist(), seconds.tolist())
