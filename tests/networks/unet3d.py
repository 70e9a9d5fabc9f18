"""A U-Net of volumes: three dimensions, sums instead of concatenation, trilinear upsampling."""

import torch
from torch import nn

import planner


def block(before, width):
    return nn.Sequential(nn.Conv3d(before, width, 3, padding=1), nn.GroupNorm(4, width), nn.LeakyReLU())


class Volume(nn.Module):
    def __init__(self, widths, depths, classes):
        super().__init__()
        self.down, before = nn.ModuleList(), 1
        for width, depth in zip(widths, depths):
            self.down.append(nn.Sequential(block(before, width), *(block(width, width) for _ in range(depth - 1))))
            before = width
        self.up = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in zip(widths, widths[1:]))
        self.large = nn.Upsample(scale_factor=2, mode="trilinear")
        self.pool, self.head = nn.MaxPool3d(2), nn.Conv3d(widths[0], classes, 1)

    def forward(self, x):
        kept = []
        for i, down in enumerate(self.down):
            x = down(self.pool(x) if i else x)
            kept.append(x)
        for before, up in zip(kept[-2::-1], reversed(self.up)):
            x = before + self.large(up(x))
        return self.head(x)


@planner.network(
    resolution=32, widths=(8, 16, 32), depths=(1, 2, 2), divisor=4, input=lambda r: torch.zeros(1, 1, r, r, r // 2)
)
def volume(resolution, widths, depths, classes):
    return Volume(widths, depths, classes)
