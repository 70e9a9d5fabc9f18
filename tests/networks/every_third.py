"""A block of another kind every third block, which no stage begins anew; stochastic depth by torch.linspace."""

import torch
from torch import nn

import planner


class Cheap(nn.Module):
    def __init__(self, width, drop):
        super().__init__()
        self.drop, self.layers = drop, nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, groups=width), nn.Hardswish())

    def forward(self, x):
        y = self.layers(x)
        if self.training and torch.rand(1).item() < self.drop:
            return x
        return x + y


class Dear(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(width, 3 * width, 1), nn.GELU(), nn.Conv2d(3 * width, width, 1))

    def forward(self, x):
        return x + self.layers(x)


@planner.network(resolution=96, widths=(24, 48), depths=(4, 6), divisor=8)
def every_third(resolution, widths, depths, classes):
    drops = [x.item() for x in torch.linspace(0, 0.1, sum(depths))]
    layers, before, at = [nn.Conv2d(3, 16, 4, 4)], 16, 0
    for width, depth in zip(widths, depths):
        layers += [nn.Conv2d(before, width, 2, 2)]
        for _ in range(depth):
            layers.append(Dear(width) if at % 3 == 2 else Cheap(width, drops[at]))
            at, before = at + 1, width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
