"""Keywords in a spectrogram of one channel, 40 bands by so many frames: depthwise-separable convolutions."""

import torch
from torch import nn

import planner


def layer(before, width, kernel, stride=1, groups=1):
    padding = tuple(side // 2 for side in kernel)
    convolution = nn.Conv2d(before, width, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())


@planner.network(
    resolution=101,
    widths=(64, 96),
    depths=(3, 2),
    divisor=8,
    channels=1,
    input=lambda frames: torch.zeros(1, 1, frames, 40),
)
def dscnn(resolution, widths, depths, classes):
    layers, before = [layer(1, widths[0], (10, 4), (2, 2))], widths[0]
    for width, depth in zip(widths, depths):
        for _ in range(depth):
            layers += [layer(before, before, (3, 3), groups=before), layer(before, width, (1, 1))]
            before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
