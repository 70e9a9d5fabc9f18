"""Engines by their names: a toy one of this file goes through the whole loop, and an unknown one is one line."""

from pathlib import Path

import pytest

from planner.errors import PlannerError
from planner.training.resources import ENGINES, Resources, register_engine
from trainer.engines.engine import Event, Workplace, checkpoint_path, explained, write_observation
from trainer.engines.inline import InlineEngine
from trainer.engines.local import LocalEngine
from trainer.engines.ray import RayEngine
from trainer.engines.slurm import SlurmEngine
from trainer.protocol import Conditions
from trainer.tasks import task_named

TRAINER = (
    "def train(job):\n    return 0.9 - 0.5 * (sum(job.architecture.widths) * job.architecture.resolution) ** -0.1\n"
)
STUDY = ["--study", "mine"]
MADE = ["--base", "resnet18", "--trainer", "mine.py:train", "--classes", "10", "--resolution", "32", "--epochs", "1"]


class Toy:
    """Runs the newest training first, here and now."""

    at_once = 3

    def __init__(self, asked, where):
        self.where, self.entered, self.paused = where, False, False

    def __enter__(self):
        self.entered = True
        return self

    def __exit__(self, *_):
        self.entered = False

    def pause(self):
        self.paused = True

    end = pause

    def run(self, next_training):
        assert self.entered
        waiting = []
        while len(waiting) < self.at_once and (claimed := next_training()) is not None:
            waiting.append(claimed)
        while waiting and not self.paused:
            key, training = waiting.pop()
            kept = checkpoint_path(self.where.checkpoints, training)
            try:
                found = task_named(training.trainer).observe(training, Conditions("cpu", 1, lambda _: False, kept))
                write_observation(self.where.observations, key, training, found)
            except Exception as error:
                yield explained(key, error)
            else:
                yield Event("done", key)
            if (claimed := next_training()) is not None:
                waiting.append(claimed)


def test_a_toy_engine_goes_through_the_whole_loop(run):
    Path("mine.py").write_text(TRAINER)
    assert run("sample", *STUDY, *MADE, "--trials", "10")[0] == 0
    with ENGINES.temporarily("toy", Toy):
        code, out, err = run("train", *STUDY, "--engine", "toy", "--hours", "1")
        assert (code, out) == (0, "results/mine: 10 trained, 0 failed, 0 wait\n"), err
    assert "plan: 1 h" in err and "10 trained" in err
    for command in ("front", "fit", "predict --flops 10M", "status", "report"):
        code, _, err = run(*command.split(), *(STUDY if command != "predict --flops 10M" else ()))
        assert code == 0, (command, err)


def test_an_engine_that_is_none_is_refused_by_the_command_with_those_that_are_named(run, new):
    with ENGINES.temporarily("toy", Toy):
        code, _, err = run("train", *STUDY, "--engine", "dask")
    assert code == 2 and "'dask' is not one of 'local', 'ray', 'slurm', 'inline', 'toy'" in err


def test_the_names_of_ours_are_their_engines(tmp_path):
    where = Workplace(tmp_path, waiting=2)
    kinds = {"local": LocalEngine, "ray": RayEngine, "slurm": SlurmEngine, "inline": InlineEngine}
    assert ENGINES.names() == tuple(kinds)
    for name, kind in kinds.items():
        engine = ENGINES[name](Resources(engine=name, device="cpu", workers=3), where)
        assert type(engine) is kind and engine.at_once == {"local": 2, "inline": 1}.get(name, 3)


def test_an_engine_is_registered_by_a_decorator_and_ours_stay():
    with pytest.raises(PlannerError, match="engine 'slurm' is there already"):
        register_engine("slurm")(Toy)


def test_threads_are_of_engines_on_this_machine():
    for name in ("local", "inline"):
        assert Resources(engine=name, threads=2).threads == 2
    with pytest.raises(PlannerError, match="--threads is of --engine local; leave it out, or take that engine"):
        Resources(engine="ray", threads=2)
