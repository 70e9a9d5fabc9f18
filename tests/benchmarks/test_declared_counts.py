"""Networks that strangers declare: traces and seconds to derive each, exact of 200, counts per second, size."""

import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import pytest

from sampler.architecture import Architectures
from sampler.complexity import count
from sampler.declared.family import know_declared
from trainer.declared.derive import derive

TESTS = Path(__file__).parents[1]
FILES = sorted({file.stem for file in (TESTS / "networks").glob("*.py")} - {"conftest"})
NAMED = {"gpt", "timm_vit", "timm_swin", "unet", "yolo", "dscnn", "tcn", "mixer", "timm_convnextv2", "timm_densenet"}
ROWS, TRIED = 100_000, 200


def helper(name):
    found = importlib.util.spec_from_file_location(name, TESTS / "declared" / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def random_rows(description):
    rng, n = np.random.default_rng(0), ROWS
    steps = (2 * description.resolution - description.least) // description.step
    resolution = description.least + description.step * rng.integers(0, max(steps, 1) + 1, n)
    widths = [
        divisor * rng.integers(max(1, width // divisor // 4), 3 * width // divisor + 1, n)
        for width, divisor in zip(description.widths, description.divisors, strict=True)
    ]
    depths = [rng.integers(1, max(4, 2 * depth) + 1, n) for depth in description.depths]
    none = np.zeros(n, dtype=np.int64)
    return Architectures(description.name, resolution, none, np.stack(widths, 1), np.stack(depths, 1), none)


@pytest.mark.benchmark
@pytest.mark.parametrize("name", FILES)
def test_a_strangers_network_is_derived_and_counted(name):
    oracle, trial = helper("oracle"), helper("trial")
    spec = trial.spec_of(TESTS / "networks" / f"{name}.py")
    start = time.perf_counter()
    description = derive(spec)
    derived_s = time.perf_counter() - start

    draws = list(oracle.drawn(description, TRIED, seed=2, ties=0.2))
    start = time.perf_counter()
    lines = [trial.wrong(spec, description, oracle.truth, [draw]) for draw in draws]
    refused = sum("cannot be built" in one[0] for one in lines if one)
    inexact = sum(map(bool, lines)) - refused
    checked_s = time.perf_counter() - start

    rate = None
    if description.counts:
        know_declared(description, anew=True)
        rows = random_rows(description)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            count(rows, 10)
            seconds.append(time.perf_counter() - start)
        rate = round(ROWS / sorted(seconds)[1])
    print(
        json.dumps(
            {
                "what": "declared",
                "network": name,
                "named": name in NAMED,
                "traces": description.derived.get("traces"),
                "derived_s": round(derived_s, 1),
                "exact": TRIED - inexact - refused,
                "of": TRIED - refused,
                "oracle_s_each": round(checked_s / TRIED, 3),
                "counts_per_s": rate,
                "cells": len(description.counts["cells"]) if description.counts else None,
                "file_kb": round(len(json.dumps(description.to_json())) / 1e3, 1),
                "least": description.least,
                "step": description.step,
                "divisors": description.divisors,
            }
        )
    )
    assert not inexact
    assert rate is None or rate > 100_000
