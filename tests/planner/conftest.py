"""Fixtures of the planner's tests."""

import io
import shutil
import sqlite3
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

B0_MACS = 385_814_752  # exact, at 224 px and 1000 classes


@pytest.fixture(scope="session", autouse=True)
def hurried_ledgers():
    """Ledgers do not wait for the disk at every commit: no test cuts the power, and a commit is 20 times as fast."""
    from sqlalchemy import Engine, event

    def hurry(connection, _):
        if isinstance(connection, sqlite3.Connection):
            with suppress(sqlite3.Error):  # of a damaged file, which is the test's own business
                connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", hurry)
    yield
    event.remove(Engine, "connect", hurry)


@pytest.fixture(scope="session")
def published():
    """The table that ships: TinyNets and EfficientNets."""
    return Path(__file__).parents[2] / "results" / "published" / "efficientnet_b0.csv"


@pytest.fixture(scope="session")
def shipped():
    """The formula that ships for EfficientNet-B0."""
    from planner.answers.formula import Formula
    from planner.formulas.codec import read_formula
    from planner.text.shipped import shipped_formula

    return read_formula(shipped_formula("efficientnet_b0"), Formula, "the shipped formula")


@pytest.fixture(scope="session")
def compound_frame():
    """A function: trainings that follow r = c^a, d = c^b to the digit, all of them on the front."""

    def frame(a, b, lowest, highest, rows=20):
        c = np.geomspace(lowest, highest, rows)
        macs = np.rint(c * B0_MACS)
        # Accuracy rises with MACs, so that no training dominates another.
        return pd.DataFrame(
            {"base": "efficientnet_b0", "accuracy": np.linspace(0.5, 0.8, rows), "macs": macs, "r": c**a, "d": c**b}
        )

    return frame


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """A function: `planner ARGS` in an empty folder, as (exit code, stdout, stderr)."""
    from planner.cli import main

    monkeypatch.chdir(tmp_path)

    def planner(*arguments):
        monkeypatch.setattr(sys, "argv", ["planner", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as error:
            code = error.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return planner


@pytest.fixture
def refused(run):
    """A function: the one line with which a command line is refused."""

    def line(*arguments):
        code, out, err = run(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        return err

    return line


@pytest.fixture(scope="session")
def made():
    """A function: what `planner ARGS` prints in a folder, without a failure; for what is made once for many tests."""
    from planner.cli import main

    def printed(folder, *arguments):
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(io.StringIO()) as wrong:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["planner", *map(str, arguments)])
            try:
                main()
            except SystemExit as error:
                assert not error.code, wrong.getvalue()
        return said.getvalue()

    return printed


@pytest.fixture(scope="session")
def train():
    """A function: trains what waits in a ledger, in no time; `accuracy(macs, architecture)` is None where it fails."""
    from sampler import architecture_complexity
    from trainer.observation import Fidelity, Observation

    def observed(one, seed, accuracy):
        cost = architecture_complexity(one, 4)
        costs = {name: getattr(cost, name) for name in ("macs", "params", "activations")}
        value, seconds = accuracy(cost.macs, one), 2 + cost.macs / 1e6
        status = "diverged" if value is None else "ok"
        return Observation(one, Fidelity(3), seed, status, value, value, seconds=seconds, device="cpu", **costs)

    def trained(ledger, accuracy=lambda macs, _: 0.9 - 0.5 * (macs / 1e6) ** -0.3):
        while (claimed := ledger.claim()) is not None:
            number, one, seed = claimed
            ledger.record(number, observed(one, seed, accuracy))

    return trained


@pytest.fixture(scope="session")
def ten_trained(tmp_path_factory, train):
    """The folder of a study with ten trainings, and one that diverged; accuracy is a power law of MACs, and noise."""
    from planner.study.ledger import Ledger
    from sampler import stratified_design

    folder = tmp_path_factory.mktemp("trained") / "mine"
    ledger = Ledger(folder, _settings(folder))
    design = stratified_design(ledger.space, 11, 0)
    ledger.enqueue(design, "stratified")
    noise, failed = iter(np.random.default_rng(0).normal(0, 0.01, 11)), design[4]
    train(ledger, lambda macs, one: None if one == failed else 0.9 - 0.5 * (macs / 1e6) ** -0.3 + next(noise))
    return folder


@pytest.fixture
def mine(ten_trained, run, tmp_path):
    """The ledger of that study, the last one used in the folder where `run` runs."""
    from planner.study.opening import open_ledger

    shutil.copytree(ten_trained, tmp_path / "results" / "mine")
    return open_ledger("mine")


@pytest.fixture
def new(run, tmp_path):
    """The ledger of a study without trainings, the last one used in the folder where `run` runs."""
    from planner.study.opening import open_ledger

    _settings(tmp_path / "results" / "mine")
    return open_ledger("mine")


def _settings(folder):
    """Settings of a study that needs no images, written to its folder."""
    from planner.study.settings import StudySettings, write_settings

    folder.mkdir(parents=True)
    space = {"resolution": 64, "r": (0.5, 1.4)}
    settings = StudySettings.model_validate({"data": {"source": "fractal", "side": 90, "classes": 4}, "space": space})
    write_settings(folder / "study.toml", settings)
    return settings


@pytest.fixture
def in_process():
    """Trainings happen in this process."""
    from planner.training.resources import ENGINES
    from trainer.engines.inline import InlineEngine

    with ENGINES.temporarily("local", lambda _, where: InlineEngine(where)):
        yield


class Silent:
    """Progress that nobody sees."""

    def start(self, *_):
        pass

    epoch = done = note = close = start


@pytest.fixture(scope="session")
def silent():
    return Silent()


# A network of the user's own: 3x3 convolutions, each stage begins with half the pixels.
DECLARED = """
from torch import nn

import planner


@planner.network(resolution=32, widths=(16, 32), depths=(1, 2), step=4)
def net(resolution, widths, depths, classes):
    layers, before = [], 3
    for width, depth in zip(widths, depths):
        for i in range(depth):
            layers += [nn.Conv2d(before, width, 3, 1 if i else 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
"""


def _written_by_hand(spec):
    """What the network costs, as one counts it on paper; the elements alive are a rough guess."""
    from sampler.declared.description import NetworkDescription

    halved = ["//", ["+", "resolution", 1], 2]
    sides = [halved, ["//", ["+", halved, 1], 2]]
    parts = []
    for number, (before, side) in enumerate(zip((3, "width_1"), sides, strict=True), 1):
        width, depth = f"width_{number}", f"depth_{number}"
        weights = ["*", 9, width, ["+", before, ["*", ["-", depth, 1], width]]]
        params = ["+", weights, ["*", 2, width, depth]]
        costs = {"macs": ["*", weights, side, side], "params": params, "activations": ["*", width, depth, side, side]}
        parts.append({"part": number, **costs})
    linear = ["*", "width_2", "classes"]
    parts.append({"part": "head", "macs": linear, "params": ["+", linear, "classes"], "activations": "classes"})
    alive = ["*", 3, "width_1", sides[0], sides[0]]
    counts = {"follows": {}, "cells": [], "parts": parts, "alive": alive, "int64s": ["+", "depth_1", "depth_2"]}
    facts = {name: getattr(spec, name) for name in ("name", "resolution", "widths", "depths", "knobs", "channels")}
    found = {"traces": 4, "seconds": 0.5, "checked": 2, "outputs": [[1, 10]]}
    divisors = (spec.divisor,) * len(spec.widths)
    return NetworkDescription(
        **facts, least=4, step=4, divisors=divisors, images=spec.input is None, counts=counts, derived=found
    )


@pytest.fixture
def declared(monkeypatch, tmp_path):
    """A function that begins anew, as another process does; `mine.py:net` lies here, and is derived by hand."""
    from sampler.families.registry import known_bases
    from trainer.declared import loading

    before, path = set(known_bases()), list(sys.path)

    def derive(spec, tell):
        tell("tracing", 4, 4)
        return _written_by_hand(spec)

    def begin():
        for name in set(known_bases()) - before:
            loading.forget_network(name)
        for title in [title for title in sys.modules if title.startswith("_user_")]:
            del sys.modules[title]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "user-cache"))
    monkeypatch.setattr(loading, "_derive", SimpleNamespace(derive=derive))
    (tmp_path / "mine.py").write_text(DECLARED)
    yield begin
    begin()
    sys.path[:] = path
