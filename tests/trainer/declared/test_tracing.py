"""What one forward pass does, traced without numbers."""

import math

import pytest
import torch
from torch import nn

from sampler.declared.spec import network_spec
from trainer.declared.derive import derive, values_at
from trainer.declared.legal import point_of
from trainer.declared.tracing import trace


class Tied(nn.Module):
    """Words whose weights are its classifier's; a mask and a table that it has twice."""

    def __init__(self, width, depth, looks):
        super().__init__()
        drops = torch.linspace(0, 0.1, depth)
        self.drops = [one.item() for one in drops] if looks else [0] * depth
        self.words, self.head = nn.Embedding(50, width), nn.Linear(width, 50, bias=False)
        self.head.weight = self.words.weight
        self.rnn = nn.GRU(width, width, batch_first=True)
        self.register_buffer("table", torch.zeros(30, dtype=torch.int64))
        self.register_buffer("again", self.table)

    def forward(self, ids):
        return self.head(self.rnn(self.words(ids))[0])


def traced(looks):
    def factory(resolution, widths, depths, classes):
        return Tied(widths[0], depths[0], looks)

    spec = network_spec(factory, 6, (8,), (2,), input=lambda n: torch.zeros(1, n, dtype=torch.int64))
    return trace(spec, point_of(spec, {}))


@pytest.mark.parametrize("looks", [False, True], ids=["built without numbers", "built with numbers that it looks at"])
def test_shared_weights_count_once_wherever_they_are_built(looks):
    found = traced(looks).counts()
    gru = 3 * (8 * 8 + 8 * 8 + 8 + 8)
    assert found[0] == 6 * 8 * 50 + 6 * 3 * (64 + 64)
    assert found[1] == 50 * 8 + gru


class Indexed(nn.Module):
    """Maps of whole numbers and of booleans, one after another."""

    def forward(self, x):
        index = x.argsort(-1)  # with the sorted numbers, and the input
        del x
        halves = index.to(torch.int32)
        del index
        return halves > 3


def test_elements_of_eight_bytes_are_told_from_the_networks_own():
    spec = network_spec(lambda resolution, widths, depths, classes: Indexed(), 6, (8,), (1,), channels=2, name="any")
    found = trace(spec, point_of(spec, {}))
    n = 2 * 6 * 6
    kinds = {one.kind: math.prod(one.dims) for one in found.storages}
    assert [kinds[name] for name in ("input", "sort", "_to_copy.int64s", "gt")] == [n, n, n // 2, n]
    # The input, where it was, and that in four bytes: as many bytes as when it was sorted, more of whole numbers.
    assert found.counts()[3:] == (n, n + n // 2)


def test_a_networks_peak_of_indices_follows_its_sizes():
    class Pixels(nn.Module):
        def __init__(self, width, depth):
            super().__init__()
            self.words = nn.Embedding(40, width)
            self.layers = nn.Sequential(*(nn.Conv2d(width, width, 1) for _ in range(depth)))

        def forward(self, ids):
            maps = self.layers(self.words(ids).permute(0, 3, 1, 2))
            return maps.argsort(1) if maps.shape[1] < 20 else maps

    def factory(resolution, widths, depths, classes):
        return Pixels(widths[0], depths[0])

    spec = network_spec(factory, 8, (16,), (2,), input=lambda n: torch.zeros(1, n, n, dtype=torch.int64), divisor=4)
    found = derive(spec).counts
    for side, width, depth in ((8, 16, 2), (5, 12, 1), (30, 64, 4)):
        sizes = point_of(spec, {"resolution": side, "width_1": width, "depth_1": depth})
        own, eights = values_at(found, sizes)[3:]
        maps = width * side * side
        # A map, sorted, and where it was; or what the layers are given, and a layer's map and what it gives. The input
        # lives all along.
        expected = (2 * maps, side * side + maps) if width < 20 else (3 * maps, side * side)
        assert (own, eights) == expected
