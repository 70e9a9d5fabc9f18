"""The second stage has two blocks whatever is asked for."""

from torch import nn

import planner


@planner.network(resolution=32, widths=(16, 32), depths=(1, 2))
def stubborn(resolution, widths, depths, classes):
    layers, before = [], 3
    for width, depth in zip(widths, (depths[0], 2)):
        for _ in range(depth):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
