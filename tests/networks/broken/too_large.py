"""A network of more than 2^63 multiplications: a mistake in its sizes."""

from torch import nn

import planner


@planner.network(resolution=32, widths=(16,), depths=(2,))
def huge(resolution, widths, depths, classes):
    wide = widths[0] * 10**9
    layers = [nn.Flatten(), nn.Linear(3 * resolution**2, wide, bias=False)]
    for _ in range(depths[0]):
        layers += [nn.ReLU(), nn.Linear(wide, 10**9, bias=False), nn.Linear(10**9, wide, bias=False)]
    return nn.Sequential(*layers, nn.Linear(wide, classes))
