"""Each operation and each parameter stands in the part that a reader of the network would say."""

import math

import pytest
import torch
from torch import nn

from sampler.declared.spec import network_spec
from trainer.declared.attribution import parts_by_entry
from trainer.declared.legal import point_of
from trainer.declared.structure import Template
from trainer.declared.tracing import trace


def conv(a, b, kernel=3, stride=1):
    return [nn.Conv2d(a, b, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(b), nn.ReLU()]


def flat(resolution, widths, depths, classes):
    """One flat sequential: a stem, blocks of two convolutions, a strided one between stages, a classifier of two."""
    layers, before = conv(3, 8, 7, 4), 8
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            layers += conv(before, before, 5, 2)
        for _ in range(depth):
            layers += [*conv(before, width), *conv(width, width)]
            before = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 50), nn.ReLU(), nn.Linear(50, classes)]
    return nn.Sequential(*layers)


class Up(nn.Module):
    """Encoder and decoder of one depth each, and a last convolution."""

    def __init__(self, widths, depths, classes):
        super().__init__()
        (a, b), (n, m) = widths, depths
        self.last, self.up = nn.Conv2d(a, classes, 1), nn.ConvTranspose2d(b, a, 2, 2)
        self.down = nn.ModuleList([self.several(3, a, n), self.several(a, b, m)])
        self.joined = self.several(2 * a, a, n)

    @staticmethod
    def several(before, width, depth):
        return nn.Sequential(*(nn.Sequential(*conv(width if k else before, width)) for k in range(depth)))

    def forward(self, x):
        x = self.down[0](x)
        y = self.up(self.down[1](nn.functional.max_pool2d(x, 2)))
        return self.last(self.joined(torch.cat([x, y], 1)))


class Vit(nn.Module):
    """Patches, a class token, torch's own blocks, a norm and a classifier."""

    def __init__(self, width, depth, classes):
        super().__init__()
        self.patches, self.token = nn.Conv2d(3, width, 8, 8), nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(width, 2, 32, batch_first=True) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x):
        x = torch.cat([self.token, self.patches(x).flatten(2).transpose(1, 2)], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Residual(nn.Module):
    """A block whose shortcut is convolved where it must be."""

    def __init__(self, before, width, stride):
        super().__init__()
        self.body = nn.Sequential(*conv(before, width, stride=stride), *conv(width, width))
        self.short = nn.Sequential(*conv(before, width, 1, stride)) if stride > 1 or before != width else None

    def forward(self, x):
        return self.body(x) + (self.short(x) if self.short is not None else x)


def resnet(resolution, widths, depths, classes):
    """Stages in numbered modules, with shortcuts in their first blocks."""
    stages, before = [], 8
    for width, depth in zip(widths, depths, strict=True):
        stages.append(
            nn.Sequential(*(Residual(before if k == 0 else width, width, 1 + (k == 0)) for k in range(depth)))
        )
        before = width
    return nn.Sequential(*conv(3, 8), *stages, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(before, classes))


def costs(factory, widths, most=3):
    """MACs and params of each part of the network of three blocks in each stage."""
    spec = network_spec(factory, 32, widths, (most,) * len(widths))
    full = trace(spec, point_of(spec, {}))
    shorter = [
        [trace(spec, point_of(spec, {f"depth_{i}": d})) for d in range(most - 1, 0, -1)]
        for i in range(1, len(widths) + 1)
    ]
    templates = {
        name: Template(getattr(full, name), [[getattr(t, name) for t in some] for some in shorter], spec.depths)
        for name in ("ops", "params")
    }
    parts = parts_by_entry(templates["ops"], templates["params"], len(widths))
    found = {part: [0, 0] for part in ("stem", *range(1, len(widths) + 1), "head")}
    for at, name in enumerate(("ops", "params")):
        for (entry, _), item in zip(templates[name].expanded(spec.depths), getattr(full, name), strict=True):
            found[parts[entry]][at] += math.prod(item.dims) * (at == 0 or item.kind == "param")
    return {part: tuple(two) for part, two in found.items()}


def layer(a, b, kernel, side):
    """MACs and params of a convolution and its norm."""
    return side**2 * a * b * kernel**2, a * b * kernel**2 + 2 * b


def total(*layers):
    return tuple(map(sum, zip(*layers, strict=True)))


def test_a_flat_network_has_its_first_blocks_in_their_stages_and_its_classifier_in_the_head():
    first = [layer(8, 16, 3, 8), *[layer(16, 16, 3, 8)] * 5]
    second = [layer(16, 16, 5, 4), layer(16, 24, 3, 4), *[layer(24, 24, 3, 4)] * 5]
    head = (24 * 50 + 500, 24 * 50 + 50 + 510)
    expected = {"stem": layer(3, 8, 7, 8), 1: total(*first), 2: total(*second), "head": head}
    assert costs(flat, (16, 24)) == expected


def test_an_encoder_and_a_decoder_of_one_depth_are_one_stage():
    def unet(resolution, widths, depths, classes):
        return Up(widths, depths, classes)

    up = (32 * 32 * 16 * 24, 4 * 24 * 16 + 16)  # before the decoder, so of its stage
    first = [layer(3, 16, 3, 32), *[layer(16, 16, 3, 32)] * 4, layer(32, 16, 3, 32), up]
    second = [layer(16, 24, 3, 16), *[layer(24, 24, 3, 16)] * 2]
    expected = {"stem": (0, 0), 1: total(*first), 2: total(*second), "head": (32 * 32 * 160, 170)}
    assert costs(unet, (16, 24)) == expected


def test_a_vision_transformer_has_patches_and_tokens_in_its_stem():
    def vit(resolution, widths, depths, classes):
        return Vit(widths[0], depths[0], classes)

    block = (17 * (4 * 16 * 16 + 2 * 16 * 32) + 2 * 17 * 17 * 16, 4 * 16 * 17 + 2 * 16 * 32 + 16 + 32 + 4 * 16)
    stem = (16 * 16 * 192, 193 * 16 + 16)
    assert costs(vit, (16,)) == {"stem": stem, 1: total(block, block, block), "head": (160, 160 + 10 + 32)}


@pytest.mark.parametrize("widths", [(16, 24), (8, 8)], ids=["widths that differ", "widths that are equal"])
def test_a_first_blocks_shortcut_is_its_stages(widths):
    sides, before, expected = (16, 8), 8, {"stem": layer(3, 8, 3, 32)}
    for stage, (width, side) in enumerate(zip(widths, sides, strict=True), 1):
        layers = [layer(before, width, 3, side), layer(before, width, 1, side), *[layer(width, width, 3, side)] * 5]
        expected[stage], before = total(*layers), width
    expected["head"] = (before * 10, before * 10 + 10)
    assert costs(resnet, widths) == expected
