"""A transformer of four knobs: patch, heads, width of a head, width of the linear layers; query and key of one head."""

import torch
from torch import nn

import planner


class Block(nn.Module):
    def __init__(self, width, heads, size, mlp):
        super().__init__()
        self.heads, self.size = heads, size
        self.query, self.key_value = nn.Linear(width, heads * size), nn.Linear(width, 2 * size)
        self.out, self.norm = nn.Linear(heads * size, width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, mlp), nn.GELU(), nn.Linear(mlp, width))

    def forward(self, x):
        n, t, _ = x.shape
        y = self.norm(x)
        q = self.query(y).view(n, t, self.heads, self.size).transpose(1, 2)
        k, v = self.key_value(y)[:, None].chunk(2, dim=-1)
        weights = (q @ k.transpose(-1, -2) * self.size**-0.5).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).flatten(2))
        return x + self.mlp(x)


class Heads(nn.Module):
    def __init__(self, side, width, depth, classes, patch, **sizes):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.first = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.places = nn.Parameter(torch.randn(1, 1 + (side // patch) ** 2, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, **sizes) for _ in range(depth)))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(x.shape[0], -1, -1), x], dim=1) + self.places
        return self.head(self.blocks(x)[:, 0])


@planner.network(
    resolution=128,
    widths=(192,),
    depths=(6,),
    divisor=16,
    knobs={
        "patch": (16, 8, 32),
        "heads": dict(base=3, values=(1, 2, 3, 4, 6, 8), follows="width/64"),
        "size": (64, 16, 32),
        "mlp": dict(base=768, values=tuple(range(128, 2049, 128)), follows="width*4"),
    },
)
def heads(resolution, widths, depths, classes, patch, heads, size, mlp):
    return Heads(resolution, widths[0], depths[0], classes, patch, heads=heads, size=size, mlp=mlp)
