"""An image and a vector of facts, by name; both are put side by side before the classifier."""

import torch
from torch import nn

import planner


class Both(nn.Module):
    def __init__(self, widths, depths, classes):
        super().__init__()
        image, facts = widths
        layers = [nn.Conv2d(3, image, 3, 2, 1), nn.ReLU()]
        for _ in range(depths[0]):
            layers += [nn.Conv2d(image, image, 3, 2, 1), nn.ReLU()]
        self.image = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        linear = [nn.Linear(17, facts), nn.ReLU()]
        for _ in range(depths[1]):
            linear += [nn.Linear(facts, facts), nn.ReLU()]
        self.facts, self.head = nn.Sequential(*linear), nn.Linear(image + facts, classes)

    def forward(self, image, facts):
        return {"scores": self.head(torch.cat([self.image(image), self.facts(facts)], 1))}


@planner.network(
    resolution=64,
    widths=(32, 48),
    depths=(2, 2),
    divisor=8,
    input=lambda r: {"facts": torch.zeros(1, 17), "image": torch.zeros(1, 3, r, r)},
)
def both(resolution, widths, depths, classes):
    return Both(widths, depths, classes)
