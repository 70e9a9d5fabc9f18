"""Raw sound: strided convolutions in one dimension, no padding, then a transformer with a wide convolution."""

import torch
from torch import nn

import planner


class Wav(nn.Module):
    def __init__(self, widths, depths, classes):
        super().__init__()
        layers, before = [], 1
        for kernel, stride in ((10, 5), (3, 2), (3, 2), (3, 2), (2, 2)):
            layers += [nn.Conv1d(before, widths[0], kernel, stride, bias=False), nn.GroupNorm(8, widths[0]), nn.GELU()]
            before = widths[0]
        for _ in range(depths[0]):
            layers += [nn.Conv1d(before, before, 3, padding=1), nn.GELU()]
        self.samples, self.wide = nn.Sequential(*layers), nn.Linear(before, widths[1])
        self.places = nn.Conv1d(widths[1], widths[1], 16, padding=8, groups=16)
        layer = nn.TransformerEncoderLayer(widths[1], 4, 3 * widths[1], batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, depths[1]), nn.Linear(widths[1], classes)

    def forward(self, x):
        x = self.wide(self.samples(x).transpose(1, 2))
        x = x + self.places(x.transpose(1, 2))[:, :, :-1].transpose(1, 2)
        return self.head(self.encoder(x).mean(dim=1))


@planner.network(
    resolution=4000, widths=(64, 128), depths=(1, 4), divisor=16, step=1, input=lambda r: torch.zeros(1, 1, r)
)
def wav(resolution, widths, depths, classes):
    return Wav(widths, depths, classes)
