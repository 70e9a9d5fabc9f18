"""Conformer blocks on 80 bands: half-step linear layers, attention, a gated depthwise convolution over time."""

import torch
from torch import nn

import planner


def linear(width, ratio):
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, ratio * width), nn.SiLU(), nn.Linear(ratio * width, width)
    )


class Block(nn.Module):
    def __init__(self, width, heads, kernel, ratio):
        super().__init__()
        self.first, self.second, self.norm = linear(width, ratio), linear(width, ratio), nn.LayerNorm(width)
        self.attention, self.normed = nn.MultiheadAttention(width, heads, batch_first=True), nn.LayerNorm(width)
        self.gated = nn.Sequential(nn.Conv1d(width, 2 * width, 1), nn.GLU(1))
        self.over_time = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.out = nn.Sequential(nn.BatchNorm1d(width), nn.SiLU(), nn.Conv1d(width, width, 1))

    def forward(self, x):
        x = x + self.first(x) / 2
        y = self.normed(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.out(self.over_time(self.gated(x.transpose(1, 2)))).transpose(1, 2)
        return self.norm(x + self.second(x) / 2)


class Conformer(nn.Module):
    def __init__(self, width, depth, classes, **sizes):
        super().__init__()
        self.less = nn.Sequential(nn.Conv2d(1, width, 3, 2), nn.ReLU(), nn.Conv2d(width, width, 3, 2), nn.ReLU())
        self.joined = nn.Linear(19 * width, width)
        self.blocks = nn.Sequential(*(Block(width, **sizes) for _ in range(depth)))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.less(x[:, None])
        x = self.joined(x.permute(0, 2, 1, 3).flatten(2))
        return self.head(self.blocks(x)).log_softmax(-1)


@planner.network(
    resolution=200,
    widths=(144,),
    depths=(4,),
    divisor=16,
    knobs={"heads": dict(base=4, values=(1, 2, 4, 8)), "kernel": (31, 7, 15), "ratio": (4, 1, 2, 3)},
    input=lambda frames: torch.zeros(1, frames, 80),
)
def conformer(resolution, widths, depths, classes, heads, kernel, ratio):
    return Conformer(widths[0], depths[0], classes, heads=heads, kernel=kernel, ratio=ratio)
