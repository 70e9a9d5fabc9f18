"""A whole study without torch: real coordinator, real workers, real ledger, and a training that is a closed form.

As a program with arguments it is `planner` with those arguments. Without, it makes studies, one for each line of JSON
that it reads, in a process of its own each: forked, so that a hundred studies import pandas and Optuna once.
"""

import json
import os
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path

import trainer.engines.local as local
from planner.study.ledger import Ledger
from planner.study.settings import StudySettings
from planner.training.loop import queue, train_queued
from planner.training.resources import Resources
from sampler import architecture_complexity
from trainer import pausing
from trainer.faults import reach
from trainer.files import write_atomically
from trainer.images_task import ImagesTask
from trainer.observation import EpochRecord, Observation

# Who trains: `images` stands for the image trainer; the others are a function and a program in a file of their own.
OWN = Path(__file__).with_name("closed_form_trainer.py")
SETTINGS = {"data": {"source": "fractal", "side": 90, "classes": 4}, "space": {"resolution": 64, "r": (0.5, 1.4)}}
DEVICE, EPOCHS = "cpu", 3
EPOCH_SECONDS = float(os.environ.get("CLOSED_FORM_SECONDS", "0.002"))


def settings_of(kind):
    """Settings of a study of one kind of trainer."""
    if kind == "images":
        return SETTINGS
    own = {**SETTINGS, "data": {**SETTINGS["data"], "source": ""}}
    if kind == "function":
        return {**own, "trainer": f"{OWN}:train"}
    line = f"{sys.executable} -I -S {OWN} {{macs}} {{params}} {{depths}} {{seed}} {{epochs}} {{folder}}"
    return {**own, "trainer": "command", "command": {"line": line}}


def accuracy_of(architecture, seed):
    """What the closed form gives: a power law of MACs, and a little noise that seed and network alone decide."""
    macs = architecture_complexity(architecture, 4).macs
    return 0.9 - 0.5 * (macs / 1e6) ** -0.3 + random.Random(f"{macs} {architecture.depths} {seed}").gauss(0, 0.01)


def diverges(architecture, seed):
    """One network in three, with the seed that it is given first."""
    return seed < 1000 and architecture_complexity(architecture, 4).params % 3 == 0


def observe(_, training, conditions):
    """Stands in for `ImagesTask.observe`: writes checkpoints, goes on from them, pauses, may diverge."""
    assert "torch" not in sys.modules
    one, epochs = training.architecture, training.fidelity.epochs
    device, on_epoch, checkpoint = conditions.device, conditions.on_epoch, conditions.checkpoint
    done = json.loads(checkpoint.read_text())["epoch"] if checkpoint.exists() else 0
    value = accuracy_of(one, training.seed)
    history = [EpochRecord(epoch, 1.0, value, 1.0) for epoch in range(1, done + 1)]
    status = "ok"
    for epoch in range(done + 1, epochs + 1):
        time.sleep(EPOCH_SECONDS)
        if os.environ.get("CLOSED_FORM_DEFECT") == str(epoch):
            raise ZeroDivisionError("a defect on purpose")
        if diverges(one, training.seed):
            status = "diverged"
            break
        history.append(EpochRecord(epoch, 1.0, value, 1.0))
        write_atomically(checkpoint, json.dumps({"epoch": epoch}))
        on_epoch(tuple(history))
        if pausing.asked():
            raise pausing.PausedError
    cost = architecture_complexity(one, 4)
    costs = {name: getattr(cost, name) for name in ("macs", "params", "activations")}
    result = (value, 1.0) if status == "ok" else (None, None)
    message = "" if status == "ok" else "the loss is nan"
    return Observation(
        one, training.fidelity, training.seed, status, *result, seconds=0.1, device=device, message=message,
        history=tuple(history), **costs
    )  # fmt: skip


if __name__ in ("__main__", "__mp_main__"):  # nothing where doctests are collected
    ImagesTask.observe = observe
    ImagesTask.prepare = lambda *_: None


class Lines:
    """Progress as plain lines."""

    def note(self, text):
        print(text, file=sys.stderr, flush=True)

    def done(self, number, observation):
        print(f"trial {number}: {observation.status}", file=sys.stderr, flush=True)

    def start(self, *_):
        pass

    epoch = close = start


def ledger_of(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return Ledger(folder, StudySettings.model_validate(settings_of(os.environ.get("CLOSED_FORM_TRAINER", "images"))))


def study(folder, trials=6, workers=2, hours=None):
    """From nothing to an export, or from where it was left."""
    ledger = ledger_of(folder)
    with ledger.coordinating():
        queue(ledger, trials, "random")
    train_queued(ledger, folder / "cache", Resources(workers, DEVICE, hours=hours), Lines())
    ledger.export()
    reach("study.done")


def facts_of(folder):
    """What a study came to: counts, ok trainings by what was trained, the front, and what is wrong with it."""
    from planner.front.pareto import as_losses, non_dominated_mask
    from sampler.moves import column_names

    ledger = ledger_of(folder)
    frame = ledger.frame()
    good = frame[frame["status"] == "ok"]
    names = [*column_names(len(ledger.space.network.stages)), "seed"]
    rows = [[int(value) for value in row] for row in good[names].to_numpy()]
    accuracy, macs = good["accuracy"].astype(float), good["macs"].astype(float)
    front = good[non_dominated_mask(as_losses(accuracy, macs))]
    points = sorted([int(m), float(a)] for m, a in zip(front["macs"], front["accuracy"], strict=True))
    wrong = []
    if len({tuple(row) for row in rows}) != len(rows):
        wrong.append("a training is there twice")
    for path in (folder / "observations").glob("*.json"):
        trial = ledger.study.get_trials(deepcopy=False)[int(path.stem)]
        seen = Observation.from_json(path.read_text())
        if not trial.state.is_finished() or trial.user_attrs.get("status") != seen.status:
            wrong.append(f"{path.name} is {seen.status}, its trial {trial.user_attrs.get('status')}")
    for trial in ledger.study.get_trials(deepcopy=False):
        told = [record["epoch"] for record in trial.user_attrs.get("history", [])]
        if trial.values and told != [*range(1, EPOCHS + 1)]:
            wrong.append(f"trial {trial.number} has the epochs {told}")
    left = sorted(path.name for pattern in ("checkpoints/*", "*.part", "*/*.part") for path in folder.glob(pattern))
    return {**ledger.counts(), "rows": sorted(rows), "front": points, "wrong": wrong, "left": left}


def write_facts(folder, out):
    out.write_text(json.dumps(facts_of(folder)))


def forked(act, kill_after=None):
    """Runs something in a process of its own; gives its exit code, negative for a signal."""
    child = os.fork()
    if not child:
        code = 70
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            act()
            code = 0
        except KeyboardInterrupt:
            code = 130
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    if kill_after is not None:
        deadline = time.monotonic() + kill_after
        while time.monotonic() < deadline:
            if (ended := os.waitpid(child, os.WNOHANG))[0]:
                return os.waitstatus_to_exitcode(ended[1])
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def settings_for(folder):
    """Makes a study's folder, which needs no images."""
    from planner.study.settings import write_settings

    write_settings(folder / "study.toml", StudySettings.model_validate(SETTINGS))


def many():
    """Makes the studies that are asked for on stdin."""
    import multiprocessing

    context = multiprocessing.get_context("fork")  # of a process without threads: safe, and no second import
    local.multiprocessing = type("Forking", (), {
        "get_context": staticmethod(lambda _: context),
        "parent_process": staticmethod(multiprocessing.parent_process),
    })  # fmt: skip
    import pandas  # noqa: F401
    import sqlalchemy.dialects.sqlite  # noqa: F401

    import planner.front.pareto  # noqa: F401

    for line in sys.stdin:
        asked = json.loads(line)
        os.environ["CLOSED_FORM_TRAINER"] = asked.get("trainer", "images")
        folder = Path(asked["folder"])
        codes, seconds = [], []
        for run in asked["runs"]:  # each with a fault, a time to be killed at, or neither
            os.environ["PLANNER_FAULT"] = run.get("fault", "")
            start = time.monotonic()
            codes.append(forked(partial(study, folder, asked.get("trials", 6)), run.get("kill_after")))
            seconds.append(time.monotonic() - start)
        os.environ["PLANNER_FAULT"] = ""
        out = folder / "facts.json"
        if forked(partial(write_facts, folder, out)):
            print(json.dumps({"codes": codes, "error": "the ledger cannot be read"}), flush=True)
            continue
        answer = {"codes": codes, "seconds": seconds, **json.loads(out.read_text())}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        from planner.cli import main
        from planner.training import interruption

        interruption.GRACE_SECONDS = 0.5
        try:
            main()
        finally:
            if "torch" in sys.modules:
                print("torch was imported", file=sys.stderr)
    else:
        many()
