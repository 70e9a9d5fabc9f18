"""The width between two layers is drawn."""

import random

from torch import nn

import planner


@planner.network(resolution=32, widths=(16,), depths=(2,))
def drawn(resolution, widths, depths, classes):
    layers, before = [], 3
    for _ in range(depths[0]):
        middle = random.choice((8, 16, 24, 32, 40, 48))
        layers += [nn.Conv2d(before, middle, 3, padding=1), nn.ReLU(), nn.Conv2d(middle, widths[0], 1)]
        before = widths[0]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
