"""Groups that divide few widths: of the multiples of 8, those of 56 alone."""

from torch import nn

import planner


@planner.network(resolution=32, widths=(56,), depths=(2,), divisor=8)
def sevens(resolution, widths, depths, classes):
    layers, before = [nn.Conv2d(3, widths[0], 3, 2)], widths[0]
    for _ in range(depths[0]):
        layers += [nn.Conv2d(before, before, 3, padding=1, groups=7), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
