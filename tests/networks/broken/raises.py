"""A function that cannot be called: a typing mistake in it."""

from torch import nn

import planner


@planner.network(resolution=32, widths=(16,), depths=(2,))
def mistyped(resolution, widths, depths, classes):
    return nn.Sequential(nn.Conv2d(3, width[0], 3), nn.Flatten())  # noqa: F821
