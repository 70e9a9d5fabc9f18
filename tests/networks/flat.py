"""One flat nn.Sequential, as in VGG: its depth moves all numbers in the names, and its head sees resolution."""

from torch import nn

import planner


@planner.network(resolution=64, widths=(16, 32, 64), depths=(1, 2, 2))
def flat(resolution, widths, depths, classes):
    layers, before, side = [], 3, resolution
    for width, depth in zip(widths, depths):
        for _ in range(depth):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            before = width
        layers.append(nn.MaxPool2d(2))
        side //= 2
    layers += [nn.Flatten(), nn.Linear(before * side * side, 256), nn.ReLU(), nn.Dropout(), nn.Linear(256, classes)]
    return nn.Sequential(*layers)
