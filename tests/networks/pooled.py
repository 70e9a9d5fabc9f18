"""Pooled to 1, 2, 3 and 6 places whatever the size, blown up again and put side by side, as in a PSPNet."""

import torch
import torch.nn.functional as F
from torch import nn

import planner


class Pyramid(nn.Module):
    def __init__(self, widths, depths, classes):
        super().__init__()
        layers, before = [], 3
        for width, depth in zip(widths, depths):
            for i in range(depth):
                layers += [nn.Conv2d(before, width, 3, 1 if i else 2, 1, bias=False), nn.BatchNorm2d(width), nn.PReLU()]
                before = width
        self.layers, self.places = nn.Sequential(*layers), (1, 2, 3, 6)
        self.pooled = nn.ModuleList(nn.Conv2d(before, before // 4, 1) for _ in self.places)
        self.head = nn.Conv2d(before + 4 * (before // 4), classes, 3, padding=1)

    def forward(self, image):
        x = self.layers(image)
        parts = [x]
        for places, layer in zip(self.places, self.pooled):
            part = layer(F.adaptive_avg_pool2d(x, places))
            parts.append(F.interpolate(part, size=x.shape[2:], mode="bilinear", align_corners=False))
        return F.interpolate(self.head(torch.cat(parts, 1)), size=image.shape[2:], mode="bilinear")


@planner.network(resolution=96, widths=(16, 32, 64), depths=(1, 2, 2), divisor=2)
def pyramid(resolution, widths, depths, classes):
    return Pyramid(widths, depths, classes)
