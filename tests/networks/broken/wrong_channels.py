"""A network of grey images that is declared without `channels=1`."""

from torch import nn

import planner


@planner.network(resolution=32, widths=(16,), depths=(2,))
def grey(resolution, widths, depths, classes):
    layers, before = [], 1
    for _ in range(depths[0]):
        layers, before = [*layers, nn.Conv2d(before, widths[0], 3, padding=1), nn.ReLU()], widths[0]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
