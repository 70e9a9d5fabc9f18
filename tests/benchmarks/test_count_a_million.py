"""How fast a million architectures are counted, beside one count by tracing."""

import json
import os
import platform
from time import perf_counter

import numpy as np
import pytest
import torch
from fvcore.nn import FlopCountAnalysis

from sampler import base, rule_named, scale
from sampler.complexity import complexity
from trainer.network import build

ROWS = 1_000_000
REPEATS = 5
BOUNDS = (0.35, 2.8)  # TinyNet's, for each of r, d and w


def median_seconds(work):
    """Median of the repeats after one run to warm up, and the last answer."""
    answer = work()
    seconds = []
    for _ in range(REPEATS):
        start = perf_counter()
        answer = work()
        seconds.append(perf_counter() - start)
    return sorted(seconds)[REPEATS // 2], answer


def macs_by_fvcore(module, resolution):
    analysis = FlopCountAnalysis(module, torch.zeros(1, 3, resolution, resolution))
    operators = analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator()
    return operators["conv"] + operators["linear"]


@pytest.mark.benchmark
@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "mobilenetv3_large_100", "resnet50", "regnety_016", "ghostnet_100", "convnext_tiny"]
)
def test_a_million_random_architectures_are_counted_in_seconds(name):
    rng = np.random.default_rng(0)
    r, d, w = rng.uniform(*BOUNDS, (3, ROWS))
    pixels = np.rint(224 * r).astype(np.int64)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as our count has
    try:
        network = base(name)
        module = build(network.architecture()).eval()
        median_s, counted = median_seconds(lambda: complexity(name, pixels, width=w, depth=d))
        fvcore_s, traced = median_seconds(lambda: macs_by_fvcore(module, 224))
        assert traced == complexity(name, 224).macs

        # A fast wrong answer is not a result: 200 rows one by one, and 3 of the smaller ones traced.
        for row in rng.integers(0, ROWS, 200).tolist():
            alone = complexity(name, int(pixels[row]), width=float(w[row]), depth=float(d[row]))
            assert alone.macs == counted.macs[row]
            assert alone.params == counted.params[row]
            assert alone.activations == counted.activations[row]
        for row in rng.permutation(np.flatnonzero(counted.macs < 1e9))[:3].tolist():
            one = scale(network, rule_named(network.rule), pixels[row], d[row], w[row])[0]
            assert macs_by_fvcore(build(one).eval(), one.resolution) == counted.macs[row]
    finally:
        torch.set_num_threads(threads)

    rate = ROWS / median_s
    print(
        json.dumps(
            {
                "what": "complexity",
                "base": name,
                "rows": ROWS,
                "repeats": REPEATS,
                "threads": 1,
                "median_s": round(median_s, 4),
                "rows_per_s": round(rate),
                "fvcore_count_s": round(fvcore_s, 4),
                "fvcore_over_ours": round(fvcore_s / (median_s / ROWS)),
                "machine": platform.machine(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "numpy": np.__version__,
                "torch": torch.__version__,
            }
        )
    )
    assert rate >= 300_000
