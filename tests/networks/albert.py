"""A text encoder whose blocks are all the same one, so that depth costs MACs and no params; a narrow embedding."""

import torch
from torch import nn

import planner


class Albert(nn.Module):
    def __init__(self, tokens, width, depth, classes):
        super().__init__()
        self.words, self.wide = nn.Embedding(3000, 64), nn.Linear(64, width)
        self.places = nn.Parameter(torch.zeros(1, tokens, width))
        self.block = nn.TransformerEncoderLayer(width, 4, 4 * width, batch_first=True, norm_first=True)
        self.depth, self.head = depth, nn.Linear(width, classes)

    def forward(self, ids):
        x = self.wide(self.words(ids)) + self.places
        for _ in range(self.depth):
            x = self.block(x)
        return self.head(x[:, 0])


@planner.network(
    resolution=64, widths=(128,), depths=(6,), divisor=16, input=lambda r: torch.zeros(1, r, dtype=torch.long)
)
def albert(resolution, widths, depths, classes):
    return Albert(resolution, widths[0], depths[0], classes)
