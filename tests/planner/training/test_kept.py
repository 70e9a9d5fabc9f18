"""Workers that are kept: the same processes for every call, and none afterwards."""

import multiprocessing

import pytest

from planner.training.kept import KeptWorkers
from planner.training.resources import ENGINES, Resources
from sampler import Architecture
from trainer.engines.engine import Workplace
from trainer.engines.inline import InlineEngine
from trainer.engines.local import LocalEngine
from trainer.observation import DataSpec, Fidelity, Recipe, Training

SMALL = Architecture("efficientnet_b0", 32, 8, (8, 8, 8, 8, 8, 8, 8), (1, 1, 1, 1, 1, 1, 1), 16)
DATA = DataSpec("fractal:classes=2,train=20,validation=4", 32)
ON_CPU = Resources(device="cpu", workers=3)


@pytest.fixture
def idle(monkeypatch):
    """Engines whose processes are only counted."""
    started, ended = [], []

    class Worker:
        def __init__(self, device):
            self.device, self.job = device, None
            self.process, self.pipe = self, self

        def kill(self):
            ended.append(self)

        def join(self, timeout):
            pass

        def close(self):
            pass

    def start(self, device):
        started.append(device)
        return Worker(device)

    monkeypatch.setattr(LocalEngine, "_start", start)
    return started, ended


def place(folder, waiting, need=1, stops=None):
    return Workplace(folder, waiting=waiting, bytes_needed=lambda: need, stops=stops)


def test_processes_are_begun_once_and_more_where_more_waits(idle, tmp_path):
    started, ended = idle
    with KeptWorkers() as kept:
        for waiting, there in ((1, 1), (5, 3), (1, 3)):
            with kept(ON_CPU, place(tmp_path, waiting)) as engine:
                assert engine.at_once == there and len(started) == there
        assert not ended
    assert len(ended) == 3 and kept.engine is None


def test_what_needs_more_memory_keeps_the_processes_of_a_cpu(idle, tmp_path):
    started, ended = idle
    with KeptWorkers() as kept:
        for need in (1, 10**6, 10):
            with kept(ON_CPU, place(tmp_path, 2, need)):
                pass
        assert len(started) == 2 and not ended


def test_other_resources_and_an_error_end_them(idle, tmp_path):
    started, ended = idle
    with KeptWorkers() as kept:
        with kept(ON_CPU, place(tmp_path, 2)):
            pass
        with kept(ON_CPU, place(tmp_path, 2, stops=lambda event: False)):  # workers are begun to ask, or not to
            pass
        assert len(started) == 4 and len(ended) == 2
        with pytest.raises(KeyError), kept(ON_CPU, place(tmp_path, 2, stops=lambda event: False)):
            raise KeyError
        assert len(ended) == 4


def test_other_engines_are_made_anew(tmp_path):
    with ENGINES.temporarily("local", lambda _, where: InlineEngine(where)), KeptWorkers() as kept:
        assert isinstance(kept(ON_CPU, place(tmp_path, 1)), InlineEngine) and kept.engine is None
        assert isinstance(kept(Resources(engine="inline", device="cpu"), place(tmp_path, 1)), InlineEngine)


def test_one_process_trains_for_two_calls(tmp_path):
    training = Training(SMALL, Fidelity(1), Recipe(batch_size=8), DATA)
    with KeptWorkers() as kept:
        processes = set()
        for key in (0, 1):
            queue = [(key, training)]
            with kept(Resources(device="cpu", workers=1), place(tmp_path, 1)) as engine:
                events = list(engine.run(lambda queue=queue: queue.pop() if queue else None))
                processes |= {worker.process.pid for worker in kept.engine.workers}
            assert [event.kind for event in events][-1] == "done"
        assert len(processes) == 1
    assert not {child.pid for child in multiprocessing.active_children()} & processes
