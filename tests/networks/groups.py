"""RegNet-like: grouped convolutions, the width of a group for each stage, squeeze-excite of a quarter."""

from timm.layers import SqueezeExcite
from torch import nn

import planner


class Block(nn.Module):
    def __init__(self, before, width, group, stride):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(before, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, groups=width // group, bias=False),
            SqueezeExcite(width, rd_ratio=0.25),
            nn.Conv2d(width, width, 1, bias=False),
        )
        self.short = nn.Conv2d(before, width, 1, stride, bias=False) if stride > 1 or before != width else None

    def forward(self, x):
        return (x if self.short is None else self.short(x)) + self.layers(x)


@planner.network(
    resolution=96,
    widths=(32, 64, 128),
    depths=(1, 2, 3),
    divisor=32,
    knobs={"group": dict(base=(8, 16, 16), values=(8, 16, 32))},
)
def groups(resolution, widths, depths, classes, group):
    layers, before = [nn.Conv2d(3, 32, 3, 2, 1)], 32
    for width, depth, of_group in zip(widths, depths, group):
        for i in range(depth):
            layers.append(Block(before, width, of_group, 1 if i else 2))
            before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
