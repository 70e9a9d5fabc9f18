"""A U-Net of as many levels as its depth says: each doubles the channels, up to 512, and halves the side."""

import torch
from torch import nn

import planner


class Level(nn.Module):
    def __init__(self, before, width, left):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.inner = Level(width, min(2 * width, 512), left - 1) if left else None
        inner = min(2 * width, 512)
        self.up = nn.ConvTranspose2d(inner, width, 4, stride=2, padding=1) if left else None
        self.last = nn.Conv2d(2 * width if left else width, width, 3, padding=1)

    def forward(self, x):
        x = self.first(x)
        if self.inner is None:
            return self.last(x)
        y = self.up(self.inner(nn.functional.max_pool2d(x, 2)))
        return self.last(torch.cat([x, y[..., : x.shape[-2], : x.shape[-1]]], 1))


@planner.network(resolution=128, widths=(16,), depths=(4,), divisor=4, channels=1, step=32)
def levels(resolution, widths, depths, classes):
    return nn.Sequential(Level(1, widths[0], depths[0]), nn.Conv2d(widths[0], classes, 1))
