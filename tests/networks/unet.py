"""A U-Net: classes for every pixel, features put side by side, transposed convolutions up."""

import torch
from torch import nn

import planner


def convolutions(before, width, depth):
    layers = []
    for _ in range(depth):
        layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        before = width
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self, widths, depths, classes):
        super().__init__()
        befores = (3, *widths[:-1])
        self.down = nn.ModuleList(convolutions(*sizes) for sizes in zip(befores, widths, depths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in zip(widths, widths[1:]))
        self.joined = nn.ModuleList(convolutions(2 * a, a, depth) for a, depth in zip(widths[:-1], depths))
        self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(widths[0], classes, 1)

    def forward(self, x):
        kept = []
        for i, block in enumerate(self.down):
            x = block(self.pool(x) if i else x)
            kept.append(x)
        for i in reversed(range(len(self.up))):
            x = self.joined[i](torch.cat([kept[i], self.up[i](x)], dim=1))
        return self.head(x)


@planner.network(resolution=128, widths=(16, 32, 64, 128), depths=(2, 2, 2, 2), divisor=8)
def unet(resolution, widths, depths, classes):
    return UNet(widths, depths, classes)
