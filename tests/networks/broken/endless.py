"""A module that is made of itself."""

from torch import nn

import planner


class Mirror(nn.Module):
    def __init__(self, width, depth, classes):
        super().__init__()
        self.first, self.inside = nn.Conv2d(3, width, 3), Mirror(width, depth, classes)


@planner.network(resolution=32, widths=(16,), depths=(2,))
def mirror(resolution, widths, depths, classes):
    return Mirror(widths[0], depths[0], classes)
