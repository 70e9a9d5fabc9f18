"""A function that returns the layers, not a module of them."""

from torch import nn

import planner


@planner.network(resolution=32, widths=(16,), depths=(2,))
def layers(resolution, widths, depths, classes):
    return [nn.Conv2d(3, widths[0], 3), *(nn.Conv2d(widths[0], widths[0], 3) for _ in range(depths[0]))]
