"""Checks of an engine, whoever wrote it: call it in a test of your own.

    from trainer.engines.conformance import check_engine
    check_engine(lambda place: MyEngine(place.observations, place.checkpoints, place.stops), tmp_path)

The trainings are functions of this module, which every process that has this package can import; they take no time,
and no torch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from trainer.conformance import SMALL_NETWORK
from trainer.engines.engine import ON_THE_WAY, Engine, Event, Workplace, checkpoint_path, observation_path
from trainer.files import write_atomically
from trainer.observation import DataSpec, Fidelity, Observation, Training
from trainer.protocol import Job
from trainer.recipe import Recipe

_EPOCHS = 3
_LONG = 150  # epochs of a training that is ended before its last one
MakeChecked = Callable[[Workplace], Engine]


def easy(job: Job) -> None:
    """Trains nothing; its score says seed and epoch, and it goes on from its folder."""
    _trained(job, 0.0)


def unhurried(job: Job) -> None:
    """As `easy`, but slowly: there is time to end it."""
    _trained(job, 0.01)


def diverging(job: Job) -> float:
    """Gives no number."""
    return float("nan")


def faulty(job: Job) -> float:
    """Has a defect."""
    raise ZeroDivisionError("on purpose")


def _trained(job: Job, seconds: float) -> None:
    file = job.folder / "done.json"
    done = json.loads(file.read_text()) if file.exists() else 0
    for epoch in range(done + 1, job.epochs + 1):
        time.sleep(seconds)
        job.report(epoch, score_of(job.seed, epoch))  # first, so that a kill in between repeats and loses nothing
        write_atomically(file, json.dumps(epoch))


def score_of(seed: int, epoch: int) -> float:
    """The score that `easy` reports."""
    return (seed + epoch / 1000) / 100


def check_engine(make: MakeChecked, folder: Path) -> None:
    """Checks an engine.

    Args:
        make: Makes the engine for a workplace.
        folder: Empty folder for what it writes, where all its machines see it.

    Raises:
        AssertionError: If it does not do what an engine does, in one sentence.
    """
    _check_nothing(make, folder / "nothing")
    _check_all_ends(make, folder / "ends")
    _check_stops(make, folder / "stops")
    _check_pause(make, folder / "pause")


def _training(seed: int, trainer: str = "easy", epochs: int = _EPOCHS) -> Training:
    spec = DataSpec("", SMALL_NETWORK.resolution)
    named = f"{__name__}:{trainer}"
    return Training(SMALL_NETWORK, Fidelity(epochs), Recipe(), spec, seed, trainer=named, classes=4)


def _place(folder: Path) -> Workplace:
    for name in ("observations", "checkpoints", "jobs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Workplace(folder / "observations", folder / "checkpoints", folder / "jobs", waiting=1)


def _run(make: MakeChecked, place: Workplace, trainings: Sequence[Training]) -> list[Event]:
    queue = list(enumerate(trainings))
    with make(replace(place, waiting=len(queue))) as engine:
        assert engine.at_once >= 1, f"at_once is {engine.at_once}"
        events = list(engine.run(lambda: queue.pop(0) if queue else None))
    assert not queue, f"it ended while {len(queue)} trainings waited"
    _check_order(events, len(trainings))
    return events


def _check_order(events: Sequence[Event], n: int) -> None:
    for key in range(n):
        own = [event for event in events if event.key == key and event.kind not in ("silent", "crowded")]
        ends = [event.kind for event in own if event.kind != "epoch"]
        assert len(ends) == 1, f"training {key} had {len(ends)} ends: {', '.join(ends)}"
        assert own[-1].kind != "epoch", f"training {key} reported an epoch after its end"
        done = [len(event.history) for event in own if event.kind == "epoch"]
        assert done == sorted(set(done)), f"training {key} reported epochs in the order {done}"


def _check_nothing(make: MakeChecked, folder: Path) -> None:
    assert _run(make, _place(folder), []) == [], "there were events though there was nothing to do"


def _check_all_ends(make: MakeChecked, folder: Path) -> None:
    """Good trainings beside one that diverges, one of no trainer and one with a defect."""
    place = _place(folder)
    asked = [_training(0), _training(1, "diverging"), _training(2, "nobody"), _training(3, "faulty"), _training(4)]
    events = _run(make, place, asked)
    ends = {event.key: event for event in events if event.kind not in ON_THE_WAY}
    kinds = {key: event.kind for key, event in ends.items()}
    wanted = {0: "done", 1: "done", 2: "refused", 3: "raised", 4: "done"}
    assert kinds == wanted, f"five trainings ended as {sorted(kinds.items())}, not as {sorted(wanted.items())}"
    for key in (2, 3):
        text = ends[key].text
        assert text and "\n" not in text, f"why training {key} ended is not one line: {text!r}"
    assert "ZeroDivisionError: on purpose" in ends[3].text, f"what the trainer raised is not told: {ends[3].text!r}"
    found = {key: _observation(place, key, asked[key]) for key in (0, 1, 4)}
    assert found[1].status == "diverged", f"a training without a score ended as {found[1].status}"
    for key in (0, 4):
        score = score_of(asked[key].seed, _EPOCHS)
        assert found[key].accuracy == score, f"training {key} came to {found[key].accuracy}, not {score}"
    assert place.checkpoints is not None
    left = [path for key in (0, 1, 4) if (path := checkpoint_path(place.checkpoints, asked[key])).exists()]
    assert not left, "what a training had kept is still there though its observation is written"


def _observation(place: Workplace, key: int, training: Training) -> Observation:
    path = observation_path(place.observations, key)
    assert path.is_file(), f"training {key} is done and its observation is not at {path.name}"
    found = Observation.from_json(path.read_text(encoding="utf-8"))
    other = found.other_than(training)
    assert other is None, f"the observation of training {key} is of another {other}"
    return found


def _check_stops(make: MakeChecked, folder: Path) -> None:
    """Told to end after its first epoch, a long training ends; the one beside it does not."""
    seen: list[int] = []

    def stops(event: Event) -> bool:
        seen.append(event.key)
        return event.key == 0

    place = replace(_place(folder), stops=stops)
    asked = [_training(0, "unhurried", _LONG), _training(1)]
    _run(make, place, asked)
    found = [_observation(place, key, training) for key, training in enumerate(asked)]
    assert set(seen) == {0, 1}, "it did not ask after every epoch whether the training shall stop"
    assert found[0].status == "stopped", f"told to stop, training 0 ended as {found[0].status}"
    assert found[1].status == "ok", f"training 1 was not told to stop and ended as {found[1].status}"


def _check_pause(make: MakeChecked, folder: Path) -> None:
    """Another engine goes on where one that was paused left off."""
    place, training = _place(folder), _training(0, "unhurried", _LONG)
    queue, engines = [(0, training)], list[Engine]()

    def pauses(event: Event) -> bool:
        if len(event.history) > 2:  # so that there is something to go on from
            engines[0].pause()
        return False

    engines.append(make(replace(place, stops=pauses)))
    with engines[0] as engine:
        events = list(engine.run(lambda: queue.pop(0) if queue else None))
    ends = [event for event in events if event.kind not in ON_THE_WAY and event.key == 0]
    assert all(event.kind == "paused" for event in ends), f"asked to pause, the training ended as {ends[0].kind}"
    assert not observation_path(place.observations, 0).exists(), "a paused training left an observation"
    again = _run(make, place, [training])
    first = next((len(event.history) for event in again if event.kind == "epoch"), _LONG)
    assert first > 1, "begun again after a pause, the training began with its first epoch: its folder was another one"
    (event,) = [one for one in again if one.kind not in ON_THE_WAY]
    assert event.kind == "done", f"begun again after a pause, the training ended as {event.kind}: {event.text}"
    found = _observation(place, 0, training)
    assert len(found.history) == _LONG, f"begun again after a pause, it knows {len(found.history)} epochs of {_LONG}"
