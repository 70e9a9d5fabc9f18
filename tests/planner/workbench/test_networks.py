"""Python's callers give a function, or its file, where a base network's name is taken."""

import inspect
import typing

import numpy as np
import pandas as pd
import pytest
from torch import nn

import planner
from planner.errors import PlannerError
from sampler.declared.description import NetworkDescription
from trainer.declared import loading

TERM = ["*", "depth_1", ["*", "width_1", "width_1"]]
COUNTS = {
    "follows": {},
    "cells": [],
    "parts": [{"part": 1, "macs": ["*", TERM, "heads_1"], "params": TERM, "activations": TERM}],
    "alive": "resolution",
    "int64s": 0,
}


@planner.network(resolution=32, widths=(16,), depths=(2,), knobs={"heads": (2, 4)})
def declared_here(resolution, widths, depths, classes, heads):
    return nn.Sequential(*(nn.Linear(widths[0], widths[0], bias=False) for _ in range(depths[0])))


@pytest.fixture(autouse=True)
def by_hand(monkeypatch, tmp_path):
    """Whatever is declared costs what is written above; what a test makes known is forgotten."""

    def derive(spec, tell=None):
        facts = {name: getattr(spec, name) for name in ("name", "resolution", "widths", "depths", "knobs")}
        return NetworkDescription(**facts, least=1, step=1, divisors=(spec.divisor,), images=True, counts=COUNTS)

    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "_derive", type("Derivation", (), {"derive": staticmethod(derive)}))
    yield
    for name in loading.declared_names():
        loading.forget_network(name)


def test_a_function_is_counted_for_one_network_and_for_arrays():
    assert planner.complexity(declared_here).macs == 2 * 2 * 16 * 16
    counted = planner.complexity(
        declared_here, resolution=[32, 40], widths=[[16], [24]], depths=[[1], [3]], knobs={"heads": [2, 4]}
    )
    assert counted.macs.tolist() == [2 * 16 * 16, 4 * 3 * 24 * 24] and counted.macs.dtype == np.int64
    assert planner.complexity(declared_here, knobs={"heads": 4}).macs == 2 * planner.complexity("declared_here").macs
    several = planner.complexity([declared_here, "resnet18", planner.base(declared_here).architecture()]).params
    assert several.tolist() == [512, 11_689_512, 512]


def test_its_base_network_is_built_and_scaled(tmp_path):
    network = planner.base(declared_here)
    assert network == planner.base("declared_here") and network.widths == (16,)
    assert len(planner.build(network.architecture(), classes=3)) == 2
    assert planner.at_budget("width", declared_here, 50_000).architecture.base == "declared_here"


def test_a_file_is_given_as_it_is_to_the_commands(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(inspect.getsource(inspect.getmodule(declared_here)).partition("@pytest.fixture")[0])
    assert planner.base(f"{file}:declared_here").name == "declared_here"
    with pytest.raises(PlannerError, match=r"--base .*mine.py:none: .* has no 'none'"):
        planner.complexity(f"{file}:none")


def test_a_table_is_fitted_for_it():
    rng = np.random.default_rng(0)
    depths, widths = rng.integers(1, 9, 40), 8 * rng.integers(1, 9, 40)
    frame = pd.DataFrame({"resolution": 32, "depth_1": depths, "width_1": widths})
    frame["macs"] = planner.complexity(declared_here, widths=widths[:, None], depths=depths[:, None]).macs
    frame["accuracy"] = 0.9 - frame["macs"] ** -0.2 - 0.001 * depths
    assert planner.fit(frame, base=declared_here).base == "declared_here"


def test_the_wrapped_doors_keep_their_names_and_types():
    for name in planner.NAMING:
        door = getattr(planner, name)
        assert door.__name__ == name and door is getattr(planner, name)
        assert planner.NAMING[name] in inspect.signature(door).parameters and typing.get_type_hints(door)


def test_what_declares_nothing_is_refused_as_before():
    for given in (len, nn.Linear(2, 3), [len]):
        with pytest.raises(PlannerError, match="is no network of the planner's: name one of `planner bases`, or give"):
            planner.complexity(given)
