"""A declared network written by hand, with every kind of expression, and formulas of it."""

import numpy as np
import pandas as pd
import pytest

from planner.answers.formula import Formula
from planner.formulas.branch import Branch
from planner.gaussian.curve import power_law
from sampler.complexity import base_macs, count
from sampler.declared.description import Knob, NetworkDescription, Source
from sampler.declared.family import know_declared
from sampler.families import unregister_family
from sampler.scaling import rule_named, scale

CELLS = [
    ["//", ["-", ["+", "resolution", 3], 1], 4],  # a strided side
    ["*", ["cell", 0], ["cell", 0]],
    ["divisible", "width_2", 3, 4, 8, 1],
    ["round", "width_3", 5, 32],
    ["max", 8, ["//", "width_1", 4], ["min", "width_2", 24]],
]
STAGES = [
    ["*", "depth_1", 9, "width_1", ["cell", 4], ["cell", 1]],
    [
        *["*", ["//", ["cell", 1], 4]],
        ["sum", 0, ["-", "depth_2", 1], ["*", "width_2", ["+", ["cell", 2], ["*", 2, "index"], ["%", "index", 3]]]],
    ],
    [
        "+",
        ["*", "depth_3", "width_3", "width_3", ["cycle", "depth_3", [3, 4]], ["//", ["cell", 1], 16]],
        ["*", ["table", "kernel_1", [3, 5, 7], [9, 25, 49]], "width_3", "heads_3", ["cell", 3]],
        ["*", ["!=", "width_2", "width_3"], "width_2", "width_3", ["//", ["cell", 1], 16]],
        ["*", [">=", "depth_3", 4], ["<", "heads_1", 3], "width_3", 1000],
        ["*", ["==", "heads_2", 2], "width_2", 500],
    ],
]


def described(name, **changes):
    """A declared network of three stages, by hand."""
    parts = [
        {"part": "stem", "macs": ["*", 27, "width_1", ["cell", 1]]},
        *({"part": i, "macs": macs} for i, macs in enumerate(STAGES, 1)),
        {"part": "head", "macs": ["*", "width_3", "classes"]},
    ]
    params = [{**part, "params": ["*", 9, "width_1", "width_3"], "activations": ["cell", 1]} for part in parts]
    alive = ["*", 3, "resolution", "resolution"]
    heads = {f"heads_{i}": ["max", 1, ["//", f"width_{i}", 32]] for i in (1, 2, 3)}
    facts = {
        **{"resolution": 96, "least": 32, "step": 8, "widths": (32, 64, 128), "divisors": (4, 8, 16)},
        **{"depths": (1, 2, 3), "images": True, "source": Source("mynet.py", "net", "0" * 64)},
        "knobs": {
            "heads": Knob((1, 2, 4), tuple(range(1, 33)), ["max", 1, ["//", "width", 32]]),
            "kernel": Knob((3,), (3, 5, 7)),
        },
        "counts": {
            **{"follows": {**heads, "kernel_1": 3}, "cells": CELLS, "parts": params},
            **{"alive": alive, "int64s": 0},
        },
    }
    return NetworkDescription(name, **{**facts, **changes})


@pytest.fixture(scope="module")
def knows():
    """A function: a description is known until the module's tests are done."""
    names = []

    def know(description):
        names.append(description.family)
        return know_declared(description)

    yield know
    for name in names:
        unregister_family(name)


@pytest.fixture(scope="module")
def declared(knows):
    """The declared network, known."""
    return knows(described("spectral"))


@pytest.fixture(scope="module")
def declared_formula(declared):
    """A formula of power laws for the declared network."""
    branch = Branch(declared.rule, (0.1, 1.0), power_law(0.25), power_law(0.2))
    macs = base_macs(declared.name, declared.resolution, 20)
    return Formula(declared.name, declared.resolution, 20, macs, "compound", {"shrink": branch})


@pytest.fixture(scope="module")
def declared_table(declared):
    """Synthetic trainings of the declared network."""
    return trainings_of(declared)


def trainings_of(network, rows=60, classes=20, seed=0):
    """Synthetic trainings of uniformly scaled networks: accuracy grows with MACs, best where r, d, w are balanced."""
    rng = np.random.default_rng(seed)
    rule = rule_named(network.rule)
    r, d, w = (np.exp(rng.uniform(np.log(low), np.log(high), rows)) for low, high in ((0.4, 1), (0.4, 2), (0.4, 1.2)))
    ones = scale(network, rule, np.maximum(rule.pixels(network.resolution, r), network.stride), d, w)
    counted = count(ones, classes)
    c = counted.macs / base_macs(network.name, network.resolution, classes)
    off = (np.log(r) - 0.25 * np.log(c)) ** 2 + (np.log(d) - 0.2 * np.log(c)) ** 2
    accuracy = 0.75 - 0.12 * c**-0.3 - 0.05 * off + rng.normal(0, 0.003, rows)
    frame = pd.DataFrame({"base": network.name, "base_resolution": network.resolution, "classes": classes}, range(rows))
    frame = frame.assign(resolution=ones.resolution, stem=ones.stem, head=ones.head)
    for kind, columns in (("width", ones.widths), ("depth", ones.depths)):
        for stage in range(columns.shape[1]):
            frame[f"{kind}_{stage + 1}"] = columns[:, stage]
    return frame.assign(macs=counted.macs, params=counted.params, accuracy=accuracy, seconds=10.0)
