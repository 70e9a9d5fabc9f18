"""A module that has one block more after every call: its cost is never the same."""

from torch import nn

import planner


class Growing(nn.Module):
    def __init__(self, width, depth, classes):
        super().__init__()
        self.first, self.head, self.width = nn.Conv2d(3, width, 3, 2), nn.Linear(width, classes), width
        self.layers = nn.Sequential(*(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth)))
        Growing.made = getattr(Growing, "made", 0) + 1
        for _ in range(Growing.made):
            self.layers.append(nn.Conv2d(width, width, 1))

    def forward(self, x):
        return self.head(self.layers(self.first(x)).mean((2, 3)))


@planner.network(resolution=32, widths=(16,), depths=(2,))
def growing(resolution, widths, depths, classes):
    return Growing(widths[0], depths[0], classes)
