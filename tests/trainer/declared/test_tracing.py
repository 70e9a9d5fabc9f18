"""What one forward pass does, traced without numbers."""

import pytest
import torch
from torch import nn

from sampler.declared.spec import network_spec
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
