"""Engines through their conformance suite: ours, and stand-ins of this file, of which the broken ones fail it."""

import gc
from importlib.util import find_spec

import pytest

from trainer.engines.conformance import check_engine
from trainer.engines.engine import Event
from trainer.engines.inline import InlineEngine
from trainer.engines.local import LocalEngine
from trainer.engines.ray import RayEngine
from trainer.engines.slurm import SlurmEngine


def local(place):
    return LocalEngine(place.observations, ("cpu",), 1, place.checkpoints, place.stops)


def test_processes_of_this_machine_conform(tmp_path):
    check_engine(local, tmp_path)


def test_the_calling_process_conforms(tmp_path):
    check_engine(InlineEngine, tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_conforms(tmp_path):
    if find_spec("ray") is None:
        pytest.skip("needs the extra [ray]")
    with RayEngine(tmp_path / "cluster", workers=1):  # whose connection all others use
        check_engine(lambda place: RayEngine(place.observations, place.checkpoints, place.stops, workers=1), tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # submitit waits for no process it ends
def test_slurm_jobs_on_this_machine_conform(tmp_path):
    pytest.importorskip("submitit", reason="needs the extra [slurm]")

    def make(place):
        folders = place.observations, place.jobs, place.checkpoints
        return SlurmEngine(*folders, place.stops, workers=1, options=["cluster=local"])

    check_engine(make, tmp_path)
    gc.collect()  # here, where those warnings are expected


class Forgetful(InlineEngine):
    """Says that a training is done and loses its observation."""

    def run(self, next_training):
        for event in super().run(next_training):
            if event.kind == "done":
                for path in self.place.observations.iterdir():
                    path.unlink()
            yield event


class Deaf(InlineEngine):
    """Cannot pause."""

    def pause(self):
        pass


class Twice(InlineEngine):
    """Reports every end two times."""

    def run(self, next_training):
        for event in super().run(next_training):
            yield event
            if event.kind == "done":
                yield event


class Headstrong(InlineEngine):
    """Never asks whether a training shall stop."""

    def _stops(self, key, epochs, history):
        epochs.append(Event("epoch", key, history))
        return False


class Amnesiac(InlineEngine):
    """Begins every training in another folder."""

    def __init__(self, place):
        super().__init__(place)
        for path in place.checkpoints.iterdir():
            path.rename(path.with_name(f"{path.name}-lost"))


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        (Forgetful, "is done and its observation is not at"),
        (Deaf, "asked to pause, the training ended as done"),
        (Twice, "had 2 ends"),
        (Headstrong, "did not ask after every epoch"),
        (Amnesiac, "began with its first epoch"),
    ],
)
def test_an_engine_that_breaks_its_word_fails(engine, sentence, tmp_path):
    with pytest.raises(AssertionError, match=sentence):
        check_engine(engine, tmp_path)
