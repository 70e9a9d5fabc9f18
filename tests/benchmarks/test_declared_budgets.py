"""Budgets of networks that strangers declare: how near answers come, and whether brute force finds what they miss."""

import importlib.util
import json
import math
import time
from pathlib import Path

import numpy as np
import pytest

import planner
from planner.proposers.pool import architectures_frame
from planner.rules import compound
from planner.study.designs import draw_design
from sampler import SearchSpace
from sampler.complexity import architecture_complexity, count
from sampler.declared.family import declared_family
from sampler.moves import from_rows
from sampler.scaling import rule_named
from trainer.declared.loading import load_network

TESTS = Path(__file__).parents[1]
NETWORKS = {
    "gpt": "gpt",
    "unet": "unet",
    "dscnn": "dscnn",
    "mixer": "mixer",
    "timm_vit": "small_vit",
    "timm_convnextv2": "convnextv2",
}
CLASSES, BUDGETS, ROWS, NEAR = 10, 20, 400_000, 8.0


def helper(name):
    found = importlib.util.spec_from_file_location(name, TESTS / "declared" / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def fitted(network):
    """A formula of 60 synthetic trainings: best where resolution and depth grow with the fifth root of the MACs."""
    space = SearchSpace(network.name, network.resolution, CLASSES, window=(0.1, 6.0))
    frame = architectures_frame(draw_design(space, 60, "stratified", 0, apart=0.25), space)
    off = np.log(frame["r"] / frame["c"] ** 0.2) ** 2 + np.log(frame["d"] / frame["c"] ** 0.2) ** 2
    noise = np.random.default_rng(0).normal(0, 0.002, len(frame))
    accuracy = 0.9 - 0.2 * frame["c"] ** -0.25 - 0.03 * off + noise
    return planner.fit(frame.assign(rule=space.rule, accuracy=accuracy), "tinynet", base=network.name)


def exists(network, centre, budget, times):
    """Whether brute force finds a network within 1 % below a budget, of numbers within a factor of a centre's."""
    one, step = declared_family(network.name).description, rule_named(network.rule).step
    steps = (step, *one.divisors, *[1] * len(one.depths))
    least = (network.stride, *one.divisors, *[1] * len(one.depths))
    levels = []
    for value, by, lowest in zip(centre, steps, least, strict=True):
        low, high = max(math.ceil(value / times / by) * by, lowest), math.floor(value * times / by) * by
        levels.append(np.arange(low, max(high, low) + 1, by))
    if math.prod(map(len, levels)) <= ROWS:
        chosen = np.stack(np.meshgrid(*levels, indexing="ij"), axis=-1).reshape(-1, len(levels))
    else:
        rng = np.random.default_rng(0)
        chosen = np.stack([rng.choice(some, ROWS) for some in levels], axis=1)
    none = np.zeros(len(chosen), dtype=np.int64)
    macs = count(from_rows(network, np.column_stack([chosen[:, 0], none, chosen[:, 1:], none])), CLASSES).macs
    return bool(((macs <= budget) & (macs >= 0.99 * budget)).any())


def asked(network, found):
    """The resolution and the depths that the curves asked for, and the widths of the answer."""
    depths = (max(round(depth * found.d), 1) for depth in network.depths)
    return (found.architecture.resolution - found.pixels_nudged, *found.architecture.widths, *depths)


def report(network, formula, budgets, truth):
    """One line of the table: how near, how far from what was asked, what brute force says of those that miss."""
    left, far, misses, seconds = [], [], [], []
    for budget in budgets:
        start = time.perf_counter()
        found = formula.predict(float(budget), extrapolate=True)
        seconds.append(time.perf_counter() - start)
        own, centre = found.architecture, asked(network, found)
        assert found.macs == truth(own) <= budget
        left.append(1 - found.macs / budget)
        far.append(
            np.abs(np.log([own.resolution, *own.depths]) - np.log(np.delete(centre, range(1, 1 + len(own.widths)))))
        )
        if left[-1] > 0.01:
            misses.append(exists(network, centre, budget, NEAR))
    return {
        "budgets": len(budgets),
        "within_1_percent": int(np.sum(np.array(left) <= 0.01)),
        "left_most": round(float(max(left)), 4),
        "missed_though_there": sum(misses),
        "moved_most": round(float(np.exp(np.max(far))), 2),
        "moved_median": round(float(np.exp(np.median([one.max() for one in far]))), 2),
        "seconds_each": round(float(np.mean(seconds)), 3),
        "seconds_most": round(max(seconds), 2),
    }


@pytest.mark.benchmark
@pytest.mark.parametrize("file", NETWORKS)
def test_budgets_are_met_wherever_a_network_meets_them(file):
    oracle, trial = helper("oracle"), helper("trial")
    path = TESTS / "networks" / f"{file}.py"
    network, spec = load_network(f"{path}:{NETWORKS[file]}"), trial.spec_of(path)

    def truth(one):
        sizes = {"resolution": one.resolution, "widths": one.widths, "depths": one.depths}
        given = {name: tuple(values) for name, values in one.knobs.items()}
        return oracle.truth(spec, {**sizes, "classes": CLASSES, **trial.knobs_of(spec, sizes, given)})[0]

    base = architecture_complexity(network.architecture(), CLASSES).macs
    rule, learned = compound(network.name, network.resolution, CLASSES), fitted(network)
    spans = {"compound": (rule, base / 10, 8 * base), "fitted": (learned, *learned.macs_range)}
    for way, (formula, low, high) in spans.items():
        line = report(network, formula, np.geomspace(low, high, BUDGETS).round(), truth)
        print(json.dumps({"what": "declared budgets", "network": file, "by": way, **line}), flush=True)
        assert not line["missed_though_there"]
