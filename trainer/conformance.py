"""Checks of trainers and data sources, whoever wrote them: call them in a test of your own.

Each raises an AssertionError that says in one sentence what is not as `trainer.protocol` or `trainer.image_sources`
wants it.

    from trainer.conformance import check_trainer
    check_trainer(train, classes=10)
"""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np

from sampler import Architecture
from trainer import pausing
from trainer.function_task import FunctionTask
from trainer.image_data import ImageSplit, fingerprint_of
from trainer.image_sources import ImageSource
from trainer.observation import DataSpec, EpochRecord, Fidelity, Observation, Training
from trainer.protocol import Conditions, Trainer, TrainingTask
from trainer.recipe import Recipe
from trainer.score import ACCURACY, Score
from trainer.trainers import TRAINERS

# A network that trains in no time.
SMALL_NETWORK = Architecture("efficientnet_b0", 32, 8, (8,) * 7, (1,) * 7, 16)
_NAME = "trainer-in-conformance"


def check_trainer(
    trainer: Trainer,
    architecture: Architecture = SMALL_NETWORK,
    classes: int = 10,
    epochs: int = 3,
    score: Score = ACCURACY,
) -> None:
    """Checks a trainer: it is trained to the end, stopped early, paused and resumed, on the CPU.

    Args:
        trainer: Trainer to check.
        architecture: Network that it can train.
        classes: Outputs of the network.
        epochs: Epochs of each of the four trainings; at least 2.
        score: Number that it reports.

    Raises:
        AssertionError: If it does not do what a trainer does.
    """
    data = DataSpec("", architecture.resolution)
    asked = Training(
        architecture, Fidelity(epochs), Recipe(), data, seed=1, trainer=_NAME, classes=classes, score=score
    )
    with TRAINERS.temporarily(_NAME, trainer):
        check_task(FunctionTask(_NAME), asked)


def check_task(task: TrainingTask, training: Training) -> None:
    """Checks how trainings are done, as `check_trainer` does; for a task that is no function of a job.

    Args:
        task: Task to check.
        training: Training of at least two epochs.

    Raises:
        AssertionError: If it does not do what a task does.
    """
    with tempfile.TemporaryDirectory() as name:
        history = _check_whole(task, training, Path(name) / "whole")
        if len(history) > 1:
            _check_stopped(task, training, Path(name) / "stopped")
            _check_paused(task, training, Path(name) / "paused")


def _check_whole(task: TrainingTask, training: Training, state: Path) -> tuple[EpochRecord, ...]:
    epochs: list[int] = []

    def goes_on(history: tuple[EpochRecord, ...]) -> bool:
        epochs.append(history[-1].epoch)
        return False

    found = task.observe(training, Conditions("cpu", 1, goes_on, state))
    assert found.status == "ok", f"the training ended as {found.status} ({found.message}), not ok"
    assert found.accuracy is not None and math.isfinite(found.accuracy), f"the score is {found.accuracy}"
    if training.score.is_accuracy:
        assert 0 <= found.accuracy <= 1, f"the score {found.accuracy} is not in [0, 1]"
    assert found.history, "no epoch was reported: job.report was never called and no score returned"
    assert found.history[-1].epoch == training.fidelity.epochs, "the last report is not of the last epoch"
    assert found.other_than(training) is None, f"the observation is of another {found.other_than(training)}"
    assert epochs == sorted(set(epochs)), f"epochs were reported in the order {epochs}"
    assert math.isfinite(found.seconds) and found.seconds >= 0, f"it took {found.seconds} seconds"
    _check_json(found)
    return found.history


def _check_json(found: Observation) -> None:
    assert Observation.from_json(found.to_json()) == found, "the observation is another one when it is read back"


def _check_stopped(task: TrainingTask, training: Training, state: Path) -> None:
    told: list[int] = []

    def stops(history: tuple[EpochRecord, ...]) -> bool:
        told.append(history[-1].epoch)
        return True

    found = task.observe(training, Conditions("cpu", 1, stops, state))
    assert len(told) == 1, f"it was told to stop after epoch {told[0]} and went on to epoch {told[-1]}"
    assert found.status == "stopped", f"it was told to stop and ended as {found.status}"


def _check_paused(task: TrainingTask, training: Training, state: Path) -> None:
    asked: list[int] = []

    def pauses(history: tuple[EpochRecord, ...]) -> bool:
        asked.append(history[-1].epoch)
        return False

    pausing.listen(lambda: bool(asked), lambda: None)
    try:
        task.observe(training, Conditions("cpu", 1, pauses, state))
        raise AssertionError(f"it was asked to pause after epoch {asked[:1]} and went on to its end")
    except pausing.PausedError:
        pass
    finally:
        pausing.listen(lambda: False, lambda: None)
    found = task.observe(training, Conditions("cpu", 1, lambda _: False, state))
    assert found.status == "ok", f"begun again after a pause it ended as {found.status} ({found.message})"
    epochs = [record.epoch for record in found.history]
    assert epochs == sorted(set(epochs)), f"begun again after a pause its epochs are {epochs}"


def check_source(source: ImageSource, argument: str = "", side: int = 32) -> None:
    """Checks a source of images: described without decoding, decoded twice to the same pictures.

    Args:
        source: Source to check.
        argument: Text after the colon.
        side: Side of the pictures, in pixels.

    Raises:
        AssertionError: If it does not do what a source does.
    """
    prep = source(argument, side)
    key = [dict(prep.identity), dict(prep.stamp)]
    assert json.loads(json.dumps(key)) == key, "identity and stamp are not plain JSON values"
    again = source(argument, side)
    assert [dict(again.identity), dict(again.stamp)] == key, "identity or stamp change though nothing else does"
    first, second = (one.decode(lambda what, done, total: None) for one in (prep, again))
    for name, split in (("train", first.train), ("validation", first.validation)):
        _check_split(name, split, side, len(first.classes))
    assert len(set(first.classes)) == len(first.classes) > 1, "there must be two classes or more, of different names"
    found = set(np.unique(first.train.labels).tolist())
    assert len(found) == len(first.classes), "a class has no train picture"
    pictures = len(first.train) + len(first.validation)
    assert len(first.names) == len(first.sizes) == pictures, "names or sizes are not one for each picture"
    prints = [fingerprint_of(one.train, one.validation, one.classes) for one in (first, second)]
    assert prints[0] == prints[1], "decoded twice, the pictures differ"


def _check_split(name: str, split: ImageSplit, side: int, classes: int) -> None:
    assert len(split) > 0, f"there are no {name} pictures"
    shape = split.images.shape[1:]
    assert shape == (side, side, 3), f"{name} pictures are {shape}, not ({side}, {side}, 3)"
    assert split.images.dtype == np.uint8, f"{name} pictures are {split.images.dtype}, not uint8"
    assert 0 <= split.labels.min() and split.labels.max() < classes, f"a {name} label is no position in the classes"
