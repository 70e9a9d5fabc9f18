"""A causal network over samples in one dimension: weight-normed convolutions, dilated by two more in every block."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import planner


class Causal(nn.Module):
    def __init__(self, before, width, dilation):
        super().__init__()
        self.past = 2 * dilation
        self.first = weight_norm(nn.Conv1d(before, width, 3, dilation=dilation))
        self.second = weight_norm(nn.Conv1d(width, width, 3, dilation=dilation))
        self.short = nn.Conv1d(before, width, 1) if before != width else None

    def forward(self, x):
        out = F.relu(self.first(F.pad(x, (self.past, 0))))
        out = F.relu(self.second(F.pad(out, (self.past, 0))))
        return F.relu(out + (x if self.short is None else self.short(x)))


@planner.network(
    resolution=1024, widths=(24, 48), depths=(4, 4), divisor=8, input=lambda samples: torch.zeros(1, 2, samples)
)
def tcn(resolution, widths, depths, classes):
    before, blocks = 2, []
    for width, depth in zip(widths, depths):
        for _ in range(depth):
            blocks.append(Causal(before, width, 2 ** min(len(blocks), 10)))
            before = width
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(before, classes))
