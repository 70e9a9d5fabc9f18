"""A function that wants other things."""

from torch import nn

import planner


@planner.network(resolution=32, widths=(16,), depths=(2,))
def foreign(size, channels):
    return nn.Sequential(nn.Conv2d(3, channels, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
