"""A knob that nothing follows."""

from torch import nn

import planner


@planner.network(resolution=32, widths=(16,), depths=(1,), knobs={"kernel": (3, 5, 7)})
def deaf(resolution, widths, depths, classes, kernel):
    layers, before = [], 3
    for _ in range(depths[0]):
        layers, before = [*layers, nn.Conv2d(before, widths[0], 3, padding=1), nn.ReLU()], widths[0]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
