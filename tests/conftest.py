"""Declared networks written by hand, whose widths, resolutions and knobs go in coarse steps; and images to learn."""

from dataclasses import replace

import numpy as np
import pytest

from sampler.declared.description import Knob, NetworkDescription
from sampler.declared.family import know_declared
from sampler.families import unregister_family
from trainer.image_data import ImageSplit


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


def with_heads():
    """A transformer whose heads cost MACs and follow the width, also to numbers that are none of their values."""
    known = transformer("coarse_heads", 16, 256, 6, 64, {})
    tokens = ["*", ["cell", 0], ["cell", 0], 4, "heads_1", "depth_1"]
    counts = {**known.counts, "follows": {"heads_1": ["max", 1, ["//", "width_1", 64]]}}
    counts["parts"] = [
        {**part, "macs": ["+", part["macs"], tokens]} if part["part"] == 1 else part for part in counts["parts"]
    ]
    return replace(known, knobs=HEADS, counts=counts)


def rest(parts):
    """Parts with what these tests do not look at, and as little memory."""
    small = {"params": ["*", 9, "width_1"], "activations": ["*", "resolution", "resolution"]}
    return {"parts": [{**part, **small} for part in parts], "alive": ["*", 4, "resolution", "resolution"], "int64s": 0}


MLP = {"mlp": Knob((768,), tuple(range(128, 3073, 128)), ["*", "width", 4])}
HEADS = {"heads": Knob((4,), (1, 2, 4, 8), ["max", 1, ["//", "width", 64]])}
KERNELS = {"kernel": Knob((3, 3), (1, 3, 5, 7))}


@pytest.fixture(scope="module")
def coarse():
    """Networks with coarse steps by name, known while a module's tests run."""
    described = (
        transformer("coarse_vit", 16, 192, 6, 64, {}),
        transformer("coarse_mlp_vit", 16, 192, 6, 64, MLP),
        transformer("coarse_tokens", 8, 96, 4, 96, {}),
        with_heads(),
        convolutions("coarse_two", (16, 48), (16, 24), (1, 2), 32, 32, KERNELS),
        convolutions("coarse_three", (16, 32, 48), (8, 16, 24), (1, 2, 2), 16, 8, {}),
    )
    yield {one.name: know_declared(one) for one in described}
    for one in described:
        unregister_family(one.family)


# What a tester allows, by hand: (step of resolutions, least, steps of widths, values of knobs).
LEGAL = {
    "coarse_vit": (16, 16, (64,), {}),
    "coarse_mlp_vit": (16, 16, (64,), {"mlp": set(range(128, 3073, 128))}),
    "coarse_tokens": (8, 8, (96,), {}),
    "coarse_heads": (16, 16, (64,), {"heads": {1, 2, 4, 8}}),
    "coarse_two": (32, 32, (16, 24), {"kernel": {1, 3, 5, 7}}),
    "coarse_three": (8, 16, (8, 16, 24), {}),
}


def check_legal(architectures):
    """Every number is one that its network may have."""
    step, least, widths, knobs = LEGAL[architectures.base]
    assert (architectures.resolution % step == 0).all() and (architectures.resolution >= least).all()
    assert (architectures.widths % np.array(widths) == 0).all() and (architectures.widths > 0).all()
    assert (architectures.depths >= 1).all()
    assert not architectures.stem.any() and not architectures.head.any()
    for name, values in architectures.knobs.items():
        follows = architectures.widths // 64 if name == "heads" else np.zeros_like(values)
        assert all(value in knobs[name] or value == own for value, own in zip(values.flat, follows.flat, strict=True))


def macs_by_hand(name, resolution, widths, depths, knobs, classes=10):
    """The MACs of one network, written out."""
    if name in ("coarse_vit", "coarse_mlp_vit", "coarse_tokens"):
        patch = 8 if name == "coarse_tokens" else 16
        tokens, (width,), (depth,) = (resolution // patch) ** 2, widths, depths
        mlp = knobs.get("mlp", (4 * width,))[0]
        block = tokens * (4 * width * width + 2 * width * mlp) + 2 * tokens * tokens * width
        return tokens * width * 3 * patch**2 + depth * block + width * classes
    total, before = 0, 3
    for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        area = (resolution // 2 ** (i + 1)) ** 2 * knobs.get("kernel", (3,) * len(widths))[i] ** 2
        total += area * (before * width + (depth - 1) * width * width)
        before = width
    return total + before * classes


@pytest.fixture(scope="session", name="check_legal")
def check_legal_of():
    """A function that looks whether all numbers of architectures are legal."""
    return check_legal


@pytest.fixture(scope="session", name="macs_by_hand")
def macs_by_hand_of():
    """A function that counts one network, written out."""
    return macs_by_hand


def striped_images(n, seed, side=40):
    """Two classes that a network can tell apart at once: horizontal and vertical stripes, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    ramp = np.arange(side) // 4 % 2 * 200.0
    images = np.where(labels[:, None, None] == 0, ramp[None, :, None], ramp[None, None, :])
    noisy = images[..., None] + rng.uniform(0, 55, (n, side, side, 3))
    return ImageSplit(noisy.astype(np.uint8), labels.astype(np.int64))


@pytest.fixture(scope="session", name="stripes")
def stripes_of():
    """`striped_images`, for all tests."""
    return striped_images
