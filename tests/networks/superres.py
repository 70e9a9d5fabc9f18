"""Four times larger images: blocks at the small size, PixelShuffle to the large one; `classes` is not used."""

from torch import nn

import planner


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.PReLU(width), nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, x):
        return x + 0.1 * self.layers(x)


class Larger(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        self.first, self.body = nn.Conv2d(3, width, 3, 1, 1), nn.Sequential(*(Block(width) for _ in range(depth)))
        up = [nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2)]
        self.up = nn.Sequential(*up, nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2))
        self.last = nn.Conv2d(width, 3, 9, 1, 4)

    def forward(self, x):
        x = self.first(x)
        return self.last(self.up(x + self.body(x)))


@planner.network(resolution=48, widths=(32,), depths=(6,), divisor=4)
def larger(resolution, widths, depths, classes):
    return Larger(widths[0], depths[0])
