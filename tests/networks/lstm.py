"""A tagger of words: an embedding, an LSTM in both directions, a class for every word."""

import torch
from torch import nn

import planner


class Tagger(nn.Module):
    def __init__(self, width, depth, classes):
        super().__init__()
        self.words = nn.Embedding(5000, 64)
        self.lstm = nn.LSTM(64, width, depth, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, ids):
        return self.head(self.lstm(self.words(ids))[0])


@planner.network(
    resolution=24, widths=(128,), depths=(2,), divisor=8, input=lambda r: torch.zeros(1, r, dtype=torch.int64)
)
def tagger(resolution, widths, depths, classes):
    return Tagger(widths[0], depths[0], classes)
