"""Declared networks written by hand, whose widths, resolutions and knobs go in coarse steps."""

import pytest

from sampler.declared.description import Knob, NetworkDescription
from sampler.declared.family import know_declared
from sampler.families import unregister_family


def transformer(name, patch, width, depth, step, knobs):
    """One stage, as a plain transformer; MLPs of four times the width where no knob says another."""
    tokens = ["*", ["//", "resolution", patch], ["//", "resolution", patch]]
    mlp = "mlp_1" if knobs else ["*", 4, "width_1"]
    block = ["*", ["cell", 0], ["+", ["*", 4, "width_1", "width_1"], ["*", 2, "width_1", mlp]]]
    attention = ["*", 2, ["cell", 0], ["cell", 0], "width_1"]
    parts = [
        {"part": "stem", "macs": ["*", ["cell", 0], "width_1", 3 * patch**2]},
        {"part": 1, "macs": ["*", "depth_1", ["+", block, attention]]},
        {"part": "head", "macs": ["*", "width_1", "classes"]},
    ]
    return NetworkDescription(
        **{"name": name, "resolution": 14 * patch, "least": patch, "step": patch, "widths": (width,)},
        **{"divisors": (step,), "depths": (depth,), "knobs": knobs, "images": True},
        counts={"follows": {"mlp_1": ["*", "width_1", 4]} if knobs else {}, "cells": [tokens], **rest(parts)},
    )


def convolutions(name, widths, divisors, depths, least, step, knobs):
    """Stages of convolutions, each at half of the side before, of a kernel that a knob may say."""
    parts, before = [], 3
    for i in range(1, len(widths) + 1):
        side = ["//", "resolution", 2**i]
        kernel = f"kernel_{i}" if knobs else 3
        area = ["*", side, side, kernel, kernel]
        inner = ["*", ["-", f"depth_{i}", 1], f"width_{i}", f"width_{i}"]
        parts.append({"part": i, "macs": ["*", area, ["+", ["*", before, f"width_{i}"], inner]]})
        before = f"width_{i}"
    parts.append({"part": "head", "macs": ["*", before, "classes"]})
    return NetworkDescription(
        **{"name": name, "resolution": 64, "least": least, "step": step, "widths": widths, "divisors": divisors},
        **{"depths": depths, "knobs": knobs, "images": True},
        counts={"follows": {f"kernel_{i + 1}": 3 for i in range(len(widths)) if knobs}, "cells": [], **rest(parts)},
    )


def rest(parts):
    """Parts with what these tests do not look at, and as little memory."""
    small = {"params": ["*", 9, "width_1"], "activations": ["*", "resolution", "resolution"]}
    return {"parts": [{**part, **small} for part in parts], "alive": ["*", 4, "resolution", "resolution"], "int64s": 0}


MLP = {"mlp": Knob((768,), tuple(range(128, 3073, 128)), ["*", "width", 4])}
KERNELS = {"kernel": Knob((3, 3), (1, 3, 5, 7))}


@pytest.fixture(scope="module")
def coarse():
    """Networks with coarse steps by name, known while a module's tests run."""
    described = (
        transformer("coarse_vit", 16, 192, 6, 64, {}),
        transformer("coarse_mlp_vit", 16, 192, 6, 64, MLP),
        transformer("coarse_tokens", 8, 96, 4, 96, {}),
        convolutions("coarse_two", (16, 48), (16, 24), (1, 2), 32, 32, KERNELS),
        convolutions("coarse_three", (16, 32, 48), (8, 16, 24), (1, 2, 2), 16, 8, {}),
    )
    yield {one.name: know_declared(one) for one in described}
    for one in described:
        unregister_family(one.family)
