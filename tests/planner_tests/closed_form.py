"""A coordinator whose trainings are a formula: `closed_form.py FOLDER SECONDS [TRIAL:SECONDS]`.

It is `planner train` but for the images and the network: the queue, the claims and the ledger are the planner's own.
"""

import sys
import time
from pathlib import Path

from planner import loop
from planner.settings import read_settings
from planner.store import Ledger
from sampler import architecture_complexity
from trainer.engines.engine import Event, observation_path
from trainer.files import write_atomically
from trainer.observation import Fidelity, Observation


def accuracy(macs):
    """What a training of so many MACs gives."""
    return 0.9 - 0.5 * (macs / 1e6) ** -0.3


def observation(one, seed=0):
    """What it observes."""
    cost = architecture_complexity(one, 4)
    costs = {name: getattr(cost, name) for name in ("macs", "params", "activations")}
    value = accuracy(cost.macs)
    return Observation(one, Fidelity(3), seed, "ok", value, 1.0, seconds=1.0, device="cpu", **costs)


class Engine:
    """One training at a time, that takes some seconds and nothing else."""

    def __init__(self, folder, devices, threads, checkpoints, stops):
        self.folder = folder

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, next_training):
        while (job := next_training()) is not None:
            key, training = job
            print("begun", key, flush=True)
            time.sleep(LONG.get(key, SECONDS))
            write_atomically(observation_path(self.folder, key), observation(training.architecture).to_json())
            yield Event("done", key)


class Spoken:
    """Progress on stdout."""

    def start(self, *_):
        pass

    epoch = close = start

    def done(self, number, _):
        print("done", number, flush=True)

    def note(self, text):
        print("note", text, flush=True)


if __name__ == "__main__":
    FOLDER, SECONDS = Path(sys.argv[1]), float(sys.argv[2])
    LONG = {int(key): float(value) for key, value in (text.split(":") for text in sys.argv[3:])}
    loop.LocalEngine = Engine
    loop.check_images = lambda *_: 1
    ledger = Ledger(FOLDER, read_settings(FOLDER / "study.toml"))
    print("ended", loop.train_queued(ledger, FOLDER, loop.Resources(workers=1, device="cpu"), Spoken()), flush=True)
