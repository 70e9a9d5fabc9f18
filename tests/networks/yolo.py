"""A detector: backbone of split-and-joined blocks, a neck up and down again, three outputs of boxes and classes."""

import torch
from torch import nn

import planner


class Conv(nn.Sequential):
    def __init__(self, before, width, kernel=1, stride=1):
        super().__init__(
            nn.Conv2d(before, width, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(width), nn.SiLU(True)
        )


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.both = nn.Sequential(Conv(width, width, 3), Conv(width, width, 3))

    def forward(self, x):
        return x + self.both(x)


class Split(nn.Module):
    def __init__(self, before, width, depth):
        super().__init__()
        self.first, self.last = Conv(before, width), Conv((2 + depth) * (width // 2), width)
        self.blocks = nn.ModuleList(Residual(width // 2) for _ in range(depth))

    def forward(self, x):
        parts = list(self.first(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Pooled(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.last, self.pool = Conv(width, width // 2), Conv(2 * width, width), nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Yolo(nn.Module):
    def __init__(self, widths, depths, classes):
        super().__init__()
        a, b, c, d, e = widths
        n1, n2, n3, n4, n5 = depths
        self.stem = nn.Sequential(Conv(3, a, 3, 2), *(Residual(a) for _ in range(n1)))
        self.p2 = nn.Sequential(Conv(a, b, 3, 2), Split(b, b, n2))
        self.p3 = nn.Sequential(Conv(b, c, 3, 2), Split(c, c, n3))
        self.p4 = nn.Sequential(Conv(c, d, 3, 2), Split(d, d, n4))
        self.p5 = nn.Sequential(Conv(d, e, 3, 2), Split(e, e, n5), Pooled(e))
        self.up, self.up4, self.up3 = nn.Upsample(scale_factor=2), Split(d + e, d, n4), Split(c + d, c, n3)
        self.to4, self.down4 = Conv(c, c, 3, 2), Split(c + d, d, n4)
        self.to5, self.down5 = Conv(d, d, 3, 2), Split(d + e, e, n5)
        self.boxes = nn.ModuleList(nn.Sequential(Conv(w, 64, 3), nn.Conv2d(64, 64, 1)) for w in (c, d, e))
        self.kinds = nn.ModuleList(nn.Sequential(Conv(w, w, 3), nn.Conv2d(w, classes, 1)) for w in (c, d, e))

    def forward(self, x):
        p3 = self.p3(self.p2(self.stem(x)))
        p4 = self.p4(p3)
        p5 = self.p5(p4)
        n4 = self.up4(torch.cat([self.up(p5), p4], 1))
        n3 = self.up3(torch.cat([self.up(n4), p3], 1))
        n4 = self.down4(torch.cat([self.to4(n3), n4], 1))
        n5 = self.down5(torch.cat([self.to5(n4), p5], 1))
        return [
            torch.cat([box(n), kind(n)], 1) for n, box, kind in zip((n3, n4, n5), self.boxes, self.kinds, strict=True)
        ]


@planner.network(resolution=320, widths=(16, 32, 64, 128, 256), depths=(1, 1, 2, 2, 1), divisor=16)
def yolo(resolution, widths, depths, classes):
    return Yolo(widths, depths, classes)
