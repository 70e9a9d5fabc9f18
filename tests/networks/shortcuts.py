"""A ResNet whose shortcut is convolved only where the widths differ, its stages are pooled between, classes vary."""

import torch.nn.functional as F
from torch import nn

import planner


class Block(nn.Module):
    def __init__(self, before, width):
        super().__init__()
        self.first, self.second = nn.Conv2d(before, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.short = nn.Conv2d(before, width, 1) if before != width else nn.Identity()

    def forward(self, x):
        return F.relu(self.short(x) + self.second(F.relu(self.first(x))))


@planner.network(resolution=32, widths=(16, 32, 32, 64), depths=(2, 2, 2, 1), divisor=8)
def shortcuts(resolution, widths, depths, classes):
    layers, before = [nn.Conv2d(3, 16, 3, padding=1)], 16
    for width, depth in zip(widths, depths):
        layers.append(nn.AvgPool2d(2, ceil_mode=True))
        for _ in range(depth):
            layers.append(Block(before, width))
            before = width
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(before, classes))
