"""A built-in vision transformer beside the same network declared: equal on 100,000 architectures; the speed of both."""

import json
import os
import platform
from time import perf_counter

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

import planner
from sampler import base, unregister_family
from sampler.complexity import count
from sampler.declared.family import declared_family
from sampler.moves import from_rows
from trainer.declared.loading import load_network

ROWS = 100_000
REPEATS = 5
CLASSES = 100
BUILT_IN = "vit_tiny_patch16"


@planner.network(
    resolution=224,
    widths=(192,),
    depths=(12,),
    divisor=64,
    step=16,
    knobs={
        "heads": {"values": (1, 2, 4, 8), "follows": "width / 64"},
        "mlp": {"values": range(64, 4097, 64), "follows": "width * 4"},
    },
)
def vit_of_ones_own(resolution, widths, depths, classes, heads, mlp):
    """Timm's class, of which the planner knows nothing."""
    return VisionTransformer(
        img_size=resolution,
        patch_size=16,
        embed_dim=widths[0],
        depth=depths[0],
        num_heads=heads[0] if isinstance(heads, tuple) else heads,
        mlp_ratio=((mlp[0] if isinstance(mlp, tuple) else mlp) + 0.5) / widths[0],
        num_classes=classes,
    )


@pytest.fixture
def declared():
    network = load_network(vit_of_ones_own)
    yield network
    unregister_family(network.family)


def random_rows(n, seed):
    """`(n, 5)` integers without knobs, and `(n, 2)` heads and MLPs; from two patches a side on."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((n, 5), dtype=np.int64)
    rows[:, 0], rows[:, 2], rows[:, 3] = (
        16 * rng.integers(2, 40, n),
        64 * rng.integers(1, 21, n),
        rng.integers(1, 33, n),
    )
    return rows, np.stack([2 ** rng.integers(0, 4, n), 64 * rng.integers(1, 65, n)], axis=1)


def median_seconds(work):
    """Median of the repeats after one run to warm up."""
    work()
    seconds = []
    for _ in range(REPEATS):
        start = perf_counter()
        work()
        seconds.append(perf_counter() - start)
    return sorted(seconds)[REPEATS // 2]


@pytest.mark.benchmark
def test_the_derived_counts_equal_the_built_in_ones_on_a_hundred_thousand_architectures(declared):
    rows, knobs = random_rows(ROWS, seed=0)
    halves = [(rows[: ROWS // 2], {}), (np.hstack([rows, knobs])[ROWS // 2 :], {"heads": 1, "mlp": 1})]
    for given, named in halves:
        ours, theirs = (count(from_rows(network, given, named), CLASSES) for network in (base(BUILT_IN), declared))
        for cost in ("macs", "params", "activations", "memory"):
            different = np.flatnonzero(getattr(ours, cost) != getattr(theirs, cost))
            assert not len(different), (cost, len(different), given[different[0]].tolist())
    seconds = {
        network.name: median_seconds(lambda network=network: count(from_rows(network, rows), CLASSES))
        for network in (base(BUILT_IN), declared)
    }
    derived = declared_family(declared.name).description.derived
    print(
        json.dumps(
            {
                "what": "derived counts beside built-in ones",
                "rows": ROWS,
                "repeats": REPEATS,
                "rows_per_s": {name: round(ROWS / median) for name, median in seconds.items()},
                "traces": derived["traces"],
                "derived_in_s": derived["seconds"],
                "machine": platform.machine(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "numpy": np.__version__,
                "torch": torch.__version__,
            }
        )
    )
