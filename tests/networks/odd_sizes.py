"""Sizes as people write them: shares of widths, ceilings, sums and maxima of widths, depths doubled and halved."""

import math

import torch
from torch import nn

import planner


class Sum(nn.Module):
    def __init__(self, befores, width):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(before, width, 1) for before in befores)

    def forward(self, maps):
        sizes = maps[-1].shape[-2:]
        return sum(nn.functional.adaptive_max_pool2d(layer(x), sizes) for layer, x in zip(self.layers, maps))


class Odd(nn.Module):
    def __init__(self, resolution, widths, depths, classes):
        super().__init__()
        self.stages, before = nn.ModuleList(), 3
        for i, (width, depth) in enumerate(zip(widths, depths)):
            layers = [nn.Conv2d(before, width, 3 + 2 * i, 2, 1), nn.GELU()]
            for k in range(2 * depth - 1):
                middle = int(width * 0.7) if k % 2 else math.ceil(width / 3)
                layers += [nn.Conv2d(width, middle, 1), nn.GELU(), nn.Conv2d(middle, width, 3, padding=1)]
            if depth > 2:
                layers.append(nn.Conv2d(width, width, 3, padding=1, groups=width))
            self.stages.append(nn.Sequential(*layers))
            before = width
        common = max(widths)
        self.joined, self.pool = Sum(widths, common), nn.AdaptiveAvgPool2d(max(1, resolution // 32))
        extra = [nn.Linear(common, common) for _ in range(math.ceil(depths[-1] / 2))]
        places = max(1, resolution // 32) ** 2
        self.extra, self.head = nn.Sequential(*extra), nn.Linear(places * common + sum(widths) // 2, classes + 1)

    def forward(self, x):
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        facts = torch.cat([one.mean((2, 3)) for one in maps], 1)[:, ::2]
        y = self.pool(self.joined(maps)).flatten(2).transpose(1, 2)
        return self.head(torch.cat([self.extra(y).flatten(1), facts], 1))


@planner.network(resolution=96, widths=(20, 40, 60), depths=(1, 2, 3), divisor=10, step=8)
def odd_sizes(resolution, widths, depths, classes):
    return Odd(resolution, widths, depths, classes)
