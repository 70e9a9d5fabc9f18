"""What an engine costs beside the trainings themselves: Ray against processes of this machine.

All do the same trainings by turns, one at a time on one thread, so that a busy moment meets all. The first training of
each, in which its process imports torch, is told apart (`start`). `overhead` is the wall's seconds per training beyond
those that the training itself took, by its own observation; `bare` is that of the same work in this very process: what
lies between a training's end and its observation (the images, the network, files) and is no engine's.
"""

import json
from contextlib import ExitStack
from statistics import mean, median
from time import perf_counter

import pytest

from sampler import Architecture
from trainer.engines.engine import observation_path
from trainer.engines.local import LocalEngine
from trainer.engines.ray import RayEngine
from trainer.engines.remote import Desk, perform
from trainer.observation import DataSpec, Fidelity, Observation, Recipe, Training

SMALL = Architecture("efficientnet_b0", 32, 8, (8, 8, 8, 8, 8, 8, 8), (1, 1, 1, 1, 1, 1, 1), 16)
TRAININGS, EPOCHS = 10, 2
MOST_OVERHEAD = 0.5  # seconds per training


def trainings(folder):
    """Trainings that differ in their seed, with their keys."""
    data = DataSpec("fractal:classes=2,train=60,validation=20", 32, cache=str(folder / "cache"))
    fidelity, recipe = Fidelity(EPOCHS), Recipe(batch_size=8)
    return [(key, Training(SMALL, fidelity, recipe, data, seed=key)) for key in range(TRAININGS)]


class Bare:
    """The same work in this process."""

    def __init__(self, folder):
        self.desk = Desk(folder, folder / "checkpoints", 1, "cpu")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, next_training):
        while (job := next_training()) is not None:
            one = self.desk.assignment(*job)
            yield self.desk.filed(one, perform(one, None, lambda _: False))


def wall(engine, job):
    """Seconds of one training through an engine."""
    queue, begun = [job], perf_counter()
    events = list(engine.run(lambda: queue.pop() if queue else None))
    assert events[-1].kind == "done", events
    return perf_counter() - begun


def record(folder, walls):
    """What one engine's trainings say, the first left out."""
    own = [Observation.from_json(observation_path(folder, key).read_text()).seconds for key in range(TRAININGS)]
    return {
        "start": round(walls[0] - own[0], 3),
        "seconds": round(mean(own[1:]), 3),
        "per_minute": round(60 / mean(walls[1:]), 1),
        "overhead": round(mean(walls[1:]) - mean(own[1:]), 4),
        "overhead_median": round(median(wall - one for wall, one in zip(walls[1:], own[1:], strict=True)), 4),
    }


@pytest.mark.benchmark
@pytest.mark.filterwarnings("ignore")
def test_ray_adds_less_than_half_a_second_to_a_training(tmp_path):
    pytest.importorskip("ray", reason="needs the extra [ray]")
    folders = {name: tmp_path / name for name in ("bare", "local", "ray")}
    engines = {
        "bare": Bare(folders["bare"]),
        "local": LocalEngine(folders["local"], ("cpu",), 1, folders["local"] / "checkpoints"),
        "ray": RayEngine(folders["ray"], folders["ray"] / "checkpoints", workers=1, gpus=0),
    }
    walls = {name: [] for name in engines}
    with ExitStack() as stack:
        entered = {name: stack.enter_context(engine) for name, engine in engines.items()}
        for job in trainings(tmp_path):
            for name, engine in entered.items():
                walls[name].append(wall(engine, job))
    found = {name: record(folders[name], walls[name]) for name in engines}
    found["ray_over_local"] = round(found["ray"]["per_minute"] / found["local"]["per_minute"], 3)
    print(json.dumps({"benchmark": "engines", "trainings": TRAININGS, **found}))
    assert found["local"]["overhead"] < MOST_OVERHEAD
    assert found["ray"]["overhead"] < MOST_OVERHEAD
