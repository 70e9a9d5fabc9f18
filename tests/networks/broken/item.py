"""Blocks are left out where a number of the image says so."""

from torch import nn

import planner


class Early(nn.Module):
    def __init__(self, width, depth, classes):
        super().__init__()
        self.first, self.head = nn.Conv2d(3, width, 3, 2), nn.Linear(width, classes)
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth))

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
            if x.max().item() > 100:
                break
        return self.head(x.mean((2, 3)))


@planner.network(resolution=32, widths=(16,), depths=(4,))
def early(resolution, widths, depths, classes):
    return Early(widths[0], depths[0], classes)
