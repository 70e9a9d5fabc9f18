"""Declared networks whose costs are written by hand, so that loading is tried without deriving."""

import sys

import pytest

from sampler.declared.description import NetworkDescription
from trainer.declared import loading

# A perceptron of one stage: pixels -> width, depth - 1 times width -> width, classes.
PLAIN = """
from torch import nn

import planner


@planner.network(resolution=8, widths=(16,), depths=(2,), channels=1)
def plain(resolution, widths, depths, classes):
    width, = widths
    layers = [nn.Flatten(), nn.Linear(resolution**2, width)]
    layers += [nn.Linear(width, width) for _ in range(depths[0] - 1)]
    return nn.Sequential(*layers, nn.Linear(width, classes))
"""
FIRST, MORE, LAST = (
    ["*", ["*", "resolution", "resolution"], "width_1"],
    ["*", ["-", "depth_1", 1], ["*", "width_1", "width_1"]],
    ["*", "width_1", "classes"],
)
COUNTS = {
    "follows": {},
    "cells": [],
    "parts": [
        {"part": "stem", "macs": 0, "params": 0, "activations": 0},
        {
            "part": 1,
            "macs": ["+", FIRST, MORE],
            "params": ["+", FIRST, MORE, ["*", "depth_1", "width_1"]],
            "activations": ["*", "depth_1", "width_1"],
        },
        {"part": "head", "macs": LAST, "params": ["+", LAST, "classes"], "activations": "classes"},
    ],
    "alive": ["+", ["*", "resolution", "resolution"], "width_1"],
    "int64s": 0,
}


def by_hand(spec, tell=None):
    """The description of any network, with the costs of the perceptron."""
    facts = {name: getattr(spec, name) for name in ("name", "resolution", "widths", "depths", "knobs", "channels")}
    return NetworkDescription(
        **facts, least=1, step=spec.step or 1, divisors=(spec.divisor,) * len(spec.widths), images=True, counts=COUNTS
    )


@pytest.fixture
def forgotten():
    """Networks that a test makes known are forgotten afterwards, and nothing stays on the path."""
    before = list(sys.path)
    yield
    for name in loading.declared_names():
        loading.forget_network(name)
    sys.path[:] = before


@pytest.fixture
def derived(monkeypatch, tmp_path, forgotten):
    """Names of networks that were derived, by a derivation that knows the perceptron only; an empty cache."""
    names = []

    def derive(spec, tell=None):
        names.append(spec.name)
        return by_hand(spec)

    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "_derive", type("Derivation", (), {"derive": staticmethod(derive)}))
    return names


@pytest.fixture
def plain(tmp_path, derived):
    """The file of the perceptron, of one stage and 16 channels."""
    file = tmp_path / "mine" / "plain_net.py"
    file.parent.mkdir()
    file.write_text(PLAIN)
    return file


@pytest.fixture
def new_process(forgotten):
    """Forgets what this process knows of declared networks and of users' files, as a new process begins."""

    def forget():
        for name in loading.declared_names():
            loading.forget_network(name)
        for title in [title for title in sys.modules if title.startswith("_user_")]:
            del sys.modules[title]

    return forget
