"""Whole derivations of small networks, held against hand-written counts."""

import random

import pytest
import torch
from torch import nn

from sampler.declared.spec import network_spec
from sampler.errors import InputError
from trainer.declared.derive import derive, values_at
from trainer.declared.legal import point_of


class Plain(nn.Module):
    """Convolutions of stride 2 and blocks of 3x3."""

    def __init__(self, widths, depths, classes):
        super().__init__()
        layers, before = [], 3
        for width, depth in zip(widths, depths, strict=True):
            layers.append(nn.Conv2d(before, width, 3, 2, 1))
            layers += [nn.Conv2d(width, width, 3, 1, 1) for _ in range(depth)]
            before = width
        self.body, self.head = nn.Sequential(*layers), nn.Linear(before, classes)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


def plain(resolution, widths, depths, classes):
    return Plain(widths, depths, classes)


def by_hand(resolution, widths, depths, classes):
    macs, params, before, side = 0, 0, 3, resolution
    for width, depth in zip(widths, depths, strict=True):
        side = -(-side // 2)
        macs += side**2 * 9 * width * (before + depth * width)
        params += width * (9 * before + 1) + depth * width * (9 * width + 1)
        before = width
    return macs + before * classes, params + before * classes + classes


@pytest.fixture(scope="module")
def derived():
    return derive(network_spec(plain, 32, (16, 32), (2, 1)))


def test_a_plain_network_costs_what_its_layers_do(derived):
    draw = random.Random(3)
    for _ in range(200):
        sizes = (draw.randint(1, 300), [8 * draw.randint(1, 90) for _ in "ab"], [draw.randint(1, 40) for _ in "ab"], 17)
        columns = {f"width_{i}": w for i, w in enumerate(sizes[1], 1)} | {
            f"depth_{i}": d for i, d in enumerate(sizes[2], 1)
        }
        found = values_at(derived.counts, {"resolution": sizes[0], "classes": 17, **columns})
        assert found[:2] == by_hand(*sizes)


def test_what_was_learned_is_said(derived):
    assert (derived.step, derived.least, derived.divisors, derived.images) == (1, 1, (8, 8), True)
    assert derived.derived["checked"] >= 50 and derived.derived["how"] == "closed"


@pytest.mark.slow
def test_knobs_that_follow_are_in_the_terms():
    def attention(resolution, widths, depths, classes, heads):
        layers = [nn.TransformerEncoderLayer(widths[0], heads, 32, batch_first=True) for _ in range(depths[0])]
        return nn.Sequential(nn.Linear(4, widths[0]), *layers)

    spec = network_spec(
        attention, 16, (32,), (2,), knobs={"heads": {"follows": "width / 16"}}, input=lambda n: torch.zeros(1, n, 4)
    )
    found = derive(spec)
    point = point_of(spec, {"width_1": 64, "resolution": 50, "depth_1": 5})
    weights = 64 * (4 * 64 + 2 * 32)
    assert values_at(found.counts, point)[0] == 50 * 4 * 64 + 5 * (50 * weights + 2 * 50 * 50 * 64)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (
            lambda resolution, widths, depths, classes: Plain((widths[0], 8), depths, classes),
            "ignores width of stage 2",
        ),
        (lambda resolution, widths, depths, classes: [1], "not a torch.nn.Module"),
        (lambda resolution, widths, depths, classes: Plain((random.randint(1, 10**6),) * 2, depths, 2), "twice"),
        (lambda resolution, widths, depths, classes: Plain(widths, depths, "many"), "at its base size"),
    ],
    ids=["ignored", "no module", "random", "raises"],
)
def test_what_cannot_be_counted_is_refused_in_one_line(factory, words):
    with pytest.raises(InputError, match=words) as refusal:
        derive(network_spec(factory, 32, (16, 32), (2, 1), name="odd"))
    assert "\n" not in str(refusal.value)
