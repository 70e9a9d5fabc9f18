"""Sound: two strided convolutions of samples, then a GRU, whose last state is classified."""

import torch
from torch import nn

import planner


class Sound(nn.Module):
    def __init__(self, widths, depths, classes):
        super().__init__()
        layers, before = [], 1
        for _ in range(depths[0]):
            layers += [nn.Conv1d(before, widths[0], 9, 4, 4), nn.BatchNorm1d(widths[0]), nn.ReLU()]
            before = widths[0]
        self.layers, self.gru = nn.Sequential(*layers), nn.GRU(before, widths[1], depths[1], batch_first=True)
        self.head = nn.Linear(widths[1], classes)

    def forward(self, x):
        _, last = self.gru(self.layers(x).transpose(1, 2))
        return self.head(last[-1])


@planner.network(resolution=512, widths=(32, 64), depths=(3, 1), divisor=8, input=lambda r: torch.zeros(1, 1, r))
def sound(resolution, widths, depths, classes):
    return Sound(widths, depths, classes)
