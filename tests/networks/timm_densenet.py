"""DenseNet of timm's blocks, each stage with its own growth: what a layer sees depends on all blocks before it."""

from timm.models.densenet import DenseBlock, DenseTransition
from torch import nn

import planner


@planner.network(resolution=224, widths=(32, 32, 32, 32), depths=(6, 12, 24, 16), divisor=4)
def densenet(resolution, widths, depths, classes):
    layers, width = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
    for stage, (growth, depth) in enumerate(zip(widths, depths)):
        if stage:
            layers.append(DenseTransition(width, width // 2))
            width //= 2
        layers.append(DenseBlock(depth, width, 4, growth))
        width += growth * depth
    head = [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]
    return nn.Sequential(*layers, *head)
