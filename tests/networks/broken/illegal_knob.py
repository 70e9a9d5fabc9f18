"""Values of a knob that cannot be built: five heads do not divide 64 channels."""

import torch
from torch import nn

import planner


class Attending(nn.Module):
    def __init__(self, width, depth, classes, heads):
        super().__init__()
        self.first, self.head = nn.Linear(12, width), nn.Linear(width, classes)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, depth)

    def forward(self, x):
        return self.head(self.layers(self.first(x)).mean(1))


@planner.network(
    resolution=32,
    widths=(64,),
    depths=(2,),
    divisor=16,
    knobs={"heads": (4, 5, 7)},
    input=lambda r: torch.zeros(1, r, 12),
)
def attending(resolution, widths, depths, classes, heads):
    return Attending(widths[0], depths[0], classes, heads)
